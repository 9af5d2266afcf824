package syncer_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// A project gets another key and a repository moves: the numbers stay, and so do the mirrors. What
// is pushed afterwards comes over the new address, by a fetch that is no clone.
func TestARenamedProjectAndAMovedRepositoryKeepTheirMirrors(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.14", "9.4"} { // old ones do not redirect
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, version, nil)
			w.run(t)
			app, tool := w.id(t, "PRJ/app"), w.id(t, "OTHER/tool")
			old := map[bitbucket.RepoID]string{app: w.head(t, app), tool: w.head(t, tool)}
			must(t, w.bitbucket.Rename("OTHER/tool", "PRJ/gear"))
			must(t, w.bitbucket.RenameProject("PRJ", "NEXT"))
			pushed := map[bitbucket.RepoID]string{app: w.push(t, "NEXT/app", "one"), tool: w.push(t, "NEXT/gear", "two")}
			w.bitbucket.ClearRequests()
			report := w.run(t)
			if report.Cloned != 0 || report.Changed != 2 || len(report.Failures) != 0 {
				t.Errorf("report %+v, want two changes and no clone", report)
			}
			addresses := make(map[string]bool)
			for _, r := range w.bitbucket.Requests() {
				if r.Kind != bitbuckettest.KindGit {
					continue
				}
				addresses[strings.TrimPrefix(strings.Split(r.Path, ".git/")[0], "/bitbucket/scm/")] = true
			}
			want := map[string]bool{"next/app": true, "next/lib": true, "next/gear": true, "~ada/dots": true}
			if diff := cmp.Diff(want, addresses); diff != "" {
				t.Errorf("fetched from (-want +got):\n%s", diff)
			}
			for id, hash := range pushed {
				if got := w.head(t, id); got != hash {
					t.Errorf("HEAD of %s is %s, want %s", id, got, hash)
				}
				if _, err := w.mirrors.ResolveRef(t.Context(), id, old[id]); err != nil {
					t.Errorf("the commit from before: %v", err)
				}
			}
			for address, id := range map[bitbucket.Address]bitbucket.RepoID{
				{Key: "PRJ", Slug: "app"}: app, {Key: "OTHER", Slug: "tool"}: tool, {Key: "NEXT", Slug: "gear"}: tool,
			} {
				if r, err := w.store.RecordAt(t.Context(), "bitbucket", address); err != nil || r.ID != id {
					t.Errorf("at %s: %+v, %v; want %s", address, r, err, id)
				}
			}
		})
	}
}

// The url of a connection names another Bitbucket whose repositories have the same numbers and
// addresses, and another history.
func TestAnotherBitbucketUnderTheSameNameGetsItsOwnMirrors(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, "8.19", nil), newWorld(t, "8.19", nil)
	w.run(t)
	app := w.id(t, "PRJ/app")
	ours := w.push(t, "PRJ/app", "ours")
	w.run(t)
	theirs := other.push(t, "PRJ/app", "theirs")
	if other.id(t, "PRJ/app") != app || ours == theirs {
		t.Fatal("the two do not collide")
	}
	p := newProgram(t, w, w.conn)
	if got := p.linked(t); len(got) != 4 {
		t.Fatalf("linked %v", got)
	}

	w.bitbucket, w.client = other.bitbucket, other.client // what stands behind the connection
	p.configure(t, other.conn)
	head := func() (string, error) { return w.mirrors.ResolveRef(t.Context(), app, "") }
	entry, err := p.syncer.LookupRepository(t.Context(), "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "app"})
	if err != nil || entry.ID != app {
		t.Errorf("lookup: %+v, %v", entry, err)
	}
	if got, err := head(); !errors.Is(err, resolver.ErrNotMirrored) {
		t.Errorf("HEAD is %s, %v; want no mirror", got, err)
	}
	report, err := p.syncer.RunOnce(t.Context(), syncer.RunOptions{})
	must(t, err)
	if report.Cloned != 4 || len(report.Failures) != 0 || report.Connections[0].Error != "" {
		t.Errorf("report %+v, want all cloned", report)
	}
	if got, err := head(); err != nil || got != theirs {
		t.Errorf("HEAD is %s, %v; want %s", got, err, theirs)
	}
	if _, err := w.mirrors.ResolveRef(t.Context(), app, ours); err == nil {
		t.Error("the mirror has the old server's commit")
	}
	if got := p.linked(t); len(got) != 4 {
		t.Errorf("linked %v", got)
	}
}

// Real disk and database: the mirror of what was deleted goes, the others stay.
func TestTheMirrorOfADeletedRepositoryLeavesTheDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "8.19", nil)
	w.run(t)
	lib, tool := w.id(t, "PRJ/lib"), w.id(t, "OTHER/tool")
	must(t, w.bitbucket.Delete("PRJ/lib"))
	w.run(t)
	s, err := syncer.New(syncer.Options{
		Index: w.store, Records: w.store, Status: w.store, Hosts: w, Mirrors: w.mirrors, Listener: w.told,
		Remote: func(string) (http.RoundTripper, func(*http.Request), error) {
			return w.client.Transport(), w.client.AuthorizeGit, nil
		},
		Now: func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }, // started a week after
	})
	must(t, err)
	config := &siteconfig.Config{Connections: []siteconfig.Connection{w.conn}, MaxConcurrentClones: 1, MirrorGrace: 7 * 24 * time.Hour}
	s.SetConfig(config)
	_, err = s.RunOnce(t.Context(), syncer.RunOptions{})
	must(t, err)
	there := func(id bitbucket.RepoID) bool {
		_, err := os.Stat(filepath.Join(w.dir, "mirrors", "bitbucket", strconv.FormatInt(id.Number, 10)+".git"))
		return err == nil
	}
	uptime := time.Duration(0)
	s.SetUptime(func() time.Duration { return uptime })
	for _, uptime = range []time.Duration{9 * time.Minute, 11 * time.Minute, 70 * time.Minute} {
		must(t, s.CleanUp(t.Context()))
		if !there(lib) || !there(tool) {
			t.Errorf("a mirror is gone %v after the start", uptime)
		}
	}
	uptime = 72 * time.Minute
	must(t, s.CleanUp(t.Context()))
	if there(lib) {
		t.Error("the mirror of the deleted repository is there")
	}
	if !there(tool) || !there(w.id(t, "PRJ/app")) {
		t.Error("another mirror is gone")
	}
	if _, err := w.store.Record(context.Background(), lib); !errors.Is(err, syncer.ErrNoRecord) {
		t.Errorf("the record: %v, want ErrNoRecord", err)
	}
	noSecrets(t, w.dir)
}
