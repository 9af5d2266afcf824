package syncer

import (
	"context"
	"testing"
	"time"
)

func TestFetchDelay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		since    time.Duration // since the last change; 0 means never
		failures int
		jitter   float64
		want     time.Duration
	}{
		{"half the time since the last change", time.Hour, 0, 0, 30 * time.Minute},
		{"not sooner than 45 s", 10 * time.Second, 0, 0, 45 * time.Second},
		{"not later than 8 h", 30 * 24 * time.Hour, 0, 0, 8 * time.Hour},
		{"a mirror that never was", 0, 0, 0, 45 * time.Second},
		{"a change in the future", -time.Hour, 0, 0, 45 * time.Second},
		{"doubled after an error", 0, 1, 0, 90 * time.Second},
		{"doubled after each error", time.Hour, 3, 0, 4 * time.Hour},
		{"doubled up to 8 h", time.Hour, 40, 0, 8 * time.Hour},
		{"a thousand errors", 0, 1000, 0, 8 * time.Hour},
		{"5 % later at most", time.Hour, 0, 1, 31*time.Minute + 30*time.Second},
		{"5 % sooner at most", time.Hour, 0, -1, 28*time.Minute + 30*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var last time.Time
			if c.since != 0 {
				last = now.Add(-c.since)
			}
			if got := fetchDelay(now, last, c.failures, c.jitter); got != c.want {
				t.Errorf("fetchDelay: %v, want %v", got, c.want)
			}
		})
	}
}

func TestAClockThatWasSetBackStopsNoFetch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	fetches := 0
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		fetches++
		return FetchResult{}, nil
	}
	for _, asked := range []bool{false, true} {
		for _, jump := range []time.Duration{0, -365 * 24 * time.Hour} { // first right, then a year back
			b.clock = b.clock.Add(time.Hour).Add(jump)
			before := fetches
			if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1, Asked: asked}, b.clock.Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			if fetches != before+1 {
				t.Errorf("asked for: %v, at %v: not fetched", asked, b.clock)
			}
		}
	}
	if next := b.memory.record(t, id(1)).Mirror.NextFetch; next.After(b.clock.Add(FetchHorizon)) {
		t.Errorf("the next fetch is at %v, which is %v ahead", next, next.Sub(b.clock))
	}
}
