package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// advertisement is the media type of the refs that git is told (gitprotocol-http).
const advertisement = "application/x-git-upload-pack-advertisement"

// AdvertisesRefs implements syncer.CheckedHost. It reads the beginning of the answer only.
func (c *Client) AdvertisesRefs(ctx context.Context, cloneURL string) error {
	const what = "git, info/refs"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, cloneURL+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return c.describe(ctx, what, err)
	}
	r.Header.Set("User-Agent", c.opts.UserAgent)
	c.AuthorizeGit(r)
	resp, err := c.Transport().RoundTrip(r)
	if err != nil {
		return c.describe(ctx, what, err)
	}
	defer func() { _ = resp.Body.Close() }() // everything that matters was read
	start, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	fail := func(sentinel error, details string) error {
		return &answerError{text: sentence(sentinel, what, details), is: []error{sentinel}, status: resp.StatusCode}
	}
	details := fmt.Sprintf("the status was %d", resp.StatusCode)
	switch status := resp.StatusCode; {
	case status == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), advertisement):
		return nil
	case status == http.StatusOK, status >= 300 && status < 400:
		return fail(bitbucket.ErrNotBitbucket, c.cleaner.clean(details+", and the answer is not that of git"+pageTitle(start)))
	case status == http.StatusUnauthorized && isRefusedLogin(resp):
		return fail(bitbucket.ErrUnauthorized, details)
	case status == http.StatusForbidden:
		return fail(bitbucket.ErrForbidden, details+"; an old Bitbucket may have basic authentication switched off for git")
	case status == http.StatusTooManyRequests:
		return fail(bitbucket.ErrRateLimited, details)
	case status >= 500:
		return fail(bitbucket.ErrUnavailable, details)
	default:
		return fail(bitbucket.ErrNotFound, details)
	}
}
