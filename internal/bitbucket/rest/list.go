package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// ListRepositories calls yield with each page of what the query finds. A nil error means
// that the list is whole. ErrIncompleteListing, beside its cause, means that what it lacks may
// exist all the same; what was yielded until then is true. ErrNotFound alone means that the project of
// the query is not there, or not visible.
//
// Archived repositories are listed too. From 8.0 on the list leaves them out unless asked,
// from 5.13 on the label "archived" marks them by convention. When the label cannot be read, its
// last answer stands; without one, what is yielded is ArchivedUnknown. All is yielded, and the
// listing ends as ErrIncompleteListing with ErrArchivedUnknown.
func (c *Client) ListRepositories(ctx context.Context, query syncer.ListQuery, yield func([]bitbucket.Repository) error) error {
	if query.ProjectKey != "" && query.Query != "" {
		return errors.New("rest: a ListQuery is for a project or for a query, not for both")
	}
	if query.Query == "none" {
		return nil
	}
	version, err := c.knownVersion(ctx)
	if err != nil {
		return incomplete(err)
	}
	list, err := newListing(version, query)
	if err != nil {
		return failed(query, err)
	}
	flags, flagsErr := c.archivedFlags(ctx)
	if flags == nil {
		return incomplete(flagsErr)
	}

	broken := 0
	read := func(rows []json.RawMessage) error {
		found := make([]bitbucket.Repository, 0, len(rows))
		for _, row := range rows {
			var raw repositoryJSON
			if json.Unmarshal(row, &raw) != nil {
				broken++
				continue
			}
			r, err := c.repository(raw)
			if err != nil {
				broken++
				continue
			}
			flags.apply(&r)
			if list.keep == nil || list.keep(r) {
				found = append(found, r)
			}
		}
		if len(found) == 0 {
			return nil
		}
		return yield(found)
	}
	if err := c.eachPageOf(ctx, list, read); err != nil {
		return failed(query, err)
	}
	switch {
	case broken > 0:
		return contradiction(fmt.Sprintf("%d of its rows could not be read", broken))
	case flagsErr != nil:
		return incomplete(flagsErr)
	}
	return nil
}

// failed says that a listing failed. Only a project can be absent; without it, its list is
// not incomplete. The list of all repositories is always there.
func failed(query syncer.ListQuery, err error) error {
	if query.ProjectKey != "" && errors.Is(err, bitbucket.ErrNotFound) {
		return err
	}
	return incomplete(err)
}

// eachPageOf reads the list. The list of a person's repositories has a second address.
func (c *Client) eachPageOf(ctx context.Context, list listing, read func([]json.RawMessage) error) error {
	err := c.eachPage(ctx, list.op, list.path, list.query, read)
	if list.second == "" || !errors.Is(err, bitbucket.ErrNotFound) || errors.Is(err, bitbucket.ErrIncompleteListing) {
		return err
	}
	if second := c.eachPage(ctx, list.op, list.second, list.query, read); !errors.Is(second, bitbucket.ErrNotFound) {
		return second
	}
	return err
}

// listing is what to ask for a ListQuery on a certain version.
type listing struct {
	op     string
	path   string
	second string // where else to look when path is not there
	query  url.Values
	keep   func(bitbucket.Repository) bool // nil keeps all
}

func newListing(version bitbucket.Version, q syncer.ListQuery) (listing, error) {
	if q.ProjectKey != "" {
		return newProjectListing(version, q.ProjectKey)
	}
	text := strings.TrimPrefix(strings.TrimSpace(q.Query), "?")
	if text == "all" {
		text = ""
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return listing{}, &answerError{text: "the repositoryQuery is no query string, such as ?name=app&projectname=Web"}
	}
	// These two are for the paging.
	values.Del("start")
	values.Del("limit")
	l := listing{op: "repos", path: "repos", query: values, keep: olderFilters(version, values)}
	if version.AtLeast(8, 0) && !values.Has("archived") {
		values.Set("archived", "ALL")
	}
	return l, nil
}

func newProjectListing(version bitbucket.Version, key string) (listing, error) {
	path, err := segments("projects", key, "repos")
	if err != nil {
		return listing{}, err
	}
	l := listing{op: "project-repos", path: path, query: url.Values{}}
	if version.AtLeast(8, 0) {
		// Documented for repos only; there, a list without it lacks the archived ones.
		l.query.Set("archived", "ALL")
	}
	if user, ok := strings.CutPrefix(key, "~"); ok {
		if l.second, err = segments("users", user, "repos"); err != nil {
			return listing{}, err
		}
	}
	return l, nil
}

// olderFilters returns what a query filters by that the version does not know yet. Bitbucket
// ignores a parameter that it does not know, so an old one would answer with everything. What
// is ArchivedUnknown is kept: whoever has the stored flag decides.
func olderFilters(version bitbucket.Version, values url.Values) func(bitbucket.Repository) bool {
	var filters []func(bitbucket.Repository) bool
	if key := strings.TrimSpace(values.Get("projectkey")); key != "" && !version.AtLeast(8, 0) {
		filters = append(filters, func(r bitbucket.Repository) bool { return strings.EqualFold(r.Key, key) })
	}
	if state := values.Get("state"); state != "" && !version.AtLeast(5, 13) {
		filters = append(filters, func(r bitbucket.Repository) bool { return strings.EqualFold(string(r.State), state) })
	}
	if !version.AtLeast(8, 0) {
		switch strings.ToUpper(values.Get("archived")) {
		case "ACTIVE":
			filters = append(filters, func(r bitbucket.Repository) bool { return !r.Archived || r.ArchivedUnknown })
		case "ARCHIVED":
			filters = append(filters, func(r bitbucket.Repository) bool { return r.Archived || r.ArchivedUnknown })
		}
	}
	if len(filters) == 0 {
		return nil
	}
	return func(r bitbucket.Repository) bool {
		for _, keep := range filters {
			if !keep(r) {
				return false
			}
		}
		return true
	}
}
