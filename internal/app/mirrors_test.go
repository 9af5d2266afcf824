package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
)

// patience bounds a wait on a slow machine.
const patience = 2 * time.Minute

// TestADamagedMirrorIsMendedAfterAStart by itself, long before its next fetch is due.
func TestADamagedMirrorIsMendedAfterAStart(t *testing.T) {
	t.Parallel()
	s := startBitbucket(t, bitbuckettest.Options{Version: "8.19"})
	dir := t.TempDir()
	o := Options{DataDir: filepath.Join(dir, "data"), ConfigFile: filepath.Join(dir, "signpost.jsonc"), Listen: "127.0.0.1:0"}
	writeConfigFile(t, o.ConfigFile, s.BaseURL(), "right", "mirrors one repository")
	if report := live(t, o); report.Cloned != 1 {
		t.Fatalf("the first pass: %+v", report)
	}
	mirrors, err := filepath.Glob(filepath.Join(o.DataDir, "mirrors", "bitbucket", "*.git"))
	if err != nil || len(mirrors) != 1 {
		t.Fatal(mirrors, err)
	}
	packs, err := filepath.Glob(filepath.Join(mirrors[0], "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	if err := os.Truncate(packs[0], 20); err != nil {
		t.Fatal(err)
	}

	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	id := bitbucket.RepoID{Connection: "bitbucket", Number: 1}
	before, err := a.records.Record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for mended := false; !mended; {
		select {
		case <-deadline:
			t.Fatal("the mirror was not fetched")
		case <-look.C:
		}
		now, err := a.records.Record(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if mended = now.Mirror.LastFetch.After(before.Mirror.LastFetch); mended && !now.Mirror.LastFetch.Before(before.Mirror.NextFetch) {
			t.Errorf("fetched at %v, when it was due anyway", now.Mirror.LastFetch)
		}
	}
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "--git-dir", mirrors[0], "fsck", "--full", "--strict")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAStopEndsTheCheckOfTheMirrors, also one that has just begun, and what it asked for.
func TestAStopEndsTheCheckOfTheMirrors(t *testing.T) {
	t.Parallel()
	w := newAdminWorld(t, `{}`)
	for n := range 200 {
		mirror := filepath.Join(w.opts.DataDir, "mirrors", "bitbucket", fmt.Sprintf("%d.git", n+1))
		if err := os.MkdirAll(mirror, 0o700); err != nil { // damaged: it has nothing
			t.Fatal(err)
		}
	}
	w.checkMirrors(t.Context())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := w.mirrors.CheckAll(t.Context()); err != nil {
		t.Errorf("the folders are not as they were: %v", err)
	}
}

// TestTheMemoryBudgetIsTheSoftLimit of the whole process, so this test runs alone.
func TestTheMemoryBudgetIsTheSoftLimit(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	t.Setenv("GOMEMLIMIT", "")
	w := newAdminWorld(t, `{}`)
	w.configureMirrors(&siteconfig.Config{MemoryBudget: 700 << 20, MinFreeDiskPercent: 20})
	if got := debug.SetMemoryLimit(-1); got != 700<<20 {
		t.Errorf("the limit is %d, want that of the configuration", got)
	}
	if floor, err := w.mirrors.Floor(); err != nil || floor == 0 {
		t.Errorf("a floor of %d bytes, %v", floor, err)
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	w.configureMirrors(&siteconfig.Config{MemoryBudget: 300 << 20})
	if got := debug.SetMemoryLimit(-1); got != 700<<20 {
		t.Errorf("the limit is %d, although the environment sets one", got)
	}
	if floor, err := w.mirrors.Floor(); err != nil || floor != 0 {
		t.Errorf("a floor of %d bytes, %v", floor, err)
	}
}
