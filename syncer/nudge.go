package syncer

import (
	"context"
	"slices"
	"sync"

	"example.com/signpost/internal/bitbucket"
)

const (
	// nudgeWorkers is how many fetches that were asked for are under way at most, waiting for their
	// turn included. More wait here, or are taken up by River.
	nudgeWorkers = fetchWorkers
	// maxNudges is how many repositories wait here at most. What does not fit begins when River
	// looks for jobs the next time.
	maxNudges = 4096
)

// nudges has fetches that are asked for begin at once. River finds a job when it looks for one, once
// a second: on SQLite nobody can tell it. The job is stored first, so nothing depends on what is
// kept here: it is lost with the process, and whatever does not fit is left to River.
// Of one repository there is one that runs and one that follows. Safe for concurrent use.
type nudges struct {
	work func(ctx context.Context, id bitbucket.RepoID)

	mu      sync.Mutex
	ctx     context.Context // nil unless started
	waiting []bitbucket.RepoID
	present map[bitbucket.RepoID]bool // of waiting
	running map[bitbucket.RepoID]bool
	workers int
	idle    chan struct{} // closed by the last worker after the end of ctx
}

func newNudges(work func(ctx context.Context, id bitbucket.RepoID)) *nudges {
	return &nudges{
		work: work, present: make(map[bitbucket.RepoID]bool), running: make(map[bitbucket.RepoID]bool), idle: make(chan struct{}),
	}
}

// start lets the work begin. It ends with ctx.
func (n *nudges) start(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ctx = ctx
}

// wait returns when all work has ended. It is called after the end of start's context.
func (n *nudges) wait() {
	n.mu.Lock()
	if n.workers == 0 {
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	<-n.idle
}

// add has the work of a repository done, unless it waits already.
func (n *nudges) add(id bitbucket.RepoID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx == nil || n.ctx.Err() != nil || n.present[id] || len(n.waiting) >= maxNudges {
		return
	}
	n.waiting = append(n.waiting, id)
	n.present[id] = true
	// One that runs takes up what follows it itself.
	if n.workers < nudgeWorkers && !n.running[id] {
		n.workers++
		go n.run(n.ctx)
	}
}

// run works until nothing waits that this worker could do.
func (n *nudges) run(ctx context.Context) {
	for id, ok := n.next(ctx); ok; id, ok = n.next(ctx) {
		n.work(ctx, id)
		n.mu.Lock()
		delete(n.running, id)
		n.mu.Unlock()
	}
}

// next returns the first repository that waits and that nobody works on, or ends the worker.
func (n *nudges) next(ctx context.Context) (id bitbucket.RepoID, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.waiting, func(id bitbucket.RepoID) bool { return !n.running[id] })
	if i < 0 || ctx.Err() != nil {
		if n.workers--; n.workers == 0 && ctx.Err() != nil {
			close(n.idle)
		}
		return id, false
	}
	id = n.waiting[i]
	n.waiting = slices.Delete(n.waiting, i, i+1)
	delete(n.present, id)
	n.running[id] = true
	return id, true
}

// fetchAsked fetches a repository that was asked for by FetchSoon, after the fetch that runs: that
// one may have looked too early.
func (s *Syncer) fetchAsked(ctx context.Context, id bitbucket.RepoID) {
	end, err := s.fetches.begin(ctx, id)
	if err != nil {
		return // stopped; the job is stored
	}
	defer end()
	if s.begun.servedAll(id) {
		return
	}
	if _, err := s.fetch(ctx, id, fetchOptions{asked: true}); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "a fetch that was asked for is tried again from the queue", "repository", id.String(), "err", err)
	}
}
