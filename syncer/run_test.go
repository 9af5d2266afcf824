package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// progressLog keeps what a run tells.
type progressLog struct {
	mu    sync.Mutex
	lines []string
}

func (p *progressLog) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

func (p *progressLog) Listed(connection string, found int) { p.add("listed %s %d", connection, found) }
func (p *progressLog) Total(n int)                         { p.add("total %d", n) }
func (p *progressLog) Started(repository string)           { p.add("started %s", repository) }
func (p *progressLog) Said(repository, text string)        { p.add("said %s %s", repository, text) }
func (p *progressLog) Finished(repository string, r FetchResult, problem string) {
	p.add("finished %s %v %s", repository, r.Changed, problem)
}

func TestRunOnceListsAndFetches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"), repo(3, "PRJ/c"))
	b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
		switch r.Repo.Number {
		case 1:
			r.Progress("Receiving objects")
			return FetchResult{Cloned: true, Changed: true, Received: 1000, Engine: siteconfig.EngineGit}, nil
		case 2:
			return FetchResult{}, bitbucket.ErrNotFound
		}
		return FetchResult{Received: 23, Engine: siteconfig.EngineGoGit}, nil
	}
	log := &progressLog{}
	report, err := b.RunOnce(t.Context(), RunOptions{Progress: log})
	if err != nil {
		t.Fatal(err)
	}
	const gone = "it does not exist on Bitbucket, or the account may not see it; give the account read permission if it should be there (not found on Bitbucket, or not visible to the account)"
	want := Report{
		Connections: []ConnectionStatus{{
			Connection: "bitbucket", Version: "7.21.0", Account: "bot", LastComplete: b.clock, LastAttempt: b.clock, Listed: 3, Selected: 3,
		}},
		Repositories: 3, Cloned: 1, Unchanged: 1, Failed: 1,
		Failures: []Failure{{Connection: "bitbucket", Repository: "PRJ/b", Error: gone}},
		Received: 1023, Engines: map[string]int{siteconfig.EngineGit: 1, siteconfig.EngineGoGit: 1},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	slices.Sort(log.lines)
	wantLines := []string{
		"finished bitbucket:PRJ/a true ", "finished bitbucket:PRJ/b false " + gone, "finished bitbucket:PRJ/c false ",
		"listed bitbucket 2", "listed bitbucket 3", "said bitbucket:PRJ/a Receiving objects",
		"started bitbucket:PRJ/a", "started bitbucket:PRJ/b", "started bitbucket:PRJ/c", "total 3",
	}
	if diff := cmp.Diff(wantLines, log.lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestRunOnceFetchesOnlyWhatIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		only   []string
		want   []int64
		failed string // a part of the first failure's error
	}{
		{"a key and slug in any case", []string{"prj/A"}, []int64{1}, ""},
		{"with the connection", []string{"bitbucket:PRJ/b"}, []int64{2}, ""},
		{"one named twice", []string{"PRJ/a", "bitbucket:PRJ/a"}, []int64{1}, ""},
		{"another connection", []string{"elsewhere:PRJ/a"}, nil, "no connection has it"},
		{"one that does not exist, beside one that does", []string{"PRJ/none", "PRJ/a"}, []int64{1}, "no connection has it"},
		{"one that is not selected", []string{"OLD/x"}, nil, "excluded by exclude[0]"},
		{"no name of a repository", []string{"PRJ"}, nil, "write KEY/slug"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) {
				c.Exclude = []siteconfig.Exclusion{{Pattern: "^OLD/"}}
			}))
			b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"), repo(3, "OLD/x"))
			var mu sync.Mutex
			var got []int64
			b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, r.Repo.Number)
				return FetchResult{}, nil
			}
			report, err := b.RunOnce(t.Context(), RunOptions{Only: c.only})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("fetched (-want +got):\n%s", diff)
			}
			if c.failed == "" {
				if len(report.Failures) != 0 {
					t.Errorf("failures %+v", report.Failures)
				}
				return
			}
			if len(report.Failures) != 1 || !strings.Contains(report.Failures[0].Error, c.failed) {
				t.Errorf("failures %+v, want one that says %q", report.Failures, c.failed)
			}
		})
	}
}

func TestRunOnceFetchesWhatIsKnownWhenAListingFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.clock = b.clock.AddDate(0, 0, 1)
	b.host.list = func(ListQuery, func([]bitbucket.Repository) error) error { return bitbucket.ErrIncompleteListing }
	report, err := b.RunOnce(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Cloned != 1 || len(report.Failures) != 1 || report.Failures[0].Repository != "" {
		t.Errorf("report %+v, want one clone and the connection's failure", report)
	}
}

func TestRunOnceSaysOnceThatACredentialIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var all []bitbucket.Repository
	for n := range int64(20) {
		all = append(all, repo(n+1, fmt.Sprintf("PRJ/r%d", n)))
	}
	b.host.serve(all...)
	var mu sync.Mutex
	fetches := 0
	var revoked atomic.Bool
	b.host.account = func() (string, error) {
		if revoked.Load() {
			return "", bitbucket.ErrUnauthorized
		}
		return "bot", nil
	}
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		mu.Lock()
		defer mu.Unlock()
		fetches++
		revoked.Store(true)
		return FetchResult{}, bitbucket.ErrUnauthorized
	}
	report, err := b.RunOnce(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if fetches > 2 { // gitMaxConcurrentClones
		t.Errorf("%d fetches with a refused credential, want 2 at most", fetches)
	}
	if report.Failed != 20 || len(report.Failures) != fetches+1 {
		t.Errorf("%d failed, %d failures; want 20, and one for each of %d fetches and one for the rest", report.Failed, len(report.Failures), fetches)
	}
	if first := report.Failures[0].Error; !strings.Contains(first, "repositories were not tried") {
		t.Errorf("failure %q", first)
	}
}

func TestRunOnceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	ctx, cancel := context.WithCancel(t.Context())
	b.mirrors.fetch = func(ctx context.Context, _ FetchRequest) (FetchResult, error) {
		cancel()
		return FetchResult{}, ctx.Err()
	}
	if _, err := b.RunOnce(ctx, RunOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
