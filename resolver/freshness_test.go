package resolver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	repoURL = "https://bitbucket.example.com/projects/PRJ/repos/repo"
	fileURL = repoURL + "/browse/cmd/a.go?at=refs%2Fheads%2Fmain"
	pullURL = repoURL + "/pull-requests/7/overview"
)

var repoID = bitbucket.RepoID{Connection: "one", Number: 1}

func mustResolve(t *testing.T, r *Resolver, url string) Result {
	t.Helper()
	result, err := r.Resolve(t.Context(), url)
	if err != nil {
		t.Fatalf("Resolve(%s): %v", url, err)
	}
	return result
}

// resolveAside resolves beside the test, which gets the link; an empty one after an error.
func resolveAside(t *testing.T, r *Resolver, url string) <-chan *Link {
	done := make(chan *Link)
	go func() {
		result, err := r.Resolve(t.Context(), url)
		if err != nil {
			t.Errorf("Resolve(%s): %v", url, err)
			result.Link = &Link{}
		}
		done <- result.Link
	}()
	return done
}

func wantError(t *testing.T, r *Resolver, url string, want error) {
	t.Helper()
	result, err := r.Resolve(t.Context(), url)
	if !errors.Is(err, want) || result.Link != nil || result.JSON != nil {
		t.Errorf("Resolve(%s) = %s, error %v, want only the error %v", url, result.JSON, err, want)
	}
}

func TestNoAnswerOfAnOldConfiguration(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	configs := make([]Config, 50)
	for i := range configs {
		configs[i] = linkConfig(t, fmt.Sprintf("https://sourcegraph-%d.example.com/sub", i+1))
		configs[i].Version = int64(i + 1)
	}
	var running atomic.Int64 // the number of the last configuration whose SetConfig has returned
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, url := range []string{fileURL, pullURL, repoURL + "/compare?sourceBranch=v1.0", "https://bitbucket.example.com/projects/PRJ"} {
					before := running.Load()
					result, err := r.Resolve(t.Context(), url)
					if err != nil {
						t.Errorf("Resolve(%s): %v", url, err)
						return
					}
					var got int64
					if _, err := fmt.Sscanf(result.Link.URL, "https://sourcegraph-%d.example.com/sub/", &got); before > 0 && (err != nil || got < before) {
						t.Errorf("%s after SetConfig of primary %d has returned", result.Link.URL, before)
						return
					}
				}
			}
		})
	}
	for i, config := range configs {
		if err := r.SetConfig(config); err != nil {
			t.Fatal(err)
		}
		running.Store(int64(i + 1))
		for range 20 {
			mustResolve(t, r, fileURL)
		}
	}
	close(stop)
	wg.Wait()
	if got := r.Stats().ConfigVersion; got != 50 {
		t.Errorf("ConfigVersion = %d, want 50", got)
	}
}

func TestRefsChangedDuringAFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := linkWorld()
		read, proceed := make(chan struct{}), make(chan struct{})
		var commit atomic.Value
		commit.Store(hashMain)
		var slowed atomic.Bool
		w.resolveRef = func(_ context.Context, _ bitbucket.RepoID, rev string) (string, error) {
			if strings.HasPrefix(rev, tagsPrefix) {
				return "", ErrRefNotFound
			}
			was := commit.Load().(string)
			if !slowed.Swap(true) { // the first reader is slow
				close(read)
				<-proceed
			}
			return was, nil
		}
		w.mirrorPath = func(context.Context, bitbucket.RepoID, string, string) (bitbucket.PathKind, error) {
			return bitbucket.PathFile, nil
		}
		r := newTestResolver(t, w)
		slow := resolveAside(t, r, fileURL)
		<-read
		commit.Store(hashFeature)
		r.RefsChanged(repoID)

		result := mustResolve(t, r, fileURL) // would hang here if it joined
		if result.Link.Commit != hashFeature || result.Hit {
			t.Errorf("after RefsChanged: commit %s, hit %t, want the new commit, found afresh", result.Link.Commit, result.Hit)
		}
		close(proceed)
		if got := (<-slow).Commit; got != hashMain {
			t.Errorf("the flight that began before got %s", got)
		}
		for range 2 {
			if result := mustResolve(t, r, fileURL); result.Link.Commit != hashFeature {
				t.Errorf("afterwards: commit %s, hit %t, want the new commit", result.Link.Commit, result.Hit)
			}
		}
	})
}

func TestRefsChangedMakesACachedAnswerUnknown(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	r := newTestResolver(t, w)
	pushed := repoURL + "/browse/cmd/a.go?at=refs/heads/pushed"
	if got := mustResolve(t, r, pushed); got.Link.Exact || got.MaxAge > unsureTTL {
		t.Errorf("a branch that is not fetched yet: exact %t for %v", got.Link.Exact, got.MaxAge)
	}
	w.repos[repoID].refs["refs/heads/pushed"] = hashFeature
	r.RefsChanged(repoID)
	if got := mustResolve(t, r, pushed); !got.Link.Exact || got.Link.Commit != hashFeature || got.MaxAge != maxAge {
		t.Errorf("once fetched: exact %t, commit %q for %v", got.Link.Exact, got.Link.Commit, got.MaxAge)
	}
}

