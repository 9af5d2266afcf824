package bitbuckettest

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Kind is the part of Bitbucket that a request goes to.
type Kind string

// The kinds of request: below /rest, below /scm, and all others.
const (
	KindREST Kind = "rest"
	KindGit  Kind = "git"
	KindWeb  Kind = "web"
)

// Request is a request that the server has answered, without its secrets.
type Request struct {
	Time          time.Time `json:"time"`
	Kind          Kind      `json:"kind"`
	Method        string    `json:"method"`
	Host          string    `json:"host"`
	Path          string    `json:"path"`  // escaped, as it was sent, with the context path
	Query         string    `json:"query"` // likewise, without the "?"
	UserAgent     string    `json:"userAgent"`
	GitProtocol   string    `json:"gitProtocol,omitempty"`
	Scheme        string    `json:"scheme,omitempty"`      // of the Authorization header: "Basic", "Bearer" or ""
	Authenticated bool      `json:"authenticated"`         // the credential was accepted
	User          string    `json:"user,omitempty"`        // whose it is; "" for tokens of a project or repository
	FaultIndex    int       `json:"fault,omitempty"`       // number of the Fault that was done, counted from 1; 0 for none
	Status        int       `json:"status"`                // 0 when the connection was cut before one was sent
	Bytes         int64     `json:"bytes"`                 // of the body that was sent
	Encoding      string    `json:"encoding,omitempty"`    // Content-Encoding of what the client sent
	ContentType   string    `json:"contentType,omitempty"` // of what the client sent
}

// requestLog remembers the last requests.
type requestLog struct {
	mu       sync.Mutex
	size     int
	requests []Request
	next     int // where the next one goes, once the ring is full
	total    int
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	if len(l.requests) < l.size {
		l.requests = append(l.requests, r)
		return
	}
	l.requests[l.next] = r
	l.next = (l.next + 1) % l.size
}

// running counts the requests that are being answered.
type running struct {
	mu    sync.Mutex
	kinds map[Kind]int
	paths map[string]int
}

// path counts the requests to a path.
func (r *running) path(path string, change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paths == nil {
		r.paths = make(map[string]int)
	}
	if r.paths[path] += change; r.paths[path] == 0 {
		delete(r.paths, path)
	}
}

func (r *running) count(kind Kind, change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = make(map[Kind]int)
	}
	r.kinds[kind] += change
}

// Running returns how many requests of each kind are being answered.
func (s *Server) Running() map[Kind]int {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	return maps.Clone(s.running.kinds)
}

// Answering returns the paths, as in Request, of the requests that are being answered, each once and in order.
func (s *Server) Answering() []string {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	return slices.Sorted(maps.Keys(s.running.paths))
}

// Requests returns the last requests that were answered (Options.KeepRequests), the oldest first.
func (s *Server) Requests() []Request {
	l := &s.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.requests[l.next:], l.requests[:l.next])
}

// RequestCount returns how many requests were answered since the start or the last ClearRequests.
func (s *Server) RequestCount() int {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	return s.requests.total
}

// ClearRequests forgets the requests.
func (s *Server) ClearRequests() {
	l := &s.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests, l.next, l.total = nil, 0, 0
}
