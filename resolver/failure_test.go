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
	"example.com/signpost/internal/sourcegraph"
)

func TestNoLinkWithoutAPrimaryURL(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	mustResolve(t, r, fileURL)
	config := linkConfig(t, primaryURL)
	config.Primary = sourcegraph.Instance{}
	if err := r.SetConfig(config); err != nil {
		t.Fatal(err)
	}
	wantError(t, r, fileURL, ErrPrimaryURLNotSet)
	wantError(t, r, "https://bitbucket.example.com/projects/PRJ", ErrPrimaryURLNotSet)
	wantError(t, r, "https://elsewhere.example/projects/PRJ/repos/repo", ErrPrimaryURLNotSet)
	wantError(t, r, "javascript:alert(1)", bitbucket.ErrInvalidURL)
}

func TestAResolverWithoutConfiguration(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	if _, err := New(Options{Mirrors: worldMirrors{w}}); err == nil {
		t.Error("New without Bitbucket gives no error")
	}
	r, err := New(Options{Mirrors: worldMirrors{w}, Bitbucket: worldBitbucket{w}})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r, fileURL, ErrPrimaryURLNotSet)
	if err := r.SetConfig(linkConfig(t, primaryURL)); err != nil {
		t.Fatal(err)
	}
	wantError(t, r, fileURL, ErrRepositoryNotFound) // nothing to look it up with
}

func TestAConfigurationThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	for name, breakIt := range map[string]func(*Config){
		"no name":    func(c *Config) { c.Connections[1].Server.Name = "" },
		"two names":  func(c *Config) { c.Connections[1].Server.Name = "one" },
		"no address": func(c *Config) { c.Connections[1].Server.Addresses = nil },
	} {
		config := linkConfig(t, "https://other.example.com")
		breakIt(&config)
		if err := r.SetConfig(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := mustResolve(t, r, fileURL).Link.URL; !strings.HasPrefix(got, primaryURL) {
		t.Errorf("the refused configuration is running: %s", got)
	}
}

func TestBitbucketIsAskedOnceByAll(t *testing.T) {
	t.Parallel()
	for _, url := range []string{pullURL, repoURL + "/browse/x?at=refs/pull-requests/7/from", "https://bitbucket.example.com/projects/NOPE/repos/nope"} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := linkWorld()
				var pulls, lookups atomic.Int64
				w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
					pulls.Add(1)
					time.Sleep(time.Second)
					return linkWorld().repos[repoID].pulls[7], nil
				}
				w.find = func(context.Context, string, bitbucket.Address) (Entry, error) {
					lookups.Add(1)
					time.Sleep(time.Second)
					return Entry{}, ErrRepositoryNotFound
				}
				r := newTestResolver(t, w)
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						if _, err := r.Resolve(t.Context(), url); err != nil && !errors.Is(err, ErrRepositoryNotFound) {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if n := pulls.Load() + lookups.Load(); n != 1 {
					t.Errorf("%d questions, want 1", n)
				}
				if got := r.Stats().Shared; got != 49 {
					t.Errorf("Shared = %d, want 49", got)
				}
			})
		})
	}
}

func TestAWaiterLeavesAndTheFlightGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := linkWorld()
		calls := 0
		w.pull = func(ctx context.Context, _ bitbucket.RepoID, _ int64) (bitbucket.PullRequest, error) {
			calls++
			select {
			case <-time.After(3 * time.Second):
				return linkWorld().repos[repoID].pulls[7], nil
			case <-ctx.Done():
				return bitbucket.PullRequest{}, ctx.Err()
			}
		}
		r := newTestResolver(t, w)
		first, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := r.Resolve(first, pullURL)
			left <- err
		}()
		synctest.Wait()
		joined := make(chan error, 1)
		go func() {
			_, err := r.Resolve(t.Context(), pullURL)
			joined <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) || errors.Is(err, ErrBitbucketUnavailable) {
			t.Errorf("the one who left: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Resolve(short, pullURL); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrBitbucketTimeout) {
			t.Errorf("the one in a hurry: %v", err)
		}
		if err := <-joined; err != nil {
			t.Errorf("the one who stayed: %v", err)
		}
		if !mustResolve(t, r, pullURL).Hit || calls != 1 {
			t.Errorf("%d questions, want 1, and its answer cached", calls)
		}
	})
}

