package syncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/bitbucket"
)

func TestStatusesThatAreInNoHurryAreStoredTogether(t *testing.T) {
	t.Parallel()
	id := func(n int) bitbucket.RepoID { return bitbucket.RepoID{Connection: "bitbucket", Number: int64(n)} }
	failed := errors.New("the disk is full")
	for _, c := range []struct {
		name    string
		waiting int
		err     error
		after   time.Duration // until all are stored
		calls   int
	}{
		{"one waits for others, and not for ever", 1, nil, gatherTime, 1},
		{"those of a moment are one transaction", 5, nil, gatherTime, 1},
		{"many do not wait", gatherMost, nil, 0, 1},
		{"more than many are the next ones", gatherMost + 1, nil, gatherTime, 2},
		{"a database that fails is told to each", 3, failed, gatherTime, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				calls, stored := 0, make(map[bitbucket.RepoID]MirrorStatus)
				s := &saves{store: func(_ context.Context, statuses map[bitbucket.RepoID]MirrorStatus) ([]bitbucket.RepoID, error) {
					mu.Lock()
					defer mu.Unlock()
					calls++
					maps.Copy(stored, statuses)
					return []bitbucket.RepoID{id(0)}, c.err
				}}
				begun := time.Now()
				var waiting sync.WaitGroup
				for n := range c.waiting {
					waiting.Go(func() {
						want := c.err
						if n == 0 && want == nil {
							want = ErrNoRecord
						}
						if err := s.save(t.Context(), id(n), MirrorStatus{RefsDigest: fmt.Sprint(n)}); !errors.Is(err, want) {
							t.Errorf("save %d: %v, want %v", n, err, want)
						}
					})
				}
				waiting.Wait()
				if took := time.Since(begun); took != c.after {
					t.Errorf("stored after %s, want %s", took, c.after)
				}
				if calls != c.calls || len(stored) != c.waiting {
					t.Errorf("%d transactions stored %d statuses, want %d and %d", calls, len(stored), c.calls, c.waiting)
				}
				for n := range c.waiting {
					if got := stored[id(n)].RefsDigest; got != fmt.Sprint(n) {
						t.Errorf("status of %d: %q", n, got)
					}
				}
			})
		})
	}
	t.Run("who gives up does not wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := &saves{store: func(context.Context, map[bitbucket.RepoID]MirrorStatus) ([]bitbucket.RepoID, error) { return nil, nil }}
			ctx, cancel := context.WithTimeout(t.Context(), gatherTime/2)
			defer cancel()
			if err := s.save(ctx, id(1), MirrorStatus{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	})
}

func TestARunReadsAMirrorsStatusAfterTheFetchThatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	digests := make(chan string, 10)
	b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
		if r.Repo.Number == 1 {
			digests <- r.RefsDigest
		}
		return FetchResult{RefsDigest: r.RefsDigest}, nil
	}
	if _, err := b.RunOnce(t.Context(), RunOptions{}); err != nil {
		t.Fatal(err)
	}
	<-digests
	one := bitbucket.RepoID{Connection: "bitbucket", Number: 1}
	end, ok := b.fetches.tryBegin(one)
	if !ok {
		t.Fatal("a fetch is under way")
	}
	// While the other fetch is under way, the second repository is done: the first one's record was not read with it.
	both := make(chan error, 1)
	other := make(chan struct{})
	log := &finishedLog{named: "bitbucket:PRJ/b", done: other}
	go func() {
		_, err := b.RunOnce(t.Context(), RunOptions{Progress: log})
		both <- err
	}()
	<-other
	if err := b.memory.SaveMirror(t.Context(), one, MirrorStatus{RefsDigest: "newer", LastFetch: b.clock}); err != nil {
		t.Fatal(err)
	}
	end()
	if got := <-digests; got != "newer" {
		t.Errorf("the digest of the fetch that waited: %q, want the one that was stored while it waited", got)
	}
	if err := <-both; err != nil {
		t.Fatal(err)
	}
}

// finishedLog tells when a repository is done.
type finishedLog struct {
	silent
	named string
	done  chan struct{}
}

func (f *finishedLog) Finished(repository string, _ FetchResult, _ string) {
	if repository == f.named {
		close(f.done)
	}
}
