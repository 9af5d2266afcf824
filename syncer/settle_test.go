package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

// reconfigure gives the bench's connection another entry.
func (b *bench) reconfigure(change func(*siteconfig.Connection)) {
	b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{connectionOf("bitbucket", change)}, RepoListUpdateInterval: time.Minute})
}

// announced returns the numbers that the listener was told of, in order, upserted ones first.
func (l *listener) announced() (upserted, removed []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.changes {
		for _, r := range c.Upserted {
			upserted = append(upserted, r.ID.Number)
		}
		for _, id := range c.Removed {
			removed = append(removed, id.Number)
		}
	}
	return upserted, removed
}

// known fills the index as a listing of everything did. Of the five, 4 is archived; 6 was
// missing in the last listing, 7 is not selected.
func (b *bench) known() {
	archived := repo(4, "PRJ/old")
	archived.Archived = true
	renamed := Record{Repository: repo(2, "PRJ/lib"), Selected: true, Reason: "listed", Former: []bitbucket.Address{{Key: "WAS", Slug: "lib"}}}
	for _, r := range []Record{
		{Repository: repo(1, "PRJ/app"), Selected: true, Reason: "listed"},
		renamed,
		{Repository: repo(3, "OTHER/tool"), Selected: true, Reason: "listed"},
		{Repository: archived, Selected: true, Reason: "listed"},
		{Repository: repo(5, "~me/dots"), Selected: true, Reason: "listed"},
		{Repository: repo(6, "PRJ/gone"), Reason: "missing", MissingSince: b.clock},
		{Repository: repo(7, "PRJ/out"), Reason: "excluded by exclude[0] (id 7)"},
	} {
		b.memory.records[r.ID] = r
	}
}

func TestANewSelectionTakesEffectWithoutBitbucket(t *testing.T) {
	t.Parallel()
	exclude := func(e siteconfig.Exclusion) func(*siteconfig.Connection) {
		return func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{e} }
	}
	for _, c := range []struct {
		name   string
		before func(*siteconfig.Connection)
		after  func(*siteconfig.Connection)
		out    []int64 // the numbers that lose their link
		reason string  // of the first of them
	}{
		{"a name is excluded", nil, exclude(siteconfig.Exclusion{Name: "prj/APP"}), []int64{1}, "excluded by exclude[0] (name prj/APP)"},
		{"an id is excluded", nil, exclude(siteconfig.Exclusion{ID: 3}), []int64{3}, "excluded by exclude[0] (id 3)"},
		{"a pattern is excluded", nil, exclude(siteconfig.Exclusion{Pattern: "^PRJ/"}), []int64{1, 2, 4}, "excluded by exclude[0] (pattern ^PRJ/)"},
		{
			"personal repositories are excluded", nil,
			func(c *siteconfig.Connection) { c.ExcludePersonal = true },
			[]int64{5},
			"personal repository, and excludePersonalRepositories is set",
		},
		{
			"archived repositories are excluded", nil,
			func(c *siteconfig.Connection) { c.Archived = "exclude" },
			[]int64{4},
			`archived, and archived is "exclude"`,
		},
		{
			"projects narrow it", nil,
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"prj"} },
			[]int64{3, 5},
			reasonNotTaken,
		},
		{
			"repositories narrow it, one by an address that it had", nil,
			func(c *siteconfig.Connection) { c.Repos = []string{"PRJ/app", "was/LIB"} },
			[]int64{3, 4, 5},
			reasonNotTaken,
		},
		{
			"a project is taken out of several",
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ", "OTHER", "~me"} },
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ", "~me"} },
			[]int64{3},
			reasonNotTaken,
		},
		{
			"none selects nothing", nil,
			func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"none"} },
			[]int64{1, 2, 3, 4, 5},
			reasonNotTaken,
		},
		{
			"a query that surely does not find some of them", nil,
			func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"?projectname=Project+PRJ"} },
			[]int64{3, 5},
			reasonNotTaken,
		},
		{
			"a query that only Bitbucket can answer leaves them for the listing", nil,
			func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"?visibility=public"} },
			nil, "",
		},
		{
			"an exclusion counts beside such a query", nil,
			func(c *siteconfig.Connection) {
				c.RepositoryQuery, c.Exclude = []string{"?visibility=public"}, []siteconfig.Exclusion{{ID: 2}}
			},
			[]int64{2},
			"excluded by exclude[0] (id 2)",
		},
		{
			"a wider selection takes nothing away",
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ", "OTHER", "~me"} },
			nil,
			nil, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.before))
			b.known()
			untouched := []Record{b.memory.record(t, id(6)), b.memory.record(t, id(7))}
			b.reconfigure(c.after)

			upserted, removed := b.listener.announced()
			if len(upserted) > 0 {
				t.Errorf("announced as selected: %v, want none", upserted)
			}
			if diff := cmp.Diff(c.out, removed); diff != "" {
				t.Errorf("announced as removed (-want +got):\n%s", diff)
			}
			for number := int64(1); number <= 5; number++ {
				r, want := b.memory.record(t, id(number)), !slices.Contains(c.out, number)
				if r.Selected != want {
					t.Errorf("record %d: selected %v, want %v", number, r.Selected, want)
				}
			}
			if len(c.out) > 0 {
				if got := b.memory.record(t, id(c.out[0])).Reason; got != c.reason {
					t.Errorf("reason %q, want %q", got, c.reason)
				}
			}
			if diff := cmp.Diff(untouched, []Record{b.memory.record(t, id(6)), b.memory.record(t, id(7))}); diff != "" {
				t.Errorf("records that had no link (-want +got):\n%s", diff)
			}
			if len(b.host.calls) > 0 {
				t.Errorf("Bitbucket was asked: %v", b.host.calls)
			}
		})
	}
}

