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

	mu    sync.Mutex
	until time.Time // no request before
}

func newPacer(requestsPerHour int) *pacer {
	p := &pacer{}
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

func (p *pacer) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.until)
}

// heed holds back what follows an answer that says 429 with the time to wait.
func (p *pacer) heed(resp *http.Response) {
	if resp.StatusCode != http.StatusTooManyRequests {
		return
	}
	if wait, ok := retryAfter(resp, time.Now()); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		if until := time.Now().Add(min(wait, maxPause)); until.After(p.until) {
			p.until = until
		}
	}
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
