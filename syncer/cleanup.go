package syncer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	// cleanUpInterval is the time between two looks for what can be removed.
	cleanUpInterval = 10 * time.Minute
	cleanUpTimeout  = 30 * time.Minute
	// cleanUpAfter is for how long after a start nothing is removed.
	cleanUpAfter = 10 * time.Minute
	// cleanUpBatch is how many repositories one look is about.
	cleanUpBatch = 10_000
	// watchFor is for how long this process has seen a repository as one that left, at least, unless the grace time is
	// shorter. A clock that was wrong at the start cannot shorten that.
	watchFor = time.Hour
)

// departing remembers since when this process has seen repositories as ones that left, by the time
// since its start, which no setting of the clock changes. Safe for concurrent use.
type departing struct {
	running  sync.Mutex // held by the one that cleans up
	uptime   func() time.Duration
	started  time.Time // by the clock
	mu       sync.Mutex
	since    map[bitbucket.RepoID]time.Duration
	complete map[string]bool // the connections of which this process has ended a complete listing
	strays   strays
}

func newDeparting(started time.Time) *departing {
	begun := time.Now()
	return &departing{
		uptime: func() time.Duration { return time.Since(begun) }, started: started, complete: make(map[string]bool),
	}
}

// listed notes a complete listing.
func (d *departing) listed(connection string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.complete[connection] = true
}

// isComplete tells whether there was one.
func (d *departing) isComplete(connection string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.complete[connection]
}

// before returns the time by which something must have left. A clock that was set forward since the
// start does not count: to it, everything would have left long ago.
func (d *departing) before(now time.Time, grace time.Duration) time.Time {
	if by := d.started.Add(d.uptime()); by.Before(now) {
		now = by
	}
	return now.Add(-grace)
}

// watch returns those that were seen for long enough, and forgets those that are not there any more.
func (d *departing) watch(seen []Departed, long time.Duration) (ready []Departed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.uptime()
	since := make(map[bitbucket.RepoID]time.Duration, len(seen))
	for _, one := range seen {
		first, known := d.since[one.ID]
		if !known {
			first = now
		}
		since[one.ID] = first
		if now-first >= long {
			ready = append(ready, one)
		}
	}
	d.since = since
	return ready
}

// cleanUp removes what left the selection longer ago than the grace time: the mirrors, and then the
// records of what is missing on Bitbucket. Those that are not selected stay, since they say why.
//
// A record has left only by a complete listing, or by the site configuration; a connection only by the
// latter. Beyond that, nothing is removed unless this process has listed the connection completely, and has itself seen
// the record as one that left for an hour; see departing for what clocks can do. What is found again
// meanwhile lives.
func (s *Syncer) cleanUp(ctx context.Context) error {
	d := s.departing
	if !d.running.TryLock() {
		return nil
	}
	defer d.running.Unlock()
	s.mu.RLock()
	configured, grace := s.conns != nil, s.config.MirrorGrace
	s.mu.RUnlock()
	if !configured || d.uptime() < cleanUpAfter {
		return nil
	}
	if behind, err := s.clockIsBehind(ctx); err != nil || behind {
		return err
	}
	before := d.before(s.now(), grace)
	departed, err := s.opts.Index.Departed(ctx, before, cleanUpBatch)
	if err != nil {
		return fmt.Errorf("ask what has left: %w", err)
	}
	for _, one := range d.watch(departed, min(grace, watchFor)) {
		if s.connection(one.ID.Connection) != nil && !d.isComplete(one.ID.Connection) {
			continue
		}
		if err := s.remove(ctx, one, before); err != nil {
			return err
		}
	}
	return s.removeStrays(ctx, before, grace)
}

// clockIsBehind tells whether something was stored at a later time than it is now.
func (s *Syncer) clockIsBehind(ctx context.Context) (bool, error) {
	statuses, err := s.opts.Status.ConnectionStatuses(ctx)
	if err != nil {
		return false, fmt.Errorf("read the status of the connections: %w", err)
	}
	now := s.now()
	for _, status := range statuses {
		if status.LastAttempt.After(now) {
			s.log.WarnContext(ctx, "nothing is removed while the clock is behind what it was", "connection", status.Connection, "listed", status.LastAttempt)
			return true, nil
		}
	}
	return false, nil
}

// remove removes a mirror, first from the disk: a crash in between leaves a record that is looked at
// again. The error is of the database, or the end of ctx.
func (s *Syncer) remove(ctx context.Context, one Departed, before time.Time) error {
	end, ok := s.fetches.tryBegin(one.ID)
	if !ok {
		return nil // next time
	}
	defer end()
	still, err := s.opts.Index.IsDeparted(ctx, one.ID, before)
	if err != nil || !still {
		return err
	}
	if err := s.opts.Mirrors.Remove(ctx, one.ID); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.WarnContext(ctx, "a mirror could not be removed; it is tried again", "repository", one.ID.String(), "err", err)
		return nil
	}
	save, cancel := saveContext(ctx)
	defer cancel()
	deleted, err := s.opts.Index.Forget(save, one.ID, before)
	if err != nil {
		return err
	}
	s.begun.forget(one.ID)
	s.slow.note(one.ID, 0)
	reason := one.Reason
	if s.connection(one.ID.Connection) == nil {
		reason = reasonGone
	}
	s.log.InfoContext(ctx, "removed a mirror", "repository", one.ID.String(), "address", one.Address.String(),
		"left", one.Left, "reason", reason, "record_deleted", deleted)
	return nil
}

// noteConnections stores which connections are configured: since when one is not, is told by that.
func (s *Syncer) noteConnections(ctx context.Context) error {
	s.mu.RLock()
	first := s.conns == nil
	s.mu.RUnlock()
	if first {
		return nil
	}
	_, conns := s.current()
	configured := make(map[string][]string, len(conns))
	for _, conn := range conns {
		configured[conn.Name] = addressesOf(conn.Connection)
	}
	if err := s.opts.Status.NoteConnections(ctx, configured, s.now()); err != nil {
		return fmt.Errorf("note which connections are configured: %w", err)
	}
	return nil
}
