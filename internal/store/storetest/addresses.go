package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

func address(key, slug string) bitbucket.Address { return bitbucket.Address{Key: key, Slug: slug} }

var addressTests = []test{
	{"a renamed repository keeps its mirror and answers to its old addresses, the oldest first", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "one"))
		status := syncer.MirrorStatus{LastFetch: at, RefsDigest: "digest", SizeBytes: 7}
		if err := s.SaveMirror(t.Context(), id(1), status); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		save(t, s, 0, repository(1, "PRJ", "two"))
		moved := repository(1, "NEW", "a-third")
		changes := save(t, s, 0, moved)
		want := record(moved, address("PRJ", "one"), address("PRJ", "two"))
		want.Mirror = status
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{want}})
		for _, a := range []bitbucket.Address{address("PRJ", "one"), address("prj", "TWO"), address("NEW", "a-third")} {
			got, err := s.RecordAt(t.Context(), connection, a)
			if err != nil {
				t.Errorf("RecordAt(%s): %v", a, err)
			}
			equal(t, "record at "+a.String(), got, want)
		}
	}},

	{"a repository that gets its old address back has it no longer as a former one", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "one"))
		save(t, s, 0, repository(1, "PRJ", "two"))
		changes := save(t, s, 0, repository(1, "PRJ", "one"))
		equal(t, "changes", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(1, "PRJ", "one"), address("PRJ", "two"))},
		})
	}},

	{"another spelling of an address is no move", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "One"))
		changes := save(t, s, 0, repository(1, "Prj", "one"))
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{record(repository(1, "Prj", "one"))}})
	}},

	{"a former address that another repository gets is dropped from its old owner", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "one"))
		save(t, s, 0, repository(1, "PRJ", "two"))
		changes := save(t, s, 0, repository(2, "prj", "ONE"))
		equal(t, "changes", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(2, "prj", "ONE")), record(repository(1, "PRJ", "two"))},
		})
		equal(t, "at the address", numberAt(t, s, "PRJ", "one"), 2)
		// Then it moves on, too: the address stays with the last that had it.
		changes = save(t, s, 0, repository(2, "PRJ", "three"))
		equal(t, "changes", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(2, "PRJ", "three"), address("prj", "ONE"))},
		})
		equal(t, "at the address", numberAt(t, s, "PRJ", "one"), 2)
	}},

	{"two repositories swap their addresses at once", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "one"), repository(2, "PRJ", "two"))
		changes := save(t, s, 0, repository(1, "PRJ", "two"), repository(2, "PRJ", "one"))
		equal(t, "changes", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(1, "PRJ", "two")), record(repository(2, "PRJ", "one"))},
		})
		equal(t, "at two", numberAt(t, s, "PRJ", "two"), 1)
		equal(t, "at one", numberAt(t, s, "PRJ", "one"), 2)
	}},

	{"repositories that change their addresses in a ring, across two pages, end where they are", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "one"), repository(2, "PRJ", "two"), repository(3, "PRJ", "three"))
		listing := begin(t, s)

		changes := save(t, s, listing, repository(1, "PRJ", "two"))
		equal(t, "changes of the first page", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(1, "PRJ", "two"), address("PRJ", "one"))},
			Removed:  []bitbucket.RepoID{id(2)}, // its address is another's now
		})
		equal(t, "at two", numberAt(t, s, "PRJ", "two"), 1)
		if got := get(t, s, 2); got.Selected || got.Reason == "" || !got.MissingSince.IsZero() {
			t.Errorf("the displaced record: %+v, want it not selected, with a reason, not missing", got)
		}

		changes = save(t, s, listing, repository(2, "PRJ", "three"), repository(3, "PRJ", "one"))
		equal(t, "changes of the second page", changes, syncer.Changes{
			Upserted: []syncer.Record{
				record(repository(2, "PRJ", "three")),
				record(repository(3, "PRJ", "one")),
				record(repository(1, "PRJ", "two")), // its former address is another's now
			},
		})
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{})
	}},

	{"repositories that are displaced together are told in order", func(t *testing.T, s Store) {
		var old, found []syncer.Found
		var removed []bitbucket.RepoID
		for number := range int64(9) {
			slug := fmt.Sprintf("slug-%d", number)
			old = append(old, repository(number+1, "PRJ", slug))
			found = append(found, repository(number+101, "PRJ", slug))
			removed = append(removed, id(number+1))
		}
		save(t, s, 0, old...)
		changes := save(t, s, 0, found...)
		equal(t, "upserted", len(changes.Upserted), len(found))
		equal(t, "removed", changes.Removed, removed)
	}},

	{"a displaced repository that no listing finds again goes missing", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "one"))
		listing := begin(t, s)
		changes := save(t, s, listing, repository(2, "PRJ", "one"))
		equal(t, "changes", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(2, "PRJ", "one"))},
			Removed:  []bitbucket.RepoID{id(1)},
		})
		finished := finish(t, s, listing, 0)
		equal(t, "missing", finished.Missing, 1)
		equal(t, "since", get(t, s, 1).MissingSince, at)
		equal(t, "at its address", numberAt(t, s, "PRJ", "one"), 2)
		equal(t, "changes of the same again", save(t, s, 0, repository(2, "PRJ", "one")), syncer.Changes{})
	}},

	{"a displaced repository keeps its mirror's state and its other former addresses", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "zero"))
		save(t, s, 0, repository(1, "PRJ", "one"))
		status := syncer.MirrorStatus{LastFetch: at, Failures: 3, Error: "no route to host"}
		if err := s.SaveMirror(t.Context(), id(1), status); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		save(t, s, 0, repository(2, "PRJ", "one"))
		changes := save(t, s, 0, repository(1, "PRJ", "five"))
		want := record(repository(1, "PRJ", "five"), address("PRJ", "zero"))
		want.Mirror = status
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{want}})
	}},

	{"of two repositories that are found at one address the last has it", func(t *testing.T, s Store) {
		changes := save(t, s, 0, repository(1, "PRJ", "one"), repository(2, "PRJ", "ONE"))
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{record(repository(2, "PRJ", "ONE"))}})
		equal(t, "the first is selected", get(t, s, 1).Selected, false)
	}},

	{"an address is compared without case, also beyond ASCII", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "~Ünal", "Straße"))
		equal(t, "in other case", numberAt(t, s, "~ÜNAL", "straße"), 1)
		equal(t, "elsewhere", numberAt(t, s, "~Unal", "straße"), 0)
	}},

	{"an address belongs to its connection", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "one"))
		if _, err := s.RecordAt(t.Context(), "other", address("PRJ", "one")); !isNoRecord(err) {
			t.Errorf("RecordAt: error %v, want ErrNoRecord", err)
		}
	}},

	{"an address that no database can hold has no record", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "one"))
		equal(t, "number", numberAt(t, s, "PRJ", "one\x00' OR 1=1 --\xff"), 0)
	}},

	{"whatever moves where, the records are those of a plain model", testMovesAtRandom},
}

