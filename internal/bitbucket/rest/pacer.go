package rest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"example.com/signpost/internal/bitbucket"
)

const (
	// burst is how many requests may go out at once after a quiet time: Sourcegraph's own.
	burst = 500
	// maxWait is the longest Retry-After that is waited for. What is longer is said to the
	// caller, whose schedule knows better what to do meanwhile.
	maxWait = time.Minute
	// maxPause bounds what one strange Retry-After can do to a connection.
	maxPause = time.Hour
)

// pacer lets the requests of a connection, REST and git, out at the connection's rate, and
// holds all of them back while Bitbucket asks for it: its limit counts them together.
type pacer struct {
	limiter *rate.Limiter // nil: no limit
	first   time.Duration // pause after a 429 that names none

	mu    sync.Mutex
	until time.Time     // no request before
	slow  time.Duration // last pause after a 429 that named none; halved by each success, 0 when all is well
}

func newPacer(requestsPerHour int, first time.Duration) *pacer {
	p := &pacer{first: first}
	if requestsPerHour > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(float64(requestsPerHour)/time.Hour.Seconds()), burst)
	}
	return p
}

// wait returns when a request may go out. It does not begin a wait that ctx would not survive.
func (p *pacer) wait(ctx context.Context) error {
	for {
		d := p.pause()
		if d <= 0 {
			break
		}
		if tooLong(ctx, d) {
			return &answerError{
				text: fmt.Sprintf("%v: it asked to wait another %v", bitbucket.ErrRateLimited, d.Round(time.Second)),
				is:   []error{bitbucket.ErrRateLimited, &RetryAfterError{Wait: d}},
			}
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	if p.limiter == nil {
		return nil
	}
	if err := p.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &answerError{
			text: "the connection's rateLimit (requestsPerHour) leaves no request before the deadline",
			is:   []error{bitbucket.ErrRateLimited, context.DeadlineExceeded},
		}
	}
	return nil
}

func (p *pacer) pause() time.Duration { return time.Until(p.pausedUntil()) }

func (p *pacer) pausedUntil() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// count takes a request that does not wait for its turn out of the rate.
func (p *pacer) count() {
	if p.limiter != nil {
		p.limiter.Reserve() // what it would have to wait, the next ones wait
	}
}

// heed holds back what follows an answer that asks for it: for as long as Retry-After says,
// or after a 429 without one, for a pause that doubles from one 429 to the next and shrinks
// with the answers that are none. began is when its request went out: those that were under
// way together are one 429, and one success does not undo the pause that it was sent before. It
// tells whether there is a longer pause now than before.
func (p *pacer) heed(resp *http.Response, began time.Time) (longer bool) {
	now := time.Now()
	wait, told := retryAfter(resp, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case told:
		wait = min(wait, maxPause)
	case began.Before(p.until):
		return false
	case resp.StatusCode == http.StatusTooManyRequests:
		p.slow = max(p.first, min(2*p.slow, maxWait))
		wait = p.slow
	default:
		if p.slow /= 2; p.slow < p.first {
			p.slow = 0
		}
		return false
	}
	until := now.Add(wait)
	if longer = until.After(p.until); longer {
		p.until = until
	}
	return longer
}

// tooLong tells whether a wait is not worth beginning.
func tooLong(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return d > maxWait || (ok && time.Until(deadline) < d)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// retryAfter reads the Retry-After of a 429 or 503: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(resp *http.Response, now time.Time) (time.Duration, bool) {
	if resp == nil || (resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable) {
		return 0, false
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now)), true
	}
	return 0, false
}
