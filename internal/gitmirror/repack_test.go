package gitmirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

func TestSmallPacks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		sizes []int64
		want  int
	}{
		{"none", nil, 0},
		{"one", []int64{5}, 0},
		{"each is twice the one before", []int64{1, 2, 4, 8}, 0},
		{"two alike", []int64{3, 3}, 2},
		{"pushes upon a clone", []int64{1, 1, 1, 1, 1000}, 4},
		{"what was rolled up before stays when it is large", []int64{1, 1, 1, 20, 1000}, 3},
		{"and is taken when as much has come", []int64{1, 1, 1, 5, 1000}, 4},
		{"a pair in the middle takes all that is smaller", []int64{1, 10, 15, 1000}, 3},
		{"the sum takes the next one in", []int64{4, 5, 10, 30}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := smallPacks(c.sizes); got != c.want {
				t.Errorf("smallPacks(%v) = %d, want %d", c.sizes, got, c.want)
			}
		})
	}
}

func packsOf(t testing.TB, dir string) []string {
	t.Helper()
	packs, err := packFiles(dir, ".pack")
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

// noise returns bytes that do not compress.
func noise(n int, of uint64) string {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(of), byte(of>>8)
	rand.NewChaCha8(key).Read(b)
	return string(b)
}

// eachEngine runs a test with a fixture of each engine.
func eachEngine(t *testing.T, o Options, test func(t *testing.T, f *fixture, engine string)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []string{siteconfig.EngineGoGit, siteconfig.EngineGit} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f := newFixtureWith(t, o)
			f.Configure(Settings{Engine: engine})
			test(t, f, engine)
		})
	}
}

// TestRepackMakesSmallPacksOne pushes often upon a large clone. The large pack stays the file that it was, the
// number of packs stays small, and what no ref leads to any more is kept.
func TestRepackMakesSmallPacksOne(t *testing.T) {
	eachEngine(t, Options{RepackPacks: 6}, func(t *testing.T, f *fixture, _ string) {
		f.origin.commit("refs/heads/main", map[string]string{"large": noise(1<<20, 1)})
		f.fetch(t)
		first := packsOf(t, f.mirror())
		lost := f.origin.commit("refs/heads/lost", map[string]string{"lost": "1"})
		most, rewritten := 0, 0
		var digest string
		for n := range 25 {
			commit := f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): noise(2000, uint64(n+2))})
			if n == 3 {
				f.origin.git("update-ref", "-d", "refs/heads/lost")
			}
			before := packsOf(t, f.mirror())
			digest = f.fetch(t).RefsDigest
			after := packsOf(t, f.mirror())
			most = max(most, len(after))
			if len(after) <= len(before) {
				rewritten++
			}
			if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
				t.Errorf("ResolveRef: %q, %v; want %s", got, err, commit)
			}
			if kind, err := f.PathKind(t.Context(), f.id, commit, "0"); err != nil || kind != bitbucket.PathFile {
				t.Errorf("PathKind: %v, %v", kind, err)
			}
		}
		if most >= 6 || rewritten == 0 {
			t.Errorf("up to %d packs, %d repacks", most, rewritten)
		}
		if !slices.Contains(packsOf(t, f.mirror()), first[0]) {
			t.Error("the large pack was rewritten")
		}
		if got, err := f.ResolveRef(t.Context(), f.id, lost); err != nil || got != lost {
			t.Errorf("what no ref leads to: %q, %v", got, err)
		}
		f.checkSame(t)
		request := f.request()
		request.RefsDigest = digest
		if result, err := f.Fetch(t.Context(), request); err != nil || result.Cloned || result.Changed {
			t.Errorf("the fetch afterwards: %+v, %v", result, err)
		}
	})
}

// TestRepackWaitsForReaders holds a read open: the old packs stay as long as it may have them open.
func TestRepackWaitsForReaders(t *testing.T) {
	eachEngine(t, Options{RepackPacks: 100}, func(t *testing.T, f *fixture, _ string) {
		for n := range 5 {
			f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): "1"})
			f.fetch(t)
		}
		old := packsOf(t, f.mirror())
		w, unlock, err := f.lockWriter(t.Context(), f.id)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		run := &fetch{Mirrors: f.Mirrors, writer: w}
		if run.engine, err = f.engine(); err != nil {
			t.Fatal(err)
		}
		leave, err := f.readers.enter(t.Context(), f.id)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan int)
		go func() {
			n, err := run.rollUp(ctx, old)
			if err != nil {
				t.Error(err)
			}
			result <- n
		}()
		if n := <-result; n != 0 { // after drainReaders
			t.Errorf("%d packs were removed under a reader", n)
		}
		cancel()
		now := packsOf(t, f.mirror())
		for _, pack := range old {
			if !slices.Contains(now, pack) {
				t.Errorf("%s went under a reader", filepath.Base(pack))
			}
		}
		leave()
		f.checkWhole(t)
		if n, err := run.rollUp(t.Context(), now); err != nil || n == 0 {
			t.Errorf("after the reader has gone: %d, %v", n, err)
		}
		if n := len(packsOf(t, f.mirror())); n != 1 {
			t.Errorf("%d packs, want 1", n)
		}
		f.checkSame(t)
	})
}