func TestNothingIsBegunForACallerWhoHasLeft(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"a pull request": pullURL,
		"a repository":   "https://bitbucket.example.com/projects/NOPE/repos/nope",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := linkWorld()
				r := newTestResolver(t, w)
				gone, leave := context.WithCancel(t.Context())
				leave()
				late, cancel := context.WithTimeout(t.Context(), -1)
				defer cancel()
				for ctx, want := range map[context.Context]error{gone: context.Canceled, late: ErrBitbucketTimeout} {
					if _, err := r.Resolve(ctx, url); !errors.Is(err, want) {
						t.Errorf("error %v, want %v", err, want)
					}
				}
				synctest.Wait()
				if n := w.bitbucketCalls.Load() + w.lookupCalls.Load() + w.mirrorCalls.Load(); n != 0 {
					t.Errorf("%d questions for nobody", n)
				}
				mustResolve(t, r, fileURL)
				mustResolve(t, r, fileURL)
				if result, err := r.Resolve(gone, fileURL); err != nil || !result.Hit {
					t.Errorf("what is in memory costs nothing: %v", err)
				}
			})
		})
	}
}

func TestBitbucketIsTooSlow(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	took := func(t *testing.T, r *Resolver, url string, wantTime time.Duration, want error) Result {
		t.Helper()
		start := time.Now()
		result, err := r.Resolve(t.Context(), url)
		if !errors.Is(err, want) {
			t.Errorf("Resolve(%s): error %v, want %v", url, err, want)
		}
		if got := time.Since(start); got != wantTime {
			t.Errorf("Resolve(%s) took %v, want %v", url, got, wantTime)
		}
		return result
	}
	t.Run("for a pull request", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := linkWorld()
			w.pull = func(ctx context.Context, _ bitbucket.RepoID, _ int64) (bitbucket.PullRequest, error) {
				return bitbucket.PullRequest{}, hang(ctx)
			}
			took(t, newTestResolver(t, w), pullURL, 10*time.Second, ErrBitbucketTimeout)
			r := newTestResolver(t, w, func(o *Options) { o.Timeout = time.Second })
			took(t, r, pullURL, time.Second, ErrBitbucketUnavailable)
		})
	})
	t.Run("for a repository", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := linkWorld()
			w.find = func(ctx context.Context, _ string, _ bitbucket.Address) (Entry, error) { return Entry{}, hang(ctx) }
			took(t, newTestResolver(t, w), "https://bitbucket.example.com/projects/A/repos/b", 10*time.Second, ErrBitbucketTimeout)
		})
	})
	t.Run("for the kind of a path, which is then guessed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := linkWorld().unmirrored()
			w.bitbucketPath = func(ctx context.Context, _ bitbucket.RepoID, _, _ string) (bitbucket.PathKind, error) {
				return 0, hang(ctx)
			}
			r := newTestResolver(t, w)
			if got := took(t, r, fileURL, 5*time.Second, nil); got.Link.Kind != kindBlob || got.Link.Exact || got.MaxAge > unsureTTL {
				t.Errorf("the guess: %s, MaxAge %v", got.JSON, got.MaxAge)
			}
		})
	})
	t.Run("and does not obey its context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := linkWorld()
			release := make(chan struct{})
			w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
				<-release
				return bitbucket.PullRequest{}, bitbucket.ErrUnavailable
			}
			took(t, newTestResolver(t, w), pullURL, 10*time.Second, ErrBitbucketTimeout)
			close(release)
		})
	})
	t.Run("by its client's own clock", func(t *testing.T) {
		t.Parallel()
		w := linkWorld().bitbucketFails(fmt.Errorf("%w: %w", bitbucket.ErrUnavailable, context.DeadlineExceeded))
		wantError(t, newTestResolver(t, w), pullURL, ErrBitbucketTimeout)
	})
}

