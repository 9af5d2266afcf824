package bitbuckettest

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Effect is what a Fault does.
type Effect string

// The effects. Those that change a page act on REST listings and do nothing elsewhere.
const (
	EffectSlow            Effect = "slow"             // answers normally, after Delay
	EffectTrickle         Effect = "trickle"          // answers normally, 8 KiB at a time, with Delay after each
	EffectAnonymous       Effect = "anonymous"        // the credential counts as none: 200 with what is public, as of a token that has expired
	EffectStatus          Effect = "status"           // answers Status, Header and Body
	EffectHang            Effect = "hang"             // never answers
	EffectStall           Effect = "stall"            // sends a part of the body, and then nothing more
	EffectCut             Effect = "cut"              // sends a part of the body, and closes the connection
	EffectReset           Effect = "reset"            // closes the connection without an answer
	EffectLoginPage       Effect = "login-page"       // an HTML page with status 200
	EffectRedirect        Effect = "redirect"         // 302 to Location, or to the login page
	EffectRedirectLoop    Effect = "redirect-loop"    // 302 to itself
	EffectRateLimited     Effect = "rate-limited"     // 429, with Retry-After if RetryAfter is set
	EffectRepeatPage      Effect = "repeat-page"      // start= is ignored: the first page again and again
	EffectEmptyPage       Effect = "empty-page"       // nothing, and that was the last page
	EffectNoNextPageStart Effect = "no-next-start"    // not the last page, and no nextPageStart
	EffectNoLastPage      Effect = "no-last-page"     // isLastPage is missing
	EffectExtraKeys       Effect = "extra-keys"       // a key that nobody knows in every object
	EffectNullForAbsent   Effect = "null-for-absent"  // null instead of leaving a key out
	EffectWrongType       Effect = "html-in-json-200" // an HTML page that calls itself JSON
)

// Fault is something that goes wrong for requests that match. The last added Fault that
// matches a request is done, alone.
type Fault struct {
	// What to match; what is empty matches everything.
	Kind   Kind   `json:"kind,omitempty"`
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`  // prefix of the escaped path below the context path
	Query  string `json:"query,omitempty"` // part of the query, as it was sent

	Skip  int `json:"skip,omitempty"`  // how many matching requests go through first
	Count int `json:"count,omitempty"` // how many it happens to; 0 until it is removed

	// Effect is EffectStatus if empty and Status is set, otherwise EffectSlow.
	Effect     Effect            `json:"effect,omitempty"`
	Delay      time.Duration     `json:"delay,omitempty"` // waits before every effect, but for EffectTrickle
	Status     int               `json:"status,omitempty"`
	Header     map[string]string `json:"header,omitempty"`
	Body       string            `json:"body,omitempty"`
	After      int               `json:"after,omitempty"`      // bytes that EffectCut and EffectStall send; half of a REST answer, or 64, if 0
	Location   string            `json:"location,omitempty"`   // of EffectRedirect
	RetryAfter string            `json:"retryAfter,omitempty"` // of EffectRateLimited
}

type faultList struct {
	mu     sync.Mutex
	added  int
	faults []*liveFault
}

type liveFault struct {
	Fault
	index int
	seen  int
}

// Fault adds a fault and returns what removes it.
func (s *Server) Fault(f Fault) (remove func()) {
	if f.Effect == "" {
		f.Effect = EffectSlow
		if f.Status != 0 {
			f.Effect = EffectStatus
		}
	}
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	l.added++
	live := &liveFault{Fault: f, index: l.added}
	l.faults = append([]*liveFault{live}, l.faults...)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, other := range l.faults {
			if other == live {
				l.faults = append(l.faults[:i:i], l.faults[i+1:]...)
				return
			}
		}
	}
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.faults = nil
}

// find returns the fault that happens to a request, or nil, and counts it.
func (l *faultList) find(kind Kind, method, path, query string) *liveFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		if f.Kind != "" && f.Kind != kind || f.Method != "" && f.Method != method ||
			!strings.HasPrefix(path, f.Path) || !strings.Contains(query, f.Query) {
			continue
		}
		if f.Count > 0 && f.seen >= f.Skip+f.Count {
			continue
		}
		f.seen++
		if f.seen > f.Skip {
			return f
		}
	}
	return nil
}

// errCut ends an answer that is cut off.
var errCut = errors.New("cut off on demand")

// suffer does what a fault does before the answer is made, and tells whether that was all.
func (c *call) suffer() (done bool) {
	f := c.fault
	if f == nil {
		return false
	}
	switch f.Effect {
	case EffectTrickle:
		c.w.pause = func() { c.wait(f.Delay) }
		return false
	case EffectAnonymous:
		return false
	}
	if f.Delay > 0 || f.Effect == EffectHang {
		// Go sees that the client has gone only when the body has been read. A slow answer needs it.
		body, _ := io.ReadAll(c.r.Body) // what is missing fails where it is read
		c.r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if f.Delay > 0 && !c.wait(f.Delay) {
		return true
	}
	switch f.Effect {
	case EffectStatus:
		for key, value := range f.Header {
			c.w.Header().Set(key, value)
		}
		c.text(cmp.Or(f.Status, http.StatusInternalServerError), f.Header["Content-Type"], f.Body)
	case EffectHang:
		c.wait(0)
	case EffectReset:
		panic(http.ErrAbortHandler)
	case EffectLoginPage:
		c.text(http.StatusOK, htmlType, loginPage)
	case EffectWrongType:
		c.text(http.StatusOK, jsonType, loginPage)
	case EffectRedirect:
		c.redirect(http.StatusFound, cmp.Or(f.Location, c.server.baseURL+"/login?next="+url.QueryEscape(c.r.URL.RequestURI())))
	case EffectRedirectLoop:
		c.redirect(http.StatusFound, c.r.URL.RequestURI())
	case EffectRateLimited:
		c.tooManyRequests(f.RetryAfter)
	case EffectCut, EffectStall:
		c.w.limit, c.w.cut = f.After, c.cut
		if f.After <= 0 {
			c.w.limit = -1
		}
		return false
	case EffectExtraKeys:
		c.style.extraKeys = true
		return false
	case EffectNullForAbsent:
		c.style.nullForAbsent = true
		return false
	default:
		return false
	}
	return true
}

// has tells whether the fault of the call has the effect.
func (c *call) has(effect Effect) bool { return c.fault != nil && c.fault.Effect == effect }

// cut ends the answer in the middle.
func (c *call) cut() {
	if c.has(EffectStall) {
		c.wait(0)
	}
	panic(http.ErrAbortHandler)
}

// wait waits that long (0: for ever), and tells whether nobody gave up in the meantime.
func (c *call) wait(d time.Duration) bool {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-c.r.Context().Done():
	case <-c.server.closing:
	}
	return false
}
