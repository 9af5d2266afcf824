package syncer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/sourcegraph"
)

// store puts a record into the bench's index.
func (b *bench) store(r Record) {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	b.memory.records[r.ID] = r
}

func TestRepositoriesAreFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	selected := func(number int64, address, name string, mirror MirrorStatus) Record {
		r := Record{Repository: repo(number, address), Selected: true, Reason: "selected", Mirror: mirror}
		r.Name = name
		return r
	}
	fresh := MirrorStatus{LastFetch: b.clock, NextFetch: b.clock}
	left := selected(5, "OLD/left", "Left", fresh)
	left.Selected, left.Reason = false, "excluded"
	missing := selected(6, "OLD/gone", "Gone", fresh)
	missing.Selected, missing.MissingSince = false, b.clock
	foreign := selected(7, "PRJ/foreign", "Of a connection that is gone", fresh)
	foreign.ID.Connection = "removed"
	for _, r := range []Record{
		selected(1, "PRJ/app", "The App", fresh),
		selected(2, "PRJ/lib", "Größe", MirrorStatus{}),
		selected(31, "~ada/dots", "dots", MirrorStatus{LastFetch: b.clock, Failures: 1}),
		selected(42, "OTHER/tool-2", "Tool", MirrorStatus{LastFetch: b.clock, NextFetch: b.clock.Add(-time.Hour)}),
		left, missing, foreign,
	} {
		b.store(r)
	}
	for _, c := range []struct {
		name  string
		query RepositoryQuery
		want  []int64
	}{
		{"all, by connection and number", RepositoryQuery{}, []int64{1, 2, 5, 6, 31, 42, 7}},
		{"a part of the address in another case", RepositoryQuery{Text: "pRj/A"}, []int64{1}},
		{"a part of the name in another case", RepositoryQuery{Text: "GRÖSS"}, nil},
		{"letters beyond ASCII in another case", RepositoryQuery{Text: "GRÖẞE"}, []int64{2}},
		{"a personal project", RepositoryQuery{Text: "~ADA"}, []int64{31}},
		{"white space around does not count", RepositoryQuery{Text: "  tool "}, []int64{42}},
		{"a number, and what has its digits in the address", RepositoryQuery{Text: "2"}, []int64{2, 42}},
		{"a number is whole", RepositoryQuery{Text: "3"}, nil},
		{"wildcards are letters", RepositoryQuery{Text: "%"}, nil},
		{"what fails", RepositoryQuery{States: []MirrorState{MirrorFailing}}, []int64{31}},
		{"what is behind or waits", RepositoryQuery{States: []MirrorState{MirrorBehind, MirrorWaiting}}, []int64{2, 42}},
		{"what is not selected, also for want of its connection", RepositoryQuery{States: []MirrorState{MirrorNone}}, []int64{5, 6, 7}},
		{"what is missing", RepositoryQuery{Missing: true}, []int64{6}},
		{"a state and a text", RepositoryQuery{States: []MirrorState{MirrorFresh}, Text: "app"}, []int64{1}},
		{"behind a place", RepositoryQuery{After: id(31)}, []int64{42, 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.query.Limit = 100
			page, err := b.Repositories(t.Context(), c.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range page.Repositories {
				got = append(got, r.ID.Number)
			}
			if !slices.Equal(got, c.want) || page.More {
				t.Errorf("found %v (more: %t), want %v", got, page.More, c.want)
			}
		})
	}
	t.Run("a page that is full tells whether there is more", func(t *testing.T) {
		t.Parallel()
		for limit, more := range map[int]bool{1: true, 6: true, 7: false, 8: false} {
			page, err := b.Repositories(t.Context(), RepositoryQuery{Limit: limit})
			if err != nil || len(page.Repositories) != min(limit, 7) || page.More != more {
				t.Errorf("limit %d: %d repositories, more: %t, error %v", limit, len(page.Repositories), page.More, err)
			}
		}
	})
	t.Run("an error of the database is told", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.memory.fail = func(string) error { return errors.New("broken") }
		if _, err := b.Repositories(t.Context(), RepositoryQuery{Limit: 1}); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("error %v", err)
		}
	})
}

