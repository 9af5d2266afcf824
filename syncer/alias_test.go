package syncer

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// Bitbucket answers to the old address of what was renamed before Signpost ever saw it. So the
// configuration can take a repository by words that neither its address nor a former one holds.
func TestWhatIsConfiguredByAnOldAddressStaysSelected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
	}{
		{"a repository", func(c *siteconfig.Connection) { c.Repos = []string{"OLD/a"} }},
		{"a project", func(c *siteconfig.Connection) { c.ProjectKeys = []string{"OLD"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.config))
			renamed := repo(1, "NEW/a")
			b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) { return renamed, nil }
			b.host.list = func(_ ListQuery, yield func([]bitbucket.Repository) error) error {
				return yield([]bitbucket.Repository{renamed})
			}
			b.listNow(t, "bitbucket")

			fetched := 0
			b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
				fetched++
				return FetchResult{Cloned: true}, nil
			}
			if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1}, b.clock); err != nil || fetched != 1 {
				t.Errorf("%d fetches, %v; want 1", fetched, err)
			}
			for _, at := range []string{"NEW/a", "OLD/a"} {
				if got, err := b.LookupRepository(t.Context(), "bitbucket", repo(0, at).Address); err != nil || got.ID != id(1) {
					t.Errorf("lookup of %s: %+v, %v; want the repository", at, got, err)
				}
			}
			linked := 0
			if err := b.EachLinked(t.Context(), func(Record) error { linked++; return nil }); err != nil || linked != 1 {
				t.Errorf("%d links after a start, %v; want 1", linked, err)
			}
			if diff := cmp.Diff([]string{"NEW/a"}, b.memory.selected()); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}

			// Nobody takes it any more once its entry is gone.
			b.SetConfig(&siteconfig.Config{Connections: []siteconfig.Connection{
				connectionOf("bitbucket", func(c *siteconfig.Connection) { c.Repos, c.ProjectKeys = []string{"OLD/b"}, []string{"OTHER"} }),
			}})
			if diff := cmp.Diff([]string(nil), b.memory.selected()); diff != "" {
				t.Errorf("selected without its entry (-want +got):\n%s", diff)
			}
		})
	}
}

// The first question for it may be a lookup, before any listing.
func TestALookupByAConfiguredOldAddressSelects(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.Repos = []string{"OLD/a"} }))
	b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) { return repo(1, "NEW/a"), nil }
	if got, err := b.LookupRepository(t.Context(), "bitbucket", repo(0, "old/A").Address); err != nil || got.ID != id(1) {
		t.Errorf("LookupRepository: %+v, %v; want the repository", got, err)
	}
}

// What a configured project held is missing when its listing lacks it, under whatever address it is
// known: so that maxDeletions counts it.
func TestWhatAnOldProjectKeyTookCountsAsMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.ProjectKeys, c.MaxDeletions = []string{"OLD"}, 1 }))
	all := []bitbucket.Repository{repo(1, "NEW/a"), repo(2, "NEW/b"), repo(3, "NEW/c")}
	b.host.list = func(_ ListQuery, yield func([]bitbucket.Repository) error) error { return yield(all) }
	b.listNow(t, "bitbucket")
	all = all[:1]
	if status := b.listNow(t, "bitbucket"); status.Missing != 2 || status.Withheld != 1 {
		t.Errorf("status %+v, want 2 missing and 1 withheld", status)
	}
	if diff := cmp.Diff([]string{"NEW/a", "NEW/c"}, b.memory.selected()); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
}