func TestTheIndexIsOnlyReadForAChangedSelection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config siteconfig.Config
		read   []string // the connections whose records were read
	}{
		{"the same again", siteconfig.Config{Connections: []siteconfig.Connection{connectionOf("bitbucket", nil), connectionOf("other", nil)}}, nil},
		{"another primary, another number of clones", siteconfig.Config{
			Version: 9, MaxConcurrentClones: 9,
			Connections: []siteconfig.Connection{connectionOf("bitbucket", nil), connectionOf("other", nil)},
		}, nil},
		{"another token, another limit", siteconfig.Config{Connections: []siteconfig.Connection{
			connectionOf("bitbucket", func(c *siteconfig.Connection) {
				c.Token, c.MaxDeletions, c.RequestsPerHour = siteconfig.NewSecret("another token"), 3, 5
			}),
			connectionOf("other", nil),
		}}, nil},
		{"one of two selections", siteconfig.Config{Connections: []siteconfig.Connection{
			connectionOf("bitbucket", nil),
			connectionOf("other", func(c *siteconfig.Connection) { c.ExcludePersonal = true }),
		}}, []string{"other"}},
		{"a connection that goes", siteconfig.Config{Connections: []siteconfig.Connection{connectionOf("bitbucket", nil)}}, nil},
		{"a connection that comes", siteconfig.Config{Connections: []siteconfig.Connection{
			connectionOf("bitbucket", nil), connectionOf("other", nil), connectionOf("third", nil),
		}}, []string{"third"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", nil), connectionOf("other", nil))
			b.known()
			if len(b.memory.read) > 0 {
				t.Fatalf("the first configuration read the records of %v", b.memory.read)
			}
			b.SetConfig(&c.config)
			if diff := cmp.Diff(c.read, b.memory.read); diff != "" {
				t.Errorf("records read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAConnectionThatComesBackNarrower(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.known()
	b.SetConfig(&siteconfig.Config{})
	if _, removed := b.listener.announced(); removed != nil {
		t.Errorf("removed %v with the connection, whose address nobody can ask for", removed)
	}
	b.reconfigure(func(c *siteconfig.Connection) { c.ProjectKeys = []string{"OTHER"} })
	if _, removed := b.listener.announced(); !slices.Equal(removed, []int64{1, 2, 4, 5}) {
		t.Errorf("removed %v, want 1, 2, 4 and 5", removed)
	}
	if diff := cmp.Diff([]string{"OTHER/tool"}, b.memory.selected()); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
}

// The database fails while a configuration takes effect, and later works again.
func TestADatabaseErrorDoesNotStopAConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method string
		linked bool // an excluded repository keeps its link for now
	}{
		{"SaveFound", false},
		{"EachRecord", true},
	} {
		for _, heals := range []string{"by the next listing although Bitbucket is down", "by the same configuration once more"} {
			t.Run(c.method+" fails, healed "+heals, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.known()
				b.memory.fail = func(method string) error {
					if method == c.method {
						return errors.New("disk full")
					}
					return nil
				}
				exclude := func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{ID: 1}} }
				b.reconfigure(exclude)
				if got := b.connection("bitbucket").Exclude; len(got) != 1 {
					t.Fatalf("exclude %v, want the new one", got)
				}
				if _, removed := b.listener.announced(); slices.Equal(removed, []int64{1}) == c.linked {
					t.Errorf("announced as removed: %v", removed)
				}
				// Whoever asks for it gets the configuration's answer, whatever is stored.
				_, err := b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "app"})
				if reason, ok := errors.AsType[*resolver.NotFoundError](err); !ok || reason.Reason != "excluded by exclude[0] (id 1)" {
					t.Errorf("lookup: error %v, want that it is excluded", err)
				}

				if strings.Contains(heals, "listing") {
					if _, err := b.list(t.Context(), b.connection("bitbucket"), nil); err == nil {
						t.Error("a listing went on although the index could not be settled")
					}
					b.memory.fail = nil
					b.host.account = func() (string, error) { return "", bitbucket.ErrUnavailable }
					b.listNow(t, "bitbucket")
				} else {
					b.memory.fail = nil
					b.reconfigure(exclude)
				}
				if r := b.memory.record(t, id(1)); r.Selected || r.Reason != "excluded by exclude[0] (id 1)" {
					t.Errorf("record %+v, want it not selected", r)
				}
				if _, removed := b.listener.announced(); !slices.Contains(removed, 1) {
					t.Errorf("announced as removed: %v, want 1", removed)
				}
				if b.connection("bitbucket").unsettled.Load() {
					t.Error("it is still to be settled")
				}
			})
		}
	}
}

