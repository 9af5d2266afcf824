package syncer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"

	"example.com/signpost/internal/bitbucket"
)

// TestTheFirstFailuresOfAnOutageAreNoFailuresOfRepositories: before a connection is left alone, Bitbucket is asked whether
// it answers at all.
func TestTheFirstFailuresOfAnOutageAreNoFailuresOfRepositories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		err     error
		answers bool
		want    outcome
		asked   int
	}{
		{"Bitbucket answers nothing", fmt.Errorf("%w: 503", bitbucket.ErrUnavailable), false, outcomePostponed, 1},
		{"Bitbucket answers others", fmt.Errorf("%w: 503", bitbucket.ErrUnavailable), true, outcomeFailed, 1},
		{"an answer that says no", fmt.Errorf("%w: gone", bitbucket.ErrNotFound), false, outcomeFailed, 0},
		{"fewer requests are asked for", fmt.Errorf("%w: 429", bitbucket.ErrRateLimited), false, outcomeFailed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.host.serve(repo(1, "PRJ/a"))
			b.listNow(t, "bitbucket")
			b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) { return FetchResult{}, c.err }
			asked := 0
			b.opts.Answers = func(_ context.Context, connection string) bool {
				if asked++; connection != "bitbucket" {
					t.Errorf("connection %q", connection)
				}
				return c.answers
			}
			f, err := b.fetch(t.Context(), id(1), fetchOptions{})
			if err != nil || f.outcome != c.want || asked != c.asked || f.problem == "" {
				t.Errorf("fetch: %v %q, %v after %d questions; want %v after %d", f.outcome, f.problem, err, asked, c.want, c.asked)
			}
			if failures := b.memory.record(t, id(1)).Mirror.Failures; (failures > 0) != (c.want == outcomeFailed) {
				t.Errorf("%d failures", failures)
			}
		})
	}
}

// suspend leaves the bench's connection alone for a while.
func (b *bench) suspend(d time.Duration) {
	until := b.clock.Add(d)
	b.opts.Suspended = func(string) (time.Time, bool) { return until, true }
}

func TestAnOutageIsNoFailureOfARepository(t *testing.T) {
	t.Parallel()
	unavailable := fmt.Errorf("%w: 503", bitbucket.ErrUnavailable)
	for _, c := range []struct {
		name      string
		suspended bool // before the fetch begins
		during    bool // while it runs
		err       error
		want      outcome
		fetches   int
	}{
		{"a connection that is left alone is not tried", true, false, nil, outcomePostponed, 0},
		{"nor blamed when the circuit is open", false, false, fmt.Errorf("%w: %w", bitbucket.ErrUnavailable, bitbucket.ErrCircuitOpen), outcomePostponed, 1},
		{"nor for the failure with which the outage begins", false, true, unavailable, outcomePostponed, 1},
		{"a pause that Bitbucket asked for is no failure", false, true, fmt.Errorf("%w: 429", bitbucket.ErrRateLimited), outcomePostponed, 1},
		{"a failure of its own is one", false, false, unavailable, outcomeFailed, 1},
		{"also during an outage, when it is another", false, true, fmt.Errorf("%w: gone", bitbucket.ErrNotFound), outcomeFailed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.host.serve(repo(1, "PRJ/a"))
			b.listNow(t, "bitbucket")
			fetches := 0
			b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
				fetches++
				if c.during {
					b.suspend(time.Minute)
				}
				return FetchResult{}, c.err
			}
			if c.suspended {
				b.suspend(time.Minute)
			}
			before := b.memory.record(t, id(1))
			f, err := b.fetch(t.Context(), id(1), fetchOptions{})
			if err != nil || f.outcome != c.want || fetches != c.fetches || f.problem == "" {
				t.Errorf("fetch: %v %q, %v after %d fetches; want %v after %d", f.outcome, f.problem, err, fetches, c.want, c.fetches)
			}
			if diff := cmp.Diff(before, b.memory.record(t, id(1))); (diff == "") != (c.want == outcomePostponed) {
				t.Errorf("the record (-before +after):\n%s", diff)
			}
		})
	}
}

func TestTheSweepPassesOverAConnectionThatIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", nil), connectionOf("other", nil))
	b.start(t)
	elsewhere := repo(2, "PRJ/b")
	elsewhere.ID.Connection = "other"
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	b.memory.records[elsewhere.ID] = Record{Repository: elsewhere, Selected: true}
	down := true
	b.opts.Suspended = func(connection string) (time.Time, bool) {
		return b.clock.Add(time.Minute), down && connection == "bitbucket"
	}
	sweep := func() int {
		t.Helper()
		if err := b.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(b.jobs())
	}
	if n := sweep(); n != 2 { // a listing and a fetch of the other connection
		t.Errorf("%d jobs during the outage, want 2: %v", n, b.jobs())
	}
	down = false
	if n := sweep(); n != 4 {
		t.Errorf("%d jobs after the outage, want 4: %v", n, b.jobs())
	}
}

func TestAFetchThatWasAskedForDuringAnOutageIsNotForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	record := Record{Repository: repo(1, "PRJ/a"), Selected: true}
	record.Mirror = MirrorStatus{LastFetch: b.clock, LastChange: b.clock, NextFetch: b.clock.Add(8 * time.Hour)}
	b.memory.records[id(1)] = record
	b.suspend(40 * time.Second)
	asked := FetchArgs{Connection: "bitbucket", Number: 1, Asked: true}
	err := b.workFetch(t.Context(), asked, b.clock)
	var snooze *river.JobSnoozeError
	if !errors.As(err, &snooze) || snooze.Duration != 40*time.Second {
		t.Errorf("the job ended with %v, want it put back for 40 s", err)
	}
	b.opts.Suspended = nil
	fetched := false
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) { fetched = true; return FetchResult{}, nil }
	if err := b.workFetch(t.Context(), asked, b.clock); err != nil || !fetched {
		t.Errorf("after the outage: %v, fetched: %v", err, fetched)
	}
}

func TestRunOnceSitsAShortOutageOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.Now = time.Now
		var all []bitbucket.Repository
		for n := range int64(20) {
			all = append(all, repo(n+1, fmt.Sprintf("PRJ/r%d", n)))
		}
		b.host.serve(all...)
		back := time.Now().Add(30 * time.Second)
		b.opts.Suspended = func(string) (time.Time, bool) { return time.Now().Add(5 * time.Second), time.Now().Before(back) }
		report, err := b.RunOnce(t.Context(), RunOptions{})
		if err != nil || report.Cloned != 20 || len(report.Failures) != 0 {
			t.Errorf("after an outage of 30 s: %+v, %v", report, err)
		}

		b.opts.Suspended = func(string) (time.Time, bool) { return time.Now().Add(5 * time.Second), true }
		began := time.Now()
		report, err = b.RunOnce(t.Context(), RunOptions{})
		if err != nil || report.Failed != 20 || len(report.Failures) != 1 {
			t.Errorf("in an outage without end: %+v, %v", report, err)
		}
		if took := time.Since(began); took < runPatience || took > runPatience+time.Minute {
			t.Errorf("it waited %v, want %v", took, runPatience)
		}
	})
}