func TestBitbucketFails(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{
		bitbucket.ErrUnavailable, bitbucket.ErrUnauthorized, bitbucket.ErrCaptcha, bitbucket.ErrRateLimited, bitbucket.ErrNotBitbucket,
	} {
		t.Run(failure.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log testLog
				w := linkWorld().unmirrored().bitbucketFails(failure)
				r := newTestResolver(t, w, func(o *Options) { o.Logger = log.logger() })

				_, err := r.Resolve(t.Context(), pullURL)
				if !errors.Is(err, ErrBitbucketUnavailable) || errors.Is(err, ErrBitbucketTimeout) || !errors.Is(err, failure) {
					t.Errorf("a pull request: %v", err)
				}
				wantError(t, r, repoURL+"/browse?at=refs/pull-requests/7/from", ErrBitbucketUnavailable)

				for url, want := range map[string]string{
					repoURL + "/browse/cmd":                    "/-/blob/cmd",
					repoURL + "/browse/cmd/":                   "/-/tree/cmd",
					repoURL + "/compare?sourceBranch=x":        "/-/compare/HEAD...x",
					repoURL + "/raw/cmd/a.go?at=main#3":        "@main/-/blob/cmd/a.go?L3",
					repoURL + "/commits?until=x&path=cmd/a.go": "@x/-/commits/cmd/a.go",
				} {
					got := mustResolve(t, r, url)
					if got.Link.URL != primaryURL+"/bitbucket.example.com/PRJ/repo"+want {
						t.Errorf("%s links to %s, want …%s", url, got.Link.URL, want)
					}
					guessed := strings.Contains(want, "/blob/") || strings.Contains(want, "/tree/")
					if guessed == got.Link.Exact || guessed && got.MaxAge > unsureTTL {
						t.Errorf("%s: exact %t for %v", url, got.Link.Exact, got.MaxAge)
					}
				}
				if !strings.Contains(log.String(), failure.Error()) {
					t.Errorf("nobody is told of the failure: %s", log.String())
				}

				// It works again.
				w.pull, w.bitbucketPath, w.defaultBranch = nil, nil, nil
				mustResolve(t, r, pullURL)
				time.Sleep(unsureTTL + time.Second)
				if got := mustResolve(t, r, repoURL+"/browse/cmd"); got.Link.Kind != kindTree || !got.Link.Exact {
					t.Errorf("once it works again: %s", got.JSON)
				}
			})
		})
	}
}

func TestWhatIsNotThereIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := linkWorld()
		r := newTestResolver(t, w)
		for url, calls := range map[string]*atomic.Int64{
			repoURL + "/pull-requests/999":                            &w.bitbucketCalls,
			"https://bitbucket.example.com/projects/XCL/repos/secret": &w.lookupCalls,
		} {
			want := ErrPullRequestNotFound
			if calls == &w.lookupCalls {
				want = ErrRepositoryNotFound
			}
			for range 5 {
				wantError(t, r, url, want)
			}
			if got := calls.Load(); got != 1 {
				t.Errorf("%s: %d questions, want 1", url, got)
			}
			time.Sleep(negativeTTL + time.Second)
			wantError(t, r, url, want)
			if got := calls.Load(); got != 2 {
				t.Errorf("%s: %d questions after a while, want 2", url, got)
			}
		}
		if got := r.Stats().Negatives; got != 8 {
			t.Errorf("Negatives = %d, want 8", got)
		}
		var why *NotFoundError
		_, err := r.Resolve(t.Context(), "https://bitbucket.example.com/projects/XCL/repos/secret")
		if !errors.As(err, &why) || why.Reason != "excluded by the configuration" {
			t.Errorf("the reason is lost: %v", err)
		}
	})
}

