package syncer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/internal/bitbucket"
)

// workJob works a job that asks for a fetch as River does.
func (b *bench) workJob(t *testing.T, number, job int64, created time.Time) {
	t.Helper()
	err := (&fetchWorker{s: b.Syncer}).Work(t.Context(), &river.Job[FetchArgs]{
		JobRow: &rivertype.JobRow{ID: job, CreatedAt: created}, Args: FetchArgs{Connection: "bitbucket", Number: number, Asked: true},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheJobOfAFetchThatBeganAtOnceFetchesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	fetched := make(chan bitbucket.RepoID, 10)
	failure := error(nil)
	b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
		fetched <- r.Repo
		return FetchResult{}, failure
	}
	b.start(t)
	ask := func() (job int64) {
		t.Helper()
		if err := b.FetchSoon(t.Context(), id(1)); err != nil {
			t.Fatal(err)
		}
		<-fetched
		end, err := b.fetches.begin(t.Context(), id(1)) // it is stored, too
		if err != nil {
			t.Fatal(err)
		}
		end()
		return b.queue.last("fetch").ID
	}
	for _, failure = range []error{nil, bitbucket.ErrUnavailable} { // a failed one has its next time from the schedule
		job := ask()
		b.workJob(t, 1, job, b.clock)
		if len(fetched) != 0 {
			t.Errorf("fetched once more after %v", failure)
		}
	}

	// One more request, which the same job stands for: it counts before it is stored.
	job := ask()
	b.begun.ask(id(1))
	b.workJob(t, 1, job, b.clock)
	if len(fetched) != 1 {
		t.Errorf("%d fetches for a request that came after the last one, want 1", len(fetched))
	}
	// A job that was stored later than all that is known of.
	b.workJob(t, 1, job+1, b.clock)
	if len(fetched) != 2 {
		t.Errorf("%d fetches in all for a job of somebody else, want 2", len(fetched))
	}
}

func TestOneNudgeRunsAndOneFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mu sync.Mutex
		worked, running, most := make(map[int64]int), 0, 0
		n := newNudges(func(_ context.Context, id bitbucket.RepoID) {
			mu.Lock()
			worked[id.Number]++
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second) // in the bubble's time
			mu.Lock()
			running--
			mu.Unlock()
		})
		n.add(id(1)) // not started yet: left to River
		n.start(ctx)
		for range 1000 {
			n.add(id(1))
		}
		synctest.Wait()
		for range 1000 {
			n.add(id(1))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if worked[1] != 2 {
			t.Errorf("worked %d times for a flood, want one that runs and one that follows", worked[1])
		}
		for number := range int64(maxNudges + 1000) {
			n.add(id(number))
		}
		time.Sleep(time.Second * (maxNudges + 1000) / nudgeWorkers * 2)
		synctest.Wait()
		if len(worked) < maxNudges || most != nudgeWorkers || n.workers != 0 || len(n.waiting)+len(n.present)+len(n.running) != 0 {
			t.Errorf("%d repositories by %d workers, and %d are left", len(worked), most, n.workers)
		}
		n.add(id(1))
		n.add(id(2))
		synctest.Wait()
		n.add(id(1))
		cancel()
		n.wait()
		if n.workers != 0 || running != 0 {
			t.Errorf("%d workers after the end", n.workers)
		}
		n.add(id(3))
		synctest.Wait()
		n.wait()
		if worked[3] > 1 {
			t.Error("worked after the end")
		}
	})
}

func TestAStopCutsOffWhatBeganAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	begun, cut := make(chan struct{}), make(chan error, 1)
	b.mirrors.fetch = func(ctx context.Context, _ FetchRequest) (FetchResult, error) {
		close(begun)
		<-ctx.Done()
		cut <- ctx.Err()
		return FetchResult{}, ctx.Err()
	}
	if err := b.Start(t.Context(), b.queue); err != nil {
		t.Fatal(err)
	}
	if err := b.FetchSoon(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-cut; !errors.Is(err, context.Canceled) {
		t.Errorf("the fetch ended with %v", err)
	}
	if b.fetches.busy(id(1)) {
		t.Error("the fetch outlived Stop")
	}
	if status := b.memory.record(t, id(1)).Mirror; status.Failures != 0 {
		t.Errorf("status %+v, want nothing stored", status)
	}
}
