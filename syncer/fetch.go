package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// outcome is how a fetch ended.
type outcome int

const (
	outcomeSkipped   outcome = iota // nothing to fetch: not selected, not due, or gone
	outcomePostponed                // its credential is refused, or its Bitbucket does not answer
	outcomeFailed
	outcomeUnchanged
	outcomeChanged
	outcomeCloned
)

// String returns the outcome as a label of metrics.
func (o outcome) String() string {
	return [...]string{"skipped", "postponed", "failed", "unchanged", "changed", "cloned"}[o]
}

// fetchOptions says how to fetch.
type fetchOptions struct {
	// asked means that somebody wants it now: it need not be due, and goes before the others.
	asked bool
	// started is called when the fetch has its turn, progress with what the server says
	// from any goroutine. Either may be nil.
	started  func()
	progress func(text string)
	// record was read since the repository's flight is held; nil for it to be read.
	record *Record
	// saves stores what is in no hurry; nil to store that as everything else.
	saves *saves
}

// fetched is what became of a fetch.
type fetched struct {
	outcome outcome
	result  FetchResult
	err     error  // of a failed or postponed one
	problem string // err in plain words, without secrets
}

// fetch brings one mirror up to date and stores its status, what went wrong at Bitbucket
// included. The error is for what went wrong here: the database, or the end of ctx, after which no
// status is stored. The caller holds the repository's flight.
func (s *Syncer) fetch(ctx context.Context, id bitbucket.RepoID, o fetchOptions) (fetched, error) {
	conn := s.connection(id.Connection)
	if conn == nil {
		return fetched{}, nil
	}
	record, err := s.recordFor(ctx, id, o)
	switch {
	case errors.Is(err, ErrNoRecord):
		return fetched{}, nil
	case err != nil:
		return fetched{}, fmt.Errorf("read the record of %s: %w", id, err)
	case !wanted(record):
		return fetched{}, nil
	case !o.asked && !s.due(record):
		return fetched{}, nil
	}
	if _, leaves := conn.leaves(record); leaves {
		return fetched{}, nil // the next listing stores that
	}
	leave, err := s.gate.enter(ctx, o.asked, s.slow.weigh(record))
	if err != nil {
		return fetched{}, err
	}
	if s.connection(id.Connection) != conn { // it may name another server now
		leave()
		o.record = nil
		return s.fetch(ctx, id, o)
	}
	leave = sync.OnceFunc(leave)
	defer leave()
	if o.started != nil {
		o.started()
	}
	asked := s.begun.asked(id)
	f, err := s.fetchNow(ctx, conn, record, o, leave)
	switch {
	case err != nil:
	case f.outcome != outcomePostponed:
		s.begun.serve(id, asked)
	case o.asked && errors.Is(f.err, errRefused):
		err = s.makeDue(ctx, record)
	}
	return f, err
}

// recordFor returns the record of a repository that is to be fetched.
func (s *Syncer) recordFor(ctx context.Context, id bitbucket.RepoID, o fetchOptions) (Record, error) {
	if o.record != nil {
		return *o.record, nil
	}
	return s.opts.Records.Record(ctx, id)
}

// makeDue lets the schedule make up for a fetch that was asked for while the credential was refused: it
// passes over what is due until the credential is accepted, and what is not due would wait on.
func (s *Syncer) makeDue(ctx context.Context, record Record) error {
	status := record.Mirror
	if now := s.now(); status.NextFetch.After(now) {
		status.NextFetch = now
		if err := s.opts.Index.SaveMirror(ctx, record.ID, status); err != nil && !errors.Is(err, ErrNoRecord) {
			return fmt.Errorf("store the mirror status of %s: %w", record.ID, err)
		}
	}
	return nil
}

// fetchNow is fetch after the wait for a place, which leave gives back.
func (s *Syncer) fetchNow(ctx context.Context, conn *connection, record Record, o fetchOptions, leave func()) (fetched, error) {
	id := record.ID
	// After the wait, so that those who waited while a credential was refused do not try it.
	if err := s.admit(conn); err != nil {
		return fetched{outcome: outcomePostponed, err: err, problem: inWords(err, conn.Connection)}, nil
	}
	if err := s.suspension(conn); err != nil {
		return fetched{outcome: outcomePostponed, err: err, problem: inWords(err, conn.Connection)}, nil
	}
	s.metrics.fetching.Inc()
	defer s.metrics.fetching.Dec()
	begun := s.now()
	result, err := s.fetchMirror(ctx, conn, record, o)
	if ctx.Err() != nil && err != nil {
		return fetched{}, ctx.Err()
	}
	now := s.now()
	f := s.judgeFetch(ctx, conn, result, err)
	if f.outcome == outcomePostponed {
		return f, nil
	}
	s.metrics.fetched(f, now.Sub(begun))
	s.slow.note(id, now.Sub(begun))

	status := record.Mirror
	status.record(f, now)
	delay := fetchDelay(now, status.LastChange, status.Failures, s.opts.Jitter())
	if errors.Is(f.err, ErrNoSpace) {
		delay = min(delay, noSpaceDelay)
	}
	status.NextFetch = now.Add(max(delay, retryAfter(f.err)))
	save, cancel := saveContext(ctx)
	defer cancel()
	store := s.opts.Index.SaveMirror
	if f.outcome == outcomeUnchanged && o.saves != nil {
		leave() // the next one need not wait for the database
		store = o.saves.save
	}
	switch err := store(save, id, status); {
	case errors.Is(err, ErrNoRecord): // left the index meanwhile
		return fetched{}, nil
	case err != nil:
		return f, fmt.Errorf("store the mirror status of %s: %w", id, err)
	}
	if f.err == nil {
		s.begun.note(id, begun)
	}
	if f.outcome == outcomeChanged || f.outcome == outcomeCloned {
		s.opts.Listener.RefsChanged(id)
	}
	if f.err != nil {
		s.log.WarnContext(ctx, "fetch failed", "repository", id.String(), "address", record.String(),
			"problem", f.problem, "failures", status.Failures, "next", status.NextFetch)
	} else {
		s.log.DebugContext(ctx, "fetched", "repository", id.String(), "address", record.String(),
			"outcome", f.outcome.String(), "took", now.Sub(begun), "next", status.NextFetch)
	}
	return f, nil
}

