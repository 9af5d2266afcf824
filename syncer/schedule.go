package syncer

import (
	"errors"
	"time"
)

// The bounds of the schedule, as Sourcegraph has them.
const (
	minFetchDelay = 45 * time.Second
	maxFetchDelay = 8 * time.Hour
	fetchJitter   = 0.05 // to each side, so that repositories fetched together drift apart

	// noSpaceDelay is the longest wait after a fetch that found the disk full, however often that was: it
	// says nothing about the repository, and somebody who has made room expects that work goes on.
	noSpaceDelay = time.Minute
)

// FetchHorizon is further ahead than any fetch is scheduled. A time beyond it was stored by a
// clock that has been set back since, and is no reason to wait.
const FetchHorizon = 9 * time.Hour

// isDue tells whether the schedule wants a fetch. A last fetch in the future was stored by a clock that has been
// set back since, and so was the time of the next one.
func isDue(m MirrorStatus, now time.Time) bool {
	return !m.NextFetch.After(now) || m.NextFetch.After(now.Add(FetchHorizon)) || m.LastFetch.After(now)
}

// fetchDelay says how long after a fetch the next one is wanted: half the time since the
// last change, between 45 s and 8 h; doubled for each failure since the last success, up
// to 8 h; then jittered by 5 %. jitter is between -1 and 1. A lastChange of zero (a
// mirror that never was) and one in the future (a clock that jumped) count as just now.
func fetchDelay(now, lastChange time.Time, failures int, jitter float64) time.Duration {
	delay := minFetchDelay
	if !lastChange.IsZero() {
		delay = min(max(now.Sub(lastChange)/2, minFetchDelay), maxFetchDelay)
	}
	for range failures {
		if delay >= maxFetchDelay {
			break
		}
		delay = min(delay*2, maxFetchDelay)
	}
	return delay + time.Duration(float64(delay)*fetchJitter*jitter)
}

// retryAfter returns how long the server asked to be left alone with an error, 0 if it did not; at
// most maxFetchDelay, so that a mistake of a proxy stops no mirror for ever.
func retryAfter(err error) time.Duration {
	var asks interface{ RetryAfter() time.Duration }
	if !errors.As(err, &asks) {
		return 0
	}
	return min(max(asks.RetryAfter(), 0), maxFetchDelay)
}
