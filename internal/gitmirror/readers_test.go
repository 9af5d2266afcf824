package gitmirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// TestReadersDuringFetches lets readers look at a mirror that is fetched, again and again.
// Each must see whole states only, and never an older one after a newer one.
func TestReadersDuringFetches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	o := f.origin
	const rounds = 12
	commits := map[string]int{o.commit("refs/heads/main", map[string]string{"round-0": "0"}): 0}
	o.git("update-ref", "refs/heads/x/y", "refs/heads/main")
	f.fetch(t)
	var mu sync.Mutex // guards commits

	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := 0
			for {
				select {
				case <-done:
					return
				default:
				}
				commit, err := f.ResolveRef(t.Context(), f.id, "main")
				if err != nil {
					t.Errorf("ResolveRef: %v", err)
					return
				}
				mu.Lock()
				round, ok := commits[commit]
				mu.Unlock()
				if !ok || round < last {
					t.Errorf("round %d after round %d", round, last)
					return
				}
				last = round
				if kind, err := f.PathKind(t.Context(), f.id, commit, fmt.Sprintf("round-%d", round)); err != nil || kind != bitbucket.PathFile {
					t.Errorf("PathKind: %v, %v", kind, err)
					return
				}
				_, errX := f.ResolveRef(t.Context(), f.id, "refs/heads/x")
				_, errXY := f.ResolveRef(t.Context(), f.id, "refs/heads/x/y")
				for _, err := range []error{errX, errXY} {
					if err != nil && !errors.Is(err, resolver.ErrRefNotFound) {
						t.Errorf("ResolveRef: %v", err)
					}
				}
			}
		})
	}
	for round := 1; round <= rounds; round++ {
		mu.Lock()
		commits[o.commit("refs/heads/main", map[string]string{fmt.Sprintf("round-%d", round): "x"})] = round
		mu.Unlock()
		gone, come := "refs/heads/x", "refs/heads/x/y"
		if round%2 == 1 {
			gone, come = come, gone
		}
		o.git("update-ref", "-d", gone)
		o.git("update-ref", come, "refs/heads/main")
		f.fetch(t)
	}
	close(done)
	readers.Wait()
	f.checkSame(t)
}

func TestReadersNoticeWhatOthersDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.fetch(t)
	look := func(t *testing.T) {
		t.Helper()
		if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
			t.Errorf("ResolveRef: %q, %v", got, err)
		}
		if kind, err := f.PathKind(t.Context(), f.id, commit, "cmd"); err != nil || kind != bitbucket.PathDirectory {
			t.Errorf("PathKind: %v, %v", kind, err)
		}
	}
	look(t)

	t.Run("packs that are repacked away", func(t *testing.T) {
		runGit(t, f.mirror(), "", "repack", "-adfq")
		// A commit that the old handle has not seen, so that it cannot answer from memory.
		if kind, err := f.PathKind(t.Context(), f.id, f.origin.git("rev-parse", "main~1"), "README.md"); err != nil || kind != bitbucket.PathFile {
			t.Errorf("PathKind: %v, %v", kind, err)
		}
		look(t)
	})
	t.Run("objects and refs that the git program writes", func(t *testing.T) {
		tree := runGit(t, f.mirror(), "", "rev-parse", "main^{tree}")
		loose := runGit(t, f.mirror(), "", "commit-tree", "-m", "loose", tree)
		if got, err := f.ResolveRef(t.Context(), f.id, loose[:12]); err != nil || got != loose {
			t.Errorf("ResolveRef: %q, %v", got, err)
		}
		if kind, err := f.PathKind(t.Context(), f.id, loose, "cmd/a.go"); err != nil || kind != bitbucket.PathFile {
			t.Errorf("PathKind: %v, %v", kind, err)
		}
		runGit(t, f.mirror(), "", "pack-refs", "--all")
		look(t)
	})
	t.Run("a mirror that is replaced", func(t *testing.T) {
		aside := f.mirror() + ".aside"
		runGit(t, f.data, "", "clone", "--quiet", "--mirror", f.origin.dir, aside)
		old := f.mirror() + ".old"
		if err := errors.Join(os.Rename(f.mirror(), old), os.Rename(aside, f.mirror()), os.RemoveAll(old)); err != nil {
			t.Fatal(err)
		}
		look(t)
	})
	t.Run("a mirror that is removed", func(t *testing.T) {
		if err := os.RemoveAll(f.mirror()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.PathKind(t.Context(), f.id, commit, "cmd"); !errors.Is(err, resolver.ErrNotMirrored) {
			t.Errorf("PathKind: %v", err)
		}
		f.fetch(t)
		look(t)
	})
}

