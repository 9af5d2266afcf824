package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var saveFoundTests = []test{
	{"a new repository becomes a record", func(t *testing.T, s Store) {
		found := syncer.Found{
			Repository: bitbucket.Repository{
				ID:          id(42),
				Address:     bitbucket.Address{Key: "~Jane", Slug: "app.v2"},
				Name:        "App's \"second\" \\ version ?",
				ProjectName: "Jané 中",
				Personal:    true,
				State:       bitbucket.StateInitialising,
				Archived:    true,
				Fork:        true,
				CloneHTTP:   "https://bitbucket.example.com/scm/~jane/app.v2.git",
				CloneSSH:    "ssh://git@bitbucket.example.com:7999/~jane/app.v2.git",
			},
			Selected: true,
			Reason:   "listed in \"repos\"",
		}
		changes := save(t, s, begin(t, s), found)
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{record(found)}})
		equal(t, "record", get(t, s, 42), record(found))
	}},

	{"what is saved again unchanged is no change", func(t *testing.T, s Store) {
		found := []syncer.Found{repository(1, "PRJ", "a"), unselected(repository(2, "PRJ", "b"))}
		save(t, s, begin(t, s), found...)
		equal(t, "changes of a listing", save(t, s, begin(t, s), found...), syncer.Changes{})
		equal(t, "changes of a lookup", save(t, s, 0, found[0]), syncer.Changes{})
	}},

	{"every field that changes is a change", func(t *testing.T, s Store) {
		found := repository(1, "PRJ", "a")
		save(t, s, begin(t, s), found)
		for name, change := range map[string]func(*syncer.Found){
			"spelling":     func(f *syncer.Found) { f.Key, f.Slug = "Prj", "A" },
			"name":         func(f *syncer.Found) { f.Name = "another" },
			"project name": func(f *syncer.Found) { f.ProjectName = "another" },
			"personal":     func(f *syncer.Found) { f.Personal = !f.Personal },
			"state":        func(f *syncer.Found) { f.State = bitbucket.StateOffline },
			"archived":     func(f *syncer.Found) { f.Archived = !f.Archived },
			"fork":         func(f *syncer.Found) { f.Fork = !f.Fork },
			"http":         func(f *syncer.Found) { f.CloneHTTP = "" },
			"ssh":          func(f *syncer.Found) { f.CloneSSH = "" },
			"reason":       func(f *syncer.Found) { f.Reason = "another" },
		} {
			change(&found)
			equal(t, "changes of "+name, save(t, s, 0, found), syncer.Changes{Upserted: []syncer.Record{record(found)}})
			equal(t, "record after "+name, get(t, s, 1), record(found))
		}
	}},

	{"a repository that is not selected is kept and told of when it was selected", func(t *testing.T, s Store) {
		found := repository(1, "PRJ", "a")
		equal(t, "never selected", save(t, s, 0, unselected(found)), syncer.Changes{})
		equal(t, "record", get(t, s, 1), record(unselected(found)))
		equal(t, "selected", save(t, s, 0, found), syncer.Changes{Upserted: []syncer.Record{record(found)}})
		equal(t, "no longer selected", save(t, s, 0, unselected(found)), syncer.Changes{Removed: []bitbucket.RepoID{id(1)}})
		equal(t, "still not selected", save(t, s, 0, unselected(found)), syncer.Changes{})
		found = unselected(found)
		found.Reason = "excluded by another rule"
		equal(t, "not selected for another reason", save(t, s, 0, found), syncer.Changes{})
		equal(t, "record", get(t, s, 1), record(found))
	}},

	{"numbers are unique within a connection only", func(t *testing.T, s Store) {
		one := repository(1, "PRJ", "a")
		other := one
		other.ID.Connection = "other"
		save(t, s, 0, one)
		changes, err := s.SaveFound(t.Context(), "other", 0, []syncer.Found{other})
		if err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{record(other)}})
		equal(t, "the first", get(t, s, 1), record(one))
	}},

	{"the connection that is given counts, not the one in the repository", func(t *testing.T, s Store) {
		found := repository(1, "PRJ", "a")
		want := record(found)
		found.ID.Connection = ""
		equal(t, "changes", save(t, s, 0, found), syncer.Changes{Upserted: []syncer.Record{want}})
	}},

	{"of a repository that is found twice at once the last counts", func(t *testing.T, s Store) {
		changes := save(t, s, 0, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"), repository(1, "PRJ", "c"))
		equal(t, "changes", changes, syncer.Changes{
			Upserted: []syncer.Record{record(repository(1, "PRJ", "c")), record(repository(2, "PRJ", "b"))},
		})
		equal(t, "at its first address", numberAt(t, s, "PRJ", "a"), 0)
	}},

	{"text that databases cannot hold is mended, not refused", func(t *testing.T, s Store) {
		found := repository(1, "PRJ", "a")
		found.Name = "nul \x00, not UTF-8 \xff"
		save(t, s, 0, found)
		equal(t, "name", get(t, s, 1).Name, "nul \uFFFD, not UTF-8 \uFFFD")
		equal(t, "changes of the same again", save(t, s, 0, found), syncer.Changes{})
	}},

	{"a repository without a number is an error and nothing is saved", func(t *testing.T, s Store) {
		if _, err := s.SaveFound(t.Context(), connection, 0, []syncer.Found{repository(1, "PRJ", "a"), repository(0, "PRJ", "b")}); err == nil {
			t.Error("SaveFound: no error")
		}
		equal(t, "the other", numberAt(t, s, "PRJ", "a"), 0)
	}},

	{"nothing found is nothing changed", func(t *testing.T, s Store) {
		equal(t, "changes", save(t, s, begin(t, s)), syncer.Changes{})
	}},

	{"more than a statement holds is saved at once", func(t *testing.T, s Store) {
		const many = 700
		found := make([]syncer.Found, many)
		for i := range found {
			found[i] = repository(int64(i)+1, "PRJ", fmt.Sprintf("repo-%04d", i))
		}
		changes := save(t, s, begin(t, s), found...)
		equal(t, "upserted", len(changes.Upserted), many)
		// Each takes the address of the next: all are in each other's way.
		for i := range found {
			found[i].Slug = fmt.Sprintf("repo-%04d", (i+1)%many)
		}
		changes = save(t, s, begin(t, s), found...)
		equal(t, "moved", len(changes.Upserted), many)
		for i := range changes.Upserted {
			equal(t, "moved record", changes.Upserted[i], record(found[i]))
		}
		equal(t, "again", save(t, s, begin(t, s), found...), syncer.Changes{})
	}},

	{"a canceled context saves nothing and says so", func(t *testing.T, s Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.SaveFound(ctx, connection, 0, []syncer.Found{repository(1, "PRJ", "a")}); !errors.Is(err, context.Canceled) {
			t.Errorf("SaveFound: error %v, want context.Canceled", err)
		}
		equal(t, "at its address", numberAt(t, s, "PRJ", "a"), 0)
	}},
}

func isNoRecord(err error) bool { return errors.Is(err, syncer.ErrNoRecord) }
