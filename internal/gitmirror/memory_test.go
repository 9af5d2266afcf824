package gitmirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// TestMemoryAdmitsInTurn lets large work have its turn among small work.
func TestMemoryAdmitsInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m memory
		m.setLimit(100)
		acquire := func(bytes int64) func() {
			t.Helper()
			release, err := m.acquire(t.Context(), bytes)
			if err != nil {
				t.Fatal(err)
			}
			return release
		}
		if _, err := m.acquire(t.Context(), 101); !errors.Is(err, syncer.ErrTooLarge) {
			t.Errorf("what never fits: %v", err)
		}
		small := acquire(60)
		var mu sync.Mutex // guards order
		var order []int64
		wait := func(bytes int64, ctx context.Context) { //nolint:revive // reads as what waits, and how long
			go func() {
				release, err := m.acquire(ctx, bytes)
				if err != nil {
					bytes, release = -bytes, func() {}
				}
				mu.Lock()
				order = append(order, bytes)
				mu.Unlock()
				release()
			}()
			synctest.Wait()
		}
		wait(90, t.Context()) // waits for the small one
		wait(20, t.Context()) // would fit, and does not pass the large one
		impatient, cancel := context.WithCancel(t.Context())
		wait(15, impatient)
		cancel()
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[-15]" {
			t.Errorf("before the small one has ended: %s", got)
		}
		small()
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[-15 90 20]" {
			t.Errorf("order %s", got)
		}

		// Who gives up lets those behind it go on.
		small = acquire(60)
		impatient, cancel = context.WithCancel(t.Context())
		wait(90, impatient)
		wait(30, t.Context())
		cancel()
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[-15 90 20 -90 30]" && got != "[-15 90 20 30 -90]" {
			t.Errorf("order %s", got)
		}
		// What waits while the limit falls below it goes alone.
		wait(80, t.Context())
		m.setLimit(70)
		small()
		synctest.Wait()
		if order[len(order)-1] != 80 || m.used != 0 || m.waiting.Len() != 0 {
			t.Errorf("order %v, used %d", order, m.used)
		}
	})
}

// TestATooLargeRepositoryIsRefusedInWords: go-git would take more memory than the budget leaves. Nothing is lost, and
// the git program does it.
func TestATooLargeRepositoryIsRefusedInWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Configure(Settings{Engine: siteconfig.EngineGoGit, MemoryBudget: 28 << 20})
	commit := f.origin.commit("refs/heads/main", map[string]string{"small": "1"})
	f.fetch(t)
	large := f.origin.commit("refs/heads/main", map[string]string{"large": noise(4<<20, 1)})
	_, err := f.Fetch(t.Context(), f.request())
	wantErr(t, err, syncer.ErrTooLarge)
	for _, word := range []string{"memoryBudgetMiB", "git 2.32", "24.0 MiB", "21.0 MiB"} {
		if err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("error %q lacks %q", err, word)
		}
	}
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v", got, err)
	}
	f.checkWhole(t)
	if f.memory.used != 0 {
		t.Errorf("%d bytes are still taken", f.memory.used)
	}
	f.Configure(Settings{Engine: siteconfig.EngineGit, MemoryBudget: 28 << 20})
	f.fetch(t)
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != large {
		t.Errorf("ResolveRef: %q, %v", got, err)
	}
	f.checkSame(t)
}

// indexPack indexes a pack as the go-git engine does, and prints the estimate and the peak of this process.
func indexPack(dir, path string) error {
	if err := initBare(dir); err != nil {
		return err
	}
	pack, err := os.Open(path)
	if err != nil {
		return err
	}
	s, err := receiveSpool(context.Background(), pack, dir)
	if err != nil {
		return err
	}
	if err := errors.Join(s.index(dir), s.file.Close(), pack.Close()); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Println(s.memory(), strings.TrimSuffix(strings.TrimSpace(peak), " kB"))
		}
	}
	return nil
}

// TestIndexingStaysWithinItsEstimate measures the peak of a process that indexes what takes most: a large object and
// a delta to it.
func TestIndexingStaysWithinItsEstimate(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	content := noise(12<<20, 1)
	o.commit("refs/heads/main", map[string]string{"large": content})
	o.commit("refs/heads/main", map[string]string{"large": content + "more"})
	o.git("-c", "core.bigFileThreshold=1g", "repack", "-adfq", "--window=5")
	packs := packsOf(t, o.dir)
	if info, err := os.Stat(packs[0]); len(packs) != 1 || err != nil || info.Size() > 15<<20 {
		t.Fatalf("packs %v, %v: there is no delta", packs, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "indexed.git")
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(gitEnv(t.TempDir()), childEnv+"="+dir, childEnv+"_PACK="+packs[0])
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var estimate, peak int64
	if _, err := fmt.Sscan(string(out), &estimate, &peak); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	peak <<= 10
	const program = 32 << 20 // that does nothing
	if raceEnabled {
		t.Logf("with the race detector memory says nothing: estimate %s, peak %s", size(estimate), size(peak))
	} else if peak > estimate+program || estimate > 3*peak {
		t.Errorf("estimate %s, peak %s", size(estimate), size(peak))
	}
	if err := checkMirrorWhole(t.Context(), dir); err != nil {
		var damage *damagedError
		if !errors.As(err, &damage) || !damage.refs { // it has objects and no refs
			t.Error(err)
		}
	}
}