func TestARenamedRepositoryLinksUnderItsNewName(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	r := newTestResolver(t, w)
	mustResolve(t, r, fileURL)
	mustResolve(t, r, pullURL)
	renamed := w.repos[repoID].Entry
	renamed.Former = append([]bitbucket.Address{renamed.Address}, renamed.Former...)
	renamed.Address = bitbucket.Address{Key: "NEW", Slug: "Name"}
	w.repos[repoID].Entry = renamed
	r.UpdateIndex([]Entry{renamed}, nil)
	for _, url := range []string{fileURL, pullURL, repoURL, "https://bitbucket.example.com/projects/new/repos/name"} {
		if got := mustResolve(t, r, url).Link.URL; !strings.HasPrefix(got, primaryURL+"/bitbucket.example.com/NEW/Name") {
			t.Errorf("%s links to %s", url, got)
		}
	}
}

func TestRenamesWhileOthersResolve(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	former := bitbucket.Address{Key: "PRJ", Slug: "repo"}
	var announced atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := announced.Load()
				result, err := r.Resolve(t.Context(), fileURL)
				if err != nil {
					t.Errorf("Resolve: %v", err)
					return
				}
				var got int64
				if _, err := fmt.Sscanf(result.Link.Repository.Slug, "name-%d", &got); before > 0 && (err != nil || got < before) {
					t.Errorf("%s after the name %d was announced", result.Link.URL, before)
					return
				}
			}
		})
	}
	for i := range int64(300) {
		r.UpdateIndex([]Entry{entryAt(1, "PRJ", fmt.Sprintf("name-%d", i+1), former)}, nil)
		announced.Store(i + 1)
		r.RefsChanged(repoID)
		mustResolve(t, r, fileURL)
	}
	close(stop)
	wg.Wait()
}

func TestARemovedRepositoryIsNotFound(t *testing.T) {
	t.Parallel()
	t.Run("that the index had", func(t *testing.T) {
		t.Parallel()
		r := newTestResolver(t, linkWorld())
		mustResolve(t, r, fileURL)
		r.UpdateIndex(nil, []bitbucket.RepoID{repoID})
		wantError(t, r, fileURL, ErrRepositoryNotFound)
	})
	t.Run("that a lookup had found", func(t *testing.T) {
		t.Parallel()
		w := linkWorld()
		lookup := worldLookup{world: w, everything: true}
		r := newTestResolver(t, w, func(o *Options) { o.Repositories = lookup })
		r.ReplaceIndex(nil)
		mustResolve(t, r, fileURL)
		mustResolve(t, r, repoURL)
		if got := w.lookupCalls.Load(); got != 1 {
			t.Errorf("%d lookups, want 1", got)
		}
		delete(w.repos, repoID)
		r.UpdateIndex(nil, []bitbucket.RepoID{repoID})
		wantError(t, r, fileURL, ErrRepositoryNotFound)
	})
	t.Run("while it was looked up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := linkWorld()
			entry := w.repos[repoID].Entry
			gone := false
			asked, proceed := make(chan struct{}), make(chan struct{})
			w.find = func(context.Context, string, bitbucket.Address) (Entry, error) {
				if gone {
					return Entry{}, ErrRepositoryNotFound
				}
				close(asked)
				<-proceed
				return entry, nil
			}
			r := newTestResolver(t, w)
			r.ReplaceIndex(nil)
			done := make(chan error)
			go func() {
				_, err := r.Resolve(t.Context(), repoURL)
				done <- err
			}()
			<-asked
			gone = true
			r.UpdateIndex(nil, []bitbucket.RepoID{repoID})
			wantError(t, r, repoURL, ErrRepositoryNotFound)
			close(proceed)
			if err := <-done; err != nil {
				t.Errorf("the flight that began before: %v", err)
			}
			wantError(t, r, repoURL, ErrRepositoryNotFound)
		})
	})
}

func TestAnAddedRepositoryIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	r := newTestResolver(t, w)
	url := "https://bitbucket.example.com/projects/PRJ/repos/fresh"
	wantError(t, r, url, ErrRepositoryNotFound)
	r.UpdateIndex([]Entry{entryAt(77, "PRJ", "fresh")}, nil)
	mustResolve(t, r, url)
}

func TestPullRequestsAreAskedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := linkWorld()
		from := hashFrom
		calls := 0
		w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
			calls++
			return bitbucket.PullRequest{From: bitbucket.PullRequestRef{Commit: from}, To: bitbucket.PullRequestRef{Commit: hashTo}}, nil
		}
		r := newTestResolver(t, w)
		want := func(when, commit string, wantCalls int) {
			t.Helper()
			// A line's link is another cache entry, and made of the same pull request.
			for _, url := range []string{pullURL, repoURL + "/pull-requests/7/diff#cmd/a.go?t=1"} {
				if got := mustResolve(t, r, url).Link.URL; !strings.Contains(got, commit) {
					t.Errorf("%s: %s, want %s", when, got, commit)
				}
			}
			if calls != wantCalls {
				t.Errorf("%s: %d questions, want %d", when, calls, wantCalls)
			}
		}
		want("at first", hashFrom, 1)
		from = hashFork
		want("from the cache", hashFrom, 1)
		r.PullRequestsChanged(repoID)
		want("after an event", hashFork, 2)
		from = hashFeature
		r.RefsChanged(repoID)
		want("after a push", hashFeature, 3)
		from = hashFrom
		time.Sleep(pullRequestTTL + time.Second)
		want("after a minute", hashFrom, 4)

		file := mustResolve(t, r, fileURL)
		r.PullRequestsChanged(repoID)
		if got := mustResolve(t, r, fileURL); !got.Hit || got.Link != file.Link {
			t.Error("a file's link does not depend on pull requests, and was found afresh")
		}
	})
}

func TestMaxAgeShrinksWithTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newTestResolver(t, linkWorld())
		if got := mustResolve(t, r, pullURL).MaxAge; got != pullRequestTTL {
			t.Errorf("MaxAge of a pull request = %v, want %v", got, pullRequestTTL)
		}
		time.Sleep(40 * time.Second)
		if got := mustResolve(t, r, pullURL); !got.Hit || got.MaxAge != 20*time.Second {
			t.Errorf("40 s later: hit %t, MaxAge %v, want 20 s", got.Hit, got.MaxAge)
		}
	})
}

// A Resolve that began before a rename asks Bitbucket at the old address, which another
// repository may have by then. What it hears must not be taken for the renamed one.
func TestAnAnswerAtTheOldAddressIsNotTakenForTheNewOne(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	moved := bitbucket.Address{Key: "NEW", Slug: "repo"}
	r := newTestResolver(t, w)
	r.UpdateIndex(nil, []bitbucket.RepoID{repoID})
	w.find = func(_ context.Context, _ string, address bitbucket.Address) (Entry, error) {
		// The rename is known while the lookup, which still saw the old address, is under way.
		r.UpdateIndex([]Entry{{ID: repoID, Address: moved}}, nil)
		return Entry{ID: repoID, Address: address}, nil
	}
	// The repository that has the old address now has a pull request of that number, too.
	if got := mustResolve(t, r, pullURL).Link.URL; !strings.Contains(got, hashFrom) {
		t.Fatalf("the Resolve that began before: %s, want a link with %s", got, hashFrom)
	}
	w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
		return bitbucket.PullRequest{From: bitbucket.PullRequestRef{Commit: hashFork}, To: bitbucket.PullRequestRef{Commit: hashTo}}, nil
	}
	url := "https://bitbucket.example.com/projects/NEW/repos/repo/pull-requests/7"
	if got := mustResolve(t, r, url).Link.URL; !strings.Contains(got, hashFork) || !strings.Contains(got, "/NEW/repo/") {
		t.Errorf("after the rename: %s, want a link to NEW/repo with %s", got, hashFork)
	}
}

func TestAPullRequestThatIsOpenedIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	r := newTestResolver(t, w)
	url := repoURL + "/pull-requests/9"
	wantError(t, r, url, ErrPullRequestNotFound)
	w.repos[repoID].pulls[9] = w.repos[repoID].pulls[7]
	r.PullRequestsChanged(repoID)
	mustResolve(t, r, url)
}

func TestAPullRequestThatChangesWhileItIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := linkWorld()
		asked, proceed := make(chan struct{}), make(chan struct{})
		calls := 0
		w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
			calls++
			from := hashFork
			if calls == 1 { // the answer from before the push comes late
				close(asked)
				<-proceed
				from = hashFrom
			}
			return bitbucket.PullRequest{From: bitbucket.PullRequestRef{Commit: from}, To: bitbucket.PullRequestRef{Commit: hashTo}}, nil
		}
		r := newTestResolver(t, w)
		before := resolveAside(t, r, pullURL)
		<-asked
		r.PullRequestsChanged(repoID)
		after := resolveAside(t, r, pullURL)
		synctest.Wait()
		close(proceed)
		if got := (<-before).URL; !strings.Contains(got, hashFrom) {
			t.Errorf("the one that began before: %s", got)
		}
		if got := (<-after).URL; !strings.Contains(got, hashFork) {
			t.Errorf("the one that began after the event: %s, want %s in it", got, hashFork)
		}
		if got := mustResolve(t, r, pullURL).Link.URL; !strings.Contains(got, hashFork) {
			t.Errorf("afterwards: %s, want %s in it", got, hashFork)
		}
	})
}
