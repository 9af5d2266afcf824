package resolver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"example.com/signpost/internal/bitbucket"
)

func entryAt(number int64, key, slug string, former ...bitbucket.Address) Entry {
	return Entry{
		ID:      bitbucket.RepoID{Connection: "one", Number: number},
		Address: bitbucket.Address{Key: key, Slug: slug},
		Former:  former,
	}
}

func wantFound(t *testing.T, ix *index, key, slug string, number int64) {
	t.Helper()
	entry := ix.find("one", bitbucket.Address{Key: key, Slug: slug})
	switch {
	case entry == nil && number != 0:
		t.Errorf("%s/%s is not found, want %d", key, slug, number)
	case entry != nil && entry.ID.Number != number:
		t.Errorf("%s/%s is %d, want %d", key, slug, entry.ID.Number, number)
	}
}

func TestIndexFindsAddressesWithoutCase(t *testing.T) {
	t.Parallel()
	ix := newIndex([]Entry{entryAt(1, "PRJ", "Repo"), entryAt(2, "~ÅSA", "größe")})
	wantFound(t, ix, "prj", "rEPO", 1)
	wantFound(t, ix, "~åsa", "GRÖßE", 2)
	wantFound(t, ix, "PRJ", "Repo2", 0)
	if ix.find("two", bitbucket.Address{Key: "PRJ", Slug: "Repo"}) != nil {
		t.Error("found on another connection")
	}
	if got := ix.projectKey("one", "~åsa"); got != "~ÅSA" {
		t.Errorf("projectKey = %q", got)
	}
	if got := ix.projectKey("one", "nobody"); got != "nobody" {
		t.Errorf("projectKey of an unknown project = %q, want it as given", got)
	}
}

func TestIndexPrefersAPresentAddress(t *testing.T) {
	t.Parallel()
	moved := entryAt(1, "NEW", "a", bitbucket.Address{Key: "OLD", Slug: "a"})
	ix := newIndex([]Entry{moved})
	wantFound(t, ix, "old", "a", 1)
	ix, _ = ix.with([]Entry{entryAt(2, "OLD", "a")}, nil)
	wantFound(t, ix, "old", "a", 2)
	ix, _ = ix.with(nil, []bitbucket.RepoID{{Connection: "one", Number: 2}})
	wantFound(t, ix, "old", "a", 1)
}

func TestIndexKeepsAFormerAddressThatAnotherHadLater(t *testing.T) {
	t.Parallel()
	former := bitbucket.Address{Key: "OLD", Slug: "a"}
	ix := newIndex([]Entry{entryAt(1, "NEW", "a", former), entryAt(2, "NEW", "b", former)})
	wantFound(t, ix, "old", "a", 2)
	ix, _ = ix.with(nil, []bitbucket.RepoID{{Connection: "one", Number: 1}})
	wantFound(t, ix, "old", "a", 2)
}

func TestIndexWithChanges(t *testing.T) {
	t.Parallel()
	first := newIndex([]Entry{entryAt(1, "PRJ", "a"), entryAt(2, "PRJ", "b")})

	swapped, changed := first.with([]Entry{entryAt(1, "PRJ", "b"), entryAt(2, "PRJ", "a")}, nil)
	wantFound(t, swapped, "PRJ", "a", 2)
	wantFound(t, swapped, "PRJ", "b", 1)
	if len(changed) != 2 {
		t.Errorf("changed = %v, want both", changed)
	}
	wantFound(t, first, "PRJ", "a", 1) // an index does not change

	same, changed := swapped.with([]Entry{entryAt(1, "PRJ", "b")}, nil)
	if len(changed) != 0 {
		t.Errorf("an entry that is the same counts as changed: %v", changed)
	}
	wantFound(t, same, "PRJ", "b", 1)

	// A repository is deleted and another one made in its place, and then the listing says so.
	again, _ := same.with([]Entry{entryAt(3, "PRJ", "b")}, nil)
	again, _ = again.with(nil, []bitbucket.RepoID{{Connection: "one", Number: 1}})
	wantFound(t, again, "PRJ", "b", 3)

	gone, _ := again.with(nil, []bitbucket.RepoID{{Connection: "one", Number: 2}, {Connection: "one", Number: 3}})
	if gone.len() != 0 {
		t.Errorf("%d entries are left", gone.len())
	}
	if got := gone.projectKey("one", "prj"); got != "prj" {
		t.Errorf("the project of no repository is spelled %q", got)
	}
	if got := again.projectKey("one", "prj"); got != "PRJ" {
		t.Errorf("projectKey = %q, want PRJ", got)
	}
}

// TestIndexAgreesWithAMap makes random changes and compares every address with a plain map.
func TestIndexAgreesWithAMap(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	ix := newIndex(nil)
	want := map[int64]Entry{}
	at := map[string]int64{}
	for range 3000 {
		number := random.Int64N(300)
		if random.IntN(4) == 0 {
			ix, _ = ix.with(nil, []bitbucket.RepoID{{Connection: "one", Number: number}})
			delete(at, want[number].Address.String())
			delete(want, number)
			continue
		}
		entry := entryAt(number, fmt.Sprintf("P%d", random.IntN(20)), fmt.Sprintf("slug%d", random.IntN(200)))
		if owner, taken := at[entry.Address.String()]; taken && owner != number {
			continue
		}
		ix, _ = ix.with([]Entry{entry}, nil)
		delete(at, want[number].Address.String())
		want[number] = entry
		at[entry.Address.String()] = number
	}
	if ix.len() != len(want) {
		t.Fatalf("%d entries, want %d", ix.len(), len(want))
	}
	projects := map[string]bool{}
	for number, entry := range want {
		wantFound(t, ix, entry.Address.Key, entry.Address.Slug, number)
		projects[entry.Address.Key] = true
	}
	for i := range 20 {
		key := fmt.Sprintf("P%d", i)
		spelled := ix.projectKey("one", "p"+key[1:])
		if (spelled == key) != projects[key] {
			t.Errorf("project %s: known is %t, spelled %q", key, projects[key], spelled)
		}
	}
}

func TestIndexDoesNotKeepTheCallersSlices(t *testing.T) {
	t.Parallel()
	former := []bitbucket.Address{{Key: "OLD", Slug: "a"}}
	entries := []Entry{entryAt(1, "PRJ", "a", former...)}
	entries[0].Former = former
	ix := newIndex(entries)
	former[0].Slug, entries[0].Address.Slug = "x", "x"
	if entry := ix.find("one", bitbucket.Address{Key: "old", Slug: "a"}); entry == nil || !slices.Equal(entry.Former, []bitbucket.Address{{Key: "OLD", Slug: "a"}}) {
		t.Errorf("the entry changed with the caller's slice: %+v", entry)
	}
}
