package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// DefaultBranch asks for the short name of a repository's default branch.
// ErrEmptyRepository before the first commit, where Bitbucket tells no name; ErrNotFound.
func (c *Client) DefaultBranch(ctx context.Context, address bitbucket.Address) (string, error) {
	// branches/default is there in every version. Newer ones have default-branch, which
	// names the branch of an empty repository too, and will outlive the other.
	resources := []string{"default-branch", "branches/default"}
	if v, err := c.knownVersion(ctx); err == nil && !v.AtLeast(7, 5) {
		resources = resources[1:]
	}
	var branch string
	var err error
	for _, resource := range resources {
		branch, err = c.defaultBranchBy(ctx, address, resource)
		if !errors.Is(err, bitbucket.ErrNotFound) {
			break
		}
	}
	return branch, err
}

func (c *Client) defaultBranchBy(ctx context.Context, address bitbucket.Address, resource string) (string, error) {
	path, err := repositoryPath(address, resource)
	if err != nil {
		return "", err
	}
	var branch string
	got, err := c.ask(ctx, question{op: "default-branch", path: path, decode: func(body []byte) error {
		var raw struct {
			ID        string `json:"id"`
			DisplayID string `json:"displayId"`
		}
		if err := json.Unmarshal(body, &raw); err != nil {
			return err
		}
		if branch = raw.DisplayID; branch == "" {
			branch = strings.TrimPrefix(raw.ID, "refs/heads/")
		}
		if branch == "" {
			return errors.New("the default branch has no name")
		}
		return nil
	}})
	switch {
	case err != nil:
		return "", err
	case got.status == http.StatusNoContent:
		return "", &answerError{
			text: bitbucket.ErrEmptyRepository.Error() + ": " + c.cleaner.clean(address.String()),
			is:   []error{bitbucket.ErrEmptyRepository},
		}
	}
	return branch, nil
}

// HasBranches asks whether a repository has any branch. An empty list of branches is held against the
// default branch, which an empty repository does not have: something that empties lists is not
// believed. ErrNotFound.
func (c *Client) HasBranches(ctx context.Context, address bitbucket.Address) (bool, error) {
	path, err := repositoryPath(address, "branches")
	if err != nil {
		return false, err
	}
	var first page
	_, err = c.ask(ctx, question{
		op: "branches", path: path, query: url.Values{"limit": {"1"}},
		decode: func(body []byte) (err error) {
			first, err = decodePage(body, 0)
			return err
		},
	})
	if err != nil {
		return false, err
	}
	if len(first.rows) > 0 {
		return true, nil
	}
	// In this form, which every version has: the newer one names an unborn branch too.
	_, err = c.defaultBranchBy(ctx, address, "branches/default")
	if errors.Is(err, bitbucket.ErrEmptyRepository) || errors.Is(err, bitbucket.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// PathKind asks what a path of a repository is at a revision; "" is the default branch.
// ErrNotFound when the repository, the revision or the path is not there.
func (c *Client) PathKind(ctx context.Context, address bitbucket.Address, rev, path string) (bitbucket.PathKind, error) {
	rest := "browse"
	if path = strings.Trim(path, "/"); path != "" {
		escaped, err := segments(strings.Split(path, "/")...)
		if err != nil {
			return 0, err
		}
		rest += "/" + escaped
	}
	full, err := repositoryPath(address, rest)
	if err != nil {
		return 0, err
	}
	// A bare "type" counts as false.
	query := url.Values{"type": {"true"}}
	if rev != "" {
		query.Set("at", rev)
	}
	var kind bitbucket.PathKind
	got, err := c.ask(ctx, question{op: "path-kind", path: full, query: query, decode: func(body []byte) (err error) {
		kind, err = decodePathKind(body)
		return err
	}})
	if err == nil && got.status == http.StatusNoContent {
		err = &answerError{
			text: bitbucket.ErrNotFound.Error() + ": the repository has no commit yet",
			is:   []error{bitbucket.ErrNotFound, bitbucket.ErrEmptyRepository},
		}
	}
	if err != nil {
		return 0, err
	}
	return kind, nil
}

// decodePathKind reads {"type": …}, and the page of lines or of children that comes when
// the parameter is not understood.
func decodePathKind(body []byte) (bitbucket.PathKind, error) {
	var raw struct {
		Type     string          `json:"type"`
		Lines    json.RawMessage `json:"lines"`
		Children json.RawMessage `json:"children"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return 0, err
	}
	switch {
	case raw.Type == "FILE", raw.Type == "" && raw.Lines != nil:
		return bitbucket.PathFile, nil
	case raw.Type == "DIRECTORY", raw.Type == "" && raw.Children != nil:
		return bitbucket.PathDirectory, nil
	case raw.Type == "SUBMODULE":
		return bitbucket.PathSubmodule, nil
	}
	return 0, errors.New("the kind of a path is none that is known")
}