// What a listing or a lookup decides under the old entry must not come after the new one.
func TestADecisionOfTheOldConfigurationIsNotStored(t *testing.T) {
	t.Parallel()
	exclude := func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{Name: "PRJ/new"}} }
	for _, c := range []struct {
		name string
		list func(b *bench, yield func([]bitbucket.Repository) error) error
	}{
		{"between two pages", func(b *bench, yield func([]bitbucket.Repository) error) error {
			if err := yield([]bitbucket.Repository{repo(1, "PRJ/app")}); err != nil {
				return err
			}
			b.reconfigure(exclude)
			return yield([]bitbucket.Repository{repo(9, "PRJ/new")})
		}},
		{"after the last page", func(b *bench, yield func([]bitbucket.Repository) error) error {
			err := yield([]bitbucket.Repository{repo(1, "PRJ/app")})
			b.reconfigure(exclude)
			return err
		}},
		{"while the connection goes", func(b *bench, yield func([]bitbucket.Repository) error) error {
			b.SetConfig(&siteconfig.Config{})
			return fmt.Errorf("page 2: %w", yield([]bitbucket.Repository{repo(9, "PRJ/new")}))
		}},
	} {
		t.Run("a listing, "+c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.known()
			b.host.list = func(_ ListQuery, yield func([]bitbucket.Repository) error) error { return c.list(b, yield) }
			conn := b.connection("bitbucket")
			status, err := b.list(t.Context(), conn, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(status.Error, "configuration of the connection changed") || !status.LastComplete.IsZero() {
				t.Errorf("status %+v, want an incomplete listing that says why", status)
			}
			if _, err := b.memory.Record(t.Context(), id(9)); !errors.Is(err, ErrNoRecord) {
				t.Errorf("a record of the old configuration was stored: %v", err)
			}
			if got := b.memory.selected(); len(got) != 5 {
				t.Errorf("selected %v, want the five as before", got)
			}
			if now := b.connection("bitbucket"); now != nil && !now.changed.Load() {
				t.Error("the next sweep does not list the connection")
			}
		})
	}
	t.Run("a lookup decides again", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		asked := 0
		b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) {
			if asked++; asked == 1 {
				b.reconfigure(exclude)
			}
			return repo(9, "PRJ/new"), nil
		}
		_, err := b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "new"})
		if reason, ok := errors.AsType[*resolver.NotFoundError](err); !ok || reason.Reason != "excluded by exclude[0] (name PRJ/new)" {
			t.Errorf("error %v, want that it is excluded", err)
		}
		if upserted, _ := b.listener.announced(); len(upserted) > 0 {
			t.Errorf("announced %v", upserted)
		}
	})
	t.Run("a lookup of a connection that went", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) {
			b.SetConfig(&siteconfig.Config{})
			return repo(9, "PRJ/new"), nil
		}
		_, err := b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "new"})
		if reason, ok := errors.AsType[*resolver.NotFoundError](err); !ok || reason.Reason != reasonGone {
			t.Errorf("error %v, want that the connection is gone", err)
		}
	})
}