func TestARepositoryAsAdministratorsSeeIt(t *testing.T) {
	t.Parallel()
	primary, err := sourcegraph.ParseInstance("https://sourcegraph.example.com")
	if err != nil {
		t.Fatal(err)
	}
	config := func(change func(*siteconfig.Config)) *siteconfig.Config {
		c := &siteconfig.Config{
			Connections: []siteconfig.Connection{connectionOf("bitbucket", nil)}, Primary: primary, MaxConcurrentClones: 1,
		}
		change(c)
		return c
	}
	b := newBench(t)
	stored := Record{
		Repository: repo(1, "PRJ/app"), Selected: true, Reason: "selected",
		Mirror: MirrorStatus{LastFetch: b.clock.Add(-time.Hour), NextFetch: b.clock.Add(-time.Hour)},
	}
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Config)
		change func(*RepositoryStatus)
	}{
		{"with its name on Sourcegraph", func(*siteconfig.Config) {}, func(*RepositoryStatus) {}},
		{"without a primary URL it has no name there", func(c *siteconfig.Config) { c.Primary = sourcegraph.Instance{} }, func(r *RepositoryStatus) { r.SourcegraphName = "" }},
		{"while updates are switched off none is scheduled", func(c *siteconfig.Config) { c.DisableAutoGitUpdates = true }, func(r *RepositoryStatus) {
			r.MirrorState, r.Mirror.NextFetch = MirrorFresh, time.Time{}
		}},
		{"without its connection it is not selected", func(c *siteconfig.Config) { c.Connections = nil }, func(r *RepositoryStatus) {
			r.MirrorState, r.SourcegraphName, r.Selected, r.Reason = MirrorNone, "", false, reasonGone
			r.Mirror.NextFetch = time.Time{}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.store(stored)
			b.SetConfig(config(c.config))
			want := RepositoryStatus{Record: stored, MirrorState: MirrorBehind, SourcegraphName: "bitbucket.example.com/PRJ/app"}
			c.change(&want)
			got, err := b.Repository(t.Context(), id(1))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			page, err := b.Repositories(t.Context(), RepositoryQuery{Limit: 1})
			if err != nil || len(page.Repositories) != 1 || !cmp.Equal(page.Repositories[0], want) {
				t.Errorf("in a list it is another: %v %v", page, err)
			}
		})
	}
	t.Run("what a refused credential holds back says so", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.store(stored)
		b.connection("bitbucket").credential.refuse(bitbucket.ErrCaptcha)
		got, err := b.Repository(t.Context(), id(1))
		if err != nil || !strings.Contains(got.Mirror.Error, "CAPTCHA") || got.MirrorState != MirrorBehind {
			t.Errorf("state %s, error %q, %v", got.MirrorState, got.Mirror.Error, err)
		}
	})
	t.Run("one that is not there", func(t *testing.T) {
		t.Parallel()
		if _, err := newBench(t).Repository(t.Context(), id(9)); !errors.Is(err, ErrNoRecord) {
			t.Errorf("error %v, want ErrNoRecord", err)
		}
	})
}

func TestSyncRepository(t *testing.T) {
	t.Parallel()
	const fetchOf1 = `fetch {"connection":"bitbucket","number":1,"asked":true}`
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		change func(*Record)
		want   string // the reason of a *NotSelectedError
	}{
		{name: "a selected repository is fetched, due or not"},
		{name: "one that is not selected", change: func(r *Record) { r.Selected, r.Reason = false, "excluded" }, want: "excluded"},
		{name: "one of a connection that is gone", change: func(r *Record) { r.ID.Connection = "gone" }, want: reasonGone},
		{
			name: "one that the configuration leaves out, and the index does not know it yet",
			config: func(c *siteconfig.Connection) {
				c.Exclude = []siteconfig.Exclusion{{Name: "PRJ/app"}}
			},
			want: "excluded by exclude[0] (name PRJ/app)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.config))
			r := Record{Repository: repo(1, "PRJ/app"), Selected: true, Reason: "selected", Mirror: MirrorStatus{NextFetch: b.clock.Add(time.Hour)}}
			if c.change != nil {
				c.change(&r)
			}
			b.store(r)
			b.start(t)
			err := b.SyncRepository(t.Context(), r.ID)
			fetches := slices.DeleteFunc(b.queue.waiting(), func(job string) bool { return !strings.HasPrefix(job, "fetch") })
			if c.want == "" {
				if err != nil || !slices.Equal(fetches, []string{fetchOf1}) {
					t.Errorf("error %v, jobs %v", err, fetches)
				}
				return
			}
			var refused *NotSelectedError
			if !errors.As(err, &refused) || refused.Reason != c.want || len(fetches) > 0 {
				t.Errorf("error %v, jobs %v; want a *NotSelectedError with %q", err, fetches, c.want)
			}
		})
	}
	t.Run("one that is not there", func(t *testing.T) {
		t.Parallel()
		if err := newBench(t).SyncRepository(t.Context(), id(9)); !errors.Is(err, ErrNoRecord) {
			t.Errorf("error %v, want ErrNoRecord", err)
		}
	})
	t.Run("without a queue", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.store(Record{Repository: repo(1, "PRJ/app"), Selected: true})
		if err := b.SyncRepository(t.Context(), id(1)); !errors.Is(err, ErrNotStarted) {
			t.Errorf("error %v, want ErrNotStarted", err)
		}
	})
}
