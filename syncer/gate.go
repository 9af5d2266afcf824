package syncer

import (
	"context"
	"slices"
	"sync"
	"time"
)

// weight is how much a fetch is expected to hold up the others.
type weight int

const (
	light weight = iota // the update of a mirror that is not large
	heavy               // a first clone, whose size nobody knows yet, or the update of a large mirror
	long                // one that took long the last time
)

const (
	// heavySize is the size of a mirror from which on its fetch is heavy, in bytes.
	heavySize = 100 << 20
	// longAfter is how long a heavy fetch runs before it counts as long.
	longAfter = 5 * time.Minute
)

// gate lets at most a given number of fetches run at once. The number may change while
// it is in use: a smaller one lets the running fetches finish. Safe for concurrent use.
//
// Of those who wait, the urgent go first, and otherwise the first come; but of N places, when there is
// more than one,
//   - heavy and long ones take at most N-1, so that there is always a place through which the
//     updates of small mirrors get, however many clones of large repositories are under way;
//   - a long one enters only while fewer than half of the places are held by long ones. Heavy ones that
//     have been running for longAfter count as such. So repositories that are known to take hours leave
//     first clones of small ones half of the places.
//
// Nobody knows that a first clone will be long before it is: several can hold N-1 places
// until they end, which is within the timeout of a fetch. None is stopped for it, since what it
// received would be lost. The next time they are known.
//
// Nobody is passed over but by urgent ones and by those whom these two rules keep out.
type gate struct {
	now func() time.Time

	mu      sync.Mutex
	limit   int
	inside  map[*ticket]struct{}
	waiting []*ticket // the urgent before the others, else in the order of their coming
}

// ticket is one fetch at the gate.
type ticket struct {
	urgent   bool
	weight   weight
	admitted chan struct{}
	since    time.Time // of its admission
}

func newGate(limit int) *gate {
	return &gate{now: time.Now, limit: max(limit, 1), inside: make(map[*ticket]struct{})}
}

// resize changes the limit, and lets in who now fits.
func (g *gate) resize(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(limit, 1)
	g.admit()
}

// enter waits for a place and returns the function that gives it back, or the error of
// ctx. The function is called once.
func (g *gate) enter(ctx context.Context, urgent bool, w weight) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &ticket{urgent: urgent, weight: w, admitted: make(chan struct{})}
	g.mu.Lock()
	at := len(g.waiting)
	if urgent {
		if i := slices.IndexFunc(g.waiting, func(other *ticket) bool { return !other.urgent }); i >= 0 {
			at = i
		}
	}
	g.waiting = slices.Insert(g.waiting, at, t)
	g.admit()
	g.mu.Unlock()

	leave = func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.inside, t)
		g.admit()
	}
	select {
	case <-t.admitted:
		return leave, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, t); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else { // admitted at the same moment: the place goes to the next one
		delete(g.inside, t)
		g.admit()
	}
	return nil, ctx.Err()
}

// admit lets in as many as fit. The caller holds mu.
func (g *gate) admit() {
	if len(g.waiting) == 0 || len(g.inside) >= g.limit {
		return
	}
	now := g.now()
	var counts [long + 1]int
	for t := range g.inside {
		if t.weight == heavy && now.Sub(t.since) >= longAfter {
			t.weight = long
		}
		counts[t.weight]++
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(t *ticket) bool {
		switch {
		case len(g.inside) >= g.limit,
			t.weight != light && counts[heavy]+counts[long] >= max(g.limit-1, 1),
			t.weight == long && counts[long] >= max(g.limit/2, 1):
			return false
		}
		t.since = now
		counts[t.weight]++
		g.inside[t] = struct{}{}
		close(t.admitted)
		return true
	})
}

// load returns how many are inside, and how many wait.
func (g *gate) load() (inside, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.inside), len(g.waiting)
}
