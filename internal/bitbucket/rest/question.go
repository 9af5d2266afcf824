package rest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-retryablehttp"

	"example.com/signpost/internal/bitbucket"
)

const (
	apiPath    = "rest/api/1.0/" // "latest" is an alias of it, and less sure
	headerUser = "X-AUSERNAME"   // the account, percent-encoded; absent in answers to anonymous requests

	// maxBodyBytes bounds an answer. A page of 1,000 forks has about 4 MB.
	maxBodyBytes = 32 << 20
	// maxRedirects is more than a repository that was moved needs.
	maxRedirects = 3
)

// question is one request to the REST API, a GET unless it says otherwise.
type question struct {
	op        string // what it asks for, in logs and metrics
	method    string // "" for GET. A POST that may have been heard is not sent again
	body      []byte // JSON; nil for none
	path      string // below the API's root, escaped
	query     url.Values
	anonymous bool // without the credential
	probe     bool // asks whether the credential holds
	// decode reads the body of a 200, or of the 201 to a POST. An error that it returns is final unless it is a
	// broken document: that was cut off, and is asked for again.
	decode func(body []byte) error
}

// succeeded tells whether a status is that of an answer to decode.
func (q *question) succeeded(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated && q.method == http.MethodPost
}

// answer is what a question got that succeeded: 200 or 201 after decode, or 204.
type answer struct {
	status  int
	account string // as X-AUSERNAME tells it; "" when anonymous
}

// ask asks, follows the redirects that stay at home, and tries again what is worth it.
func (c *Client) ask(ctx context.Context, q question) (answer, error) {
	if !q.anonymous && !c.credential.none() {
		admit := c.admit
		if q.probe {
			admit = c.admitProbe
		}
		if err := admit(ctx); err != nil {
			return answer{}, err
		}
	}
	target := c.opts.BaseURL.String() + "/" + apiPath + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	for range maxRedirects + 1 {
		t := &try{client: c, question: q}
		if err := t.run(ctx, target); err != nil {
			return answer{}, err
		}
		if t.location == nil {
			return t.answer, nil
		}
		target = t.location.String()
	}
	return answer{}, &answerError{
		text: notBitbucketText(c.cleaner.clean(cmp.Or(q.method, http.MethodGet)+" "+apiPath+q.path) + " is redirected in circles. " + adviceURL),
		is:   []error{bitbucket.ErrNotBitbucket},
	}
}

// admit tells whether the credential may be sent: not after it was refused, and no token to a
// Bitbucket that would take it for a wrong password. A credential that is not proven yet, or
// that git was refused with, is proven first, by one question for all that wait: so that a
// wrong password costs one failed login, however many ask at once.
func (c *Client) admit(ctx context.Context) error {
	if err := c.admitProbe(ctx); err != nil {
		return err
	}
	return c.stillHolds(ctx, false)
}

// stillHolds is admit for a credential that was admitted before a wait; probe tells that the question is the one that
// proves it.
func (c *Client) stillHolds(ctx context.Context, probe bool) error {
	if err := c.credential.refused(); err != nil {
		return err
	}
	if probe || !c.credential.isSuspect() {
		return nil
	}
	if _, err := c.prove(ctx, true); err != nil {
		return err
	}
	return c.credential.refused()
}

// admitProbe is admit for the question that asks whether the credential holds.
func (c *Client) admitProbe(ctx context.Context) error {
	if err := c.credential.refused(); err != nil {
		return err
	}
	if c.credential.token == "" {
		return nil
	}
	v, err := c.knownVersion(ctx)
	if err != nil {
		return err
	}
	return c.credential.tokenProblem(v)
}

// try is one request of a question with its retries.
type try struct {
	client   *Client
	question question
	failures int           // attempts that failed and are repeated
	wait     time.Duration // before the next one
	last     error         // why the last attempt failed, when another follows

	answer   answer
	location *url.URL // where a redirect within the API leads
}

// run sends the request to target until it is answered, or not worth another attempt.
func (t *try) run(ctx context.Context, target string) error {
	c := t.client
	var body any // not a nil slice, which would be an empty body
	if t.question.body != nil {
		body = t.question.body
	}
	r, err := retryablehttp.NewRequestWithContext(ctx, cmp.Or(t.question.method, http.MethodGet), target, body)
	if err != nil {
		return c.describe(ctx, t.what(), err)
	}
	if t.question.method != "" {
		r.Header.Set("X-Atlassian-Token", "no-check") // Bitbucket takes what is no GET for a forged form without it
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.opts.UserAgent)
	if !t.question.anonymous {
		c.credential.authorizeREST(r.Request)
	}
	r.SetResponseHandler(t.read)
	sender := retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport: attempt{client: c, op: t.question.op, path: t.question.path, probe: t.question.probe},
			// The redirects are followed here, by stricter rules than those of net/http.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:   c.opts.RetryMax,
		CheckRetry: t.retry,
		Backoff:    func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return t.wait },
		ErrorHandler: func(resp *http.Response, err error, _ int) (*http.Response, error) {
			if err == nil && resp != nil { // attempts are used up, and nobody has read the last answer
				err = t.read(resp)
			}
			return nil, err
		},
	}
	_, err = sender.Do(r) //nolint:bodyclose // read closes it
	var known *answerError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil && t.last != nil:
		err = t.last // why it was still being tried when the time was over
	}
	return c.describe(ctx, t.what(), err)
}

// what names the question in errors. Its query is left out: it says little, and is long.
func (t *try) what() string {
	return t.client.cleaner.clean(cmp.Or(t.question.method, http.MethodGet) + " " + apiPath + t.question.path)
}

// segments escapes and joins the segments of a path. A slash within one has no place in
// any address of Bitbucket, and "%2F" is refused by Tomcat: such a thing is not there.
func segments(parts ...string) (string, error) {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, `/\`) ||
			!utf8.ValidString(part) || strings.ContainsFunc(part, unicode.IsControl) {
			return "", &answerError{
				text: bitbucket.ErrNotFound.Error() + ": no address of Bitbucket holds such a name",
				is:   []error{bitbucket.ErrNotFound},
			}
		}
		escaped[i] = url.PathEscape(part)
	}
	return strings.Join(escaped, "/"), nil
}

// repositoryPath returns the path of what lies below a repository. rest is escaped already.
func repositoryPath(address bitbucket.Address, rest string) (string, error) {
	path, err := segments("projects", address.Key, "repos", address.Slug)
	if err != nil || rest == "" {
		return path, err
	}
	return path + "/" + rest, nil
}
