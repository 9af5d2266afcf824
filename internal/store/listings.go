package store

import (
	"slices"
	"sync"
)

// openListings is how many unfinished listings of one connection are remembered. More than
// one is open only when somebody asks for a listing while one runs.
const openListings = 4

// listings remembers which repositories each open listing found. It is kept in memory: so a
// listing that finds everything as it was writes nothing, and one that was cut off by a
// restart cannot be finished, and proves nothing.
type listings struct {
	mu   sync.Mutex
	open map[string][]*listing // by connection, oldest first
}

// listing is one listing of a connection.
type listing struct {
	number int64
	found  int                // what the listing itself found
	seen   map[int64]struct{} // numbers that anything found since it began
}

// begin opens a listing. The oldest ones of the connection are forgotten.
func (l *listings) begin(connection string, number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[string][]*listing)
	}
	open := append(l.open[connection], &listing{number: number, seen: make(map[int64]struct{})})
	l.open[connection] = open[max(0, len(open)-openListings):]
}

// saw notes that repositories exist. Whoever found them, no open listing of the connection
// may take them for missing.
func (l *listings) saw(connection string, number int64, repositories []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, open := range l.open[connection] {
		if open.number == number {
			open.found += len(repositories)
		}
		for _, repository := range repositories {
			open.seen[repository] = struct{}{}
		}
	}
}

// lacked returns those of the repositories that nothing found since the listing began, and
// whether the listing found anything at all. ok is false when the listing is not open.
func (l *listings) lacked(connection string, number int64, repositories []int64) (lacked []int64, found, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, open := range l.open[connection] {
		if open.number != number {
			continue
		}
		for _, repository := range repositories {
			if _, seen := open.seen[repository]; !seen {
				lacked = append(lacked, repository)
			}
		}
		return lacked, open.found > 0, true
	}
	return nil, false, false
}

// end forgets the listing.
func (l *listings) end(connection string, number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[connection] = slices.DeleteFunc(l.open[connection], func(open *listing) bool { return open.number == number })
}
