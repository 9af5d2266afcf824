package gitmirror

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// reopenWatched is a restart that collects what Options.Damaged is told.
func (f *fixture) reopenWatched(t testing.TB) (told func() []bitbucket.RepoID, heard <-chan struct{}) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var ids []bitbucket.RepoID
	first := make(chan struct{})
	once := sync.OnceFunc(func() { close(first) })
	m, err := New(Options{
		Root: filepath.Join(f.data, "mirrors"), Tmp: filepath.Join(f.data, "tmp"),
		Damaged: func(id bitbucket.RepoID) {
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, id)
			once()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	f.Mirrors = m
	return func() []bitbucket.RepoID {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ids)
	}, first
}

// newest returns the pack of the last fetch, or its index.
func newest(t testing.TB, dir, suffix string) string {
	t.Helper()
	files, err := packFiles(dir, suffix)
	if err != nil || len(files) == 0 {
		t.Fatalf("packs %v, %v", files, err)
	}
	return slices.MaxFunc(files, func(a, b string) int {
		x, errA := os.Stat(a)
		y, errB := os.Stat(b)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		return x.ModTime().Compare(y.ModTime())
	})
}

// zeroTail replaces the end of a file with zeros, as a power cut does.
func zeroTail(t testing.TB, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[len(content)*3/4:])
	overwrite(t, path, content)
}

