package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	archivedLabel = "archived"
	// archivedLifetime is how long the labels that were read are used: long enough for the
	// projects of one pass to share them.
	archivedLifetime = time.Minute
	// archivedPause is how long the labels are left alone after they could not be read: a broken
	// one is asked for once a listing, not with all its retries for each repository of it.
	archivedPause = 30 * time.Second
)

// archivedFlags knows which repositories are archived.
type archivedFlags struct {
	byField bool           // the field says it
	unknown bool           // else nobody knows
	ids     map[int64]bool // else these ids are
}

// apply tells r what is known of it.
func (f *archivedFlags) apply(r *bitbucket.Repository) {
	if f.byField {
		return
	}
	r.Archived, r.ArchivedUnknown = f.ids[r.ID.Number], f.unknown
}

// archivedLabels keeps what the label last said.
type archivedLabels struct {
	mu      sync.Mutex
	ids     map[int64]bool // nil: never read
	read    time.Time
	failure error // of the last attempt; nil after a success
	failed  time.Time
}

// load returns the last answer, nil without one, and the error of a later attempt. It is fresh
// when it is too early to ask again.
func (a *archivedLabels) load() (ids map[int64]bool, fresh bool, failure error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure != nil {
		return a.ids, time.Since(a.failed) < archivedPause, a.failure
	}
	return a.ids, a.ids != nil && time.Since(a.read) < archivedLifetime, nil
}

func (a *archivedLabels) store(ids map[int64]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids, a.read, a.failure = ids, time.Now(), nil
}

func (a *archivedLabels) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure, a.failed = err, time.Now()
}

// archivedFlags returns which repositories are archived. Both results are set when the
// labels could not be read, ErrArchivedUnknown: the flags are those of an earlier answer, or
// unknown without one. Without flags the error is another one.
func (c *Client) archivedFlags(ctx context.Context) (*archivedFlags, error) {
	version, err := c.knownVersion(ctx)
	switch {
	case err != nil:
		return nil, err
	case version.AtLeast(8, 0):
		return &archivedFlags{byField: true}, nil
	case !version.AtLeast(5, 13): // without labels
		return &archivedFlags{}, nil
	}
	last, fresh, failure := c.archived.load()
	if !fresh {
		var now map[int64]bool
		now, failure = c.labeled(ctx, archivedLabel)
		if errors.Is(failure, bitbucket.ErrNotFound) && !isStatus(failure, http.StatusUnauthorized) && !errors.Is(failure, bitbucket.ErrIncompleteListing) {
			now, failure = map[int64]bool{}, nil // nobody has made the label
		}
		switch {
		case failure == nil:
			c.archived.store(now)
			last = now
		case ctx.Err() != nil:
			return nil, failure // whoever asked has gone; the label need not be broken
		default:
			c.archived.fail(failure)
		}
	}
	flags := &archivedFlags{ids: last, unknown: last == nil}
	if failure != nil {
		return flags, fmt.Errorf("%w, the last answer stands: %w", bitbucket.ErrArchivedUnknown, failure)
	}
	return flags, nil
}

// labeled returns the ids of the repositories that have a label. ErrNotFound when there is no such label.
func (c *Client) labeled(ctx context.Context, label string) (map[int64]bool, error) {
	path, err := segments("labels", label, "labeled")
	if err != nil {
		return nil, err
	}
	ids := map[int64]bool{}
	err = c.eachPage(ctx, "labeled", path, url.Values{"type": {"REPOSITORY"}}, func(rows []json.RawMessage) error {
		for _, row := range rows {
			var raw repositoryJSON
			if err := json.Unmarshal(row, &raw); err != nil || raw.ID <= 0 {
				return contradiction("a labeled repository could not be read")
			}
			if raw.LabelableType == "" || raw.LabelableType == "REPOSITORY" {
				ids[int64(raw.ID)] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}
