package syncer_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
)

// An old Bitbucket with a password and a new one with a token: list, mirror, push, rename,
// delete, with real REST, git, disk and database.
func TestSyncOfARealBitbucket(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.14", "6.10", "9.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, version, nil)
			all := []string{"PRJ/app", "PRJ/lib", "OTHER/tool", "~ADA/dots"}
			report := w.run(t)
			if report.Cloned != 4 || len(report.Failures) != 0 {
				t.Fatalf("first pass: %+v", report)
			}
			status := report.Connections[0]
			if status.Account != "bot" || !strings.HasPrefix(status.Version, version+".") || status.Error != "" {
				t.Errorf("status %+v", status)
			}
			if diff := cmp.Diff(all, w.selected(t)); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}

			if report := w.run(t); report.Unchanged != 4 {
				t.Errorf("second pass: %+v, want 4 unchanged", report)
			}

			app := w.id(t, "PRJ/app")
			pushed := w.push(t, "PRJ/app", "news")
			if report := w.run(t, "PRJ/app"); report.Changed != 1 || report.Repositories != 1 {
				t.Errorf("after a push: %+v, want 1 changed", report)
			}
			if got := w.head(t, app); got != pushed {
				t.Errorf("HEAD is %s, want %s", got, pushed)
			}

			must(t, w.bitbucket.Rename("PRJ/app", "OTHER/renamed"))
			must(t, w.bitbucket.Delete("PRJ/lib"))
			if report := w.run(t); report.Cloned != 0 || report.Unchanged != 3 || len(report.Failures) != 0 {
				t.Errorf("after a rename and a deletion: %+v, want 3 unchanged", report)
			}
			if diff := cmp.Diff([]string{"OTHER/renamed", "OTHER/tool", "~ADA/dots"}, w.selected(t)); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			record, err := w.store.RecordAt(t.Context(), "bitbucket", bitbucket.Address{Key: "prj", Slug: "APP"})
			if err != nil || record.ID != app {
				t.Errorf("at the former address: %+v, %v", record, err)
			}
			noSecrets(t, w.dir)
		})
	}
}

// noSecrets looks for the canaries in every file below dir.
func noSecrets(t *testing.T, dir string) {
	t.Helper()
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, canary := range []string{canaryPassword, canaryToken} {
			if bytes.Contains(content, []byte(canary)) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return err
	}))
	if files == 0 {
		t.Error("no file was searched")
	}
}

// What a Bitbucket can do to a listing, and that nothing leaves the index for it.
func TestARealBitbucketThatMisbehavesLosesNothing(t *testing.T) {
	t.Parallel()
	all := []string{"PRJ/app", "PRJ/lib", "OTHER/tool", "~ADA/dots"}
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
		then   func(t *testing.T, w *world)
		status string
	}{
		{
			"a revoked token", nil,
			func(t *testing.T, w *world) { must(t, w.bitbucket.SetTokens("bot")) },
			"refused the credential",
		},
		{
			"an empty list with 200", nil,
			func(_ *testing.T, w *world) {
				w.bitbucket.Fault(bitbuckettest.Fault{Path: "/rest/api/1.0/repos", Effect: bitbuckettest.EffectEmptyPage})
			},
			"found no repository at all; the 4 known ones stay",
		},
		{
			"a list that is cut off", nil,
			func(_ *testing.T, w *world) {
				w.bitbucket.Fault(bitbuckettest.Fault{Path: "/rest/api/1.0/repos", Effect: bitbuckettest.EffectCut})
			},
			"Bitbucket does not answer as it should",
		},
		{
			"a page without its end", nil,
			func(_ *testing.T, w *world) {
				w.bitbucket.Fault(bitbuckettest.Fault{Path: "/rest/api/1.0/repos", Effect: bitbuckettest.EffectNoLastPage})
			},
			"the listing broke off",
		},
		{
			"a login page in front of it", nil,
			func(_ *testing.T, w *world) {
				w.bitbucket.Fault(bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Effect: bitbuckettest.EffectLoginPage})
			},
			"what answers is no Bitbucket Server",
		},
		{
			"a server error", nil,
			func(_ *testing.T, w *world) {
				w.bitbucket.Fault(bitbuckettest.Fault{Path: "/rest/api/1.0/repos", Status: 503, Body: "<html>maintenance"})
			},
			"Bitbucket does not answer as it should",
		},
		{
			"a configured repository that is gone",
			func(c *siteconfig.Connection) {
				c.Repos = []string{"PRJ/app", "PRJ/lib", "OTHER/tool", "~ada/dots"}
			},
			func(t *testing.T, w *world) { must(t, w.bitbucket.Delete("PRJ/lib")) },
			"repos PRJ/lib: ",
		},
		{
			"a project that the account may not see any more",
			func(c *siteconfig.Connection) { c.ProjectKeys = []string{"PRJ", "OTHER", "~ADA"} },
			func(t *testing.T, w *world) { must(t, w.bitbucket.SetReaders("OTHER", []string{"ada"})) },
			"projectKeys OTHER: ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "7.21", c.config)
			if report := w.run(t); report.Cloned != 4 {
				t.Fatalf("first pass: %+v", report)
			}
			c.then(t, w)
			report := w.run(t, "PRJ/app")
			status := report.Connections[0]
			if !strings.Contains(status.Error, c.status) {
				t.Errorf("status %q does not say %q", status.Error, c.status)
			}
			if diff := cmp.Diff(all, w.selected(t)); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			if strings.Contains(status.Error, canaryToken) {
				t.Errorf("the status holds the token: %q", status.Error)
			}
		})
	}
}

