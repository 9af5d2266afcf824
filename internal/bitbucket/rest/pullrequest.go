package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// refJSON is one side of a pull request.
type refJSON struct {
	ID              string `json:"id"`
	LatestCommit    string `json:"latestCommit"`
	LatestChangeset string `json:"latestChangeset"` // its name in the days of Stash
	Repository      *struct {
		ID      number `json:"id"`
		Slug    string `json:"slug"`
		Project *struct {
			Key string `json:"key"`
		} `json:"project"`
	} `json:"repository"` // of a fork: absent when deleted or unreadable
}

// PullRequest asks for a pull request. The repository of its from side is told as far as
// Bitbucket tells it. ErrNotFound.
func (c *Client) PullRequest(ctx context.Context, address bitbucket.Address, number int64) (bitbucket.PullRequest, error) {
	if number <= 0 {
		return bitbucket.PullRequest{}, &answerError{
			text: bitbucket.ErrNotFound.Error() + ": pull requests are counted from 1",
			is:   []error{bitbucket.ErrNotFound},
		}
	}
	path, err := repositoryPath(address, "pull-requests/"+strconv.FormatInt(number, 10))
	if err != nil {
		return bitbucket.PullRequest{}, err
	}
	var found bitbucket.PullRequest
	got, err := c.ask(ctx, question{op: "pull-request", path: path, decode: func(body []byte) (err error) {
		found, err = decodePullRequest(body)
		return err
	}})
	switch {
	case err != nil:
		return bitbucket.PullRequest{}, err
	case got.status == http.StatusNoContent || found.Number != number:
		return bitbucket.PullRequest{}, &answerError{
			text: bitbucket.ErrUnavailable.Error() + ": the answer is not about pull request " + strconv.FormatInt(number, 10),
			is:   []error{bitbucket.ErrUnavailable},
		}
	}
	return found, nil
}

func decodePullRequest(body []byte) (bitbucket.PullRequest, error) {
	var raw struct {
		ID   number   `json:"id"`
		From *refJSON `json:"fromRef"`
		To   *refJSON `json:"toRef"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return bitbucket.PullRequest{}, err
	}
	pr := bitbucket.PullRequest{Number: int64(raw.ID), From: raw.From.side(), To: raw.To.side()}
	if pr.From.Commit == "" || pr.To.Commit == "" {
		return bitbucket.PullRequest{}, errors.New("the pull request does not name the commits of both its sides")
	}
	return pr, nil
}

// side returns what is usable of r, which may be nil.
func (r *refJSON) side() bitbucket.PullRequestRef {
	if r == nil {
		return bitbucket.PullRequestRef{}
	}
	ref := bitbucket.PullRequestRef{Ref: r.ID, Commit: commitHash(r.LatestCommit)}
	if ref.Commit == "" {
		ref.Commit = commitHash(r.LatestChangeset)
	}
	if r.Repository != nil && r.Repository.Project != nil && isName(r.Repository.Slug) && isName(r.Repository.Project.Key) {
		ref.Repository = bitbucket.Address{Key: r.Repository.Project.Key, Slug: r.Repository.Slug}
		ref.Number = max(0, int64(r.Repository.ID))
	}
	return ref
}

// commitHash returns s when it is a whole hash in lower case, else "".
func commitHash(s string) string {
	s = strings.ToLower(s)
	if len(s) != 40 || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}
