package syncer_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/sourcegraph"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// program is a world's syncer as the program runs it: with a resolver that it tells.
type program struct {
	w        *world
	syncer   *syncer.Syncer
	resolver *resolver.Resolver
}

// RepositoriesChanged implements syncer.Listener.
func (p *program) RepositoriesChanged(changes syncer.Changes) {
	var entries []resolver.Entry
	for _, r := range changes.Upserted {
		entries = append(entries, resolver.Entry{ID: r.ID, Address: r.Address, Former: r.Former})
	}
	p.resolver.UpdateIndex(entries, changes.Removed)
}

// RefsChanged implements syncer.Listener.
func (p *program) RefsChanged(repo bitbucket.RepoID) { p.resolver.RefsChanged(repo) }

// newProgram starts on what the world's disk and database hold.
func newProgram(t *testing.T, w *world, connections ...siteconfig.Connection) *program {
	t.Helper()
	p := &program{w: w}
	var err error
	p.syncer, err = syncer.New(syncer.Options{
		Index: w.store, Records: w.store, Status: w.store, Hosts: w, Mirrors: w.mirrors, Listener: p,
		Remote: func(string) (http.RoundTripper, func(*http.Request), error) {
			return w.client.Transport(), w.client.AuthorizeGit, nil
		},
	})
	must(t, err)
	// Nothing that is asked here needs the resolver's own questions to Bitbucket.
	p.resolver, err = resolver.New(resolver.Options{Mirrors: w.mirrors, Bitbucket: struct{ resolver.Bitbucket }{}, Repositories: p.syncer})
	must(t, err)
	p.configure(t, connections...)
	var entries []resolver.Entry
	must(t, p.syncer.EachLinked(t.Context(), func(r syncer.Record) error {
		entries = append(entries, resolver.Entry{ID: r.ID, Address: r.Address, Former: r.Former})
		return nil
	}))
	p.resolver.ReplaceIndex(entries)
	return p
}

// configure applies a configuration in the program's order: the syncer, then the resolver.
func (p *program) configure(t *testing.T, connections ...siteconfig.Connection) {
	t.Helper()
	primary, err := sourcegraph.ParseInstance("https://sourcegraph.example.com")
	must(t, err)
	config := resolver.Config{Primary: primary}
	for _, c := range connections {
		config.Connections = append(config.Connections, resolver.Connection{Server: c.Server, Pattern: c.Pattern})
	}
	apply, err := p.resolver.PrepareConfig(config)
	must(t, err)
	p.syncer.SetConfig(&siteconfig.Config{Connections: connections, MaxConcurrentClones: 2})
	apply()
}

// linked returns which of the four repositories have a link.
func (p *program) linked(t *testing.T) []string {
	t.Helper()
	var linked []string
	for _, address := range []string{"projects/PRJ/repos/app", "projects/PRJ/repos/lib", "projects/OTHER/repos/tool", "users/ada/repos/dots"} {
		_, err := p.resolver.Resolve(t.Context(), p.w.bitbucket.BaseURL()+"/"+address+"/browse")
		switch {
		case err == nil:
			linked = append(linked, address)
		// Unavailable: one that the configuration takes in again, if Bitbucket confirms it.
		case !errors.Is(err, resolver.ErrRepositoryNotFound) && !errors.Is(err, resolver.ErrBitbucketUnavailable) &&
			!errors.Is(err, bitbucket.ErrUnknownHost):
			t.Errorf("resolve %s: %v", address, err)
		}
	}
	return linked
}

// Bitbucket is down while an administrator changes the selection. Real database, disk and resolver.
func TestWhatIsExcludedHasNoLinkAlthoughBitbucketIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "7.21", nil)
	if report := w.run(t); report.Cloned != 4 {
		t.Fatalf("first pass: %+v", report)
	}
	w.bitbucket.Fault(bitbuckettest.Fault{Status: 503})
	const app, lib, tool, dots = "projects/PRJ/repos/app", "projects/PRJ/repos/lib", "projects/OTHER/repos/tool", "users/ada/repos/dots"
	with := func(change func(*siteconfig.Connection)) siteconfig.Connection {
		c := w.conn
		change(&c)
		return c
	}
	p := newProgram(t, w, w.conn)
	want := func(when string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, p.linked(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	want("before", app, lib, tool, dots)

	excluded := with(func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{Name: "PRJ/app"}} })
	p.configure(t, excluded)
	want("after an exclusion", lib, tool, dots)
	r, err := w.store.RecordAt(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "app"})
	must(t, err)
	if r.Selected || r.Reason != "excluded by exclude[0] (name PRJ/app)" || r.Mirror.RefsDigest == "" || !r.MissingSince.IsZero() {
		t.Errorf("record %+v, want it there with its mirror, not selected", r)
	}
	_, err = p.syncer.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "prj", Slug: "APP"})
	if reason, ok := errors.AsType[*resolver.NotFoundError](err); !ok || reason.Reason != r.Reason {
		t.Errorf("lookup: error %v, want its reason", err)
	}

	p.configure(t) // the connection goes
	want("without the connection")
	noPersonal := with(func(c *siteconfig.Connection) { c.ExcludePersonal = true })
	p.configure(t, noPersonal)
	want("after it came back without personal repositories", lib, tool)

	p = newProgram(t, w, noPersonal)
	want("after a restart", lib, tool)
	p = newProgram(t, w, with(func(c *siteconfig.Connection) { c.ProjectKeys = []string{"OTHER"} }))
	want("after a restart with another configuration", tool)
	if diff := cmp.Diff([]string{"OTHER/tool"}, w.selected(t)); diff != "" {
		t.Errorf("stored as selected (-want +got):\n%s", diff)
	}
}

// Bitbucket answers again: the listing takes in what a configuration gave back.
func TestWhatIsTakenInAgainIsLinkedAfterTheListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "9.4", nil)
	w.run(t)
	narrow := w.conn
	narrow.Repos = []string{"PRJ/app"}
	p := newProgram(t, w, w.conn)
	p.configure(t, narrow)
	if diff := cmp.Diff([]string{"projects/PRJ/repos/app"}, p.linked(t)); diff != "" {
		t.Errorf("narrowed (-want +got):\n%s", diff)
	}
	p.configure(t, w.conn)
	report, err := p.syncer.RunOnce(t.Context(), syncer.RunOptions{})
	must(t, err)
	if report.Cloned != 0 || report.Unchanged != 4 {
		t.Errorf("report %+v, want the four mirrors that are there", report)
	}
	if got := p.linked(t); len(got) != 4 {
		t.Errorf("linked %v, want all", got)
	}
}
