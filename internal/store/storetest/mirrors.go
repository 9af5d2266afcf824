package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var mirrorTests = []test{
	{"the status of a mirror is kept whole, times to the nanosecond", func(t *testing.T, s Store) {
		found := repository(1, "PRJ", "a")
		save(t, s, 0, found, repository(2, "PRJ", "b"))
		want := record(found)
		for _, status := range []syncer.MirrorStatus{
			{
				LastFetch: at, LastChange: at.Add(-time.Hour), NextFetch: at.Add(45 * time.Second), Failures: 2,
				Error: "it's \"broken\"", RefsDigest: "d1", DefaultBranch: "release/1.0", SizeBytes: 1 << 40, Empty: true,
			},
			{LastFetch: at},
			{},
		} {
			if err := s.SaveMirror(t.Context(), id(1), status); err != nil {
				t.Fatalf("SaveMirror: %v", err)
			}
			want.Mirror = status
			equal(t, "record", get(t, s, 1), want)
		}
		equal(t, "the other record", get(t, s, 2), record(repository(2, "PRJ", "b")))
	}},

	{"times come back in UTC", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"))
		local := at.In(time.FixedZone("far", 3600*13))
		if err := s.SaveMirror(t.Context(), id(1), syncer.MirrorStatus{LastFetch: local}); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		if got := get(t, s, 1).Mirror.LastFetch; got != at {
			t.Errorf("LastFetch: %v, want %v", got, at)
		}
	}},

	{"a mirror without a record is an error", func(t *testing.T, s Store) {
		if err := s.SaveMirror(t.Context(), id(1), syncer.MirrorStatus{}); !isNoRecord(err) {
			t.Errorf("SaveMirror: error %v, want ErrNoRecord", err)
		}
	}},

	{"the statuses of several mirrors are stored at once, but for those without a record", func(t *testing.T, s Store) {
		other := repository(1, "PRJ", "a")
		other.ID.Connection = "a-connection"
		if _, err := s.SaveFound(t.Context(), other.ID.Connection, 0, []syncer.Found{other}); err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		statuses := make(map[bitbucket.RepoID]syncer.MirrorStatus)
		for number := range int64(300) {
			save(t, s, 0, repository(number+1, "PRJ", fmt.Sprintf("slug-%d", number)))
			statuses[id(number+1)] = syncer.MirrorStatus{
				LastFetch: at.Add(time.Duration(number)), LastChange: at, NextFetch: at.Add(time.Hour), Failures: int(number % 3),
				Error: "it's \"broken\"", RefsDigest: fmt.Sprint("d", number), DefaultBranch: "main", SizeBytes: 1 << 40, Empty: number%2 == 0,
			}
		}
		left := statuses[id(300)]
		delete(statuses, id(300))
		statuses[other.ID], statuses[id(1000)] = syncer.MirrorStatus{LastFetch: at}, left
		gone, err := s.SaveMirrors(t.Context(), statuses)
		if err != nil {
			t.Fatalf("SaveMirrors: %v", err)
		}
		equal(t, "without a record", gone, []bitbucket.RepoID{id(1000)})
		delete(statuses, id(1000))
		statuses[id(300)] = syncer.MirrorStatus{}
		all, err := each(t.Context(), s, "")
		if err != nil {
			t.Fatalf("EachRecord: %v", err)
		}
		stored := make(map[bitbucket.RepoID]syncer.MirrorStatus)
		for _, r := range all {
			stored[r.ID] = r.Mirror
		}
		equal(t, "stored", stored, statuses)
		if gone, err := s.SaveMirrors(t.Context(), nil); err != nil || len(gone) > 0 {
			t.Errorf("none: %v, %v", gone, err)
		}
	}},

	{"a listing leaves the status of mirrors alone", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"))
		status := syncer.MirrorStatus{LastFetch: at, RefsDigest: "d"}
		if err := s.SaveMirror(t.Context(), id(1), status); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		found := repository(1, "PRJ", "a")
		found.Name = "another"
		want := record(found)
		want.Mirror = status
		equal(t, "changes", save(t, s, begin(t, s), found), syncer.Changes{Upserted: []syncer.Record{want}})
		equal(t, "record", get(t, s, 1), want)
	}},

	{"what is due, the clones that failed after those that did not, then the longest due", func(t *testing.T, s Store) {
		for number, status := range map[int64]syncer.MirrorStatus{
			1: {LastFetch: at, NextFetch: at.Add(-time.Minute)},
			2: {LastFetch: at, NextFetch: at.Add(-time.Hour)},
			3: {},
			4: {LastFetch: at, NextFetch: at},
			5: {NextFetch: at.Add(-time.Second), Failures: 1}, // never fetched, tried before
			6: {LastFetch: at, NextFetch: at.Add(1)},          // not yet
			7: {NextFetch: at.Add(time.Minute), Failures: 9},  // not yet, and never fetched
			8: {NextFetch: at},                                // never fetched, and never tried
		} {
			save(t, s, 0, repository(number, "PRJ", string(rune('a'+number))))
			if err := s.SaveMirror(t.Context(), id(number), status); err != nil {
				t.Fatalf("SaveMirror: %v", err)
			}
		}
		for kind, want := range map[syncer.DueKind][]bitbucket.RepoID{
			syncer.DueClones: {id(3), id(8), id(5)}, syncer.DueUpdates: {id(2), id(1), id(4)},
		} {
			for _, limit := range []int{0, 1, 2, 3, 100} {
				equal(t, "due", due(t, s, kind, limit), want[:min(limit, len(want))])
			}
		}
	}},

	{"a time that only a clock set back since explains makes no mirror wait", func(t *testing.T, s Store) {
		for number, next := range map[int64]time.Time{
			1: at.Add(24 * 365 * time.Hour), 2: at.Add(syncer.FetchHorizon), 3: at.Add(-time.Hour), 4: at.Add(time.Hour),
		} {
			save(t, s, 0, repository(number, "PRJ", string(rune('a'+number))))
			status := syncer.MirrorStatus{LastFetch: at, NextFetch: next}
			if number == 4 {
				status.LastFetch = at.Add(time.Hour - 45*time.Second)
			}
			if err := s.SaveMirror(t.Context(), id(number), status); err != nil {
				t.Fatalf("SaveMirror: %v", err)
			}
		}
		equal(t, "due", due(t, s, syncer.DueUpdates, 10), []bitbucket.RepoID{id(3), id(4), id(1)})
	}},

	{"only selected and available repositories are due, of every connection", func(t *testing.T, s Store) {
		offline := repository(2, "PRJ", "b")
		offline.State = bitbucket.StateOffline
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"), offline, unselected(repository(3, "PRJ", "c")), repository(4, "PRJ", "d"))
		other := repository(1, "PRJ", "a")
		other.ID.Connection = "a-connection"
		if _, err := s.SaveFound(t.Context(), "a-connection", 0, []syncer.Found{other}); err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		listing = begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"), offline, unselected(repository(3, "PRJ", "c")))
		finish(t, s, listing, 0) // 4 is missing
		equal(t, "due", due(t, s, syncer.DueClones, 10), []bitbucket.RepoID{other.ID, id(1)})
	}},

	{"what is due comes with the size of its mirror", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"))
		if err := s.SaveMirror(t.Context(), id(1), syncer.MirrorStatus{LastFetch: at, SizeBytes: 1 << 40}); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		got, err := s.DueMirrors(t.Context(), syncer.DueUpdates, at, 10)
		if err != nil {
			t.Fatalf("DueMirrors: %v", err)
		}
		equal(t, "due", got, []syncer.Due{{ID: id(1), SizeBytes: 1 << 40}})
	}},
}

// due returns what is due at at.
func due(t *testing.T, s Store, kind syncer.DueKind, limit int) []bitbucket.RepoID {
	t.Helper()
	got, err := s.DueMirrors(t.Context(), kind, at, limit)
	if err != nil {
		t.Fatalf("DueMirrors: %v", err)
	}
	ids := make([]bitbucket.RepoID, len(got))
	for i, d := range got {
		ids[i] = d.ID
	}
	return ids
}
