package bitbuckettest

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// RateLimit is a token bucket for each account, as Data Center has from 6.6 on. It counts
// REST and git over http with a credential. The zero value limits nothing.
type RateLimit struct {
	Tokens       int     // that a bucket holds; 60 is usual. 0 switches the limit off
	PerSecond    float64 // that flow in; 5 is usual
	NoRetryAfter bool    // answer 429 without Retry-After
	RetryAsDate  bool    // Retry-After is a date instead of seconds
}

type buckets struct {
	mu     sync.Mutex
	byName map[string]*bucket
}

type bucket struct {
	tokens float64
	filled time.Time
}

// take takes a token. When there is none, it returns how long to wait for the next.
func (b *buckets) take(name string, limit RateLimit, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byName == nil {
		b.byName = map[string]*bucket{}
	}
	own := b.byName[name]
	if own == nil {
		own = &bucket{tokens: float64(limit.Tokens), filled: now}
		b.byName[name] = own
	}
	own.tokens = min(float64(limit.Tokens), own.tokens+now.Sub(own.filled).Seconds()*limit.PerSecond)
	own.filled = now
	if own.tokens >= 1 {
		own.tokens--
		return 0
	}
	if limit.PerSecond <= 0 {
		return time.Hour
	}
	return max(time.Millisecond, time.Duration((1-own.tokens)/limit.PerSecond*float64(time.Second)))
}

// limited answers 429 when the bucket of the caller is empty, and tells whether it did.
func (c *call) limited() bool {
	s := c.server
	limit := s.opts.RateLimit
	if limit.Tokens <= 0 || !s.switches.rateLimit || c.kind == KindWeb || c.caller.anonymous() {
		return false
	}
	now := s.now()
	wait := s.buckets.take(c.caller.name(), limit, now)
	if wait == 0 {
		return false
	}
	retryAfter := ""
	if !limit.NoRetryAfter {
		seconds := int(math.Ceil(wait.Seconds()))
		retryAfter = strconv.Itoa(seconds)
		if limit.RetryAsDate {
			retryAfter = now.Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)
		}
	}
	c.tooManyRequests(retryAfter)
	return true
}

// tooManyRequests answers 429, which is reported not to be in the usual envelope.
func (c *call) tooManyRequests(retryAfter string) {
	if retryAfter != "" {
		c.w.Header().Set("Retry-After", retryAfter)
	}
	c.text(http.StatusTooManyRequests, "text/plain;charset=UTF-8",
		"Rate limit reached. Please slow down, or ask an administrator to raise your limit.\n")
}
