package syncer_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/store"
	"example.com/signpost/syncer"
)

// start works the jobs of s until the returned function is called, or the test ends.
func (w *world) start(t *testing.T, s *syncer.Syncer) (queue *store.Queue, stop func()) {
	t.Helper()
	return w.startPolling(t, s, 100*time.Millisecond)
}

// startPolling is start with the time between two looks for jobs.
func (w *world) startPolling(t *testing.T, s *syncer.Syncer, every time.Duration) (queue *store.Queue, stop func()) {
	t.Helper()
	config := s.RiverConfig(nil)
	config.TestOnly = true // no pause before the periodic jobs
	config.FetchPollInterval = every
	queue, err := w.store.NewQueue(config)
	must(t, err)
	must(t, queue.Start(context.WithoutCancel(t.Context())))
	must(t, s.Start(context.WithoutCancel(t.Context()), queue))
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, queue.StopAndCancel(ctx))
		must(t, s.Stop(ctx))
	}
	t.Cleanup(stop)
	return queue, stop
}

// What is found is fetched, and what is pushed and asked for is fetched again.
func TestJobsOnRiver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "8.19", nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.start(t, w.syncer)
	wait := func(want ...bitbucket.RepoID) {
		t.Helper()
		missing := make(map[bitbucket.RepoID]bool)
		for _, id := range want {
			missing[id] = true
		}
		for len(missing) > 0 {
			select {
			case id := <-w.told.refs:
				delete(missing, id)
			case <-ctx.Done():
				t.Fatalf("still waiting for %v", missing)
			}
		}
	}
	app := w.id(t, "PRJ/app")
	wait(app, w.id(t, "PRJ/lib"), w.id(t, "OTHER/tool"), w.id(t, "~ADA/dots"))

	pushed := w.push(t, "PRJ/app", "news")
	must(t, w.syncer.FetchSoon(ctx, app))
	wait(app)
	if got := w.head(t, app); got != pushed {
		t.Errorf("HEAD is %s, want %s", got, pushed)
	}

	w.add(t, "PRJ", "new")
	must(t, w.syncer.ListSoon(ctx, "bitbucket"))
	wait(w.id(t, "PRJ/new"))

	w.add(t, "PRJ", "newer")
	entry, err := w.syncer.LookupRepository(ctx, "bitbucket", bitbucket.Address{Key: "prj", Slug: "NEWER"})
	if err != nil || entry.Address.String() != "PRJ/newer" {
		t.Errorf("LookupRepository: %+v, %v", entry, err)
	}
	wait(w.id(t, "PRJ/newer"))

	record, err := w.store.Record(ctx, app)
	must(t, err)
	if delay := record.Mirror.NextFetch.Sub(record.Mirror.LastFetch); delay < 42*time.Second || delay > 48*time.Second {
		t.Errorf("the next fetch is %v after the last, want 45 s and 5 %% to each side", delay)
	}
}

// heldMirrors holds each fetch until the test lets it go on.
type heldMirrors struct {
	begun chan bitbucket.RepoID
	goOn  chan struct{}
}

func (m *heldMirrors) Fetch(ctx context.Context, r syncer.FetchRequest) (syncer.FetchResult, error) {
	select {
	case m.begun <- r.Repo:
	case <-ctx.Done():
		return syncer.FetchResult{}, ctx.Err()
	}
	select {
	case <-m.goOn:
		return syncer.FetchResult{Changed: true}, nil
	case <-ctx.Done():
		return syncer.FetchResult{}, ctx.Err()
	}
}

func (m *heldMirrors) Remove(context.Context, bitbucket.RepoID) error { return nil }

