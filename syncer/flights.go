package syncer

import (
	"context"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// flights knows which fetches (or listings) are under way in this process, so that none
// runs twice at once. Safe for concurrent use; the zero value is ready.
type flights[K comparable] struct {
	mu   sync.Mutex
	ends map[K]chan struct{} // closed when the flight ends
}

// tryBegin begins a flight, unless one of that key is under way. The caller calls end once.
func (f *flights[K]) tryBegin(key K) (end func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, busy := f.ends[key]; busy {
		return nil, false
	}
	if f.ends == nil {
		f.ends = make(map[K]chan struct{})
	}
	done := make(chan struct{})
	f.ends[key] = done
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.ends, key)
		close(done)
	}, true
}

// begin is tryBegin that waits for the flight that is under way.
func (f *flights[K]) begin(ctx context.Context, key K) (end func(), err error) {
	for {
		if end, ok := f.tryBegin(key); ok {
			return end, nil
		}
		f.mu.Lock()
		done := f.ends[key]
		f.mu.Unlock()
		if done == nil {
			continue
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// busy tells that a flight of that key is under way.
func (f *flights[K]) busy(key K) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.ends[key]
	return ok
}

// moments remembers when the last successful fetch of each repository began, so that a
// request is done with by any fetch that began after it. Safe for concurrent use; the zero value is ready.
type moments struct {
	mu   sync.Mutex
	last map[bitbucket.RepoID]time.Time
}

// clockSlack is how coarse the times of jobs may be.
const clockSlack = 10 * time.Millisecond

func (m *moments) note(id bitbucket.RepoID, begun time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.last = make(map[bitbucket.RepoID]time.Time)
	}
	m.last[id] = begun
}

// between tells whether the last one began after t for sure. One that is later than now was noted
// before the clock was set back: it tells nothing.
func (m *moments) between(id bitbucket.RepoID, t, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.last[id]
	return last.After(t.Add(clockSlack)) && !last.After(now)
}
