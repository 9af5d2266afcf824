package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// RepositoryQuery asks for a page of the repositories that the index knows.
type RepositoryQuery struct {
	Text    string           // part of the address or the name, in any case, or the whole number; "" takes all
	States  []MirrorState    // takes those in any of these; empty takes all
	Missing bool             // takes only those that the last complete listing lacked
	After   bitbucket.RepoID // the page begins behind it, whether it exists or not; zero: with the first
	Limit   int              // how many repositories a page has at most
}

// RepositoryPage is a page, ordered by connection and number: an order that no rename changes.
type RepositoryPage struct {
	Repositories []RepositoryStatus
	More         bool // there is another page behind the last repository
}

// RepositoryStatus is a repository as administrators see it. Selected and Reason are those of the
// running configuration: without its connection no repository is selected. Mirror.NextFetch is
// zero when no fetch is scheduled, and Mirror.Error also says why a fetch that is due is held back.
type RepositoryStatus struct {
	Record
	MirrorState     MirrorState
	SourcegraphName sourcegraph.RepoName // "" without a primary URL or a connection
}

// ErrNotSelected means that a repository is in the index and is not fetched.
var ErrNotSelected = errors.New("the repository is not selected")

// NotSelectedError is an ErrNotSelected that says why.
type NotSelectedError struct {
	Reason string // for administrators
}

// Error implements error.
func (e *NotSelectedError) Error() string { return ErrNotSelected.Error() + ": " + e.Reason }

// Unwrap makes it an ErrNotSelected.
func (e *NotSelectedError) Unwrap() error { return ErrNotSelected }

// Repositories returns a page of what the index knows. It asks the database only.
func (s *Syncer) Repositories(ctx context.Context, q RepositoryQuery) (RepositoryPage, error) {
	v := s.newView()
	limit := max(q.Limit, 1)
	records, err := s.opts.Records.ListRecords(ctx, q.After, limit+1, v.matcher(q))
	if err != nil {
		return RepositoryPage{}, fmt.Errorf("list the repositories: %w", err)
	}
	page := RepositoryPage{More: len(records) > limit, Repositories: make([]RepositoryStatus, 0, limit)}
	for _, r := range records[:min(len(records), limit)] {
		page.Repositories = append(page.Repositories, v.status(r))
	}
	return page, nil
}

// Repository returns one repository of the index, or ErrNoRecord. It asks the database only.
func (s *Syncer) Repository(ctx context.Context, id bitbucket.RepoID) (RepositoryStatus, error) {
	record, err := s.opts.Records.Record(ctx, id)
	if err != nil {
		return RepositoryStatus{}, fmt.Errorf("read the record of %s: %w", id, err)
	}
	return s.newView().status(record), nil
}

// SyncRepository is FetchSoon for somebody who wants to know what comes of it: ErrNoRecord, or a
// *NotSelectedError when the job would leave the repository alone.
func (s *Syncer) SyncRepository(ctx context.Context, id bitbucket.RepoID) error {
	record, err := s.opts.Records.Record(ctx, id)
	if err != nil {
		return fmt.Errorf("read the record of %s: %w", id, err)
	}
	conn := s.connection(id.Connection)
	if conn == nil {
		return &NotSelectedError{Reason: reasonGone}
	}
	if !wanted(record) {
		return &NotSelectedError{Reason: record.Reason}
	}
	if d, leaves := conn.leaves(record); leaves {
		return &NotSelectedError{Reason: d.Reason}
	}
	return s.FetchSoon(ctx, id)
}

// view looks at records with the eyes of one configuration at one moment.
type view struct {
	now    time.Time
	paused bool
	named  bool // there is a Sourcegraph that has names for them
	conns  map[string]*connection
}

func (s *Syncer) newView() *view {
	config, conns := s.current()
	v := &view{
		now: s.now(), paused: config.DisableAutoGitUpdates, named: !config.Primary.IsZero(),
		conns: make(map[string]*connection, len(conns)),
	}
	for _, conn := range conns {
		v.conns[conn.Name] = conn
	}
	return v
}

// state is MirrorStateOf; a connection that is gone has no mirrors that are kept up to date.
func (v *view) state(r Record) MirrorState {
	if v.conns[r.ID.Connection] == nil {
		return MirrorNone
	}
	return MirrorStateOf(r, v.now, v.paused)
}

// matcher tells which records q takes. It looks at no more than RecordReader.ListRecords shows.
func (v *view) matcher(q RepositoryQuery) func(Record) bool {
	text := strings.ToLower(strings.TrimSpace(q.Text))
	number, err := strconv.ParseInt(text, 10, 64)
	isNumber := err == nil
	return func(r Record) bool {
		switch {
		case q.Missing && r.MissingSince.IsZero():
			return false
		case len(q.States) > 0 && !slices.Contains(q.States, v.state(r)):
			return false
		}
		return text == "" || isNumber && number == r.ID.Number ||
			strings.Contains(strings.ToLower(r.String()), text) || strings.Contains(strings.ToLower(r.Name), text)
	}
}

// status is a record as administrators see it.
func (v *view) status(r Record) RepositoryStatus {
	status := RepositoryStatus{Record: r, MirrorState: v.state(r)}
	if status.MirrorState == MirrorNone || v.paused && !r.Mirror.LastFetch.IsZero() {
		status.Mirror.NextFetch = time.Time{}
	}
	conn := v.conns[r.ID.Connection]
	if conn == nil {
		status.Selected, status.Reason = false, reasonGone
		return status
	}
	if v.named {
		status.SourcegraphName = conn.Pattern.RepoName(conn.BaseURL().HostName(), r.Key, r.Slug)
	}
	if status.MirrorState == MirrorWaiting || status.MirrorState == MirrorBehind {
		if err := conn.blocked(v.now); err != nil {
			status.Mirror.Error = inWords(err, conn.Connection)
		}
	}
	return status
}
