package storetest

import (
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var figureTests = []test{
	{"the figures are those of the records", func(t *testing.T, s Store) {
		offline := repository(9, "PRJ", "offline")
		offline.State, offline.Selected = bitbucket.StateOffline, true
		save(t, s, 0, unselected(repository(8, "PRJ", "out")), offline)
		for number, status := range map[int64]syncer.MirrorStatus{
			1: {},
			2: {NextFetch: at.Add(-time.Hour), Failures: 1},
			3: {LastFetch: at.Add(-2 * time.Hour), NextFetch: at.Add(-30 * time.Minute)},
			4: {LastFetch: at.Add(-time.Minute), NextFetch: at.Add(time.Minute)},
			5: {LastFetch: at.Add(-time.Minute), NextFetch: at.Add(-10 * time.Second)},
			6: {LastFetch: at.Add(-time.Minute), NextFetch: at.Add(time.Hour), Empty: true},
			7: {LastFetch: at.Add(time.Hour), NextFetch: at.Add(2 * time.Hour)}, // by a clock that was set back
		} {
			save(t, s, 0, repository(number, "PRJ", string(rune('a'+number))))
			if err := s.SaveMirror(t.Context(), id(number), status); err != nil {
				t.Fatalf("SaveMirror: %v", err)
			}
		}
		gone := repository(1, "PRJ", "a")
		gone.ID.Connection = "gone"
		if _, err := s.SaveFound(t.Context(), "gone", 0, []syncer.Found{gone}); err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		if err := s.NoteConnections(t.Context(), map[string][]string{connection: here, "gone": there}, at); err != nil {
			t.Fatalf("NoteConnections: %v", err)
		}
		if err := s.NoteConnections(t.Context(), map[string][]string{connection: here}, at); err != nil {
			t.Fatalf("NoteConnections: %v", err)
		}
		for _, paused := range []bool{false, true} {
			records, err := each(t.Context(), s, connection)
			if err != nil {
				t.Fatal(err)
			}
			want := syncer.Figures{
				States: make(map[syncer.MirrorState]int), Due: 5, Lagged: 6, Late: []int{3, 3, 4, 4, 4, 4, 6, 6, 6},
				Lag: 90*time.Minute + 10*time.Second, MaxLag: time.Hour,
			}
			if paused { // only those that were never fetched
				want.Due, want.Lagged, want.Late, want.Lag = 2, 1, []int{0, 0, 0, 0, 0, 0, 1, 1, 1}, time.Hour
			}
			for _, r := range records {
				want.States[syncer.MirrorStateOf(r, at, paused)]++
			}
			got, err := s.Figures(t.Context(), at, paused)
			if err != nil {
				t.Fatalf("Figures: %v", err)
			}
			equal(t, "figures", got, want)
		}
	}},
	{"there are figures of nothing", func(t *testing.T, s Store) {
		got, err := s.Figures(t.Context(), at, false)
		if err != nil || len(got.States) != 0 || got.Lagged != 0 || len(got.Late) != len(syncer.LagBounds()) {
			t.Errorf("Figures: %+v, %v", got, err)
		}
	}},
}