func TestALookupThatFails(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.find = func(context.Context, string, bitbucket.Address) (Entry, error) {
		return Entry{}, bitbucket.ErrUnavailable
	}
	r := newTestResolver(t, w)
	url := "https://bitbucket.example.com/projects/A/repos/b"
	wantError(t, r, url, ErrBitbucketUnavailable)
	w.find = func(context.Context, string, bitbucket.Address) (Entry, error) { return Entry{}, bitbucket.ErrNotFound }
	wantError(t, r, url, ErrRepositoryNotFound)
}

func TestAnSSHAddressOfTwoServersOnOneHost(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.find = func(_ context.Context, connection string, address bitbucket.Address) (Entry, error) {
		switch connection + "/" + address.String() {
		case "b/two/later":
			return Entry{ID: bitbucket.RepoID{Connection: "b", Number: 9}, Address: bitbucket.Address{Key: "TWO", Slug: "later"}}, nil
		case "a/dead/end":
			return Entry{}, bitbucket.ErrUnavailable
		}
		return Entry{}, ErrRepositoryNotFound
	}
	r := newTestResolver(t, w)
	if err := r.SetConfig(Config{Primary: testInstance(t, primaryURL), Connections: []Connection{
		{Server: testServer(t, "a", "https://host.example.com/a"), Pattern: testPattern(t, "a/{projectKey}/{repositorySlug}")},
		{Server: testServer(t, "b", "https://host.example.com/b"), Pattern: testPattern(t, "b/{projectKey}/{repositorySlug}")},
	}}); err != nil {
		t.Fatal(err)
	}
	r.ReplaceIndex([]Entry{
		{ID: bitbucket.RepoID{Connection: "a", Number: 1}, Address: bitbucket.Address{Key: "ONE", Slug: "x"}},
		{ID: bitbucket.RepoID{Connection: "b", Number: 1}, Address: bitbucket.Address{Key: "TWO", Slug: "x"}},
	})
	for url, want := range map[string]string{
		"ssh://git@host.example.com:7999/one/x.git":       "/a/ONE/x",
		"ssh://git@host.example.com:7999/two/x.git":       "/b/TWO/x",
		"git@host.example.com:two/later.git":              "/b/TWO/later",
		"https://host.example.com/b/projects/two/repos/x": "/b/TWO/x",
	} {
		if got := mustResolve(t, r, url).Link.URL; got != primaryURL+want {
			t.Errorf("%s links to %s, want %s", url, got, primaryURL+want)
		}
	}
	wantError(t, r, "ssh://git@host.example.com:7999/none/x.git", ErrRepositoryNotFound)
	wantError(t, r, "ssh://git@host.example.com:7999/dead/end.git", ErrBitbucketUnavailable)
	wantError(t, r, "https://host.example.com/a/projects/two/repos/x", ErrRepositoryNotFound)
}

func TestAProjectWithoutAPrefixIsUnsupported(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	config := linkConfig(t, primaryURL)
	config.Connections[0].Pattern = testPattern(t, "{repositorySlug}")
	if err := r.SetConfig(config); err != nil {
		t.Fatal(err)
	}
	wantError(t, r, "https://bitbucket.example.com/projects/PRJ", bitbucket.ErrUnsupportedPage)
	if got := mustResolve(t, r, repoURL).Link.URL; got != primaryURL+"/repo" {
		t.Errorf("its repository links to %s", got)
	}
}

func TestAMirrorThatPanicsEndsNothing(t *testing.T) {
	t.Parallel()
	var log testLog
	w := linkWorld()
	w.resolveRef = func(context.Context, bitbucket.RepoID, string) (string, error) { panic("a damaged pack") }
	r := newTestResolver(t, w, func(o *Options) { o.Logger = log.logger() })
	wantError(t, r, fileURL, errPanicked)
	if !strings.Contains(log.String(), "a damaged pack") {
		t.Errorf("the log does not tell: %s", log.String())
	}
	w.resolveRef = nil
	mustResolve(t, r, fileURL)
}

