package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/siteconfig"
)

var versionTests = []test{
	{"an empty store has no version", func(t *testing.T, s Store) {
		if _, err := s.LatestVersion(t.Context()); !errors.Is(err, siteconfig.ErrNoVersion) {
			t.Errorf("LatestVersion: error %v, want ErrNoVersion", err)
		}
		versions, err := s.ListVersions(t.Context(), 10)
		if err != nil || len(versions) != 0 {
			t.Errorf("ListVersions: %v, %v; want nothing", versions, err)
		}
	}},

	{"versions count from one and keep text, author and time", func(t *testing.T, s Store) {
		texts := []string{`{"primaryURL": "https://a.example.com"}`, "", "// ü \x00 '\"\\ \xff ?0 ?\n" + strings.Repeat("x", 300_000)}
		var want []siteconfig.StoredVersion
		for i, text := range texts {
			before := time.Now()
			got, err := s.AppendVersion(t.Context(), int64(i), text, fmt.Sprintf("author '%d'", i))
			if err != nil {
				t.Fatalf("AppendVersion: %v", err)
			}
			if got.Created.Before(before) || got.Created.After(time.Now()) || got.Created.Location() != time.UTC {
				t.Errorf("version %d was created at %v, want now in UTC", i+1, got.Created)
			}
			equal(t, "appended", got, siteconfig.StoredVersion{
				Version: int64(i) + 1, Text: text, Author: fmt.Sprintf("author '%d'", i), Created: got.Created,
			})
			want = append([]siteconfig.StoredVersion{got}, want...)

			latest, err := s.LatestVersion(t.Context())
			if err != nil {
				t.Fatalf("LatestVersion: %v", err)
			}
			equal(t, "latest", latest, got)
		}
		for _, limit := range []int{1, 2, 3, 100} {
			got, err := s.ListVersions(t.Context(), limit)
			if err != nil {
				t.Fatalf("ListVersions: %v", err)
			}
			equal(t, fmt.Sprintf("the newest %d", limit), got, want[:min(limit, len(want))])
		}
		if got, err := s.ListVersions(t.Context(), 0); err != nil || len(got) != 0 {
			t.Errorf("ListVersions(0): %v, %v; want nothing", got, err)
		}
	}},

	{"a version is only appended after the expected one", func(t *testing.T, s Store) {
		if _, err := s.AppendVersion(t.Context(), 0, "one", "a"); err != nil {
			t.Fatalf("AppendVersion: %v", err)
		}
		for _, expected := range []int64{-1, 0, 2, 7} {
			if _, err := s.AppendVersion(t.Context(), expected, "two", "b"); !errors.Is(err, siteconfig.ErrConflict) {
				t.Errorf("AppendVersion after %d: error %v, want ErrConflict", expected, err)
			}
		}
		versions, err := s.ListVersions(t.Context(), 10)
		if err != nil || len(versions) != 1 || versions[0].Text != "one" {
			t.Errorf("stored: %v, %v; want the first text alone", versions, err)
		}
	}},

	{"of writers with the same expected version exactly one wins", func(t *testing.T, s Store) {
		const writers, rounds = 8, 10
		for round := range int64(rounds) {
			var group sync.WaitGroup
			errs := make([]error, writers)
			for writer := range writers {
				group.Go(func() {
					_, errs[writer] = s.AppendVersion(t.Context(), round, fmt.Sprintf("%d of %d", round, writer), "")
				})
			}
			group.Wait()
			winner := -1
			for writer, err := range errs {
				switch {
				case err == nil && winner >= 0:
					t.Errorf("round %d: writers %d and %d both stored", round, winner, writer)
				case err == nil:
					winner = writer
				case !errors.Is(err, siteconfig.ErrConflict):
					t.Errorf("round %d: writer %d: error %v, want ErrConflict", round, writer, err)
				}
			}
			latest, err := s.LatestVersion(t.Context())
			if err != nil || latest.Version != round+1 || latest.Text != fmt.Sprintf("%d of %d", round, winner) {
				t.Errorf("round %d: stored %v, %v; want the text of writer %d", round, latest, err, winner)
			}
		}
	}},

	{"a canceled context stores nothing and says so", func(t *testing.T, s Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.AppendVersion(ctx, 0, "one", "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("AppendVersion: error %v, want context.Canceled", err)
		}
		if _, err := s.LatestVersion(t.Context()); !errors.Is(err, siteconfig.ErrNoVersion) {
			t.Errorf("LatestVersion: error %v, want ErrNoVersion", err)
		}
	}},
}
