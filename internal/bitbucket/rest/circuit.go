package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	// circuitFailures is how many failures in a row, without an answer between them, open the
	// circuit.
	circuitFailures = 4
	// The pause before Bitbucket is tried again, doubled while it does not answer.
	firstCircuitPause   = 5 * time.Second
	longestCircuitPause = 5 * time.Minute
	// circuitPatience is how long a request waits at least before its end without an answer is
	// Bitbucket's fault, and not that of a caller in a hurry.
	circuitPatience = 3 * time.Second
	// circuitProbeTime bounds the question that finds out whether Bitbucket is back. It is the cheapest there is.
	circuitProbeTime = 15 * time.Second
	// circuitSteady is how long the circuit stays closed before the next outage is a new one, with the first pause.
	circuitSteady = time.Minute
)

// circuit keeps everybody from a Bitbucket that does not answer. It opens after a few
// failures in a row, of REST and git together; what is asked then fails at once. Meanwhile
// one cheap question, at growing intervals, finds out whether Bitbucket is back, and closes
// it: nobody's request has to be the one that waits for that.
//
// What counts as a failure is that Bitbucket as a whole gives no answer: no connection, no
// headers in time, 502, 503 and 504. Every other answer, an error too, is a sign of life.
// One slow repository is not an outage: it counts once until something else answers or fails.
// Safe for concurrent use.
type circuit struct {
	name  string // of the connection
	log   *slog.Logger
	probe func(context.Context) error // asks whether Bitbucket is back
	hold  func() time.Time            // Bitbucket asked not to be asked before

	mu       sync.Mutex
	failures int                 // in a row
	subjects map[string]struct{} // that have failed among them
	open     bool
	since    time.Time // of the first of those failures
	reason   string    // of the last
	closedAt time.Time
	pause    time.Duration // before the next try
	next     time.Time
	timer    *time.Timer
	stopped  bool
}

// CircuitError says that Bitbucket was not asked, since it did not answer others. It accompanies
// bitbucket.ErrUnavailable and bitbucket.ErrCircuitOpen.
type CircuitError struct {
	Since time.Time // of the first request without an answer
	Next  time.Time // when it is tried again
}

// Error implements error.
func (e *CircuitError) Error() string {
	return fmt.Sprintf("it has not answered since %s, and is tried again at %s", clock(e.Since), clock(e.Next))
}

// clock writes a time for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// check returns why a request is not to be sent now, or nil.
func (c *circuit) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return nil
	}
	e := &CircuitError{Since: c.since, Next: c.next}
	return &answerError{
		text: bitbucket.ErrUnavailable.Error() + ": " + e.Error() + " (" + c.reason + ")",
		is:   []error{bitbucket.ErrUnavailable, bitbucket.ErrCircuitOpen, e},
	}
}

// alive notes an answer: Bitbucket is there.
func (c *circuit) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures, c.subjects = 0, nil
	if !c.open {
		return
	}
	c.open, c.closedAt = false, time.Now()
	c.stopTimer()
	c.log.Info("bitbucket answers again", "connection", c.name, //nolint:sloglint // of no request
		"down", c.closedAt.Sub(c.since).Round(time.Second))
}

// failed notes a request without an answer. subject is the repository that it was about, ""
// for one that was about none and counts each time.
func (c *circuit) failed(subject, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reason = reason
	if c.open || c.stopped {
		return
	}
	now := time.Now()
	if c.failures == 0 {
		c.since, c.subjects = now, make(map[string]struct{})
	}
	if _, counted := c.subjects[subject]; counted && subject != "" {
		return
	}
	c.subjects[subject] = struct{}{}
	if c.failures++; c.failures < circuitFailures {
		return
	}
	c.open = true
	if c.closedAt.IsZero() || now.Sub(c.closedAt) > circuitSteady {
		c.pause = firstCircuitPause
	} else {
		c.pause = min(2*c.pause, longestCircuitPause)
	}
	c.plan(now)
	c.log.Warn("bitbucket does not answer, and is left alone until it does", "connection", c.name, //nolint:sloglint // of no request
		"since", c.since.UTC(), "next_try", c.next.UTC(), "problem", reason)
}

// plan sets the time of the next try. The caller holds mu.
func (c *circuit) plan(now time.Time) {
	c.next = now.Add(c.pause + rand.N(c.pause/4+1)) // not all connections and servers at once
	if hold := c.hold(); hold.After(c.next) {
		c.next = hold
	}
	c.stopTimer()
	c.timer = time.AfterFunc(c.next.Sub(now), c.try)
}

// try asks whether Bitbucket is back.
func (c *circuit) try() {
	ctx, cancel := context.WithTimeout(context.Background(), circuitProbeTime)
	defer cancel()
	err := c.probe(ctx)
	if err == nil {
		c.alive()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open || c.stopped {
		return
	}
	c.reason = err.Error()
	c.pause = min(2*c.pause, longestCircuitPause)
	c.plan(time.Now())
}

func (c *circuit) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// stop ends the tries.
func (c *circuit) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.stopTimer()
}

// state tells whether the circuit is open, and then since when, and when Bitbucket is tried again.
func (c *circuit) state() (open bool, since, next time.Time, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return false, time.Time{}, time.Time{}, ""
	}
	return true, c.since, c.next, c.reason
}

// noteAnswer tells the circuit how a request that went out at began ended, as far as its headers: what
// happens to a body later says nothing about the server.
func (c *Client) noteAnswer(ctx context.Context, subject, what string, began time.Time, resp *http.Response, err error) {
	switch {
	case resp != nil && isDown(resp.StatusCode):
		c.circuit.failed(subject, fmt.Sprintf("%s: the status was %d", what, resp.StatusCode))
	case resp != nil:
		c.circuit.alive()
	case isTLS(err), errors.Is(ctx.Err(), context.Canceled):
	case ctx.Err() != nil && time.Since(began) < circuitPatience:
	default:
		c.circuit.failed(subject, c.describe(ctx, what, err).Error())
	}
}

// isDown tells whether a status means that no Bitbucket answered, or one that is starting or
// overloaded.
func isDown(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// subjectOf returns what a question is about, for circuit.failed. Those that every Bitbucket
// answers from memory are about none.
func subjectOf(op, path string) string {
	if op == "application-properties" || op == "account" {
		return ""
	}
	parts := strings.Split(path, "/")
	return strings.Join(parts[:min(len(parts), 4)], "/") // projects/KEY/repos/slug
}

// gitSubjectOf returns what a request of git is about.
func gitSubjectOf(path string) string {
	path = strings.TrimSuffix(path, "/git-upload-pack")
	return strings.TrimSuffix(path, "/info/refs")
}

// askWhetherBack sends the one request that goes out while the circuit is open, and that of Answers. Any answer
// but 502, 503 and 504 means yes.
func (c *Client) askWhetherBack(ctx context.Context) error {
	const what = "GET " + apiPath + "application-properties"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.opts.BaseURL.String()+"/"+apiPath+"application-properties", nil)
	if err != nil {
		return c.describe(ctx, what, err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.opts.UserAgent)
	c.pacer.count()
	began := time.Now()
	resp, err := c.base.RoundTrip(r)
	c.observe("application-properties", resp, time.Since(began))
	if err != nil {
		return c.describe(ctx, what, err)
	}
	_ = resp.Body.Close() // its status says it
	c.heed(resp, began)
	if isDown(resp.StatusCode) {
		return &answerError{text: fmt.Sprintf("%s: the status was %d", what, resp.StatusCode), is: []error{bitbucket.ErrUnavailable}}
	}
	return nil
}