func TestEachLinked(t *testing.T) {
	t.Parallel()
	all := []string{"PRJ/app", "PRJ/lib", "OTHER/tool", "PRJ/old", "~me/dots", "ELSE/where"}
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		fail   string // the method of the database that fails
		want   []string
		saves  int
	}{
		{"nothing changed since the last run, so nothing is written", nil, "SaveFound", all, 0},
		{
			"an exclusion that was added while the program was down",
			func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{Pattern: "^PRJ/"}} }, "",
			[]string{"OTHER/tool", "~me/dots", "ELSE/where"},
			1,
		},
		{
			"it counts although it cannot be stored",
			func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{Pattern: "^PRJ/"}} }, "SaveFound",
			[]string{"OTHER/tool", "~me/dots", "ELSE/where"},
			1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.config))
			b.known()
			elsewhere := Record{Repository: repo(1, "ELSE/where"), Selected: true, Reason: "listed"}
			elsewhere.ID.Connection = "gone"
			b.memory.records[elsewhere.ID] = elsewhere
			saves := 0
			b.memory.fail = func(method string) error {
				if method == "SaveFound" {
					saves++
				}
				if method == c.fail {
					return errors.New("disk full")
				}
				return nil
			}
			var got []string
			err := b.EachLinked(t.Context(), func(r Record) error {
				got = append(got, r.String())
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("linked (-want +got):\n%s", diff)
			}
			if saves != c.saves {
				t.Errorf("stored %d times, want %d", saves, c.saves)
			}
			if unsettled := b.connection("bitbucket").unsettled.Load(); unsettled != (c.fail != "" && c.saves > 0) {
				t.Errorf("the next listing settles first: %v", unsettled)
			}
			if c.saves > 0 && c.fail == "" && b.memory.record(t, id(1)).Selected {
				t.Error("the record is stored as selected")
			}
		})
	}
	t.Run("an error of yield ends it", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.known()
		stop := errors.New("enough")
		if err := b.EachLinked(t.Context(), func(Record) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("error %v, want that of yield", err)
		}
	})
}