// TestReadersDuringRepacks lets readers look at all times while packs come and go.
func TestReadersDuringRepacks(t *testing.T) {
	eachEngine(t, Options{RepackPacks: 2}, func(t *testing.T, f *fixture, _ string) {
		commits := []string{f.origin.commit("refs/heads/main", map[string]string{"0": "1"})}
		f.fetch(t)
		var mu sync.Mutex
		done := make(chan struct{})
		var readers sync.WaitGroup
		for r := range 4 {
			readers.Go(func() {
				random := rand.New(rand.NewPCG(uint64(r), 1))
				for {
					select {
					case <-done:
						return
					default:
					}
					mu.Lock()
					n := random.IntN(len(commits))
					commit := commits[n]
					mu.Unlock()
					if kind, err := f.PathKind(t.Context(), f.id, commit, fmt.Sprint(n)); err != nil || kind != bitbucket.PathFile {
						t.Errorf("PathKind: %v, %v", kind, err)
						return
					}
				}
			})
		}
		for n := 1; n <= 15; n++ {
			commit := f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): "1"})
			f.fetch(t)
			mu.Lock()
			commits = append(commits, commit)
			mu.Unlock()
		}
		close(done)
		readers.Wait()
		f.checkSame(t)
		if n := len(packsOf(t, f.mirror())); n > 4 {
			t.Errorf("%d packs", n)
		}
	})
}

// TestARepackNeverLosesADamagedPack: what cannot be read is not rolled up; it is looked into, and cloned anew.
func TestARepackNeverLosesADamagedPack(t *testing.T) {
	eachEngine(t, Options{}, func(t *testing.T, f *fixture, engine string) {
		for n := range 5 {
			f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): noise(2000, uint64(n))})
			f.fetch(t)
		}
		pack := newest(t, f.mirror(), ".pack")
		content, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		copy(content[len(content)/2:], "damage in the middle")
		overwrite(t, pack, content)
		_, heard := f.reopenWatched(t)
		f.Configure(Settings{Engine: engine})
		f.repackAt = 3
		before := packsOf(t, f.mirror())
		f.origin.commit("refs/heads/main", map[string]string{"new": "1"})
		f.fetch(t)
		now := packsOf(t, f.mirror())
		for _, old := range before {
			if !slices.Contains(now, old) {
				t.Errorf("%s is gone", filepath.Base(old))
			}
		}
		waitFor(t, "the proof of the damage", heard)
		f.background.Wait()
		f.checkTmpEmpty(t)
		if result := f.fetch(t); !result.Cloned {
			t.Errorf("result %+v", result)
		}
		f.checkSame(t)
	})
}

// TestKilledDuringARepack kills processes that repack at each fetch, after random times. Nothing is ever lost, and
// the next start sweeps what is left.
func TestKilledDuringARepack(t *testing.T) {
	eachEngine(t, Options{}, func(t *testing.T, f *fixture, engine string) {
		for n := range 8 {
			f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): noise(100_000, uint64(n))})
			f.fetch(t)
		}
		random := rand.New(rand.NewPCG(3, 4))
		var whole time.Duration
		for round := range 13 {
			f.origin.commit("refs/heads/main", map[string]string{"round": fmt.Sprint(round)})
			asked := make(chan struct{})
			first := sync.OnceFunc(func() { close(asked) })
			f.origin.setFault(func(http.ResponseWriter, *http.Request) bool { first(); return false })
			cmd := f.startChild(t, childEnv+"_REPACK=2", childEnv+"_ENGINE="+engine)
			waitFor(t, "the first request", asked)
			start, ended := time.Now(), make(chan struct{})
			if round > 0 {
				time.AfterFunc(time.Duration(random.Int64N(int64(whole))), func() { _ = cmd.Process.Kill() })
			}
			go func() { _ = cmd.Wait(); close(ended) }()
			waitFor(t, "the end of the process", ended)
			if round == 0 {
				whole = time.Since(start)
				if n := len(packsOf(t, f.mirror())); n > 3 {
					t.Errorf("%d packs after a repack that nobody killed", n)
				}
			}
			f.origin.setFault(nil)
			told, _ := f.reopenWatched(t)
			f.Configure(Settings{Engine: engine})
			if n, err := f.CheckAll(t.Context()); n != 0 || err != nil {
				t.Errorf("round %d: CheckAll: %d, %v, %v", round, n, err, told())
			}
			f.checkWhole(t)
			for n := range 2 { // else the packs stay few
				f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint("extra", n): noise(50_000, uint64(100+10*round+n))})
				f.fetch(t)
			}
			f.checkSame(t)
		}
	})
}

