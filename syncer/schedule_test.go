package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
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

// busyError is an error with a Retry-After.
type busyError struct{ after time.Duration }

func (busyError) Error() string { return "busy" }

func (busyError) Unwrap() error { return bitbucket.ErrRateLimited }

func (e busyError) RetryAfter() time.Duration { return e.after }

func TestARetryAfterIsTheLeastThatTheNextFetchWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"none", bitbucket.ErrRateLimited, 90 * time.Second},
		{"longer than the schedule", fmt.Errorf("git: %w", busyError{time.Hour}), time.Hour},
		{"shorter than the schedule", busyError{time.Second}, 90 * time.Second},
		{"longer than the schedule ever waits", busyError{24 * 365 * time.Hour}, 8 * time.Hour},
		{"nonsense", busyError{-time.Hour}, 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
			b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) { return FetchResult{}, c.err }
			if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1}, b.clock); err != nil {
				t.Fatal(err)
			}
			if got := b.memory.record(t, id(1)).Mirror.NextFetch.Sub(b.clock); got != c.want {
				t.Errorf("the next fetch is %v ahead, want %v", got, c.want)
			}
		})
	}
}

// A clock that jumps ahead and back again leaves times in the future behind: no fetch waits for them.
func TestAClockThatJumpsAnHourBothWaysDelaysNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.host.serve(repo(1, "PRJ/a"))
	sweep := func(when string, want ...string) {
		t.Helper()
		if err := b.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.jobs()); diff != "" {
			t.Errorf("%s: jobs (-want +got):\n%s", when, diff)
		}
		b.queue.complete()
	}
	work := func() {
		t.Helper()
		b.listNow(t, "bitbucket")
		b.queue.complete()
		if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1}, b.clock); err != nil {
			t.Fatal(err)
		}
	}
	const listing, fetch = `list_connection {"connection":"bitbucket"}`, `fetch {"connection":"bitbucket","number":1}`
	work()
	sweep("at first")
	b.clock = b.clock.Add(time.Hour)
	sweep("an hour ahead", listing, fetch)
	work()
	sweep("an hour ahead, after the work")
	b.clock = b.clock.Add(-time.Hour)
	sweep("back again", listing, fetch)
	work()
	sweep("back again, after the work")
	if delay := b.memory.record(t, id(1)).Mirror.NextFetch.Sub(b.clock); delay != minFetchDelay {
		t.Errorf("the next fetch is %v ahead, want %v", delay, minFetchDelay)
	}
}

// River works no job before its time. One that was stored by a clock ahead of today's stands in nobody's way.
func TestAJobOfAClockThatWasSetBackIsFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	for range 3 {
		if err := b.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.FetchSoon(t.Context(), id(2)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(b.jobs()); got != 3 {
		t.Fatalf("%d jobs, want a listing, a fetch that is due and one that was asked for: %q", got, b.jobs())
	}
	for _, job := range b.queue.jobs {
		job.ScheduledAt = b.clock.Add(time.Hour)
	}
	for range 3 {
		if err := b.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.FetchSoon(t.Context(), id(2)); err != nil {
			t.Fatal(err)
		}
	}
	following := 0
	for _, job := range b.jobs() {
		if strings.Contains(job, `"follows":`) {
			following++
		}
	}
	if following != 3 {
		t.Errorf("%d jobs follow, want one for each: %q", following, b.jobs())
	}
}

// Many new repositories, and clones that fail again and again, leave a sweep's other half to the updates.
func TestClonesKeepNoUpdateFromItsTurn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: b.clock}
	for n := range int64(2 * sweepFetches) {
		b.memory.records[id(10+n)] = Record{Repository: repo(10+n, "PRJ/new"), Selected: true, Mirror: MirrorStatus{Failures: int(n % 2)}}
	}
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/small"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock}}
	b.memory.records[id(2)] = Record{Repository: repo(2, "PRJ/large"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock, SizeBytes: heavySize}}
	if err := b.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, job := range b.queue.jobs {
		counts[job.Queue]++
		if args := string(job.EncodedArgs); job.Queue == queueFetch && args != `{"connection":"bitbucket","number":1}` {
			t.Errorf("%s waits among the updates", args)
		}
	}
	if counts[queueFetch] != 1 || counts[queueHeavy] != sweepFetches+1 {
		t.Errorf("queues %v, want one update, and a sweep of clones with the large one", counts)
	}
	for _, job := range b.queue.jobs { // those that were never tried come first, and are enough for this sweep
		var args FetchArgs
		if err := json.Unmarshal(job.EncodedArgs, &args); err != nil {
			t.Fatal(err)
		}
		if job.Kind == "fetch" && b.memory.record(t, args.id()).Mirror.Failures != 0 {
			t.Errorf("%s failed before, and is queued before the others", job.EncodedArgs)
		}
	}
}

// What is stored says when the next fetches are: a restart brings none forward.
func TestARestartBunchesNothingUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: b.clock}
	for n := range int64(100) {
		b.memory.records[id(n)] = Record{Repository: repo(n, "PRJ/a"), Selected: true, Mirror: MirrorStatus{
			LastFetch: b.clock.Add(-time.Minute), NextFetch: b.clock.Add(time.Duration(n) * time.Minute),
		}}
	}
	again := newBench(t)
	again.opts.Index, again.opts.Records, again.opts.Status = b.memory, b.memory, b.memory
	again.start(t)
	if err := again.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`fetch {"connection":"bitbucket","number":0}`}, again.jobs()); diff != "" {
		t.Errorf("jobs after a restart (-want +got):\n%s", diff)
	}
}
