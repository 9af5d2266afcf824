package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// jobs returns what waits in the queue but for sweeps.
func (b *bench) jobs() []string {
	var all []string
	for _, job := range b.queue.waiting() {
		if !strings.HasPrefix(job, "sweep") {
			all = append(all, job)
		}
	}
	return all
}

func TestAFetchThatIsAskedForTwiceWaitsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	for range 3 {
		if err := b.FetchSoon(t.Context(), id(1)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{`fetch {"connection":"bitbucket","number":1,"asked":true}`}
	if diff := cmp.Diff(want, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestAFetchThatIsAskedForWhileItRunsFollows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	if err := b.FetchSoon(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	first := b.queue.last("fetch").ID
	b.queue.set(first, rivertype.JobStateRunning)
	for range 3 {
		if err := b.FetchSoon(t.Context(), id(1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.jobs(); len(got) != 1 || !strings.Contains(got[0], `"follows":`) {
		t.Fatalf("jobs %q, want one that follows", got)
	}
	// It runs, and is asked for once more.
	second := b.queue.last("fetch").ID
	b.queue.set(second, rivertype.JobStateRunning)
	if err := b.FetchSoon(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	if got := b.jobs(); len(got) != 1 {
		t.Errorf("jobs %q, want one more that follows", got)
	}
}

func TestFetchSoonNeedsAQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.FetchSoon(t.Context(), id(1)); !errors.Is(err, ErrNotStarted) {
		t.Errorf("error %v, want ErrNotStarted", err)
	}
	if err := b.ListSoon(t.Context(), "elsewhere"); !errors.Is(err, ErrNoConnection) {
		t.Errorf("error %v, want ErrNoConnection", err)
	}
}

func TestAFetchWaitsForTheOneThatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	var asked, scheduled error
	b.mirrors.fetch = func(ctx context.Context, _ FetchRequest) (FetchResult, error) {
		asked = b.workFetch(ctx, FetchArgs{Connection: "bitbucket", Number: 1, Asked: true}, b.clock)
		scheduled = b.workFetch(ctx, FetchArgs{Connection: "bitbucket", Number: 1}, b.clock)
		return FetchResult{Cloned: true}, nil
	}
	if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1}, b.clock); err != nil {
		t.Fatal(err)
	}
	var later *rivertype.JobSnoozeError
	if !errors.As(asked, &later) || later.Duration <= 0 {
		t.Errorf("the one asked for: %v, want it to look again later", asked)
	}
	if scheduled != nil {
		t.Errorf("the scheduled one: %v, want its end", scheduled)
	}
}

func TestARequestIsDoneWithByAnyLaterFetch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	fetches := 0
	var failure error
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		fetches++
		return FetchResult{}, failure
	}
	work := func(created time.Time, want int, when string) {
		t.Helper()
		if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1, Asked: true}, created); err != nil {
			t.Fatal(err)
		}
		if fetches != want {
			t.Errorf("%s: %d fetches, want %d", when, fetches, want)
		}
	}
	asked := b.clock
	b.clock = b.clock.Add(time.Second)
	failure = bitbucket.ErrUnavailable
	work(asked, 1, "the first request")
	work(asked, 2, "after a failure")
	failure = nil
	work(asked, 3, "after another failure")
	work(asked, 3, "after a success")
	work(b.clock, 4, "a request of the moment in which the last fetch began")
}

func TestAJobThatAShutdownCutsOffIsPutBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	ctx, cancel := context.WithCancel(t.Context())
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		cancel()
		return FetchResult{}, ctx.Err()
	}
	var later *rivertype.JobSnoozeError
	if err := b.workFetch(ctx, FetchArgs{Connection: "bitbucket", Number: 1}, b.clock); !errors.As(err, &later) || later.Duration != 0 {
		t.Errorf("error %v, want it back in the queue at once", err)
	}
}

