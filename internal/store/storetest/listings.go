package storetest

import (
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var listingTests = []test{
	{"the numbers of listings rise, whatever the connection", func(t *testing.T, s Store) {
		last := int64(0)
		for _, name := range []string{connection, "other", connection, "other", "third"} {
			number, err := s.BeginListing(t.Context(), name)
			if err != nil {
				t.Fatalf("BeginListing: %v", err)
			}
			if number <= last {
				t.Errorf("listing %d of %s comes after %d", number, name, last)
			}
			last = number
		}
	}},

	{"a complete listing removes what it lacks, and only of its connection", func(t *testing.T, s Store) {
		other := repository(2, "PRJ", "b")
		if _, err := s.SaveFound(t.Context(), "other", 0, []syncer.Found{other}); err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		one, two, three := repository(1, "PRJ", "a"), repository(2, "PRJ", "b"), repository(3, "PRJ", "c")
		save(t, s, begin(t, s), one, two, three)
		listing := begin(t, s)
		save(t, s, listing, one)
		save(t, s, listing, three)
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{
			Changes: syncer.Changes{Removed: []bitbucket.RepoID{id(2)}}, Missing: 1,
		})
		got := get(t, s, 2)
		if got.Selected || !got.MissingSince.Equal(at) || got.Reason == two.Reason {
			t.Errorf("the missing record: %+v, want it not selected, missing since %v, with a reason", got, at)
		}
		equal(t, "one that was listed", get(t, s, 1), record(one))
		records, err := each(t.Context(), s, "other")
		if err != nil || len(records) != 1 || !records[0].Selected {
			t.Errorf("the other connection has %v, %v; want its record selected", records, err)
		}
	}},

	{"what is missing already is not counted again", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		for range 2 {
			listing := begin(t, s)
			save(t, s, listing, repository(1, "PRJ", "a"))
			if _, err := s.FinishListing(t.Context(), connection, listing, 0, at); err != nil {
				t.Fatalf("FinishListing: %v", err)
			}
		}
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"))
		finished, err := s.FinishListing(t.Context(), connection, listing, 0, at.Add(time.Hour))
		if err != nil {
			t.Fatalf("FinishListing: %v", err)
		}
		equal(t, "finished", finished, syncer.Finished{})
		equal(t, "missing since", get(t, s, 2).MissingSince, at)
	}},

	{"a repository that is found again comes back as it was", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		status := syncer.MirrorStatus{LastFetch: at, DefaultBranch: "main"}
		if err := s.SaveMirror(t.Context(), id(2), status); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"))
		finish(t, s, listing, 0)

		listing = begin(t, s)
		want := record(repository(2, "PRJ", "b"))
		want.Mirror = status
		changes := save(t, s, listing, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		equal(t, "changes", changes, syncer.Changes{Upserted: []syncer.Record{want}})
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{})
		equal(t, "record", get(t, s, 2), want)
	}},

	{"a listing that found nothing removes nothing", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		listing := begin(t, s)
		save(t, s, listing)
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{Missing: 2, Withheld: 2})
		equal(t, "record", get(t, s, 1), record(repository(1, "PRJ", "a")))
	}},

	{"a lookup does not make a listing that found nothing one that found something", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		listing := begin(t, s)
		save(t, s, 0, repository(1, "PRJ", "a"))
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{Missing: 1, Withheld: 1})
	}},

	{"at most maxDeletions are removed by one listing", func(t *testing.T, s Store) {
		all := []syncer.Found{
			repository(1, "PRJ", "a"), repository(2, "PRJ", "b"), repository(3, "PRJ", "c"),
			repository(4, "PRJ", "d"), repository(5, "PRJ", "e"), repository(6, "PRJ", "f"),
		}
		save(t, s, begin(t, s), all...)
		for _, want := range []syncer.Finished{
			{Changes: syncer.Changes{Removed: []bitbucket.RepoID{id(2), id(3)}}, Missing: 5, Withheld: 3},
			{Changes: syncer.Changes{Removed: []bitbucket.RepoID{id(4), id(5)}}, Missing: 3, Withheld: 1},
			{Changes: syncer.Changes{Removed: []bitbucket.RepoID{id(6)}}, Missing: 1},
		} {
			listing := begin(t, s)
			save(t, s, listing, all[0])
			equal(t, "finished", finish(t, s, listing, 2), want)
		}
	}},

	{"what was found by a lookup while the listing ran is not missing", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"))
		save(t, s, 0, repository(2, "PRJ", "b")) // known, and passed over by the listing
		save(t, s, 0, repository(3, "PRJ", "c")) // made after the listing passed its place
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{})
	}},

	{"two listings of one connection at once judge each by itself", func(t *testing.T, s Store) {
		one, two, three := repository(1, "PRJ", "a"), repository(2, "PRJ", "b"), repository(3, "PRJ", "c")
		save(t, s, begin(t, s), one, two, three)
		first, second := begin(t, s), begin(t, s)
		save(t, s, first, one, two)
		equal(t, "the second", finish(t, s, second, 0), syncer.Finished{Missing: 1, Withheld: 1})
		equal(t, "the first", finish(t, s, first, 0), syncer.Finished{
			Changes: syncer.Changes{Removed: []bitbucket.RepoID{id(3)}}, Missing: 1,
		})
	}},

	{"a listing that was not begun, is over, or is of another connection is an error and removes nothing", func(t *testing.T, s Store) {
		save(t, s, begin(t, s), repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		over := begin(t, s)
		save(t, s, over, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		finish(t, s, over, 0)
		others, err := s.BeginListing(t.Context(), "other")
		if err != nil {
			t.Fatalf("BeginListing: %v", err)
		}
		for _, listing := range []int64{0, over, others, others + 1} {
			save(t, s, listing, repository(1, "PRJ", "a"))
			finished, err := s.FinishListing(t.Context(), connection, listing, 0, at)
			if err == nil {
				t.Errorf("FinishListing(%d): no error", listing)
			}
			equal(t, "finished", finished, syncer.Finished{})
		}
		equal(t, "record", get(t, s, 2), record(repository(2, "PRJ", "b")))
	}},

	{"the first listing of a connection removes nothing", func(t *testing.T, s Store) {
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"))
		equal(t, "finished", finish(t, s, listing, 0), syncer.Finished{})
		equal(t, "an empty one", finish(t, s, begin(t, s), 0), syncer.Finished{Missing: 1, Withheld: 1})
	}},
}