func truncate(t testing.TB, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()*3/4)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func overwrite(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamageIsFoundAtStartAndMendedByTheNextFetch damages a mirror in one way after another. Every time the
// check finds it, readers get what is still there and nothing that is wrong, a fetch that
// fails leaves it as it is, and the next one mends it although Bitbucket has no news.
func TestDamageIsFoundAtStartAndMendedByTheNextFetch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		cloned bool // by the mending fetch; else the refs are written again
		old    bool // a tag of the first pack still answers
	}{
		{"HEAD is missing", func(t *testing.T, dir string) { remove(t, dir+"/HEAD") }, true, false},
		{"HEAD is empty", func(t *testing.T, dir string) { overwrite(t, dir+"/HEAD", nil) }, false, true},
		{"HEAD is zeros", func(t *testing.T, dir string) { overwrite(t, dir+"/HEAD", make([]byte, 21)) }, false, true},
		{"the file of a ref is empty", func(t *testing.T, dir string) { overwrite(t, dir+"/refs/heads/main", nil) }, false, true},
		{"the file of a ref is zeros", func(t *testing.T, dir string) { overwrite(t, dir+"/refs/heads/main", make([]byte, 41)) }, false, true},
		{"packed-refs is missing", func(t *testing.T, dir string) { remove(t, dir+"/packed-refs") }, false, false},
		{"packed-refs is empty", func(t *testing.T, dir string) { overwrite(t, dir+"/packed-refs", nil) }, false, false},
		{"packed-refs is cut off", func(t *testing.T, dir string) { truncate(t, dir+"/packed-refs") }, false, false},
		{"packed-refs ends in zeros", func(t *testing.T, dir string) { zeroTail(t, dir+"/packed-refs") }, false, false},
		{"the config is zeros", func(t *testing.T, dir string) { overwrite(t, dir+"/config", make([]byte, 60)) }, true, true},
		{"the objects are gone", func(t *testing.T, dir string) { remove(t, dir+"/objects") }, true, false},
		{"the refs are gone", func(t *testing.T, dir string) { remove(t, dir+"/refs") }, true, true},
		{"the last pack is gone", func(t *testing.T, dir string) { remove(t, newest(t, dir, ".pack"), newest(t, dir, ".idx")) }, true, true},
		{"a pack is gone and its index is not", func(t *testing.T, dir string) { remove(t, newest(t, dir, ".pack")) }, true, true},
		{"an index is gone", func(t *testing.T, dir string) { remove(t, newest(t, dir, ".idx")) }, true, false},
		{"a pack is cut off", func(t *testing.T, dir string) { truncate(t, newest(t, dir, ".pack")) }, true, true},
		{"a pack is empty", func(t *testing.T, dir string) { overwrite(t, newest(t, dir, ".pack"), nil) }, true, true},
		{"a pack ends in zeros", func(t *testing.T, dir string) { zeroTail(t, newest(t, dir, ".pack")) }, true, true},
		{"an index is cut off", func(t *testing.T, dir string) { truncate(t, newest(t, dir, ".idx")) }, true, false},
		{"an index is empty", func(t *testing.T, dir string) { overwrite(t, newest(t, dir, ".idx"), nil) }, true, false},
		{"an index ends in zeros", func(t *testing.T, dir string) { zeroTail(t, newest(t, dir, ".idx")) }, true, false},
		{"an index is another's", func(t *testing.T, dir string) {
			files, err := packFiles(dir, ".idx")
			if err != nil || len(files) != 2 {
				t.Fatalf("indexes %v, %v", files, err)
			}
			content, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, files[1], content)
		}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.history()
			old := f.origin.git("rev-parse", "light")
			f.fetch(t)
			commit := f.origin.commit("refs/heads/main", map[string]string{"new": "1"})
			digest := f.fetch(t).RefsDigest
			if err := checkMirror(f.mirror(), nil); err != nil {
				t.Fatalf("before the damage: %v", err)
			}
			c.damage(t, f.mirror())
			told, _ := f.reopenWatched(t)
			if n, err := f.CheckAll(t.Context()); n != 1 || err != nil {
				t.Errorf("CheckAll: %d, %v; want one damaged mirror", n, err)
			}
			if ids := told(); len(ids) != 1 || ids[0] != f.id {
				t.Errorf("told of %v", ids)
			}

			if got, err := f.ResolveRef(t.Context(), f.id, "main"); err == nil && got != commit {
				t.Errorf("ResolveRef of main: %s, want %s or an error", got, commit)
			}
			got, err := f.ResolveRef(t.Context(), f.id, "light")
			if err == nil && got != old || c.old && err != nil {
				t.Errorf("ResolveRef of a tag in the first pack: %q, %v; want %s", got, err, old)
			}

			damaged := treeState(t, f.mirror())
			request := f.request()
			request.RefsDigest = digest
			if c.cloned {
				f.origin.cutPacks(200)
				_, err := f.Fetch(t.Context(), request)
				wantErr(t, err, bitbucket.ErrUnavailable)
				if now := treeState(t, f.mirror()); now != damaged {
					t.Errorf("after a fetch that failed:\n%s\nbefore:\n%s", now, damaged)
				}
				f.checkTmpEmpty(t)
				f.origin.setWrap(nil)
			}
			result, err := f.Fetch(t.Context(), request)
			if err != nil || result.Cloned != c.cloned || result.RefsDigest != digest {
				t.Errorf("the mending fetch: %+v, %v", result, err)
			}
			f.checkSame(t)
			if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
				t.Errorf("ResolveRef: %q, %v; want %s", got, err, commit)
			}
			if n, err := f.CheckAll(t.Context()); n != 0 || err != nil {
				t.Errorf("CheckAll after the mending: %d, %v", n, err)
			}
			if result, err := f.Fetch(t.Context(), request); err != nil || result.Cloned || result.Changed {
				t.Errorf("the fetch after the mending: %+v, %v", result, err)
			}
		})
	}
}

// Without CheckAll, as in a command that makes one pass, the fetch itself finds the damage.
func TestFetchFindsDamageThatNobodyLookedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	request := f.request()
	request.RefsDigest = f.fetch(t).RefsDigest
	if result, err := f.Fetch(t.Context(), request); err != nil || result.Cloned {
		t.Fatalf("result %+v, %v", result, err)
	}
	remove(t, newest(t, f.mirror(), ".pack")) // under the running process, after a check
	if result, err := f.Fetch(t.Context(), request); err != nil || !result.Cloned {
		t.Errorf("result %+v, %v", result, err)
	}
	f.checkSame(t)
}

