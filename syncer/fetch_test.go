package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

func TestFetchStoresWhatItFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	var request FetchRequest
	b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
		request = r
		return FetchResult{Cloned: true, Changed: true, RefsDigest: "d1", DefaultBranch: "main", SizeBytes: 7}, nil
	}
	f, err := b.fetch(t.Context(), id(1), fetchOptions{})
	if err != nil || f.outcome != outcomeCloned {
		t.Fatalf("fetch: %v, %v", f, err)
	}
	if request.Repo != id(1) || request.CloneURL != "https://bitbucket.example.com/scm/prj/a.git" || request.Transport == nil {
		t.Errorf("request %+v", request)
	}
	want := MirrorStatus{
		LastFetch: b.clock, LastChange: b.clock, NextFetch: b.clock.Add(45 * time.Second),
		RefsDigest: "d1", DefaultBranch: "main", SizeBytes: 7,
	}
	if diff := cmp.Diff(want, b.memory.record(t, id(1)).Mirror); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bitbucket.RepoID{id(1)}, b.listener.refs); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}

	// An hour later nothing has changed: half the time since the last change.
	cloned := b.clock
	b.clock = b.clock.Add(time.Hour)
	b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
		return FetchResult{RefsDigest: r.RefsDigest, DefaultBranch: r.DefaultBranch, SizeBytes: 7}, nil
	}
	if f, err := b.fetch(t.Context(), id(1), fetchOptions{}); err != nil || f.outcome != outcomeUnchanged {
		t.Fatalf("fetch: %v, %v", f, err)
	}
	want.LastFetch, want.LastChange, want.NextFetch = b.clock, cloned, b.clock.Add(30*time.Minute)
	if diff := cmp.Diff(want, b.memory.record(t, id(1)).Mirror); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if len(b.listener.refs) != 1 {
		t.Errorf("announced %d times, want once", len(b.listener.refs))
	}
}

func TestAFailedFetchKeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	if _, err := b.fetch(t.Context(), id(1), fetchOptions{}); err != nil {
		t.Fatal(err)
	}
	before := b.memory.record(t, id(1)).Mirror
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		return FetchResult{}, fmt.Errorf("%w: 503 from https://x?access=canary-token\x1b[31m", bitbucket.ErrUnavailable)
	}
	for failures := 1; failures <= 2; failures++ {
		b.clock = b.clock.Add(time.Minute)
		f, err := b.fetch(t.Context(), id(1), fetchOptions{asked: true})
		if err != nil || f.outcome != outcomeFailed {
			t.Fatalf("fetch: %v, %v", f, err)
		}
		want := before
		want.Failures = failures
		want.Error = "Bitbucket does not answer as it should; Signpost tries again by itself (Bitbucket is not available: 503 from https://x?access=[redacted] [31m)"
		want.NextFetch = b.clock.Add(minFetchDelay << failures)
		if failures == 2 {
			want.NextFetch = b.clock.Add(4 * time.Minute) // four times half of two minutes
		}
		if diff := cmp.Diff(want, b.memory.record(t, id(1)).Mirror); diff != "" {
			t.Errorf("status after %d failures (-want +got):\n%s", failures, diff)
		}
	}
	if len(b.listener.refs) != 1 {
		t.Errorf("announced %d times, want once", len(b.listener.refs))
	}
}

func TestAFullDiskIsLookedAtAgainSoonHoweverOftenItWasFull(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		return FetchResult{}, fmt.Errorf("write: %w", ErrNoSpace)
	}
	for failures := 1; failures <= 12; failures++ {
		f, err := b.fetch(t.Context(), id(1), fetchOptions{asked: true})
		if err != nil || f.outcome != outcomeFailed {
			t.Fatalf("fetch: %v, %v", f, err)
		}
		if got := b.memory.record(t, id(1)).Mirror; got.NextFetch.After(b.clock.Add(noSpaceDelay)) || got.Failures != failures {
			t.Errorf("after %d failures: %+v", failures, got)
		}
	}
}

func TestFetchLeavesAloneWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(b *bench, r *Record)
		asked  bool
		want   outcome
	}{
		{"a wanted one is fetched", func(*bench, *Record) {}, false, outcomeCloned},
		{"one that is not selected", func(_ *bench, r *Record) { r.Selected = false }, true, outcomeSkipped},
		{"one that is OFFLINE", func(_ *bench, r *Record) { r.State = bitbucket.StateOffline }, true, outcomeSkipped},
		{"one that is missing", func(b *bench, r *Record) { r.MissingSince = b.clock }, true, outcomeSkipped},
		{"one that is not due", func(b *bench, r *Record) { r.Mirror.NextFetch = b.clock.Add(time.Second) }, false, outcomeSkipped},
		{"one that is not due, asked for", func(b *bench, r *Record) { r.Mirror.NextFetch = b.clock.Add(time.Second) }, true, outcomeCloned},
		{"one that is due now", func(b *bench, r *Record) { r.Mirror.NextFetch = b.clock }, false, outcomeCloned},
		{"one whose connection is gone", func(b *bench, _ *Record) { b.SetConfig(&siteconfig.Config{}) }, true, outcomeSkipped},
		{
			"an update while these are disabled",
			func(b *bench, r *Record) {
				r.Mirror.LastFetch = b.clock.Add(-time.Hour)
				b.SetConfig(&siteconfig.Config{DisableAutoGitUpdates: true, Connections: []siteconfig.Connection{connectionOf("bitbucket", nil)}})
			},
			false, outcomeSkipped,
		},
		{
			"a first fetch while updates are disabled",
			func(b *bench, _ *Record) {
				b.SetConfig(&siteconfig.Config{DisableAutoGitUpdates: true, Connections: []siteconfig.Connection{connectionOf("bitbucket", nil)}})
			},
			false, outcomeCloned,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			r := Record{Repository: repo(1, "PRJ/a"), Selected: true}
			c.change(b, &r)
			b.memory.records[r.ID] = r
			f, err := b.fetch(t.Context(), r.ID, fetchOptions{asked: c.asked})
			if err != nil || f.outcome != c.want {
				t.Errorf("fetch: %v, %v; want %v", f.outcome, err, c.want)
			}
		})
	}
	t.Run("one that the index lacks", func(t *testing.T) {
		t.Parallel()
		if f, err := newBench(t).fetch(t.Context(), id(1), fetchOptions{asked: true}); err != nil || f.outcome != outcomeSkipped {
			t.Errorf("fetch: %v, %v", f, err)
		}
	})
}

func TestARefusedFetchPostponesTheOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	fetches := 0
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		fetches++
		b.host.account = func() (string, error) { return "", bitbucket.ErrUnauthorized }
		return FetchResult{}, fmt.Errorf("%w: git", bitbucket.ErrUnauthorized)
	}
	first, err := b.fetch(t.Context(), id(1), fetchOptions{})
	if err != nil || first.outcome != outcomeFailed {
		t.Fatalf("first: %v, %v", first, err)
	}
	before := b.memory.record(t, id(2))
	second, err := b.fetch(t.Context(), id(2), fetchOptions{})
	if err != nil || second.outcome != outcomePostponed || fetches != 1 {
		t.Errorf("second: %v, %v after %d fetches; want it postponed, untried", second, err, fetches)
	}
	if diff := cmp.Diff(before, b.memory.record(t, id(2))); diff != "" {
		t.Errorf("the postponed one's record changed (-before +after):\n%s", diff)
	}
	// REST accepts the credential at the next listing: git may try again, once.
	b.host.account = nil
	b.listNow(t, "bitbucket")
	for range 2 {
		if _, err := b.fetch(t.Context(), id(2), fetchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if fetches != 2 {
		t.Errorf("%d fetches after the listing, want one more", fetches)
	}
}

func TestARepositoryThatGitMayNotReadStopsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	b.mirrors.fetch = func(_ context.Context, r FetchRequest) (FetchResult, error) {
		if r.Repo == id(1) {
			return FetchResult{}, fmt.Errorf("%w: git", bitbucket.ErrUnauthorized)
		}
		return FetchResult{Cloned: true}, nil
	}
	before := b.host.count("account")
	first, err := b.fetch(t.Context(), id(1), fetchOptions{})
	if err != nil || first.outcome != outcomeFailed || !strings.Contains(first.problem, "but not for reading this repository") {
		t.Errorf("the one that git may not read: %v, %v", first, err)
	}
	if n := b.host.count("account") - before; n != 1 {
		t.Errorf("Bitbucket was asked %d times whether it accepts the credential, want once", n)
	}
	if second, err := b.fetch(t.Context(), id(2), fetchOptions{}); err != nil || second.outcome != outcomeCloned {
		t.Errorf("the other one: %v, %v; want it cloned at once", second, err)
	}
}

