package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

var readTests = []test{
	{"an unknown repository has no record", func(t *testing.T, s Store) {
		if _, err := s.Record(t.Context(), id(1)); !isNoRecord(err) {
			t.Errorf("Record: error %v, want ErrNoRecord", err)
		}
		if _, err := s.RecordAt(t.Context(), connection, address("PRJ", "a")); !isNoRecord(err) {
			t.Errorf("RecordAt: error %v, want ErrNoRecord", err)
		}
	}},

	{"several records are read at once, each once, but for those that are not there", func(t *testing.T, s Store) {
		other := repository(2, "PRJ", "b")
		other.ID.Connection = "a-connection"
		if _, err := s.SaveFound(t.Context(), other.ID.Connection, 0, []syncer.Found{other}); err != nil {
			t.Fatalf("SaveFound: %v", err)
		}
		save(t, s, 0, repository(1, "PRJ", "old"), repository(2, "PRJ", "b"), repository(3, "PRJ", "c"))
		save(t, s, 0, repository(1, "PRJ", "a"))
		got, err := s.RecordsOf(t.Context(), []bitbucket.RepoID{id(3), other.ID, id(1), id(7), id(3)})
		if err != nil {
			t.Fatalf("RecordsOf: %v", err)
		}
		slices.SortFunc(got, func(a, b syncer.Record) int { return strings.Compare(a.Slug, b.Slug) })
		equal(t, "records", got, []syncer.Record{
			record(repository(1, "PRJ", "a"), address("PRJ", "old")), record(other), record(repository(3, "PRJ", "c")),
		})
		if got, err := s.RecordsOf(t.Context(), nil); err != nil || len(got) > 0 {
			t.Errorf("none: %v, %v", got, err)
		}
	}},

	{"a record that is not selected, or is missing, can be read", func(t *testing.T, s Store) {
		listing := begin(t, s)
		save(t, s, listing, unselected(repository(1, "PRJ", "a")), repository(2, "PRJ", "b"))
		listing = begin(t, s)
		save(t, s, listing, unselected(repository(1, "PRJ", "a")))
		finish(t, s, listing, 0)
		equal(t, "not selected", numberAt(t, s, "PRJ", "a"), 1)
		equal(t, "missing", numberAt(t, s, "PRJ", "b"), 2)
	}},

	{"each record comes once, in order, with its former addresses", func(t *testing.T, s Store) {
		var want []syncer.Record
		for _, name := range []string{"a", "b"} {
			for number := range int64(5) {
				found := repository(number+1, "PRJ", fmt.Sprintf("slug-%d", number))
				found.ID.Connection = name
				old := found
				old.Slug = "old-" + old.Slug
				if number == 3 {
					old, found = unselected(old), unselected(found)
				}
				for _, f := range []syncer.Found{old, found} {
					if _, err := s.SaveFound(t.Context(), name, 0, []syncer.Found{f}); err != nil {
						t.Fatalf("SaveFound: %v", err)
					}
				}
				want = append(want, record(found, old.Address))
			}
		}
		for name, want := range map[string][]syncer.Record{"": want, "a": want[:5], "b": want[5:], "c": nil} {
			got, err := each(t.Context(), s, name)
			if err != nil {
				t.Fatalf("EachRecord: %v", err)
			}
			equal(t, fmt.Sprintf("records of %q", name), got, want)
		}
	}},

	{"reading stops at the first error of the reader, and returns it as it is", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		enough, calls := errors.New("enough"), 0
		err := s.EachRecord(t.Context(), "", func(syncer.Record) error {
			calls++
			return enough
		})
		if err != enough || calls != 1 { //nolint:errorlint // it is returned as it is
			t.Errorf("EachRecord: error %v after %d calls, want %v after 1", err, calls, enough)
		}
	}},

	{"the store can be used while its records are read", func(t *testing.T, s Store) {
		save(t, s, 0, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		var numbers []int64
		err := s.EachRecord(t.Context(), "", func(r syncer.Record) error {
			numbers = append(numbers, r.ID.Number)
			if _, err := s.RecordAt(t.Context(), connection, r.Address); err != nil {
				return err
			}
			if _, err := s.SaveFound(t.Context(), connection, 0, []syncer.Found{repository(r.ID.Number+10, "PRJ", "new-"+r.Slug)}); err != nil {
				return err
			}
			return s.SaveMirror(t.Context(), r.ID, syncer.MirrorStatus{LastFetch: at})
		})
		if err != nil {
			t.Fatalf("EachRecord: %v", err)
		}
		equal(t, "all records are of one moment", numbers, []int64{1, 2})
		equal(t, "status", get(t, s, 2).Mirror.LastFetch, at)
	}},

	{"a canceled context ends the reading and is told", func(t *testing.T, s Store) {
		found := make([]syncer.Found, 2000)
		for i := range found {
			found[i] = repository(int64(i)+1, "PRJ", fmt.Sprintf("slug-%d", i))
		}
		save(t, s, 0, found...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		err := s.EachRecord(ctx, "", func(syncer.Record) error {
			calls++
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("EachRecord: error %v after %d calls, want context.Canceled after the one that canceled", err, calls)
		}
		if _, err := s.Record(ctx, id(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Record: error %v, want context.Canceled", err)
		}
		equal(t, "afterwards", get(t, s, 1).ID, id(1))
	}},

	{"readers and writers at once see whole states", func(t *testing.T, s Store) {
		// The two swap their addresses again and again: each address always has a record.
		save(t, s, 0, repository(1, "PRJ", "a"), repository(2, "PRJ", "b"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for ctx.Err() == nil {
					for _, slug := range []string{"a", "b"} {
						got, err := s.RecordAt(t.Context(), connection, address("PRJ", slug))
						if err != nil || got.Slug != slug {
							t.Errorf("RecordAt(%s): %v at %s", slug, err, got.Address)
							return
						}
					}
					records, err := each(t.Context(), s, connection)
					if err != nil || len(records) != 2 || records[0].Slug == records[1].Slug {
						t.Errorf("EachRecord: %v, %v", records, err)
						return
					}
				}
			})
		}
		for i := range 40 {
			slugs := []string{"a", "b", "a"}[i%2:]
			save(t, s, 0, repository(1, "PRJ", slugs[0]), repository(2, "PRJ", slugs[1]))
		}
		cancel()
		group.Wait()
	}},
}

var statusTests = []test{
	{"the status of each connection is the last one saved", func(t *testing.T, s Store) {
		ctx := t.Context()
		if got, err := s.ConnectionStatuses(ctx); err != nil || len(got) != 0 {
			t.Fatalf("ConnectionStatuses: %v, %v; want none", got, err)
		}
		b := syncer.ConnectionStatus{
			Connection: "b", Version: "7.21.0", Account: "bot's", LastComplete: at, LastAttempt: at.Add(1),
			Error: "a \"problem\"", Listed: 4, Selected: 3, Missing: 2, Withheld: 1,
		}
		for _, status := range []syncer.ConnectionStatus{b, {Connection: "a"}, {Connection: "c", Error: "e"}, {Connection: "c"}, b} {
			if err := s.SaveConnectionStatus(ctx, status); err != nil {
				t.Fatalf("SaveConnectionStatus: %v", err)
			}
		}
		got, err := s.ConnectionStatuses(ctx)
		if err != nil {
			t.Fatalf("ConnectionStatuses: %v", err)
		}
		equal(t, "statuses", got, []syncer.ConnectionStatus{{Connection: "a"}, b, {Connection: "c"}})
	}},
}
