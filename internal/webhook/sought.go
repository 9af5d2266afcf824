package webhook

import (
	"sync"
	"time"
)

const (
	// soughtAgain is when a repository that a listing did not find is looked for again.
	soughtAgain = time.Hour
	// maxSought bounds what is remembered. Beyond it all is forgotten: then a listing may be
	// asked for once more, which is bounded by itself.
	maxSought = 10_000
)

// sought is a repository that the index does not have at an address.
type sought struct {
	connection string
	number     int64
	address    string // in lower case
}

// soughts remembers what was looked for. Safe for concurrent use; the zero value is ready.
type soughts struct {
	mu   sync.Mutex
	when map[sought]time.Time
}

// begin tells whether a repository is to be looked for, and remembers that it is.
func (s *soughts) begin(one sought, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.when[one]; ok && now.Sub(at).Abs() < soughtAgain {
		return false
	}
	if s.when == nil || len(s.when) >= maxSought {
		s.when = make(map[sought]time.Time)
	}
	s.when[one] = now
	return true
}

func (s *soughts) forget(one sought) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.when, one)
}