// wanted tells whether a record is to have a mirror that is kept up to date.
func wanted(r Record) bool {
	return r.Selected && r.State == bitbucket.StateAvailable && r.MissingSince.IsZero()
}

// due tells whether the schedule wants a fetch now. With disableAutoGitUpdates it wants
// the first one only: a new repository is not an update.
func (s *Syncer) due(r Record) bool {
	config, _ := s.current()
	if config.DisableAutoGitUpdates && !r.Mirror.LastFetch.IsZero() {
		return false
	}
	return isDue(r.Mirror, s.now())
}

// fetchMirror checks the credential, unless git has a key of its own, and fetches under the fetch's own deadline.
func (s *Syncer) fetchMirror(ctx context.Context, conn *connection, record Record, o fetchOptions) (FetchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.FetchTimeout)
	defer cancel()
	address, err := cloneURL(conn.Connection, record.Repository)
	if err != nil {
		return FetchResult{}, err
	}
	host, err := s.opts.Hosts.CodeHost(conn.Name)
	if err != nil {
		return FetchResult{}, err
	}
	request := FetchRequest{
		Repo:          record.ID,
		CloneURL:      address,
		RefsDigest:    record.Mirror.RefsDigest,
		SizeBytes:     record.Mirror.SizeBytes,
		DefaultBranch: record.Mirror.DefaultBranch,
		HasBranches:   func(ctx context.Context) (bool, error) { return host.HasBranches(ctx, record.Address) },
		Progress:      o.progress,
	}
	if conn.overSSH() {
		request.SSH = &conn.GitSSH
		result, err := s.opts.Mirrors.Fetch(ctx, request)
		conn.key.note(err, s.now())
		return result, err
	}
	// One request finds out that a password is wrong, not gitMaxConcurrentClones at once.
	if _, err := conn.credential.check(ctx, host, false); err != nil {
		return FetchResult{}, err
	}
	if request.Transport, request.Authorize, err = s.opts.Remote(conn.Name); err != nil {
		return FetchResult{}, err
	}
	return s.opts.Mirrors.Fetch(ctx, request)
}

// admit returns why git may not log in now, nil when it may.
func (s *Syncer) admit(conn *connection) error {
	if conn.overSSH() {
		return conn.key.admit(s.now())
	}
	return conn.credential.blocked()
}

// judgeFetch says how a fetch ended. When the credential turns out to be refused, the connection's other
// fetches are postponed; an old Bitbucket also says 401 of a repository that the account may not read, and that
// is the repository's own failure.
func (s *Syncer) judgeFetch(ctx context.Context, conn *connection, result FetchResult, err error) fetched {
	if errors.Is(err, bitbucket.ErrUnauthorized) && !conn.overSSH() && conn.credential.blocked() == nil { // git says so
		err = s.judgeRefusal(ctx, conn, err)
	}
	f := fetched{result: result, err: err, problem: inWords(err, conn.Connection)}
	switch {
	case errors.Is(err, errRefused), s.isSuspension(ctx, conn, err):
		f.outcome = outcomePostponed
	case err != nil:
		f.outcome = outcomeFailed
		if errors.Is(err, bitbucket.ErrCaptcha) {
			conn.credential.refuse(err)
		}
	case result.Cloned:
		f.outcome = outcomeCloned
	case result.Changed:
		f.outcome = outcomeChanged
	default:
		f.outcome = outcomeUnchanged
	}
	return f
}

// judgeRefusal asks whether a refusal that git met is one of the credential, and returns what the
// fetch failed with. CodeHost.Account sees to it that this locks no account.
func (s *Syncer) judgeRefusal(ctx context.Context, conn *connection, err error) error {
	host, hostErr := s.opts.Hosts.CodeHost(conn.Name)
	if hostErr != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.opts.ListTimeout)
	defer cancel()
	_, refused := conn.credential.check(limited, host, true)
	switch {
	case refused == nil:
		return fmt.Errorf("%w: %w", errUnreadable, err)
	case isRefusal(refused):
		return refused
	default:
		return err // the next use of the credential asks again
	}
}

// record brings the status up to date with a fetch that ended at now, but for NextFetch.
func (m *MirrorStatus) record(f fetched, now time.Time) {
	if f.err != nil {
		m.Failures++
		m.Error = f.problem
		return
	}
	m.LastFetch = now
	if f.outcome != outcomeUnchanged || m.LastChange.IsZero() {
		m.LastChange = now
	}
	m.Failures, m.Error = 0, ""
	m.RefsDigest, m.DefaultBranch = f.result.RefsDigest, f.result.DefaultBranch
	m.SizeBytes, m.Empty = f.result.SizeBytes, f.result.Empty
}