// newHeldWorld is a world of PRJ/app alone, with a syncer whose fetches the test holds.
func newHeldWorld(t *testing.T) (*world, *heldMirrors, func() *syncer.Syncer) {
	t.Helper()
	w := newWorld(t, "8.19", func(c *siteconfig.Connection) { c.Repos = []string{"PRJ/app"} })
	held := &heldMirrors{begun: make(chan bitbucket.RepoID), goOn: make(chan struct{})}
	return w, held, func() *syncer.Syncer {
		s, err := syncer.New(syncer.Options{
			Index: w.store, Records: w.store, Status: w.store, Hosts: w, Mirrors: held, Listener: w.told,
			Remote: func(string) (http.RoundTripper, func(*http.Request), error) { return w.client.Transport(), nil, nil },
		})
		must(t, err)
		s.SetConfig(&siteconfig.Config{
			Connections: []siteconfig.Connection{w.conn}, RepoListUpdateInterval: time.Hour, MaxConcurrentClones: 2,
		})
		return s
	}
}

func (m *heldMirrors) awaitBegin(t *testing.T) bitbucket.RepoID {
	t.Helper()
	select {
	case id := <-m.begun:
		return id
	case <-time.After(patience):
		t.Fatal("no fetch began")
		return bitbucket.RepoID{}
	}
}

// A push that is told of while the repository is being fetched may have come after the
// fetch looked: however often it is told, one more fetch follows.
func TestAFetchAskedForDuringAFetchFollowsItOnce(t *testing.T) {
	t.Parallel()
	w, held, newSyncer := newHeldWorld(t)
	s := newSyncer()
	queue, _ := w.start(t, s)
	completed, cancel := queue.Subscribe(river.EventKindJobCompleted)
	defer cancel()
	app := held.awaitBegin(t) // the first, after the listing
	for range 5 {
		must(t, s.FetchSoon(t.Context(), app))
	}
	held.goOn <- struct{}{}
	held.awaitBegin(t)
	held.goOn <- struct{}{}

	// The listing's job and the one or two that were asked for: none is left, and none fetches.
	for {
		jobs, err := queue.JobList(t.Context(), river.NewJobListParams().Kinds(syncer.FetchArgs{}.Kind()).
			States(rivertype.JobStateAvailable, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled))
		must(t, err)
		if len(jobs.Jobs) == 0 {
			return
		}
		select {
		case <-completed:
		case id := <-held.begun:
			t.Fatalf("a third fetch of %s", id)
		case <-time.After(patience):
			t.Fatalf("%d fetch jobs are left", len(jobs.Jobs))
		}
	}
}

// A fetch that is asked for does not wait until River looks for jobs.
func TestAFetchAskedForBeginsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "8.19", func(c *siteconfig.Connection) { c.Repos = []string{"PRJ/app", "PRJ/lib"} })
	w.run(t)
	for len(w.told.refs) > 0 {
		<-w.told.refs
	}
	w.startPolling(t, w.syncer, time.Hour)
	for i, address := range []string{"PRJ/app", "PRJ/lib", "PRJ/app"} {
		asked := w.id(t, address)
		pushed := w.push(t, address, fmt.Sprint("push ", i))
		must(t, w.syncer.FetchSoon(t.Context(), asked))
		select {
		case <-w.told.refs:
		case <-time.After(patience):
			t.Fatal("no fetch without a look for jobs")
		}
		if got := w.head(t, asked); got != pushed {
			t.Errorf("HEAD of %v is %s, want %s", asked, got, pushed)
		}
	}
}

// A shutdown cuts a fetch off without counting it as a failure, and the next start takes
// it up again.
func TestAFetchThatAShutdownCutsOffRunsAgain(t *testing.T) {
	t.Parallel()
	w, held, newSyncer := newHeldWorld(t)
	_, stop := w.start(t, newSyncer())
	app := held.awaitBegin(t)
	stop()
	record, err := w.store.Record(t.Context(), app)
	must(t, err)
	if diff := cmp.Diff(syncer.MirrorStatus{}, record.Mirror); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	w.start(t, newSyncer())
	if got := held.awaitBegin(t); got != app {
		t.Errorf("fetches %v, want %v", got, app)
	}
	held.goOn <- struct{}{}
	select {
	case <-w.told.refs:
	case <-time.After(patience):
		t.Error("the fetch did not end")
	}
}