// TestAReadersErrorIsLookedInto damages a mirror where the cheap check does not look. What a reader meets is
// proved in the background, and mended by a fetch without news, also after a restart.
func TestAReadersErrorIsLookedInto(t *testing.T) {
	t.Parallel()
	middle := func(t *testing.T, dir string, change func([]byte)) {
		pack := newest(t, dir, ".pack")
		content, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		change(content[packHeader : len(content)-hashWidth])
		overwrite(t, pack, content)
	}
	for name, damage := range map[string]func(t *testing.T, f *fixture){
		"zeros in a pack": func(t *testing.T, f *fixture) { middle(t, f.mirror(), func(b []byte) { clear(b) }) },
		"noise in a pack": func(t *testing.T, f *fixture) {
			middle(t, f.mirror(), func(b []byte) { rand.NewChaCha8([32]byte{7}).Read(b) })
		},
		"a tree that is missing": func(t *testing.T, f *fixture) {
			// All objects but the tree of main, in one pack.
			dir := f.mirror()
			missing := runGit(t, dir, "", "rev-parse", "main^{tree}")
			var keep bytes.Buffer
			for line := range bytes.Lines([]byte(runGit(t, dir, "", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)") + "\n")) {
				if string(bytes.TrimSpace(line)) != missing {
					keep.Write(line)
				}
			}
			packs, err := filepath.Glob(dir + "/objects/pack/*")
			if err != nil {
				t.Fatal(err)
			}
			runGit(t, dir, keep.String(), "pack-objects", "--quiet", filepath.Join(f.data, "pack"))
			remove(t, packs...)
			made, err := filepath.Glob(filepath.Join(f.data, "pack-*"))
			if err != nil || len(made) != 2 {
				t.Fatalf("made %v, %v", made, err)
			}
			for _, path := range made {
				if err := os.Rename(path, filepath.Join(dir, "objects", "pack", filepath.Base(path))); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %t", name, restart), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				commit := f.origin.history()
				f.origin.git("update-ref", "refs/heads/main", commit)
				request := f.request()
				request.RefsDigest = f.fetch(t).RefsDigest
				damage(t, f)
				told, heard := f.reopenWatched(t)
				if n, err := f.CheckAll(t.Context()); n != 0 || err != nil {
					t.Fatalf("the cheap check finds it: %d, %v", n, err)
				}
				if _, err := f.PathKind(t.Context(), f.id, commit, "deep/er/est.txt"); err == nil {
					t.Fatal("the reader meets no damage")
				}
				waitFor(t, "the proof of the damage", heard)
				_, err := f.PathKind(t.Context(), f.id, commit, "deep/er/est.txt")
				if err == nil {
					t.Error("the reader meets no damage any more")
				}
				if restart {
					told, _ = f.reopenWatched(t)
					if n, err := f.CheckAll(t.Context()); n != 1 || err != nil {
						t.Errorf("after a restart: %d, %v; the damage is forgotten", n, err)
					}
				}
				if result, err := f.Fetch(t.Context(), request); err != nil || !result.Cloned {
					t.Errorf("the mending fetch: %+v, %v", result, err)
				}
				f.checkSame(t)
				if kind, err := f.PathKind(t.Context(), f.id, commit, "deep/er/est.txt"); err != nil || kind != bitbucket.PathFile {
					t.Errorf("PathKind: %v, %v", kind, err)
				}
				f.background.Wait()
				if ids := told(); len(ids) != 1 {
					t.Errorf("told of %v, want one time", ids)
				}
			})
		}
	}
}

// TestASuspicionIsNoProof: what readers ask for that never was there condemns no mirror.
func TestASuspicionIsNoProof(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.fetch(t)
	told, _ := f.reopenWatched(t)
	for _, ask := range []func() error{
		func() error { _, err := f.ResolveRef(t.Context(), f.id, "no-such-branch"); return err },
		func() error { _, err := f.ResolveRef(t.Context(), f.id, fmt.Sprintf("%040x", 7)); return err },
		func() error { _, err := f.PathKind(t.Context(), f.id, commit, "no/such/path"); return err },
		func() error {
			_, err := f.PathKind(t.Context(), f.id, fmt.Sprintf("%040x", 7), "README.md")
			return err
		},
	} {
		if err := ask(); !errors.Is(err, resolver.ErrRefNotFound) && !errors.Is(err, resolver.ErrPathNotFound) {
			t.Errorf("error %v", err)
		}
	}
	f.mu.Lock()
	if n := len(f.suspects); n != 0 {
		t.Errorf("%d suspicions", n)
	}
	f.mu.Unlock()
	f.suspect(f.id, errors.New("of a reader under which a pack went"))
	f.background.Wait()
	if ids := told(); len(ids) != 0 {
		t.Errorf("told of %v", ids)
	}
	if err := checkMirror(f.mirror(), nil); err != nil {
		t.Error(err)
	}
}