func TestAMirrorThatCannotBeRead(t *testing.T) {
	t.Parallel()
	var log testLog
	w := linkWorld()
	w.resolveRef = func(context.Context, bitbucket.RepoID, string) (string, error) {
		return "", errors.New("input/output error")
	}
	r := newTestResolver(t, w, func(o *Options) { o.Logger = log.logger() })
	got := mustResolve(t, r, fileURL)
	if got.Link.Kind != kindBlob || !got.Link.Exact || got.Link.Commit != "" || got.MaxAge > unsureTTL {
		t.Errorf("Bitbucket answers in its place: %s for %v", got.JSON, got.MaxAge)
	}
	if !strings.Contains(log.String(), "input/output error") {
		t.Errorf("nobody is told: %s", log.String())
	}
}

func TestAPullRequestWithoutCommits(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
		return bitbucket.PullRequest{}, nil
	}
	wantError(t, newTestResolver(t, w), pullURL, ErrBitbucketUnavailable)
}

func TestUsefulAnswersSurviveAFloodOfMadeUpURLs(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	r := newTestResolver(t, w, func(o *Options) { o.CacheEntries = 512 })
	useful := func(i int) string { return fmt.Sprintf("%s/browse/cmd/a.go?at=main#%d", repoURL, i+1) }
	for i := range 100 {
		mustResolve(t, r, useful(i))
		mustResolve(t, r, useful(i))
	}
	for i := range 5000 {
		mustResolve(t, r, fmt.Sprintf("%s/commits/made-up-%d?noise=%d", repoURL, i, i))
		wantError(t, r, fmt.Sprintf("https://bitbucket.example.com/projects/A/repos/made-up-%d", i), ErrRepositoryNotFound)
	}
	lost := 0
	for i := range 100 {
		if !mustResolve(t, r, useful(i)).Hit {
			lost++
		}
	}
	if lost > 5 {
		t.Errorf("%d of 100 useful answers were pushed out", lost)
	}
	stats := r.Stats()
	if stats.Links > 512 || stats.Evictions == 0 {
		t.Errorf("%d links, %d evictions, want at most 512 and some", stats.Links, stats.Evictions)
	}
	if n := r.state.Load().caches.negatives.len(); n > 64 {
		t.Errorf("%d negatives, want at most 64", n)
	}
}

func TestNoiseInAURLFillsNothing(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	mustResolve(t, r, fileURL)
	for i, url := range []string{
		fileURL + "&x=1", strings.Replace(fileURL, "PRJ", "prj", 1), strings.Replace(fileURL, "bitbucket.", "stash.", 1),
		fileURL + "#L12", strings.Replace(fileURL, "cmd/a.go", "cmd%2Fa.go", 1), strings.Replace(fileURL, "projects/PRJ/repos/repo", "projects/old/repos/legacy", 1),
	} {
		if !mustResolve(t, r, url).Hit {
			t.Errorf("%d: %s is not the same request", i, url)
		}
	}
	if got := r.Stats(); got.Links != 1 || got.Hits != 6 || got.Misses != 1 {
		t.Errorf("Stats = %+v, want 1 link, 6 hits, 1 miss", got)
	}
}

func TestALongAnswerIsNotCached(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	url := repoURL + "/commits?path=" + strings.Repeat("x/", 2000)
	mustResolve(t, r, url)
	if mustResolve(t, r, url).Hit || r.Stats().Links != 0 {
		t.Error("it is cached")
	}
}

func TestTheGuardRefusesLinksOutsideThePrimaryURL(t *testing.T) {
	t.Parallel()
	primary := testInstance(t, "https://sourcegraph.example.com/sub")
	for url, want := range map[string]bool{
		"https://sourcegraph.example.com/sub":            true,
		"https://sourcegraph.example.com/sub/a":          true,
		"https://sourcegraph.example.com/sub?q=a":        true,
		"https://sourcegraph.example.com/subway/a":       false,
		"https://sourcegraph.example.com/":               false,
		"https://sourcegraph.example.com/sub@evil.test/": false,
		"https://sourcegraph.com/sub/a":                  false,
		"http://sourcegraph.example.com/sub/a":           false,
		"//sourcegraph.example.com/sub/a":                false,
		"":                                               false,
	} {
		link := Link{URL: url}
		if got := link.check(primary) == nil; got != want {
			t.Errorf("url %q passes: %t, want %t", url, got, want)
		}
		link = Link{URL: primary.String(), Links: map[string]string{kindBlob: url}}
		if got := link.check(primary) == nil; got != want {
			t.Errorf("links.blob %q passes: %t, want %t", url, got, want)
		}
	}
	if err := (&Link{URL: "/a"}).check(sourcegraph.Instance{}); !errors.Is(err, ErrPrimaryURLNotSet) {
		t.Errorf("without a primary URL: %v", err)
	}
}