func TestFetchChecksTheCredentialBeforeGitUsesIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	b.host.account = func() (string, error) { return "", bitbucket.ErrUnauthorized }
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		t.Error("git used a credential that REST refuses")
		return FetchResult{}, nil
	}
	for range 3 {
		if f, err := b.fetch(t.Context(), id(1), fetchOptions{}); err != nil || f.outcome == outcomeCloned {
			t.Errorf("fetch: %v, %v", f, err)
		}
	}
	if got := b.host.count("account"); got != 1 {
		t.Errorf("asked %d times, want once", got)
	}
}

func TestAFetchThatTakesTooLongFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.opts.FetchTimeout = time.Nanosecond
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	b.mirrors.fetch = func(ctx context.Context, _ FetchRequest) (FetchResult, error) {
		<-ctx.Done()
		return FetchResult{}, ctx.Err()
	}
	b.connection("bitbucket").credential.accepted = true
	f, err := b.fetch(t.Context(), id(1), fetchOptions{})
	if err != nil || f.outcome != outcomeFailed || !strings.HasPrefix(f.problem, "it took longer than Signpost waits") {
		t.Errorf("fetch: %+v, %v", f, err)
	}
}

func TestAFetchThatAShutdownCutsOffIsNoFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	ctx, cancel := context.WithCancel(t.Context())
	b.mirrors.fetch = func(ctx context.Context, _ FetchRequest) (FetchResult, error) {
		cancel()
		<-ctx.Done()
		return FetchResult{}, ctx.Err()
	}
	if _, err := b.fetch(ctx, id(1), fetchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(MirrorStatus{}, b.memory.record(t, id(1)).Mirror); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestCloneURL(t *testing.T) {
	t.Parallel()
	alias, err := bitbucket.ParseBaseURL("https://stash.example.com/context")
	if err != nil {
		t.Fatal(err)
	}
	conn := connectionOf("bitbucket", func(c *siteconfig.Connection) { c.Server.Addresses = append(c.Server.Addresses, alias) })
	const own = "https://bitbucket.example.com/scm/prj/app.git"
	for _, c := range []struct{ name, given, want string }{
		{"the address that Bitbucket gave", own, own},
		{"an address on an alias", "https://stash.example.com/context/scm/prj/app.git", "https://stash.example.com/context/scm/prj/app.git"},
		{"another host gets no credential", "https://elsewhere.example.com/scm/prj/app.git", own},
		{"a host that begins alike", "https://bitbucket.example.com.evil.example/scm/prj/app.git", own},
		{"another scheme", "http://bitbucket.example.com/scm/prj/app.git", own},
		{"user info", "https://bot@bitbucket.example.com/scm/prj/app.git", own},
		{"no address", "", own},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := repo(1, "PRJ/app")
			r.CloneHTTP = c.given
			got, err := cloneURL(&conn, r)
			if err != nil || got != c.want {
				t.Errorf("cloneURL: %q, %v; want %q", got, err, c.want)
			}
		})
	}
	t.Run("ssh is refused with the mend", func(t *testing.T) {
		t.Parallel()
		ssh := conn
		ssh.GitURLType = "ssh"
		if _, err := cloneURL(&ssh, repo(1, "PRJ/app")); !errors.Is(err, errNoSSH) {
			t.Errorf("error %v", err)
		}
	})
}
