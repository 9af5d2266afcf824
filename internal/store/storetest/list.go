package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var listTests = []test{
	{"pages together hold each record once, in order, with its former addresses", func(t *testing.T, s Store) {
		fill(t, s)
		var want []syncer.Record
		for _, name := range []string{"a", "b", "b.c"} {
			records, err := each(t.Context(), s, name)
			if err != nil {
				t.Fatalf("EachRecord: %v", err)
			}
			want = append(want, records...)
		}
		for _, limit := range []int{1, 4, 5, 7, 100} {
			var got []syncer.Record
			var after bitbucket.RepoID
			for {
				page := list(t, s, after, limit, all)
				if len(page) == 0 {
					break
				}
				if len(page) > limit {
					t.Fatalf("a page of %d has %d records", limit, len(page))
				}
				got = append(got, page...)
				after = page[len(page)-1].ID
			}
			equal(t, fmt.Sprintf("in pages of %d", limit), got, want)
		}
	}},

	{"a page begins behind a place, whether a record is there or not", func(t *testing.T, s Store) {
		fill(t, s)
		for _, c := range []struct {
			after bitbucket.RepoID
			first bitbucket.RepoID
		}{
			{bitbucket.RepoID{}, bitbucket.RepoID{Connection: "a", Number: 1}},
			{bitbucket.RepoID{Connection: "a", Number: 3}, bitbucket.RepoID{Connection: "a", Number: 4}},
			{bitbucket.RepoID{Connection: "a", Number: 99}, bitbucket.RepoID{Connection: "b", Number: 1}},
			{bitbucket.RepoID{Connection: "ab", Number: 1}, bitbucket.RepoID{Connection: "b", Number: 1}},
			{bitbucket.RepoID{Connection: "b", Number: -1}, bitbucket.RepoID{Connection: "b", Number: 1}},
			{bitbucket.RepoID{Connection: "b.b", Number: 1 << 60}, bitbucket.RepoID{Connection: "b.c", Number: 1}},
		} {
			page := list(t, s, c.after, 1, all)
			if len(page) != 1 || page[0].ID != c.first {
				t.Errorf("behind %s: %v, want %s", c.after, page, c.first)
			}
		}
		equal(t, "behind the last", len(list(t, s, bitbucket.RepoID{Connection: "b.c", Number: 5}, 10, all)), 0)
		equal(t, "no room on the page", len(list(t, s, bitbucket.RepoID{}, 0, all)), 0)
	}},

	{"only what matches is on the page, and it is read no further than that", func(t *testing.T, s Store) {
		fill(t, s)
		seen := 0
		page := list(t, s, bitbucket.RepoID{}, 3, func(r syncer.Record) bool {
			seen++
			return r.ID.Number == 2
		})
		var got []bitbucket.RepoID
		for _, r := range page {
			got = append(got, r.ID)
		}
		equal(t, "numbers", got, []bitbucket.RepoID{{Connection: "a", Number: 2}, {Connection: "b", Number: 2}, {Connection: "b.c", Number: 2}})
		equal(t, "records that were looked at", seen, 12)
	}},

	{"the match sees what the decision about a state needs", func(t *testing.T, s Store) {
		offline := repository(4, "PRJ", "d")
		offline.State = bitbucket.StateOffline
		listing := begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"), unselected(repository(2, "PRJ", "b")), repository(3, "PRJ", "c"), offline, repository(5, "~ADA", "Ä"))
		listing = begin(t, s)
		save(t, s, listing, repository(1, "PRJ", "a"), unselected(repository(2, "PRJ", "b")), offline, repository(5, "~ADA", "Ä"))
		finish(t, s, listing, 0) // 3 is missing
		status := syncer.MirrorStatus{LastFetch: at, NextFetch: at.Add(time.Hour), Failures: 3, Error: "broken", Empty: true, SizeBytes: 7}
		if err := s.SaveMirror(t.Context(), id(1), status); err != nil {
			t.Fatalf("SaveMirror: %v", err)
		}
		shown := make(map[int64]syncer.Record)
		page := list(t, s, bitbucket.RepoID{}, 10, func(r syncer.Record) bool {
			shown[r.ID.Number] = r
			return true
		})
		equal(t, "records", len(page), 5)
		for _, want := range page {
			gist := syncer.Record{
				Repository: bitbucket.Repository{ID: want.ID, Address: want.Address, Name: want.Name, State: want.State},
				Selected:   want.Selected, MissingSince: want.MissingSince,
				Mirror: syncer.MirrorStatus{
					LastFetch: want.Mirror.LastFetch, NextFetch: want.Mirror.NextFetch, Failures: want.Mirror.Failures, Empty: want.Mirror.Empty,
				},
			}
			got := shown[want.ID.Number]
			for _, now := range []time.Time{at, at.Add(24 * time.Hour)} {
				equal(t, "state of "+want.String(), syncer.MirrorStateOf(got, now, false), syncer.MirrorStateOf(want, now, false))
			}
			got = syncer.Record{ // what else it shows is not promised
				Repository: bitbucket.Repository{ID: got.ID, Address: got.Address, Name: got.Name, State: got.State},
				Selected:   got.Selected, MissingSince: got.MissingSince, Mirror: got.Mirror,
			}
			if diff := cmp.Diff(gist, got); diff != "" {
				t.Errorf("what the match sees of %s (-want +got):\n%s", want, diff)
			}
		}
	}},

	{"more records than a statement takes", func(t *testing.T, s Store) {
		found := make([]syncer.Found, 1500)
		for i := range found {
			found[i] = repository(int64(i)+1, "PRJ", fmt.Sprintf("slug-%d", i))
		}
		save(t, s, 0, found...)
		page := list(t, s, bitbucket.RepoID{}, len(found), all)
		equal(t, "records", len(page), len(found))
		for i := range page {
			if page[i].ID != found[i].ID {
				t.Fatalf("record %d is %s", i, page[i].ID)
			}
		}
	}},

	{"a canceled context ends the list and is told", func(t *testing.T, s Store) {
		fill(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		_, err := s.ListRecords(ctx, bitbucket.RepoID{}, 10, func(syncer.Record) bool {
			calls++
			cancel()
			return true
		})
		if !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("ListRecords: error %v after %d calls, want context.Canceled after the one that canceled", err, calls)
		}
	}},
}

func all(syncer.Record) bool { return true }

// list reads a page.
func list(t *testing.T, s Store, after bitbucket.RepoID, limit int, match func(syncer.Record) bool) []syncer.Record {
	t.Helper()
	records, err := s.ListRecords(t.Context(), after, limit, match)
	if err != nil {
		t.Fatalf("ListRecords: %v", err)
	}
	return records
}

// fill stores five repositories of three connections each, the fourth of which was renamed and left the
// selection. The connections are not stored in their order.
func fill(t *testing.T, s Store) {
	t.Helper()
	for _, name := range []string{"b.c", "a", "b"} {
		for number := int64(5); number > 0; number-- {
			found := repository(number, "PRJ", fmt.Sprintf("slug-%d", number))
			found.ID.Connection = name
			old := found
			old.Slug = "old-" + old.Slug
			if number == 4 {
				found = unselected(found)
			}
			for _, f := range []syncer.Found{old, found} {
				if _, err := s.SaveFound(t.Context(), name, 0, []syncer.Found{f}); err != nil {
					t.Fatalf("SaveFound: %v", err)
				}
			}
		}
	}
}
