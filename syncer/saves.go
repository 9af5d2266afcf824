package syncer

import (
	"context"
	"slices"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	// gatherTime is how long the status of a mirror without news waits for others: a transaction costs as
	// much as the rest of such a fetch.
	gatherTime = 50 * time.Millisecond
	// gatherMost is how many wait at most. The other workers have fetches to do meanwhile.
	gatherMost = fetchWorkers / 2
)

// saves stores statuses that are in no hurry, those of some milliseconds in one transaction. What a killed
// process did not store is found out again by the next fetch. Safe for concurrent use.
type saves struct {
	store func(ctx context.Context, statuses map[bitbucket.RepoID]MirrorStatus) (gone []bitbucket.RepoID, err error)

	mu        sync.Mutex
	gathering *gathered // nil while nobody waits
}

// gathered are statuses that are stored together.
type gathered struct {
	statuses map[bitbucket.RepoID]MirrorStatus // guarded by mu while it is gathering
	stored   chan struct{}                     // closed once gone and err are set
	gone     []bitbucket.RepoID
	err      error
}

// save stores a status and returns when it is stored, or ctx ends; ErrNoRecord. The caller holds the
// repository's flight, so that no newer status is written over.
func (s *saves) save(ctx context.Context, id bitbucket.RepoID, status MirrorStatus) error {
	s.mu.Lock()
	g := s.gathering
	if g == nil {
		g = &gathered{statuses: make(map[bitbucket.RepoID]MirrorStatus), stored: make(chan struct{})}
		s.gathering = g
		time.AfterFunc(gatherTime, func() {
			if s.take(g) {
				s.flush(g)
			}
		})
	}
	g.statuses[id] = status
	full := len(g.statuses) == gatherMost
	if full {
		s.gathering = nil
	}
	s.mu.Unlock()
	if full {
		s.flush(g)
	}
	select {
	case <-g.stored:
	case <-ctx.Done():
		return ctx.Err()
	}
	if g.err == nil && slices.Contains(g.gone, id) {
		return ErrNoRecord
	}
	return g.err
}

// take ends the gathering of g, unless it has ended.
func (s *saves) take(g *gathered) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gathering != g {
		return false
	}
	s.gathering = nil
	return true
}

// flush stores what was gathered. Nobody adds to it any more.
func (s *saves) flush(g *gathered) {
	ctx, cancel := saveContext(context.Background())
	defer cancel()
	g.gone, g.err = s.store(ctx, g.statuses)
	close(g.stored)
}