// model is what SaveFound means, written down without a database.
type model struct {
	present map[string]int64 // folded address to number
	former  map[string]int64 // likewise
	records map[int64]*syncer.Record
}

func folded(a bitbucket.Address) string { return strings.ToLower(a.Key + "/" + a.Slug) }

func (m *model) save(f syncer.Found) {
	place := folded(f.Address)
	r := m.records[f.ID.Number]
	if r == nil {
		r = &syncer.Record{}
		m.records[f.ID.Number] = r
	}
	old := folded(r.Address)
	hadOld := m.present[old] == f.ID.Number
	delete(m.former, place)
	if hadOld && old != place {
		delete(m.present, old)
		m.former[old] = f.ID.Number
	}
	if other := m.present[place]; other != 0 && other != f.ID.Number {
		m.records[other].Selected = false
	}
	m.present[place] = f.ID.Number
	r.Repository, r.Selected = f.Repository, f.Selected
}

// testMovesAtRandom moves a few repositories between a few addresses, one at a time and in
// whole listings, and looks at every address after each step.
func testMovesAtRandom(t *testing.T, s Store) {
	const repositories, addresses, steps = 6, 8, 60
	random := rand.New(rand.NewPCG(1, 2))
	m := &model{present: map[string]int64{}, former: map[string]int64{}, records: map[int64]*syncer.Record{}}
	mirror := map[bitbucket.RepoID]syncer.Record{} // what a listener makes of the changes
	for step := range steps {
		number := random.Int64N(repositories) + 1
		found := repository(number, "PRJ", fmt.Sprintf("slug-%d", random.IntN(addresses)))
		if random.IntN(4) == 0 {
			found = unselected(found)
		}
		m.save(found)
		changes := save(t, s, 0, found)
		for _, r := range changes.Upserted {
			mirror[r.ID] = r
		}
		for _, removed := range changes.Removed {
			delete(mirror, removed)
		}
		for i := range addresses {
			slug := fmt.Sprintf("slug-%d", i)
			want := m.present["prj/"+slug]
			if want == 0 {
				want = m.former["prj/"+slug]
			}
			if got := numberAt(t, s, "PRJ", slug); got != want {
				t.Fatalf("step %d: at %s is %d, want %d", step, slug, got, want)
			}
		}
		stored := map[bitbucket.RepoID]syncer.Record{}
		records, err := each(t.Context(), s, "")
		if err != nil {
			t.Fatalf("EachRecord: %v", err)
		}
		for _, r := range records {
			if r.Selected != m.records[r.ID.Number].Selected {
				t.Fatalf("step %d: %s is selected: %t, want %t", step, r.ID, r.Selected, m.records[r.ID.Number].Selected)
			}
			if r.Selected {
				stored[r.ID] = r
			}
		}
		if diff := cmp.Diff(stored, mirror, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("step %d: who follows the changes has something else (-stored +followed):\n%s", step, diff)
		}
	}
}
