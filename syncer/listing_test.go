package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/sourcegraph"
)

func TestListingStreamsWhatItFinds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"), repo(3, "~me/c"))
	status := b.listNow(t, "bitbucket")

	want := ConnectionStatus{
		Connection: "bitbucket", Version: "7.21.0", Account: "bot", LastComplete: b.clock, LastAttempt: b.clock, Listed: 3, Selected: 3,
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"PRJ/a", "PRJ/b", "~me/c"}, b.memory.selected()); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
	if len(b.listener.changes) != 2 {
		t.Errorf("announced %d times, want once for each of the two pages", len(b.listener.changes))
	}
	wantJobs := []string{
		`fetch {"connection":"bitbucket","number":1}`, `fetch {"connection":"bitbucket","number":2}`, `fetch {"connection":"bitbucket","number":3}`,
	}
	if diff := cmp.Diff(wantJobs, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	stored := b.memory.statuses["bitbucket"]
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Errorf("stored status (-want +got):\n%s", diff)
	}
}

func TestListingAnnouncesAfterItStored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.memory.fail = func(method string) error {
		if method == "SaveFound" {
			return errors.New("disk full")
		}
		return nil
	}
	if _, err := b.list(t.Context(), b.connection("bitbucket"), nil); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v, want the database's", err)
	}
	if len(b.listener.changes) != 0 {
		t.Errorf("announced %v, which is not stored", b.listener.changes)
	}
	if len(b.memory.finished) != 0 {
		t.Error("finished a listing that could not be stored")
	}
	if !b.connection("bitbucket").changed.Load() {
		t.Error("the next sweep does not try again")
	}
}

// Every reason to doubt a listing, and that nothing leaves the index for it.
func TestNothingIsRemovedOnDoubt(t *testing.T) {
	t.Parallel()
	everything := []bitbucket.Repository{repo(1, "PRJ/a"), repo(2, "PRJ/b"), repo(3, "OTHER/c")}
	all := []string{"PRJ/a", "PRJ/b", "OTHER/c"}
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		then   func(b *bench) // what the second listing meets
		want   []string       // selected after it
		status string         // a part of the status
	}{
		{
			"a listing that fails at once", nil,
			func(b *bench) {
				b.host.list = func(ListQuery, func([]bitbucket.Repository) error) error {
					return fmt.Errorf("%w: 503", bitbucket.ErrUnavailable)
				}
			},
			all, "Bitbucket does not answer as it should",
		},
		{
			"a listing that is cut short", nil,
			func(b *bench) {
				b.host.list = func(_ ListQuery, yield func([]bitbucket.Repository) error) error {
					return errors.Join(yield(everything[:1]), bitbucket.ErrIncompleteListing)
				}
			},
			all, "the listing broke off; nothing is removed",
		},
		{
			"an expired token, which is refused", nil,
			func(b *bench) {
				b.host.account = func() (string, error) { return "", bitbucket.ErrUnauthorized }
				b.host.serve()
			},
			all, "check token, or username and password",
		},
		{
			"a token that expires on the way: 200 and a shorter list", nil,
			func(b *bench) {
				b.host.serve(everything[2])
				b.host.account = func() (string, error) {
					if b.host.count("list ") > 1 { // the first was the first listing's
						return "", bitbucket.ErrUnauthorized
					}
					return "bot", nil
				}
			},
			all, "check token, or username and password",
		},
		{
			"an account that is another one at the end", nil,
			func(b *bench) {
				b.host.serve(everything[2])
				b.host.account = func() (string, error) {
					if b.host.count("list ") > 1 {
						return "", nil
					}
					return "bot", nil
				}
			},
			all, `the account changed from "bot" to "" during the listing`,
		},
		{
			"an empty listing", nil,
			func(b *bench) { b.host.serve() },
			all, "the listing found no repository at all; the 3 known ones stay",
		},
		{
			"an account locked by a CAPTCHA", nil,
			func(b *bench) {
				b.host.account = func() (string, error) {
					return "", fmt.Errorf("%w: %w", bitbucket.ErrForbidden, bitbucket.ErrCaptcha)
				}
			},
			all, "solve the CAPTCHA",
		},
		{
			"a token on a Bitbucket without tokens", nil,
			func(b *bench) {
				b.host.account = func() (string, error) {
					return "", fmt.Errorf("%w: Bitbucket 5.4.1", bitbucket.ErrTokensUnsupported)
				}
			},
			all, "use username and password",
		},
		{
			"a missing repos entry",
			func(c *siteconfig.Connection) { c.Repos = []string{"PRJ/a", "PRJ/b", "OTHER/c"} },
			func(b *bench) { b.host.serve(everything[0], everything[2]) },
			all, "repos PRJ/b: it does not exist on Bitbucket, or the account may not see it; give the account read permission if it should be there",
		},
		{
			"a missing project",
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ", "OTHER"} },
			func(b *bench) {
				b.host.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
					if query.ProjectKey == "PRJ" {
						return bitbucket.ErrNotFound
					}
					return yield(everything[2:])
				}
			},
			all, "projectKeys PRJ: it does not exist on Bitbucket",
		},
		{
			"a project that answers 401 while the credential holds",
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ", "OTHER"} },
			func(b *bench) {
				b.host.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
					if query.ProjectKey == "PRJ" {
						return bitbucket.ErrUnauthorized
					}
					return yield([]bitbucket.Repository{everything[2], repo(4, "OTHER/new")})
				}
			},
			append(slices.Clone(all), "OTHER/new"), "projectKeys PRJ: ",
		},
		{
			"more missing than maxDeletions",
			func(c *siteconfig.Connection) { c.MaxDeletions = 1 },
			func(b *bench) { b.host.serve(everything[0]) },
			[]string{"PRJ/a", "OTHER/c"},
			"2 repositories are missing and maxDeletions is 1; 1 of them stay for now",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.config))
			b.host.serve(everything...)
			first := b.listNow(t, "bitbucket")
			if first.Error != "" || len(b.memory.selected()) != 3 {
				t.Fatalf("first listing: %+v", first)
			}
			completed := b.clock
			b.clock = b.clock.Add(time.Minute)
			c.then(b)
			status := b.listNow(t, "bitbucket")
			if diff := cmp.Diff(c.want, b.memory.selected()); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			if !strings.Contains(status.Error, c.status) {
				t.Errorf("status %q does not say %q", status.Error, c.status)
			}
			if !status.LastAttempt.Equal(b.clock) {
				t.Errorf("last attempt %v, want %v", status.LastAttempt, b.clock)
			}
			if status.Withheld == 0 && !status.LastComplete.Equal(completed) {
				t.Errorf("last complete %v, want that of the first listing, %v", status.LastComplete, completed)
			}
		})
	}
}

