package syncer

import "time"

// The bounds of the schedule, as Sourcegraph has them.
const (
	minFetchDelay = 45 * time.Second
	maxFetchDelay = 8 * time.Hour
	fetchJitter   = 0.05 // to each side, so that repositories fetched together drift apart
)

// FetchHorizon is further ahead than any fetch is scheduled. A time beyond it was stored by a
// clock that has been set back since, and is no reason to wait.
const FetchHorizon = 9 * time.Hour

// isDue tells whether a fetch that is scheduled for next is due.
func isDue(next, now time.Time) bool {
	return !next.After(now) || next.After(now.Add(FetchHorizon))
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
