package syncer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

// unknown returns r as a Bitbucket tells of it whose label cannot be read.
func unknown(r bitbucket.Repository) bitbucket.Repository {
	r.Archived, r.ArchivedUnknown = false, true
	return r
}

// serveUnknown makes the host list these repositories without their flags.
func (h *codeHost) serveUnknown(repositories ...bitbucket.Repository) {
	for i := range repositories {
		repositories[i] = unknown(repositories[i])
	}
	h.serve(repositories...)
	list := h.list
	h.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
		if err := list(query, yield); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w: %w", bitbucket.ErrIncompleteListing, bitbucket.ErrArchivedUnknown, bitbucket.ErrUnavailable)
	}
}

func TestTheStoredFlagStandsWhenTheLabelCannotBeRead(t *testing.T) {
	t.Parallel()
	const excluded = `archived, and archived is "exclude"`
	old := repo(2, "PRJ/old")
	old.Archived = true
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		want   []string // selected in the end; PRJ/gone is not there any more, PRJ/new was not before
		reason string   // of the archived one
	}{
		{"all are listed", nil, []string{"PRJ/a", "PRJ/gone", "PRJ/new"}, excluded},
		{
			"projects are listed, empty ones first",
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"E1", "E2", "E3", "E4", "PRJ"} },
			[]string{"PRJ/a", "PRJ/gone", "PRJ/new"},
			excluded,
		},
		{
			"repositories are named",
			func(c *siteconfig.Connection) { c.Repos = []string{"PRJ/a", "PRJ/old", "PRJ/gone", "PRJ/new"} },
			[]string{"PRJ/a", "PRJ/gone", "PRJ/new"},
			excluded,
		},
		{
			"archived ones are asked for",
			func(c *siteconfig.Connection) {
				c.Archived, c.RepositoryQuery = "include", []string{"?archived=ARCHIVED"}
			},
			[]string{"PRJ/old"},
			`selected by repositoryQuery "?archived=ARCHIVED"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, connectionOf("bitbucket", func(conn *siteconfig.Connection) {
				conn.Archived = "exclude"
				if c.config != nil {
					c.config(conn)
				}
			}))
			b.host.serve(repo(1, "PRJ/a"), old, repo(3, "PRJ/gone"))
			b.listNow(t, "bitbucket")
			before := b.clock
			b.clock = before.Add(time.Minute)
			b.host.serveUnknown(repo(1, "PRJ/a"), old, repo(4, "PRJ/new"))
			status := b.listNow(t, "bitbucket")

			if diff := cmp.Diff(c.want, b.memory.selected()); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			if r := b.memory.record(t, id(2)); !r.Archived || r.Reason != c.reason {
				t.Errorf("archived %v, %q, want it archived, %q", r.Archived, r.Reason, c.reason)
			}
			for _, n := range []int64{1, 2, 4} {
				if b.memory.record(t, id(n)).ArchivedUnknown {
					t.Errorf("%s was stored as ArchivedUnknown", id(n))
				}
			}
			if n := strings.Count(status.Error, `the label "archived"; the last answer stands`); n != 1 {
				t.Errorf("status %q says %d times, not once, that the label cannot be read", status.Error, n)
			}
			if strings.Contains(status.Error, "not asked for the rest") || status.LastComplete.After(before) {
				t.Errorf("status %+v, want a listing that went on to its end and is incomplete", status)
			}
		})
	}
}

func TestALookupKeepsTheStoredFlag(t *testing.T) {
	t.Parallel()
	b := newBench(t, connectionOf("bitbucket", func(c *siteconfig.Connection) { c.Archived = "exclude" }))
	old := repo(2, "PRJ/old")
	old.Archived = true
	b.host.serve(old)
	b.listNow(t, "bitbucket")
	moved := old
	moved.Address = bitbucket.Address{Key: "NEW", Slug: "old"}
	b.host.serveUnknown(moved, repo(3, "PRJ/new"))

	var none *resolver.NotFoundError
	_, err := b.LookupRepository(t.Context(), "bitbucket", moved.Address)
	if !errors.As(err, &none) || none.Reason != `archived, and archived is "exclude"` {
		t.Errorf("error %v, want that it is archived", err)
	}
	if r := b.memory.record(t, id(2)); !r.Archived || r.ArchivedUnknown || r.Address != moved.Address {
		t.Errorf("record %+v, want it archived at its new address", r)
	}
	entry, err := b.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "new"})
	if err != nil || entry.ID != id(3) {
		t.Errorf("a new one: %+v, %v", entry, err)
	}
}

func TestAFailingDatabaseIsNoReasonToForgetTheFlag(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := repo(2, "PRJ/old")
	old.Archived = true
	b.host.serve(old)
	b.listNow(t, "bitbucket")
	b.host.serveUnknown(old)
	b.memory.fail = func(method string) error {
		if method == "Record" {
			return errors.New("disk on fire")
		}
		return nil
	}
	if _, err := b.list(t.Context(), b.connection("bitbucket"), nil); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("error %v, want the database's", err)
	}
	b.memory.fail = nil
	if r := b.memory.record(t, id(2)); !r.Archived {
		t.Errorf("record %+v, want it archived", r)
	}
}
