package syncer

import (
	"context"
	"fmt"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// sweepFetches is how many fetches one sweep queues: enough to keep every worker busy until
// the next, and few enough to store in a moment.
const sweepFetches = 2000

// sweep queues the listings and fetches that are due.
func (s *Syncer) sweep(ctx context.Context) error {
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

// sweepMirrors queues the fetches that are due, those without a mirror first. Records of
// connections that are gone, or whose credential is refused, stay due and are passed over.
func (s *Syncer) sweepMirrors(ctx context.Context) error {
	var usable []bitbucket.RepoID
	for limit := sweepFetches; ; limit *= 4 {
		due, err := s.opts.Records.DueMirrors(ctx, s.now(), limit)
		if err != nil {
			return fmt.Errorf("ask which mirrors are due: %w", err)
		}
		var all bool
		if usable, all, err = s.usable(ctx, due); err != nil {
			return err
		}
		// Those that are passed over must not keep the others from their turn for ever.
		if all || len(usable) >= sweepFetches || len(due) < limit {
			break
		}
	}
	return s.enqueueFetches(ctx, usable[:min(len(usable), sweepFetches)], priorityScheduled)
}

// usable returns those of the due repositories that can be fetched, and whether these are all
// that there are, however many more are due.
func (s *Syncer) usable(ctx context.Context, due []bitbucket.RepoID) (usable []bitbucket.RepoID, all bool, err error) {
	config, conns := s.current()
	open := make(map[string]bool, len(conns))
	for _, conn := range conns {
		open[conn.Name] = conn.credential.blocked() == nil
	}
	usable = make([]bitbucket.RepoID, 0, len(due))
	for _, id := range due {
		if !open[id.Connection] {
			continue
		}
		if config.DisableAutoGitUpdates {
			// Only first fetches, which come first: the first other one is the end.
			record, err := s.opts.Records.Record(ctx, id)
			if err != nil {
				return nil, false, fmt.Errorf("read the record of %s: %w", id, err)
			}
			if !record.Mirror.LastFetch.IsZero() {
				return usable, true, nil
			}
		}
		usable = append(usable, id)
	}
	return usable, false, nil
}