func TestJobsOfRemovedConnectionsEndQuietly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	b.SetConfig(&siteconfig.Config{})
	if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1, Asked: true}, b.clock); err != nil {
		t.Errorf("fetch: %v", err)
	}
	if err := b.workListing(t.Context(), ListConnectionArgs{Connection: "bitbucket"}); err != nil {
		t.Errorf("listing: %v", err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	const listing, first, second = `list_connection {"connection":"bitbucket"}`,
		`fetch {"connection":"bitbucket","number":1}`, `fetch {"connection":"bitbucket","number":2}`
	one := connectionOf("bitbucket", nil)
	for _, c := range []struct {
		name   string
		change func(b *bench)
		want   []string
	}{
		{"a connection that was never listed is listed", func(b *bench) { delete(b.memory.statuses, "bitbucket") }, []string{listing}},
		{"nothing is due", func(*bench) {}, nil},
		{"a listing is due when the interval has passed", func(b *bench) { b.clock = b.clock.Add(time.Minute) }, []string{listing}},
		{"a clock that was set back makes no listing wait", func(b *bench) { b.clock = b.clock.Add(-time.Hour) }, []string{listing}},
		{
			"a changed connection is listed at once",
			func(b *bench) {
				changed := connectionOf("bitbucket", func(c *siteconfig.Connection) { c.MaxDeletions = 5 })
				b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{changed}, RepoListUpdateInterval: time.Hour})
			},
			[]string{listing},
		},
		{
			"a listing under way is not queued",
			func(b *bench) {
				b.clock = b.clock.Add(time.Hour)
				b.listings.tryBegin("bitbucket")
			},
			nil,
		},
		{
			"a longer interval counts at once",
			func(b *bench) {
				b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{one}, RepoListUpdateInterval: time.Hour})
				b.clock = b.clock.Add(59 * time.Minute)
			},
			nil,
		},
		{
			"due mirrors are fetched, new ones first",
			func(b *bench) {
				b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock, NextFetch: b.clock}}
				b.memory.records[id(2)] = Record{Repository: repo(2, "PRJ/b"), Selected: true}
				b.memory.records[id(3)] = Record{Repository: repo(3, "PRJ/c"), Selected: true, Mirror: MirrorStatus{NextFetch: b.clock.Add(1)}}
			},
			[]string{second, first},
		},
		{
			"a mirror that is being fetched is not queued",
			func(b *bench) {
				b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
				b.fetches.tryBegin(id(1))
			},
			nil,
		},
		{
			"with disableAutoGitUpdates only new ones are fetched",
			func(b *bench) {
				b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock, NextFetch: b.clock}}
				b.memory.records[id(2)] = Record{Repository: repo(2, "PRJ/b"), Selected: true}
				b.SetConfig(&siteconfig.Config{
					Connections: []siteconfig.Connection{one}, RepoListUpdateInterval: time.Hour, DisableAutoGitUpdates: true,
				})
			},
			[]string{second},
		},
		{
			"a refused credential is not queued for",
			func(b *bench) {
				b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
				b.connection("bitbucket").credential.refuse(bitbucket.ErrUnauthorized)
			},
			nil,
		},
		{
			"many due mirrors of a removed connection leave the others their turn",
			func(b *bench) {
				for n := range int64(sweepFetches + 1) {
					gone := repo(n, "PRJ/gone")
					gone.ID.Connection = "a-removed-one"
					b.memory.records[gone.ID] = Record{Repository: gone, Selected: true}
				}
				b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
			},
			[]string{first},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.start(t)
			b.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: b.clock}
			c.change(b)
			if err := b.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := b.sweep(t.Context()); err != nil { // a second one adds nothing
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, b.jobs()); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

// A job whose end could not be stored, because the disk was full, stays stored as running.
func TestALostJobKeepsNoRepositoryFromItsSchedule(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: b.clock}
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	sweep := func(when string, want ...string) {
		t.Helper()
		if err := b.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.jobs()); diff != "" {
			t.Errorf("%s: jobs (-want +got):\n%s", when, diff)
		}
	}
	sweep("at first", `fetch {"connection":"bitbucket","number":1}`)
	// The sweep may have queued something else before.
	follower := fmt.Sprintf(`fetch {"connection":"bitbucket","number":1,"follows":%d}`, b.queue.last("fetch").ID)
	b.queue.set(b.queue.last("fetch").ID, rivertype.JobStateRunning)
	end, ok := b.fetches.tryBegin(id(1))
	if !ok {
		t.Fatal("the fetch is under way already")
	}
	sweep("while it is worked on")
	end()
	sweep("when it is lost", follower)
	sweep("once more", follower)
	b.queue.set(b.queue.last("fetch").ID, rivertype.JobStateCompleted)
	sweep("when it is due again", follower)
}

// A disk that is full now and then leaves one lost job after the other.
func TestManyLostJobsStopNoSweep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: b.clock}
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	for range 2 * maxChain {
		b.clock = b.clock.Add(time.Millisecond)
		if err := b.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if jobs := b.jobs(); len(jobs) != 1 {
			t.Fatalf("jobs %q, want one that waits", jobs)
		}
		b.queue.set(b.queue.last("fetch").ID, rivertype.JobStateRunning) // and is lost
	}
}

// With disableAutoGitUpdates every mirror is due before long, and stays so.
func TestASweepWithoutUpdatesDoesNotReadEverythingThatIsDue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{connectionOf("bitbucket", nil)}, DisableAutoGitUpdates: true})
	for n := range int64(sweepFetches + 1) {
		b.memory.records[id(n)] = Record{Repository: repo(n, "PRJ/a"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock, NextFetch: b.clock}}
	}
	asked := 0
	b.memory.fail = func(method string) error {
		if method == "DueMirrors" {
			asked++
		}
		return nil
	}
	if err := b.sweepMirrors(t.Context()); err != nil || asked != 1 {
		t.Errorf("asked %d times what is due, %v; want once", asked, err)
	}
}

func TestAScheduledListingRunsWhenItIsDue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	for range 2 { // the second one finds that it is not due
		if err := b.workListing(t.Context(), ListConnectionArgs{Connection: "bitbucket"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.host.count("list "); got != 1 {
		t.Errorf("listed %d times, want once", got)
	}
}

func TestPrioritiesOfFetches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.host.serve(repo(2, "PRJ/new"))
	b.memory.records[id(3)] = Record{Repository: repo(3, "PRJ/old"), Selected: true, Mirror: MirrorStatus{LastFetch: b.clock}}
	b.memory.statuses["bitbucket"] = ConnectionStatus{Connection: "bitbucket", LastAttempt: b.clock}
	if err := b.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.listNow(t, "bitbucket")
	if err := b.FetchSoon(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	for _, job := range b.queue.jobs {
		if job.Kind == "fetch" {
			got[string(job.EncodedArgs)] = job.Priority
		}
	}
	want := map[string]int{
		`{"connection":"bitbucket","number":1,"asked":true}`: priorityAsked,
		`{"connection":"bitbucket","number":2}`:              priorityNew,
		`{"connection":"bitbucket","number":3}`:              priorityScheduled,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("priorities (-want +got):\n%s", diff)
	}
}