// No link can hold a repository that is called "..": browsers would leave the primary's path.
func TestARepositoryThatNoLinkCanHoldHasNone(t *testing.T) {
	t.Parallel()
	var log testLog
	w := linkWorld()
	r := newTestResolver(t, w, func(o *Options) { o.Logger = log.logger() })
	odd := bitbucket.Address{Key: "PRJ", Slug: "odd"}
	r.UpdateIndex([]Entry{entryAt(79, "PRJ", "..", odd)}, nil)
	for _, page := range []string{"", "/branches", "/commits/main", "/compare?sourceBranch=main"} {
		wantError(t, r, "https://bitbucket.example.com/projects/PRJ/repos/odd"+page, errForeignLink)
	}
	if !strings.Contains(log.String(), "refused a link") {
		t.Errorf("nobody is told: %s", log.String())
	}
}

func TestALookupThatFindsARepositoryOfAnotherConnectionFoundNothing(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.find = func(context.Context, string, bitbucket.Address) (Entry, error) {
		return Entry{ID: bitbucket.RepoID{Connection: "two", Number: 1}, Address: bitbucket.Address{Key: "TEAM", Slug: "service"}}, nil
	}
	wantError(t, newTestResolver(t, w), "https://bitbucket.example.com/projects/A/repos/b", ErrRepositoryNotFound)
}

// Each pair differs in one thing that is part of the key of the cache.
func TestPagesThatDifferDoNotShareAnAnswer(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"/browse?at=main", "/browse?at=v1.0"},
		{"/browse/nope", "/browse/nope/"},
		{"/browse/cmd", "/browse/docs"},
		{"/browse/cmd/a.go#1", "/browse/cmd/a.go#1-2"},
		{"/browse/cmd/a.go#1", "/browse/cmd/a.go#1,2"},
		{"/browse", "/settings"},
		{"/diff/cmd/a.go?at=main", "/diff/cmd/a.go?until=main"},
		{"/diff/cmd/a.go?until=main", "/diff/cmd/a.go?until=main&since=v1"},
		{"/commits/main", "/commits/v1.0"},
		{"/commits/main", "/commits/main?since=v1.0"},
		{"/commits/main", "/commits/main#cmd/a.go"},
		{"/compare?sourceBranch=main", "/compare?sourceBranch=main&targetBranch=v1.0"},
		{"/compare?sourceBranch=main", "/compare?sourceBranch=main&targetRepoId=9"},
		{"/compare?sourceBranch=main&targetRepoId=8", "/compare?sourceBranch=v1&targetRepoId=8"},
		{"/pull-requests/7", "/pull-requests/8"},
		{"/pull-requests/7#cmd/a.go", "/pull-requests/7#README.md"},
		{"/pull-requests/7#cmd/a.go?t=3", "/pull-requests/7#cmd/a.go?f=3"},
		{"/pull-requests/7#cmd/a.go?t=3", "/pull-requests/7#cmd/a.go?t=4"},
		{"/branches", "/tags"},
	} {
		t.Run(pair[0]+" and "+pair[1], func(t *testing.T) {
			t.Parallel()
			r := newTestResolver(t, linkWorld())
			first, second := mustResolve(t, r, repoURL+pair[0]), mustResolve(t, r, repoURL+pair[1])
			if second.Hit || string(first.JSON) == string(second.JSON) {
				t.Errorf("they share %s", second.JSON)
			}
		})
	}
}
