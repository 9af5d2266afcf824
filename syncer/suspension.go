package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	// A fetch that was asked for and could not be tried is looked at again after the suspension,
	// but not before and not after so long.
	minPostponement = time.Second
	maxPostponement = 5 * time.Minute
	// runPatience is how long a RunOnce waits altogether for a Bitbucket that does not answer.
	runPatience = 2 * time.Minute
)

// errSuspended means that a connection is left alone for a while: its Bitbucket does not
// answer, or asked for it.
var errSuspended = errors.New("Bitbucket is left alone for a while") //nolint:staticcheck // a name

// suspended tells whether a connection is left alone now, and until when.
func (s *Syncer) suspended(conn *connection) (until time.Time, yes bool) {
	if s.opts.Suspended == nil {
		return time.Time{}, false
	}
	return s.opts.Suspended(conn.Name)
}

// suspension returns errSuspended while a connection is left alone.
func (s *Syncer) suspension(conn *connection) error {
	until, yes := s.suspended(conn)
	if !yes {
		return nil
	}
	return fmt.Errorf("%w: %w, until %s", errSuspended, bitbucket.ErrUnavailable, until.UTC().Format("15:04:05 UTC"))
}

// isSuspension tells that a fetch failed for an outage, which says nothing about its repository. Bitbucket is asked
// where nobody knows yet.
func (s *Syncer) isSuspension(ctx context.Context, conn *connection, err error) bool {
	if errors.Is(err, bitbucket.ErrCircuitOpen) {
		return true
	}
	if !errors.Is(err, bitbucket.ErrUnavailable) && !errors.Is(err, bitbucket.ErrRateLimited) {
		return false
	}
	if _, yes := s.suspended(conn); yes {
		return true
	}
	if s.opts.Answers == nil || !errors.Is(err, bitbucket.ErrUnavailable) {
		return false
	}
	return !s.opts.Answers(ctx, conn.Name) && ctx.Err() == nil
}

// postponement is when to look again at a fetch of a connection that was asked for and
// could not be tried; 0 when that is not for an outage.
func (s *Syncer) postponement(connection string, f fetched) time.Duration {
	conn := s.connection(connection)
	if conn == nil || f.outcome != outcomePostponed || errors.Is(f.err, errRefused) {
		return 0
	}
	until, yes := s.suspended(conn)
	if !yes {
		return minPostponement // it ended just now
	}
	return min(max(until.Sub(s.now()), minPostponement), maxPostponement)
}

// sitOut waits until a connection is no longer left alone, or the patience of a run is used
// up. It tells whether it is worth another try.
func (r *run) sitOut(ctx context.Context, connection string, f fetched) bool {
	wait := r.s.postponement(connection, f)
	if wait == 0 {
		return false
	}
	r.mu.Lock()
	if r.patience.IsZero() {
		r.patience = r.s.now().Add(runPatience)
	}
	left := r.patience.Sub(r.s.now())
	r.mu.Unlock()
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(min(wait, left))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
