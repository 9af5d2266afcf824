package syncer

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// sweepFetches is how many fetches of a kind one sweep queues: enough to keep every worker busy until
// the next, and few enough to store in a moment.
const sweepFetches = 2000

// sweep queues the listings and fetches that are due.
func (s *Syncer) sweep(ctx context.Context) error {
	if err := s.noteConnections(ctx); err != nil {
		return err
	}
	if err := s.sweepListings(ctx); err != nil {
		return err
	}
	return s.sweepMirrors(ctx)
}

func (s *Syncer) sweepListings(ctx context.Context) error {
	stored, err := s.opts.Status.ConnectionStatuses(ctx)
	if err != nil {
		return fmt.Errorf("read the status of the connections: %w", err)
	}
	statuses := make(map[string]ConnectionStatus, len(stored))
	for _, status := range stored {
		statuses[status.Connection] = status
	}
	config, conns := s.current()
	for _, conn := range conns {
		if _, suspended := s.suspended(conn); suspended {
			continue // it would fail, and say what the connection's health says
		}
		if s.listings.busy(conn.Name) || !s.listingDue(conn, statuses[conn.Name], config.RepoListUpdateInterval) {
			continue
		}
		if _, err := s.enqueue(ctx, ListConnectionArgs{Connection: conn.Name}); err != nil {
			return err
		}
	}
	return nil
}

// listingDue tells whether a connection is to be listed: its entry changed, or the interval has
// passed since the end of the last attempt. A time in the future (a clock that was set back) is
// no reason to wait.
func (s *Syncer) listingDue(conn *connection, status ConnectionStatus, interval time.Duration) bool {
	since := s.now().Sub(status.LastAttempt)
	return conn.changed.Load() || status.LastAttempt.IsZero() || since >= interval || since < 0
}

// sweepMirrors queues the fetches that are due, those without a mirror first. With
// disableAutoGitUpdates these are all: a new repository is not an update.
func (s *Syncer) sweepMirrors(ctx context.Context) error {
	if err := s.sweepDue(ctx, DueClones); err != nil {
		return err
	}
	if config, _ := s.current(); config.DisableAutoGitUpdates {
		return nil
	}
	return s.sweepDue(ctx, DueUpdates)
}

// sweepDue queues the due fetches of one kind. Each kind has its share of a sweep, and heavy ones have
// a queue of their own: neither thousands of new repositories nor clones that fail again and again keep a
// mirror from its updates. Records of connections that are gone, or whose credential is refused or whose
// Bitbucket does not answer, stay due and are passed over.
func (s *Syncer) sweepDue(ctx context.Context, kind DueKind) error {
	var usable []Due
	for limit := sweepFetches; ; limit *= 4 {
		due, err := s.opts.Records.DueMirrors(ctx, kind, s.now(), limit)
		if err != nil {
			return fmt.Errorf("ask which mirrors are due: %w", err)
		}
		usable = s.usable(due)
		// Those that are passed over must not keep the others from their turn for ever.
		if len(usable) >= sweepFetches || len(due) < limit {
			break
		}
	}
	return s.enqueueFetches(ctx, kind, usable[:min(len(usable), sweepFetches)])
}

// usable returns those of the due repositories that can be fetched.
func (s *Syncer) usable(due []Due) []Due {
	_, conns := s.current()
	open := make(map[string]bool, len(conns))
	for _, conn := range conns {
		_, suspended := s.suspended(conn)
		open[conn.Name] = !suspended && conn.blocked(s.now()) == nil
	}
	return slices.DeleteFunc(due, func(d Due) bool { return !open[d.ID.Connection] })
}