// TestRemove removes a mirror while readers and a fetch are at work.
func TestRemove(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	if err := f.Remove(t.Context(), f.id); err != nil {
		t.Errorf("a mirror that is not there: %v", err)
	}
	f.fetch(t)
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				kind, err := f.PathKind(t.Context(), f.id, commit, "cmd/a.go")
				if err == nil && kind != bitbucket.PathFile || err != nil && !errors.Is(err, resolver.ErrNotMirrored) && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("PathKind: %v, %v", kind, err)
				}
			}
		})
	}
	work.Go(func() {
		for range 10 {
			if _, err := f.Fetch(t.Context(), f.request()); err != nil {
				t.Errorf("Fetch: %v", err)
			}
		}
	})
	for range 10 {
		if err := f.Remove(t.Context(), f.id); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	close(done)
	work.Wait()
	if err := f.Remove(t.Context(), f.id); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResolveRef(t.Context(), f.id, "main"); !errors.Is(err, resolver.ErrNotMirrored) {
		t.Errorf("ResolveRef: %v", err)
	}
	f.checkTmpEmpty(t)
	f.background.Wait()
	if result := f.fetch(t); !result.Cloned || !result.Changed {
		t.Errorf("result %+v", result)
	}
	f.checkSame(t)
}

// TestNothingIsRememberedOfARemovedMirror, unless somebody uses it again.
func TestNothingIsRememberedOfARemovedMirror(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	remembered := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.writers)
	}
	for range 3 {
		f.fetch(t)
		if n := remembered(); n != 1 {
			t.Errorf("%d mirrors are remembered, want 1", n)
		}
		_, unlock, err := f.lockWriter(t.Context(), f.id)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Remove(ctx, f.id); !errors.Is(err, context.Canceled) {
			t.Errorf("Remove: %v", err)
		}
		unlock()
		if err := f.Remove(t.Context(), f.id); err != nil {
			t.Fatal(err)
		}
		if n := remembered(); n != 0 {
			t.Errorf("%d mirrors are remembered, want 0", n)
		}
	}
}

// TestAFolderThatCannotBeSynced: what a power cut could bring back stays whole.
func TestAFolderThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	old := refsOf(t, f.mirror())
	failure := &fs.PathError{Op: "sync", Path: f.mirror(), Err: syscall.EIO}
	f.syncFolder = func(string) error { return failure }
	leftover := func(pattern string) string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(f.data, "tmp", pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("left in tmp: %q, %v", found, err)
		}
		return found[0]
	}

	// A damaged mirror is cloned anew, and the folder that it comes into cannot be synced.
	overwrite(t, filepath.Join(f.mirror(), damagedMark), []byte("for the test\n"))
	f.origin.commit("refs/heads/main", map[string]string{"news": "1"})
	if _, err := f.Fetch(t.Context(), f.request()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Fetch: %v, want %v", err, syscall.EIO)
	}
	aside := leftover(tmpPrefix + "clone-*")
	if got := refsOf(t, aside); got != old {
		t.Errorf("the old mirror has\n%s\nwant\n%s", got, old)
	}
	runGit(t, aside, "", "fsck", "--full", "--strict")

	if err := f.Remove(t.Context(), f.id); !errors.Is(err, syscall.EIO) {
		t.Errorf("Remove: %v, want %v", err, syscall.EIO)
	}
	runGit(t, filepath.Join(leftover(tmpPrefix+"removed-*"), "mirror"), "", "fsck", "--full", "--strict")

	f.reopen(t) // a start removes what is in tmp
	f.checkTmpEmpty(t)
	f.fetch(t)
	f.checkSame(t)
}

// TestARepackThatFailedWaits: a repack that takes too long is told, and not tried again at every fetch.
func TestARepackThatFailedWaits(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	f := newFixtureWith(t, Options{RepackPacks: 3, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	f.repackTime = time.Nanosecond
	const text = "could not be repacked in time"
	for n := range 7 {
		f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): noise(2000, uint64(n))})
		f.fetch(t)
		want := 0
		switch {
		case n >= 5: // 6 packs
			want = 2
		case n >= 2: // 3 packs
			want = 1
		}
		if got := strings.Count(told.String(), text); got != want {
			t.Fatalf("told %d times of a failed repack with %d packs, want %d:\n%s", got, n+1, want, told.String())
		}
	}
	f.repackTime = time.Hour
	for n := range 3 {
		f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint("more", n): noise(2000, uint64(n+10))})
		f.fetch(t)
	}
	if packs := packsOf(t, f.mirror()); len(packs) >= 6 {
		t.Errorf("%d packs after a repack", len(packs))
	}
}
