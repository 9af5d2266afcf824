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

// moments remembers of each repository when its last successful fetch began, and which requests
// are done with, so that a request is done with by any fetch that began after it. Safe for
// concurrent use; the zero value is ready.
type moments struct {
	mu       sync.Mutex
	last     map[bitbucket.RepoID]time.Time
	requests map[bitbucket.RepoID]requests
}

// requests counts what FetchSoon was asked of one repository in this process.
type requests struct {
	asked  int
	served int   // so many of asked came before the last fetch began, which has ended since
	job    int64 // the newest job that is stored for them
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
// before the clock was set back: it tells nothing. Nor does a clock tell anything of a repository that this
// process was asked for: there servedJob knows.
func (m *moments) between(id bitbucket.RepoID, t, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.last[id]
	return m.requests[id].asked == 0 && last.After(t.Add(clockSlack)) && !last.After(now)
}

// ask counts a request. It is called before the request's job is stored: until a fetch that
// begins later has ended, no job is taken for done, also not one that was stored earlier and stands for
// this request too.
func (m *moments) ask(id bitbucket.RepoID) {
	m.change(id, func(r *requests) { r.asked++ })
}

// stored notes the job of a request.
func (m *moments) stored(id bitbucket.RepoID, job int64) {
	m.change(id, func(r *requests) { r.job = max(r.job, job) })
}

// asked returns how many requests there were, for serve.
func (m *moments) asked(id bitbucket.RepoID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests[id].asked
}

// serve notes that a fetch has ended that began when so many requests had been made. It need not have
// succeeded: then the schedule says when to try again.
func (m *moments) serve(id bitbucket.RepoID, asked int) {
	if asked > 0 {
		m.change(id, func(r *requests) { r.served = max(r.served, asked) })
	}
}

// servedAll tells that nothing was asked since the last fetch began.
func (m *moments) servedAll(id bitbucket.RepoID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.requests[id]
	return r.asked > 0 && r.served == r.asked
}

// servedJob tells that a job stands for requests that are all done with. Of a job that another process
// stored, nothing is known.
func (m *moments) servedJob(id bitbucket.RepoID, job int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.requests[id]
	return r.served == r.asked && job <= r.job
}

// forget drops what is remembered of a repository that is gone, unless something that was asked is still to be done.
func (m *moments) forget(id bitbucket.RepoID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.last, id)
	if r := m.requests[id]; r.served == r.asked {
		delete(m.requests, id)
	}
}

func (m *moments) change(id bitbucket.RepoID, change func(*requests)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = make(map[bitbucket.RepoID]requests)
	}
	r := m.requests[id]
	change(&r)
	m.requests[id] = r
}

// slow remembers which repositories took long to fetch the last time. Safe for concurrent use; the zero
// value is ready.
type slow struct {
	mu  sync.Mutex
	ids map[bitbucket.RepoID]bool
}

func (s *slow) note(id bitbucket.RepoID, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case took < longAfter:
		delete(s.ids, id)
	case s.ids == nil:
		s.ids = map[bitbucket.RepoID]bool{id: true}
	default:
		s.ids[id] = true
	}
}

// weigh says how much the fetch of a repository is expected to hold up others.
func (s *slow) weigh(r Record) weight {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ids[r.ID]:
		return long
	case r.Mirror.LastFetch.IsZero(), r.Mirror.SizeBytes >= heavySize:
		return heavy
	}
	return light
}
