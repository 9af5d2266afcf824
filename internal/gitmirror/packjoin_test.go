package gitmirror

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// packSome makes a pack of some objects of a repository in another one, by the git program, and returns its path.
func packSome(t testing.TB, from, into string, objects []string, args ...string) string {
	t.Helper()
	prefix := filepath.Join(into, "objects", "pack", "pack")
	name := runGit(t, from, strings.Join(objects, "\n")+"\n", append(append([]string{"pack-objects", "--quiet"}, args...), prefix)...)
	return prefix + "-" + name + ".pack"
}

// contentOf returns all objects of a repository as git reads them.
func contentOf(t testing.TB, dir string) string {
	t.Helper()
	return runGit(t, dir, "", "cat-file", "--batch-all-objects", "--batch")
}

// storiedOrigin is a repository with deltas in it: a large file that changes a little many times.
func storiedOrigin(t testing.TB, commits int) (o *origin, objects []string) {
	t.Helper()
	o = newOrigin(t)
	large := noise(40_000, 7)
	for n := range commits {
		large = large[:100*n] + fmt.Sprintf("change %d", n) + large[100*n+10:]
		o.commit("refs/heads/main", map[string]string{"large": large, fmt.Sprintf("dir/%d", n%5): noise(300, uint64(n))})
	}
	o.git("tag", "-a", "-m", "A tag", "v1", "main")
	objects = strings.Fields(o.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	return o, objects
}

// emptyRepository returns the folder of one.
func emptyRepository(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := initBare(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestJoinPacks joins packs of all kinds: with deltas by distance and by name, with bases behind them, with the same
// objects in several, with offsets of eight bytes. Git finds no fault with the new one, and reads what was in the old ones.
func TestJoinPacks(t *testing.T) {
	t.Parallel()
	origin, objects := storiedOrigin(t, 30)
	want := contentOf(t, origin.dir)
	random := rand.New(rand.NewPCG(5, 6))
	for name, packs := range map[string]func(t *testing.T, dir string) []string{
		"one": func(t *testing.T, dir string) []string {
			return []string{packSome(t, origin.dir, dir, objects, "--delta-base-offset")}
		},
		"each object its own": func(t *testing.T, dir string) (packs []string) {
			for _, o := range objects {
				packs = append(packs, packSome(t, origin.dir, dir, []string{o}))
			}
			return packs
		},
		"the same objects in several": func(t *testing.T, dir string) []string {
			packs := []string{packSome(t, origin.dir, dir, objects[:20], "--delta-base-offset"), packSome(t, origin.dir, dir, objects[10:], "--delta-base-offset")}
			for range 8 {
				var some []string
				for _, o := range objects {
					if random.IntN(2) == 0 {
						some = append(some, o)
					}
				}
				kind := []string{"--delta-base-offset", "--no-delta-base-offset"}[random.IntN(2)]
				packs = append(packs, packSome(t, origin.dir, dir, some, kind, "--window=50"))
			}
			return slices.Compact(packs)
		},
		"a completed thin pack": func(t *testing.T, dir string) []string {
			old := packSome(t, origin.dir, dir, strings.Fields(origin.git("rev-list", "--objects", "--no-object-names", "main~10")))
			thin := runGit(t, origin.dir, "v1\n^main~10\n", "pack-objects", "--quiet", "--thin", "--revs", "--stdout", "--no-delta-base-offset")
			said := runGit(t, dir, thin, "--git-dir="+dir, "index-pack", "--stdin", "--fix-thin")
			return []string{filepath.Join(dir, "objects", "pack", "pack-"+strings.Fields(said)[1]+".pack"), old}
		},
		"offsets of eight bytes": func(t *testing.T, dir string) []string {
			return []string{
				packSome(t, origin.dir, dir, objects[:50], "--delta-base-offset", "--index-version=2,0x40"),
				packSome(t, origin.dir, dir, objects[50:], "--index-version=2,0x40"),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, dir := emptyRepository(t), emptyRepository(t)
			from := packs(t, old)
			made, err := joinPacks(t.Context(), dir, from)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkPack(made); err != nil {
				t.Error(err)
			}
			if err := sameObjects(made, from, nil); err != nil {
				t.Error(err)
			}
			runGit(t, dir, "", "verify-pack", indexOf(made))
			if got := contentOf(t, dir); got != want {
				t.Errorf("git reads other objects: %d bytes, want %d", len(got), len(want))
			}
			// What git makes of the pack alone is the same index, and it takes every object for whole.
			again := filepath.Join(t.TempDir(), "again.idx")
			runGit(t, dir, "", "index-pack", "--strict", "-o", again, made)
			mine, err1 := os.ReadFile(indexOf(made))
			gits, err2 := os.ReadFile(again)
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(mine, gits) {
				t.Errorf("git would make another index of the pack (%v)", err)
			}
			if left := packsOf(t, dir); len(left) != 1 {
				t.Errorf("packs %q", left)
			}
			f := openHandle(dir) // go-git reads it too
			defer f.close()
			for _, object := range objects {
				if o, err := f.object(plumbing.NewHash(object)); err != nil || o.Hash().String() != object {
					t.Fatalf("go-git reads %s: %v", object, err)
				}
			}
		})
	}
}

// TestJoinPacksRefusesWhatIsDamaged changes every part of a pack and of its index: no damage gets into a new pack.
func TestJoinPacksRefusesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	origin, objects := storiedOrigin(t, 6)
	old := emptyRepository(t)
	pack := packSome(t, origin.dir, old, objects, "--delta-base-offset")
	for _, path := range []string{pack, indexOf(pack)} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at += 1 + len(whole)/500 {
			broken := slices.Clone(whole)
			broken[at] ^= 0x41
			overwrite(t, path, broken)
			dir := emptyRepository(t)
			made, err := joinPacks(t.Context(), dir, []string{pack})
			if _, ok := errors.AsType[*damagedError](err); !ok {
				t.Errorf("%s with another byte at %d became %q, %v", filepath.Base(path), at, made, err)
			}
			if made := packsOf(t, dir); len(made) > 0 {
				t.Errorf("packs %q", made)
			}
		}
		overwrite(t, path, whole)
	}
}

func TestBaseDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		distance int64
		bytes    string
	}{
		{1, "\x01"},
		{127, "\x7f"},
		{128, "\x80\x00"},
		{255, "\x80\x7f"},
		{256, "\x81\x00"},
		{16511, "\xff\x7f"},
		{16512, "\x80\x80\x00"},
	} {
		if got := appendBaseDistance(nil, c.distance); string(got) != c.bytes {
			t.Errorf("%d is written % x, want % x", c.distance, got, c.bytes)
		}
	}
	for shift := range 50 {
		for _, distance := range []int64{1 << shift, 1<<shift + 1, 1<<shift*2 - 1} {
			written := appendBaseDistance(nil, distance)
			if got, width := baseDistance(append(written, 0xff)); got != distance || width != len(written) {
				t.Errorf("% x reads as %d, %d bytes; want %d, %d", written, got, width, distance, len(written))
			}
		}
	}
	if _, width := baseDistance([]byte{0x80}); width != 0 {
		t.Error("a number without its end was read")
	}
}

// TestJoinKeepsTheMemoryBudget: packs of more objects than would fit are left as they are.
func TestJoinKeepsTheMemoryBudget(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Configure(Settings{Engine: siteconfig.EngineGoGit})
	for n := range 2 {
		f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(n): "1"})
		f.fetch(t)
	}
	packs := packsOf(t, f.mirror())
	f.memory.setLimit(joinBase)
	if _, err := (goGitEngine{&f.memory}).join(t.Context(), stage{dir: emptyRepository(t), mirror: f.mirror()}, packs, nil); !errors.Is(err, syncer.ErrTooLarge) {
		t.Errorf("join: %v, want %v", err, syncer.ErrTooLarge)
	}
}