func TestFetchReplacesWhatIsNoRepository(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	if err := os.Remove(filepath.Join(f.mirror(), "HEAD")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResolveRef(t.Context(), f.id, "main"); !errors.Is(err, resolver.ErrNotMirrored) {
		t.Errorf("ResolveRef: %v", err)
	}
	if result := f.fetch(t); !result.Cloned {
		t.Errorf("result %+v", result)
	}
	f.checkSame(t)
}

// TestFetchReplacesADamagedMirror keeps what can still be read until the new mirror is whole.
func TestFetchReplacesADamagedMirror(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(index string) error{
		"without an index":               os.Remove,
		"with an empty index":            func(index string) error { return os.Truncate(index, 0) },
		"with an index without its end":  func(index string) error { return os.Truncate(index, 1100) },
		"with an index that is no index": func(index string) error { return os.WriteFile(index, []byte("what"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.history()
			f.fetch(t)
			indexes, err := filepath.Glob(filepath.Join(f.mirror(), "objects", "pack", "*.idx"))
			if err != nil || len(indexes) != 1 {
				t.Fatalf("indexes %v, %v", indexes, err)
			}
			if err := damage(indexes[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := f.ResolveRef(t.Context(), f.id, "main"); err == nil {
				t.Fatal("the mirror is not damaged")
			}
			damaged := treeState(t, f.mirror())
			commit := f.origin.commit("refs/heads/main", map[string]string{"new": "1"})

			f.origin.cutPacks(200)
			_, err = f.Fetch(t.Context(), f.request())
			wantErr(t, err, bitbucket.ErrUnavailable)
			if now := treeState(t, f.mirror()); now != damaged {
				t.Errorf("after a fetch that failed:\n%s\nbefore:\n%s", now, damaged)
			}
			f.checkTmpEmpty(t)

			f.origin.setWrap(nil)
			if result := f.fetch(t); !result.Cloned || !result.Changed {
				t.Errorf("result %+v", result)
			}
			f.checkSame(t)
			if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
				t.Errorf("ResolveRef: %q, %v", got, err)
			}
		})
	}
}

// TestReadersAreBounded opens more repositories and handles than may stay open.
func TestReadersAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, Options{OpenRepositories: 3, HandlesPerRepository: 2})
	commit := f.origin.history()
	var ids []bitbucket.RepoID
	for n := int64(1); n <= 6; n++ {
		id := bitbucket.RepoID{Connection: "bitbucket", Number: n}
		if _, err := f.Fetch(t.Context(), requestFor(id, f.origin.server.URL+originPath)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for _, id := range ids {
				if kind, err := f.PathKind(t.Context(), id, commit, "cmd/a.go"); err != nil || kind != bitbucket.PathFile {
					t.Errorf("PathKind: %v, %v", kind, err)
				}
			}
		})
	}
	users.Wait()
	r := f.readers
	if len(r.views) > 3 || r.recent.Len() != len(r.views) {
		t.Errorf("%d repositories are open, %d in the list", len(r.views), r.recent.Len())
	}
	for el := r.recent.Front(); el != nil; el = el.Next() {
		if v := el.Value.(*view); len(v.idle) > 2 || len(v.slots) != 0 {
			t.Errorf("%d handles idle, %d in use", len(v.idle), len(v.slots))
		}
	}
}

func TestReaderMemoryIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, Options{ReaderMemory: 1})
	commit := f.origin.history()
	for n := int64(1); n <= 3; n++ {
		id := bitbucket.RepoID{Connection: "bitbucket", Number: n}
		if _, err := f.Fetch(t.Context(), requestFor(id, f.origin.server.URL+originPath)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.PathKind(t.Context(), id, commit, "cmd/a.go"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.readers.views); n != 1 {
		t.Errorf("%d repositories are open, want one", n)
	}
}

// TestMadeUpHashesDoNotReopen keeps an attacker from making every look-up a cold one.
func TestMadeUpHashesDoNotReopen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.fetch(t)
	if _, err := f.PathKind(t.Context(), f.id, commit, ""); err != nil {
		t.Fatal(err)
	}
	before := f.readers.views[f.id]
	for i := range 20 {
		if _, err := f.PathKind(t.Context(), f.id, fmt.Sprintf("%040x", i+1), ""); !errors.Is(err, resolver.ErrRefNotFound) {
			t.Errorf("PathKind: %v", err)
		}
	}
	if f.readers.views[f.id] != before {
		t.Error("the repository was opened anew")
	}
}

// BenchmarkPathKind measures a warm look-up, four folders deep, in a repository of many packs' worth of files.
func BenchmarkPathKind(b *testing.B) {
	f := newFixture(b)
	files := make(map[string]string)
	for i := range 2000 {
		files[fmt.Sprintf("src/p%d/q%d/f%d.go", i%20, i%7, i)] = "x"
	}
	commit := f.origin.commit("refs/heads/main", files)
	f.fetch(b)
	path := "src/p7/q6/f1847.go"
	if _, err := f.PathKind(b.Context(), f.id, commit, path); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.PathKind(b.Context(), f.id, commit, path); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResolveRef measures a warm look-up of a branch.
func BenchmarkResolveRef(b *testing.B) {
	f := newFixture(b)
	f.origin.history()
	f.fetch(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ResolveRef(b.Context(), f.id, "refs/heads/main"); err != nil {
			b.Fatal(err)
		}
	}
}