func TestACompleteListingRemovesWhatItLacks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	b.host.serve(repo(1, "PRJ/a"))
	status := b.listNow(t, "bitbucket")
	if diff := cmp.Diff([]string{"PRJ/a"}, b.memory.selected()); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
	if status.Missing != 1 || status.Withheld != 0 || status.Error != "" {
		t.Errorf("status %+v, want one missing and no error", status)
	}
	last := b.listener.changes[len(b.listener.changes)-1]
	if diff := cmp.Diff([]bitbucket.RepoID{id(2)}, last.Removed); diff != "" {
		t.Errorf("announced as removed (-want +got):\n%s", diff)
	}
}

func TestAnOfflineRepositoryIsNotMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	if _, err := b.fetch(t.Context(), id(2), fetchOptions{}); err != nil {
		t.Fatal(err)
	}
	offline := repo(2, "PRJ/b")
	offline.State = bitbucket.StateOffline
	b.host.serve(repo(1, "PRJ/a"), offline)
	b.listNow(t, "bitbucket")
	r := b.memory.record(t, id(2))
	if r.Selected || r.Reason != "Bitbucket gives it the state OFFLINE, and only one that is AVAILABLE can be read; it comes back by itself when its state does" || !r.MissingSince.IsZero() {
		t.Errorf("record %+v, want one that is there, not selected, because it is OFFLINE", r)
	}
	if r.Mirror.RefsDigest != "d1" {
		t.Error("the status of its mirror is gone")
	}
}

func TestARenameKeepsTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.host.serve(repo(1, "NEW/b"))
	b.listNow(t, "bitbucket")
	r := b.memory.record(t, id(1))
	if r.Address != (bitbucket.Address{Key: "NEW", Slug: "b"}) || !r.Selected {
		t.Errorf("record %+v, want it selected at NEW/b", r)
	}
	if diff := cmp.Diff([]bitbucket.Address{{Key: "PRJ", Slug: "a"}}, r.Former); diff != "" {
		t.Errorf("former addresses (-want +got):\n%s", diff)
	}
}

func TestListingAsksOnlyWhatTheSelectorsNeed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		want   []string
	}{
		{"nothing configured", nil, []string{"account", "list ", "account"}},
		{
			"none", func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"none"} },
			[]string{"account", "account"},
		},
		{
			"the union of all", func(c *siteconfig.Connection) {
				c.Repos, c.ProjectKeys = []string{"A/a"}, []string{"PRJ"}
				c.RepositoryQuery = []string{"none", "?name=x", "all"}
			},
			[]string{"account", "one A/a", "list PRJ", "list ?name=x", "list ", "account"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.config))
			b.host.serve(repo(1, "A/a"), repo(2, "PRJ/b"))
			if status := b.listNow(t, "bitbucket"); status.Error != "" {
				t.Errorf("status: %s", status.Error)
			}
			if diff := cmp.Diff(c.want, b.host.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListingCreditsTheSelectorThatTakesARepository(t *testing.T) {
	t.Parallel()
	// A Bitbucket before 8.0 ignores projectkey and finds everything.
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) {
		c.RepositoryQuery = []string{"?projectkey=PRJ", "?name=lib"}
	}))
	b.host.serve(repo(1, "PRJ/a"), repo(2, "OTHER/b"), repo(3, "OTHER/lib"), repo(4, "OTHER/mylib"))
	list := b.host.list
	b.host.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
		if query.Query == "?name=lib" {
			return yield([]bitbucket.Repository{repo(3, "OTHER/lib"), repo(4, "OTHER/mylib")})
		}
		return list(query, yield)
	}
	status := b.listNow(t, "bitbucket")
	if status.Listed != 4 || status.Selected != 3 {
		t.Errorf("status %+v, want 4 listed and 3 selected", status)
	}
	got := make(map[int64]string)
	for n := int64(1); n <= 4; n++ {
		got[n] = b.memory.record(t, id(n)).Reason
	}
	want := map[int64]string{
		1: `selected by repositoryQuery "?projectkey=PRJ"`,
		2: "not selected: none of repos, projectKeys and repositoryQuery of its connection takes it; add it to one of them if it should be there",
		3: `selected by repositoryQuery "?name=lib"`,
		4: `selected by repositoryQuery "?name=lib"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestANarrowerConfigurationSaysWhy(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.MaxDeletions = 1 }))
	b.host.serve(repo(1, "PRJ/a"), repo(2, "OTHER/b"), repo(3, "OTHER/c"))
	b.listNow(t, "bitbucket")
	b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{
		connectionOf("bitbucket", func(c *siteconfig.Connection) { c.MaxDeletions, c.ProjectKeys = 1, []string{"PRJ"} }),
	}})
	status := b.listNow(t, "bitbucket")
	if status.Missing != 0 || status.Error != "" {
		t.Errorf("status %+v, want nothing missing: the configuration dropped them", status)
	}
	b.listNow(t, "bitbucket") // and it stays so
	if r := b.memory.record(t, id(3)); r.Selected || r.Reason != "not selected: none of repos, projectKeys and repositoryQuery of its connection takes it; add it to one of them if it should be there" || !r.MissingSince.IsZero() {
		t.Errorf("record %+v, want one that no selector takes", r)
	}
	if diff := cmp.Diff([]string{"PRJ/a"}, b.memory.selected()); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
}

func TestAfterANarrowerConfigurationAnEmptyListingProvesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.host.serve()
	b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{
		connectionOf("bitbucket", func(c *siteconfig.Connection) { c.ProjectKeys = []string{"OTHER"} }),
	}})
	if status := b.listNow(t, "bitbucket"); !strings.Contains(status.Error, "found no repository at all") {
		t.Errorf("status %q", status.Error)
	}
	if r := b.memory.record(t, id(1)); r.Selected || r.Reason != reasonNotTaken || !r.MissingSince.IsZero() {
		t.Errorf("record %+v, want one that no selector takes and that is not missing", r)
	}
}

func TestNoneTakesEverythingOutOfTheSelection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{
		connectionOf("bitbucket", func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"none"} }),
	}})
	if status := b.listNow(t, "bitbucket"); status.Error != "" {
		t.Errorf("status %q, want none", status.Error)
	}
	if got := b.memory.selected(); len(got) != 0 {
		t.Errorf("selected %v, want nothing", got)
	}
}

func TestAListingGivesUpOnADeadBitbucket(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) {
		c.ProjectKeys = []string{"A", "B", "C", "D", "E"}
	}))
	b.host.list = func(ListQuery, func([]bitbucket.Repository) error) error { return bitbucket.ErrUnavailable }
	status := b.listNow(t, "bitbucket")
	if got := strings.Count(status.Error, "projectKeys"); got != maxFailuresInARow {
		t.Errorf("asked for %d projects, want %d:\n%s", got, maxFailuresInARow, status.Error)
	}
	if !strings.Contains(status.Error, "was not asked for the rest") {
		t.Errorf("status %q", status.Error)
	}
}

func TestOneBadProjectDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) {
		c.ProjectKeys = []string{"A", "B", "C"}
	}))
	b.host.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
		if query.ProjectKey == "B" {
			return fmt.Errorf("%w: 500", bitbucket.ErrUnavailable)
		}
		return yield([]bitbucket.Repository{repo(int64(query.ProjectKey[0]), query.ProjectKey+"/x")})
	}
	status := b.listNow(t, "bitbucket")
	if diff := cmp.Diff([]string{"A/x", "C/x"}, b.memory.selected()); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(status.Error, "projectKeys B: ") || !status.LastComplete.IsZero() {
		t.Errorf("status %+v, want it incomplete because of B", status)
	}
}

func TestARefusedCredentialIsLeftAloneUntilAListingFindsItAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	b.host.serve(repo(1, "PRJ/a"))
	refused := true
	b.host.account = func() (string, error) {
		if refused {
			return "", fmt.Errorf("%w: 401", bitbucket.ErrUnauthorized)
		}
		return "bot", nil
	}
	use := func() {
		t.Helper()
		if _, err := b.fetch(t.Context(), id(1), fetchOptions{asked: true}); err != nil {
			t.Fatal(err)
		}
		_, _ = b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "unknown"})
	}
	if status := b.listNow(t, "bitbucket"); !strings.Contains(status.Error, "refused the credential") {
		t.Fatalf("status %q", status.Error)
	}
	use()
	if diff := cmp.Diff([]string{"account"}, b.host.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := b.memory.record(t, id(1)).Mirror; got != (MirrorStatus{}) {
		t.Errorf("the mirror's status is %+v, want none of a fetch that was not tried", got)
	}
	refused = false
	b.listNow(t, "bitbucket")
	use()
	if got := b.memory.record(t, id(1)).Mirror; got.LastFetch.IsZero() {
		t.Errorf("the mirror's status is %+v, want that of a fetch", got)
	}
}

func TestAChangedCredentialIsTriedAtOnceAndAnUnchangedOneIsNot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "PRJ/a"), Selected: true}
	b.connection("bitbucket").credential.refuse(bitbucket.ErrUnauthorized)
	for _, c := range []struct {
		token string
		want  outcome
	}{{"canary-token", outcomePostponed}, {"another", outcomeCloned}} {
		b.SetConfig(&siteconfig.Config{MaxConcurrentClones: 7, Connections: []siteconfig.Connection{
			connectionOf("bitbucket", func(conn *siteconfig.Connection) { conn.Token = siteconfig.NewSecret(c.token) }),
		}})
		if f, err := b.fetch(t.Context(), id(1), fetchOptions{asked: true}); err != nil || f.outcome != c.want {
			t.Errorf("with %q: %v, %v; want %v", c.token, f.outcome, err, c.want)
		}
	}
}

func TestALabelThatCannotBeReadStopsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) {
		c.ProjectKeys = []string{"A", "B", "C", "D", "E"}
	}))
	b.host.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
		err := yield([]bitbucket.Repository{repo(int64(query.ProjectKey[0]), query.ProjectKey+"/x")})
		return errors.Join(err, bitbucket.ErrIncompleteListing, bitbucket.ErrUnavailable)
	}
	status := b.listNow(t, "bitbucket")
	if got := len(b.memory.selected()); got != 5 || len(b.memory.finished) != 0 {
		t.Errorf("%d selected, %d listings finished; want all 5 and none: %+v", got, len(b.memory.finished), status)
	}
}

func TestAStatusNamesABoundedNumberOfEntries(t *testing.T) {
	t.Parallel()
	var keys []string
	for n := range 3000 {
		keys = append(keys, fmt.Sprintf("P%d", n))
	}
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.ProjectKeys = keys }))
	b.host.list = func(ListQuery, func([]bitbucket.Repository) error) error { return bitbucket.ErrNotFound }
	status := b.listNow(t, "bitbucket")
	if !strings.HasPrefix(status.Error, "projectKeys P0: ") || !strings.Contains(status.Error, "\n2949 more entries have such problems\nprojectKeys P2999: ") {
		t.Errorf("status %q, want the first ones, the last one, and how many more", status.Error)
	}
	if lines := strings.Count(status.Error, "\n") + 1; lines != maxDoubts+2 || !status.LastComplete.IsZero() {
		t.Errorf("%d lines, complete at %v; want %d and never", lines, status.LastComplete, maxDoubts+2)
	}
}

func TestCollisionsNameBoth(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", nil), connectionOf("second", func(c *siteconfig.Connection) {
		c.Server.Addresses[0].Host = "bitbucket.example.com:8443" // {host} has no port
	}))
	other := &codeHost{}
	twin := repo(9, "prj/A")
	twin.ID.Connection = "second"
	other.serve(twin)
	b.hosts["second"] = other
	b.host.serve(repo(1, "PRJ/a"), repo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	want := "PRJ/a of bitbucket (id 1) and prj/A of second (id 9) have the same name on Sourcegraph, bitbucket.example.com/PRJ/a; change repositoryPathPattern or exclude one of them"
	if status := b.listNow(t, "second"); status.Error != want {
		t.Errorf("status\n%q, want\n%q", status.Error, want)
	}
	if status := b.listNow(t, "bitbucket"); status.Error != want {
		t.Errorf("the other's status\n%q, want\n%q", status.Error, want)
	}
	// Once when each of them was found, and not for each that asks.
	if n := len(slices.DeleteFunc(slices.Clone(b.memory.read), func(connection string) bool { return connection != "" })); n != 2 {
		t.Errorf("the whole index was read %d times, want 2", n)
	}
	twin.Slug = "renamed"
	other.serve(twin)
	for _, name := range []string{"second", "bitbucket"} { // the records of the latter did not change
		if status := b.listNow(t, name); status.Error != "" {
			t.Errorf("status of %s after the name was given up: %q", name, status.Error)
		}
	}
}

// What a listing stored before the database failed counts, although the next one finds nothing new.
func TestAListingThatEndedEarlyIsLookedThroughForCollisions(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) {
		pattern, err := sourcegraph.ParsePathPattern("{repositorySlug}")
		if err != nil {
			t.Fatal(err)
		}
		c.Pattern = pattern
	}))
	b.host.serve(repo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.host.serve(repo(1, "PRJ/a"), repo(2, "OTHER/a"))
	b.memory.fail = func(method string) error {
		if method == "FinishListing" {
			return errors.New("disk full")
		}
		return nil
	}
	if _, err := b.list(t.Context(), b.connection("bitbucket"), nil); err == nil {
		t.Fatal("the database did not fail")
	}
	b.memory.fail = nil
	if status := b.listNow(t, "bitbucket"); !strings.Contains(status.Error, "have the same name on Sourcegraph, a;") {
		t.Errorf("status %q, want the collision", status.Error)
	}
}

func TestAListingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.host.list = func(ListQuery, func([]bitbucket.Repository) error) error {
		cancel()
		return context.Canceled
	}
	if _, err := b.list(ctx, b.connection("bitbucket"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if len(b.memory.statuses) != 0 {
		t.Errorf("stored %v for a listing that a shutdown cut off", b.memory.statuses)
	}
}
