package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"example.com/signpost/internal/bitbucket"
)

const (
	// A listing asks for so many configured repositories at once, and no more: it shares
	// Bitbucket with people.
	reposAtOnce = 4
	// reposPerPage is how many of them are stored together.
	reposPerPage = 40
	// After so many selectors in a row that Bitbucket could not answer, it is not asked the rest.
	maxFailuresInARow = 3
)

// errStop ends a listing whose doubts already say why.
var errStop = errors.New("the listing was stopped")

// ask puts the questions of all selectors.
func (l *listing) ask(ctx context.Context) error {
	var repos []Selector
	for _, sel := range l.conn.selection.selectors {
		if sel.Kind == SelectRepo {
			repos = append(repos, sel)
		}
	}
	for len(repos) > 0 {
		n := min(reposPerPage, len(repos))
		if err := l.askRepos(ctx, repos[:n]); err != nil {
			return err
		}
		repos = repos[n:]
	}
	for _, sel := range l.conn.selection.selectors {
		query := ListQuery{}
		switch sel.Kind {
		case SelectRepo:
			continue
		case SelectProject:
			query.ProjectKey = sel.Value
		case SelectQuery:
			query.Query = sel.Value
		case SelectAll:
		}
		err := l.host.ListRepositories(ctx, query, func(page []bitbucket.Repository) error {
			return l.save(ctx, sel, page)
		})
		if err := l.judge(ctx, sel, err); err != nil {
			return err
		}
	}
	return nil
}

// askRepos asks for configured repositories one by one, a few at a time, and stores them
// in the order of the configuration.
func (l *listing) askRepos(ctx context.Context, selectors []Selector) error {
	found := make([]bitbucket.Repository, len(selectors))
	errs := make([]error, len(selectors))
	var group errgroup.Group
	group.SetLimit(reposAtOnce)
	for i, sel := range selectors {
		group.Go(func() error {
			key, slug, ok := strings.Cut(sel.Value, "/")
			if !ok {
				errs[i] = errors.New("write KEY/slug, or ~user/slug")
				return nil
			}
			found[i], errs[i] = l.host.Repository(ctx, bitbucket.Address{Key: key, Slug: slug})
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	for i, sel := range selectors {
		err := errs[i]
		if err == nil {
			err = l.save(ctx, sel, found[i:i+1])
		}
		if err == nil && found[i].ArchivedUnknown {
			err = bitbucket.ErrArchivedUnknown // a listing would have ended with it
		}
		if err := l.judge(ctx, sel, err); err != nil {
			return err
		}
	}
	return nil
}

// save decides about a page of repositories that a selector found, stores it, announces
// what changed and queues what is new.
func (l *listing) save(ctx context.Context, sel Selector, page []bitbucket.Repository) error {
	l.answered = l.answered || len(page) > 0
	found := make([]Found, 0, len(page))
	for _, r := range page {
		taken, before := l.seen[r.ID.Number]
		if taken {
			continue // by another selector, or a row that moved between two pages
		}
		r, err := l.s.withStoredFlag(ctx, r)
		if err != nil {
			return storeError{err}
		}
		by := []Selector{sel}
		if sel.Kind == SelectQuery && queryTakes(sel.Value, r) == NotTaken {
			// This Bitbucket ignores a parameter of the query.
			by = nil
			if other, taken := l.conn.selection.Takes(r); taken == IsTaken {
				by = []Selector{other}
			}
		}
		if before && by == nil {
			continue
		}
		l.seen[r.ID.Number] = by != nil
		l.addresses[strings.ToLower(r.String())] = true
		d := l.conn.selection.Select(r, by...)
		if d.Selected {
			l.selected++
		}
		found = append(found, Found{Repository: r, Selected: d.Selected, Reason: d.Reason})
	}
	if err := l.store(ctx, found); err != nil {
		return err
	}
	if l.progress != nil {
		l.progress(len(l.seen))
	}
	return nil
}

func (l *listing) store(ctx context.Context, found []Found) error {
	if len(found) == 0 {
		return nil
	}
	changes, err := l.s.saveFound(ctx, l.conn, l.number, found)
	switch {
	case errors.Is(err, errReconfigured):
		return err
	case err != nil:
		return storeError{fmt.Errorf("store %d repositories of %s: %w", len(found), l.conn.Name, err)}
	}
	l.changed = l.changed || !changes.none()
	if err := l.s.enqueueNew(ctx, changes.Upserted); err != nil {
		return storeError{err}
	}
	return nil
}

// judge decides what the answer to one selector means for the listing: what is missing is
// named and the rest goes on; what stops everything is returned.
func (l *listing) judge(ctx context.Context, sel Selector, err error) error {
	if err == nil {
		l.failures, l.answered = 0, false
		return nil
	}
	var store storeError
	if errors.As(err, &store) || errors.Is(err, errReconfigured) || ctx.Err() != nil {
		return err
	}
	answered := l.answered
	l.answered = false
	l.s.metrics.listingErrors.WithLabelValues(l.conn.Name, errorKind(err)).Inc()
	if doubt := inWords(err, l.conn.Connection); !isArchivedUnknown(err) {
		l.doubts = append(l.doubts, fmt.Sprintf("%s: %s", sel, doubt))
	} else if !l.archivedUnknown {
		l.archivedUnknown = true
		l.doubts = append(l.doubts, doubt) // once: no selector is to blame
	}
	switch {
	case errors.Is(err, bitbucket.ErrCaptcha):
		l.conn.credential.refuse(err)
		return errStop
	case errors.Is(err, bitbucket.ErrUnauthorized):
		// Bitbucket says so of a project that the account may not see, too. One question tells.
		if _, err := l.conn.credential.check(ctx, l.host, true); err != nil {
			return err
		}
		l.failures = 0
	case answered, isArchivedUnknown(err), errors.Is(err, bitbucket.ErrNotFound), errors.Is(err, bitbucket.ErrForbidden):
		l.failures = 0
	default:
		if l.failures++; l.failures == maxFailuresInARow {
			l.doubts = append(l.doubts, "Bitbucket was not asked for the rest")
			return errStop
		}
	}
	return nil
}
