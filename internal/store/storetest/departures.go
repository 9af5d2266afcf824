package storetest

import (
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var (
	here  = []string{"https://bitbucket.example.com", "http://stash.example.com:7990"}
	there = []string{"https://elsewhere.example.com"}
)

// never is later than any time that a store takes for now.
var never = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

var departureTests = []test{
	{"what left the selection with a mirror has departed, the earliest first", func(t *testing.T, s Store) {
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"), repository(3, "PRJ", "c"), unselected(repository(4, "PRJ", "d")), repository(5, "PRJ", "e"))
		for _, number := range []int64{1, 2, 3} {
			mirrored(t, s, number)
		}
		listing = begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"), repository(3, "PRJ", "c"), unselected(repository(4, "PRJ", "d")))
		finish(t, s, listing, 0) // 2 and 5 are missing since at
		before := time.Now()
		save(t, s, 0, unselected(repository(3, "PRJ", "c")))
		equal(t, "departed", departed(t, s, at.Add(-1)), nil)
		equal(t, "departed by at", departed(t, s, at), []bitbucket.RepoID{id(2), id(5)})
		equal(t, "departed before the last", departed(t, s, before.Add(-time.Second)), []bitbucket.RepoID{id(2), id(5)})
		equal(t, "departed", departed(t, s, never), []bitbucket.RepoID{id(2), id(5), id(3)})
		got, err := s.Departed(t.Context(), at, 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("Departed: %+v, %v", got, err)
		}
		want := syncer.Departed{ID: id(2), Address: bitbucket.Address{Key: "PRJ", Slug: "b"}, Left: at, Reason: got[0].Reason, Missing: true}
		equal(t, "departed", got[0], want)

		save(t, s, 0, repository(2, "PRJ", "b"), repository(3, "PRJ", "c")) // they come back
		equal(t, "departed after some came back", departed(t, s, never), []bitbucket.RepoID{id(5)})
		save(t, s, 0, unselected(repository(3, "PRJ", "c")))
		equal(t, "departed since at", departed(t, s, before.Add(-time.Second)), []bitbucket.RepoID{id(5)}) // its time begins anew
	}},

	{"what stays out of the selection keeps the time when it left", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"))
		mirrored(t, s, 1)
		listing := begin(t, s)
		save(t, s, listing, repository(2, "PRJ", "b"))
		finish(t, s, listing, 0)
		save(t, s, 0, unselected(repository(1, "PRJ", "moved"))) // found again, and not selected
		equal(t, "departed", departed(t, s, at), []bitbucket.RepoID{id(1)})
	}},

	{"what is forgotten because it is missing is gone with its former addresses", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "old"))
		save(t, s, 0, repository(1, "PRJ", "a"))
		mirrored(t, s, 1)
		listing := begin(t, s)
		save(t, s, listing, repository(2, "PRJ", "b"))
		finish(t, s, listing, 0)
		if got := forget(t, s, 1, at.Add(-1)); got {
			t.Error("deleted before its time")
		}
		if got := get(t, s, 1); got.Mirror != (syncer.MirrorStatus{}) {
			t.Errorf("record %+v, want it without a mirror, which has been removed", got)
		}
		if got := forget(t, s, 1, at); !got {
			t.Error("not deleted")
		}
		if got := numberAt(t, s, "PRJ", "old") + numberAt(t, s, "PRJ", "a"); got != 0 {
			t.Errorf("an address still answers, of %d", got)
		}
		if forget(t, s, 1, at) || forget(t, s, 77, at) {
			t.Error("deleted what is not there")
		}
	}},

	{"what is forgotten and not missing stays without a mirror", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		mirrored(t, s, 1)
		mirrored(t, s, 2)
		save(t, s, 0, unselected(repository(1, "PRJ", "a")))
		for _, number := range []int64{1, 2} { // the second has come back while its mirror was removed
			if forget(t, s, number, never) {
				t.Errorf("%d was deleted", number)
			}
		}
		equal(t, "record", get(t, s, 1), record(unselected(repository(1, "PRJ", "a"))))
		equal(t, "record", get(t, s, 2), record(repository(2, "PRJ", "b")))
		equal(t, "departed", departed(t, s, never), nil)
	}},

	{"the records of a connection that is not configured any more depart with it", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		mirrored(t, s, 1)
		note := func(configured map[string][]string, now time.Time) {
			t.Helper()
			if err := s.NoteConnections(t.Context(), configured, now); err != nil {
				t.Fatalf("NoteConnections: %v", err)
			}
		}
		both := map[string][]string{connection: here, "other": there}
		note(both, at)
		equal(t, "departed", departed(t, s, never), nil)
		note(map[string][]string{"other": there}, at)
		note(map[string][]string{"other": there}, at.Add(time.Hour)) // the first time counts
		equal(t, "departed by at", departed(t, s, at), []bitbucket.RepoID{id(1)})
		equal(t, "departed before", departed(t, s, at.Add(-1)), nil)
		note(both, at.Add(2*time.Hour))
		equal(t, "departed after it came back", departed(t, s, never), nil)
		note(nil, at.Add(3*time.Hour))
		equal(t, "departed since it came back", departed(t, s, at.Add(2*time.Hour)), nil)
		if forget(t, s, 1, never) {
			t.Error("the record is deleted, which was not missing")
		}
		origins, err := s.Origins(t.Context())
		if err != nil {
			t.Fatalf("Origins: %v", err)
		}
		equal(t, "origins", origins, both)
	}},

	{"a connection that names another server keeps nothing that its records were known by", func(t *testing.T, s Store) {
		claim := func(addresses []string) syncer.Claimed {
			t.Helper()
			claimed, err := s.ClaimConnection(t.Context(), connection, addresses, at, "elsewhere")
			if err != nil {
				t.Fatalf("ClaimConnection: %v", err)
			}
			return claimed
		}
		equal(t, "the first claim", claim(here), syncer.Claimed{})
		save(t, s, 0, repository(1, "PRJ", "old"), unselected(repository(2, "PRJ", "b")))
		save(t, s, 0, repository(1, "PRJ", "a"))
		mirrored(t, s, 1)
		other := repository(1, "PRJ", "a")
		other.ID.Connection = "other"
		if _, err := s.SaveFound(t.Context(), "other", 0, []syncer.Found{other}); err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		want := get(t, s, 1)
		equal(t, "a claim by an alias", claim(here[1:]), syncer.Claimed{})
		equal(t, "a claim by the old base URL as an alias", claim([]string{"https://new.example.com", here[1]}), syncer.Claimed{})
		equal(t, "record", get(t, s, 1), want)

		equal(t, "another server's claim", claim(there), syncer.Claimed{Removed: []bitbucket.RepoID{id(1)}, Foreign: true})
		want = record(repository(1, "PRJ", "a"))
		want.Selected, want.Reason, want.Foreign, want.MissingSince = false, "elsewhere", true, at
		equal(t, "record", get(t, s, 1), want)
		for _, slug := range []string{"old", "a", "b"} {
			if got := numberAt(t, s, "PRJ", slug); got != 0 {
				t.Errorf("PRJ/%s is still %d", slug, got)
			}
		}
		equal(t, "departed", departed(t, s, never), []bitbucket.RepoID{id(1), id(2)})
		equal(t, "the next claim", claim(there), syncer.Claimed{Foreign: true})
		theirs := repository(1, "THEIRS", "x")
		save(t, s, 0, theirs)
		want = record(theirs)
		want.Foreign = true
		equal(t, "record of the other server", get(t, s, 1), want)
		forget(t, s, 1, at)
		equal(t, "record after the mirror was removed", get(t, s, 1), record(theirs))
		got, err := s.Record(t.Context(), other.ID)
		if err != nil || !got.Selected || got.Foreign {
			t.Errorf("the other connection's record: %+v, %v", got, err)
		}
		forget(t, s, 2, never)
		equal(t, "the claim after all is removed", claim(there), syncer.Claimed{})
	}},
}

func mirrored(t *testing.T, s Store, number int64) {
	t.Helper()
	if err := s.SaveMirror(t.Context(), id(number), syncer.MirrorStatus{LastFetch: at, RefsDigest: "d", SizeBytes: 1}); err != nil {
		t.Fatalf("SaveMirror: %v", err)
	}
}

func departed(t *testing.T, s Store, before time.Time) []bitbucket.RepoID {
	t.Helper()
	got, err := s.Departed(t.Context(), before, 100)
	if err != nil {
		t.Fatalf("Departed: %v", err)
	}
	var ids []bitbucket.RepoID
	for _, d := range got {
		ids = append(ids, d.ID)
		if is, err := s.IsDeparted(t.Context(), d.ID, before); err != nil || !is {
			t.Errorf("IsDeparted(%v): %v, %v", d.ID, is, err)
		}
	}
	return ids
}

func forget(t *testing.T, s Store, number int64, before time.Time) bool {
	t.Helper()
	deleted, err := s.Forget(t.Context(), id(number), before)
	if err != nil {
		t.Fatalf("Forget: %v", err)
	}
	return deleted
}