func TestALookupTakesWhatTheConfigurationTookIn(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{ID: 7}} }))
	b.known()
	b.host.serve(repo(7, "PRJ/out"))
	address := bitbucket.Address{Key: "PRJ", Slug: "out"}
	if _, err := b.LookupRepository(t.Context(), "bitbucket", address); !errors.Is(err, resolver.ErrRepositoryNotFound) {
		t.Errorf("while it is excluded: error %v, want ErrRepositoryNotFound", err)
	}
	b.reconfigure(nil)
	got, err := b.LookupRepository(t.Context(), "bitbucket", address)
	if err != nil || got.ID != id(7) {
		t.Errorf("afterwards: %+v, %v; want it", got, err)
	}
	if n := b.host.count("one PRJ/out"); n != 1 {
		t.Errorf("Bitbucket was asked %d times, want once", n)
	}
}

// A configuration waits for decisions that are being stored, and comes after them.
func TestSetConfigComesAfterWhatIsBeingStored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.connection("bitbucket")
	storing, goOn := make(chan struct{}), make(chan struct{})
	b.memory.fail = func(method string) error {
		if method == "SaveFound" {
			select {
			case <-storing:
			default:
				close(storing)
				<-goOn
			}
		}
		return nil
	}
	saved := make(chan error, 1)
	go func() {
		_, err := b.saveFound(context.WithoutCancel(t.Context()), conn, 0, []Found{{Repository: repo(1, "PRJ/app"), Selected: true}})
		saved <- err
	}()
	<-storing
	configured := make(chan struct{})
	go func() {
		defer close(configured)
		b.reconfigure(func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{ID: 1}} })
	}()
	close(goOn)
	<-configured
	if err := <-saved; err != nil && !errors.Is(err, errReconfigured) {
		t.Fatal(err)
	}
	upserted, removed := b.listener.announced()
	if !slices.Equal(upserted, []int64{1}) || !slices.Equal(removed, []int64{1}) {
		t.Errorf("announced %v and then removed %v, want 1 and 1", upserted, removed)
	}
	if last := b.listener.changes[len(b.listener.changes)-1]; len(last.Removed) != 1 {
		t.Errorf("the last announcement is %+v, want the removal", last)
	}
	if len(b.memory.selected()) != 0 {
		t.Errorf("selected %v, want none", b.memory.selected())
	}
}

// Two transactions are slow. What does not fit into the time is stored by the next listing.
func TestAMassExclusionDoesNotHoldTheConfigurationUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 4*recordsPerSave + 1
		b := newBench(t)
		for number := int64(1); number <= many; number++ {
			b.memory.records[id(number)] = Record{Repository: repo(number, fmt.Sprintf("PRJ/app-%d", number)), Selected: true}
		}
		b.memory.fail = func(method string) error {
			if method == "SaveFound" {
				time.Sleep(saveTime * 2 / 3) // of the bubble
			}
			return nil
		}
		begun := time.Now()
		b.reconfigure(func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{Pattern: "^PRJ/"}} })
		if took := time.Since(begun); took > 2*saveTime {
			t.Errorf("it took %v", took)
		}
		if _, removed := b.listener.announced(); len(removed) != many {
			t.Errorf("%d lost their link, want all %d", len(removed), many)
		}
		if left := len(b.memory.selected()); left != many-2*recordsPerSave {
			t.Errorf("%d are stored as selected, want all but two transactions", left)
		}
		if f, err := b.fetch(t.Context(), id(many), fetchOptions{asked: true}); err != nil || f.outcome != outcomeSkipped {
			t.Errorf("a fetch of one of them: %v, %v; want it skipped", f.outcome, err)
		}
		// Whatever else is found, none of them comes back.
		stale := b.memory.record(t, id(many))
		b.announce(b.connection("bitbucket"), Changes{Upserted: []Record{stale}})
		if upserted, _ := b.listener.announced(); len(upserted) > 0 {
			t.Errorf("announced as selected: %v", upserted)
		}
		b.host.account = func() (string, error) { return "", bitbucket.ErrUnavailable }
		b.listNow(t, "bitbucket")
		if left := b.memory.selected(); len(left) > 0 {
			t.Errorf("after a listing %d are stored as selected", len(left))
		}
	})
}