// A broken label of a real 6.10: what is archived stays archived, all else syncs, new ones
// too, and the status says why nothing is removed.
func TestABrokenLabelStopsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config func(*siteconfig.Connection)
	}{
		{"when everything is listed", func(*siteconfig.Connection) {}},
		{"when repositories are named", func(c *siteconfig.Connection) {
			c.Repos = []string{"PRJ/app", "PRJ/lib", "OTHER/tool", "OTHER/old", "~ADA/dots"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "6.10", func(conn *siteconfig.Connection) {
				c.config(conn)
				conn.Archived = "exclude"
			})
			old, err := w.bitbucket.AddRepository(bitbuckettest.Repository{Project: "OTHER", Slug: "old", Labels: []string{"archived"}})
			must(t, err)
			archived := func() (bool, string) {
				t.Helper()
				r, err := w.store.Record(t.Context(), bitbucket.RepoID{Connection: "bitbucket", Number: old.ID})
				must(t, err)
				return r.Archived, r.Reason
			}
			if report := w.run(t); report.Cloned != 4 || report.Connections[0].Error != "" {
				t.Fatalf("first pass: %+v", report)
			}
			w.bitbucket.Fault(bitbuckettest.Fault{Path: "/rest/api/1.0/labels", Status: 500, Body: "oops"})
			w.newClient(t) // without an earlier answer
			must(t, w.bitbucket.Delete("PRJ/lib"))
			w.add(t, "OTHER", "new")
			if len(w.conn.Repos) > 0 {
				w.conn.Repos = append(w.conn.Repos, "OTHER/new")
				w.configure(w.conn)
			}
			status := w.run(t).Connections[0]
			if !strings.Contains(status.Error, `could not be asked for the label "archived"; the last answer stands, nothing is removed`) {
				t.Errorf("status %q", status.Error)
			}
			if ok, reason := archived(); !ok || reason != `archived, and archived is "exclude"` {
				t.Errorf("archived %v, %q, want what was stored", ok, reason)
			}
			if diff := cmp.Diff([]string{"PRJ/app", "PRJ/lib", "OTHER/tool", "~ADA/dots", "OTHER/new"}, w.selected(t)); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			if record, err := w.store.Record(t.Context(), w.id(t, "OTHER/new")); err != nil || record.Mirror.LastFetch.IsZero() {
				t.Errorf("the new repository: %+v, %v, want it fetched", record, err)
			}
		})
	}
}

func TestARevokedTokenDoesNotLockTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "8.19", nil)
	must(t, w.bitbucket.SetTokens("bot"))
	for range 8 {
		report := w.run(t)
		if report.Connections[0].Error == "" {
			t.Fatalf("report %+v, want the refusal", report)
		}
		_, err := w.syncer.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "app"})
		if err == nil {
			t.Fatal("a lookup with a revoked token found something")
		}
	}
	failed := 0
	for _, r := range w.bitbucket.Requests() {
		if r.Scheme != "" && !r.Authenticated {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d logins with the revoked token, want 1", failed)
	}
}