// TestCheckAllSweepsLeftovers removes what a killed process left in a mirror, and nothing that is younger
// than this process.
func TestCheckAllSweepsLeftovers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	packs := filepath.Join(f.mirror(), "objects", "pack")
	pack := newest(t, f.mirror(), ".pack")
	stale := []string{
		filepath.Join(f.mirror(), "config.lock"), filepath.Join(f.mirror(), "packed-refs.lock"), filepath.Join(f.mirror(), "packed-refs.new"),
		filepath.Join(f.mirror(), "refs", "heads", "main.lock"), filepath.Join(f.mirror(), "gc.pid"),
		filepath.Join(packs, "tmp_pack_x1"), filepath.Join(packs, "tmp_idx_x2"), filepath.Join(packs, ".tmp-1-pack-x.pack"),
		filepath.Join(packs, "pack-"+fmt.Sprintf("%040d", 1)+".idx"), filepath.Join(packs, "pack-"+fmt.Sprintf("%040d", 1)+".rev"),
		pack[:len(pack)-len(".pack")] + ".keep",
	}
	future := filepath.Join(f.mirror(), "HEAD.lock")
	for _, path := range append(stale, future) {
		overwrite(t, path, []byte("x"))
		at := time.Now().Add(-time.Second)
		if path == future { // the clock went back
			at = time.Now().Add(time.Hour)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	told, _ := f.reopenWatched(t)
	young := filepath.Join(packs, "tmp_pack_young")
	overwrite(t, young, []byte("x"))
	if err := os.Chtimes(young, time.Time{}, time.Now()); err != nil { // the clock of files may be some milliseconds behind
		t.Fatal(err)
	}
	if n, err := f.CheckAll(t.Context()); n != 0 || err != nil || len(told()) != 0 {
		t.Errorf("CheckAll: %d, %v", n, err)
	}
	for _, path := range append(stale, future) {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", filepath.Base(path), err)
		}
	}
	if _, err := os.Lstat(young); err != nil {
		t.Error("a file of this process was swept")
	}
	remove(t, young)
	f.checkSame(t)
}

// TestAMirrorThatStoodAsideIsPutBack is a restart after a kill between the two renames of a filesystem that
// cannot exchange folders.
func TestAMirrorThatStoodAsideIsPutBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.id = bitbucket.RepoID{Connection: "code-host.example-7990", Number: 42}
	commit := f.origin.history()
	f.fetch(t)
	dir, err := f.folder(f.id)
	if err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(f.data, "tmp", asideName(f.id))
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	f.reopenWatched(t)
	f.checkTmpEmpty(t)
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v", got, err)
	}

	// And when the new one is in its place, the old one goes.
	if err := os.Mkdir(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	f.reopenWatched(t)
	f.checkTmpEmpty(t)
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v", got, err)
	}
}

// TestSwapInTurn is for filesystems that cannot exchange two folders.
func TestSwapInTurn(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	w := &writer{id: bitbucket.RepoID{Connection: "c", Number: 1}, dir: filepath.Join(tmp, "1.git")}
	fresh := filepath.Join(tmp, "fresh")
	for path, mark := range map[string]string{w.dir: "old", fresh: "new"} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		overwrite(t, filepath.Join(path, mark), nil)
	}
	if _, err := w.swapInTurn(filepath.Join(tmp, "absent"), tmp); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(w.dir, "old")); err != nil {
		t.Errorf("after a swap that failed: %v", err)
	}
	done, err := w.swapInTurn(fresh, tmp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tmp, asideName(w.id), "old")); err != nil {
		t.Errorf("the old one was not kept: %v", err)
	}
	done()
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "new")); err != nil {
		t.Error(err)
	}
}

// BenchmarkExamine measures what a fetch without news pays for the health of a mirror of 12 packs.
func BenchmarkExamine(b *testing.B) {
	f := newFixture(b)
	for n := range 12 {
		f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): "1"})
		f.fetch(b)
	}
	w, err := f.writer(f.id)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			if err := w.examine(f.started, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("the first time", func(b *testing.B) {
		for b.Loop() {
			w.health = health{}
			if err := w.examine(f.started, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
