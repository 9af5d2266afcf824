package syncer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

func TestLookupRepository(t *testing.T) {
	t.Parallel()
	prj := func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ"} }
	query := func(c *siteconfig.Connection) { c.RepositoryQuery = []string{"?visibility=public"} }
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		known  []Record
		serves []bitbucket.Repository
		at     string
		want   int64  // the number of the answer; 0 for none
		reason string // why there is none
		asked  bool   // whether Bitbucket was asked for the repository
	}{
		{
			"a known one is answered from the index", nil,
			[]Record{{Repository: repo(1, "PRJ/a"), Selected: true, Reason: "x"}},
			nil,
			"prj/A", 1, "", false,
		},
		{
			"a known one that is not selected is not asked for",
			func(c *siteconfig.Connection) { c.Exclude = []siteconfig.Exclusion{{ID: 1}} },
			[]Record{{Repository: repo(1, "PRJ/a"), Reason: "excluded by exclude[0] (id 1)"}},
			nil,
			"PRJ/a", 0, "excluded by exclude[0] (id 1)", false,
		},
		{
			"a missing one is asked for", nil,
			[]Record{{Repository: repo(1, "PRJ/a"), Reason: "missing", MissingSince: time.Unix(1, 0)}},
			[]bitbucket.Repository{repo(1, "PRJ/a")},
			"PRJ/a", 1, "", true,
		},
		{
			"an unknown one of a selected project", prj, nil,
			[]bitbucket.Repository{repo(1, "PRJ/a")},
			"PRJ/a", 1, "", true,
		},
		{
			"an unknown one of another project", prj, nil,
			[]bitbucket.Repository{repo(1, "OTHER/a")},
			"OTHER/a", 0, "not selected: none of repos, projectKeys and repositoryQuery of its connection takes it; add it to one of them if it should be there", true,
		},
		{
			"one that is nowhere", nil, nil, nil,
			"PRJ/a", 0, "it does not exist on Bitbucket, or the account may not see it; give the account read permission if it should be there (not found on Bitbucket, or not visible to the account)", true,
		},
		{
			"one that only a listing can decide about", query, nil,
			[]bitbucket.Repository{repo(1, "PRJ/a")},
			"PRJ/a", 0, reasonUndecided, true,
		},
		{
			"one that a listing decided about before it was renamed", query,
			[]Record{{Repository: repo(1, "OLD/a"), Selected: true}},
			[]bitbucket.Repository{repo(1, "PRJ/a")},
			"PRJ/a", 1, "", true,
		},
		{
			"an excluded one says so although a listing would have to decide",
			func(c *siteconfig.Connection) {
				query(c)
				c.Exclude = []siteconfig.Exclusion{{ID: 1}}
			}, nil,
			[]bitbucket.Repository{repo(1, "PRJ/a")},
			"PRJ/a", 0, "excluded by exclude[0] (id 1)", true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", c.config))
			b.start(t)
			for _, r := range c.known {
				b.memory.records[r.ID] = r
			}
			b.host.serve(c.serves...)
			address := repo(0, c.at).Address
			got, err := b.LookupRepository(t.Context(), "bitbucket", address)
			if c.want == 0 {
				var reason *resolver.NotFoundError
				if !errors.Is(err, resolver.ErrRepositoryNotFound) || !errors.As(err, &reason) || reason.Reason != c.reason {
					t.Errorf("error %v, want not found with the reason %q", err, c.reason)
				}
			} else if err != nil || got.ID.Number != c.want {
				t.Errorf("LookupRepository: %+v, %v; want %d", got, err, c.want)
			}
			if asked := b.host.count("one "+c.at) > 0; asked != c.asked {
				t.Errorf("Bitbucket was asked: %v, want %v", asked, c.asked)
			}
		})
	}
}

func TestLookupAdoptsWhatItFinds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t)
	b.host.serve(repo(1, "PRJ/a"))
	got, err := b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "prj", Slug: "A"})
	if err != nil {
		t.Fatal(err)
	}
	want := resolver.Entry{ID: id(1), Address: bitbucket.Address{Key: "PRJ", Slug: "a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if r := b.memory.record(t, id(1)); !r.Selected || r.Reason != "selected by default: nothing narrows the connection" {
		t.Errorf("record %+v", r)
	}
	if len(b.listener.changes) != 1 || len(b.listener.changes[0].Upserted) != 1 {
		t.Errorf("announced %+v, want the new record", b.listener.changes)
	}
	if diff := cmp.Diff([]string{`fetch {"connection":"bitbucket","number":1}`}, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestLookupDoesNotLockTheAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.account = func() (string, error) { return "", fmt.Errorf("%w: 401", bitbucket.ErrUnauthorized) }
	for range 10 {
		_, err := b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "a"})
		if !errors.Is(err, bitbucket.ErrUnauthorized) || errors.Is(err, resolver.ErrRepositoryNotFound) {
			t.Fatalf("error %v, want ErrUnauthorized", err)
		}
	}
	if len(b.host.calls) != 1 {
		t.Errorf("calls %v, want one", b.host.calls)
	}
}

func TestLookupTellsAnInvisibleRepositoryFromARefusedCredential(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.one = func(bitbucket.Address) (bitbucket.Repository, error) {
		return bitbucket.Repository{}, fmt.Errorf("%w: 401", bitbucket.ErrUnauthorized)
	}
	address := bitbucket.Address{Key: "PRJ", Slug: "secret"}
	if _, err := b.LookupRepository(t.Context(), "bitbucket", address); !errors.Is(err, resolver.ErrRepositoryNotFound) {
		t.Errorf("error %v, want ErrRepositoryNotFound", err)
	}
	b.host.account = func() (string, error) { return "", bitbucket.ErrUnauthorized }
	if _, err := b.LookupRepository(t.Context(), "bitbucket", address); errors.Is(err, resolver.ErrRepositoryNotFound) {
		t.Errorf("error %v, want that of the credential", err)
	}
}

func TestLookupOfAnUnknownConnection(t *testing.T) {
	t.Parallel()
	if _, err := newBench(t).LookupRepository(t.Context(), "gone", bitbucket.Address{Key: "PRJ", Slug: "a"}); !errors.Is(err, resolver.ErrRepositoryNotFound) {
		t.Errorf("error %v, want ErrRepositoryNotFound", err)
	}
}
