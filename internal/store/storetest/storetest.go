// Package storetest is the suite that every database of package store passes: what the
// interfaces that the store fills in promise, as tests.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// Store is everything that a database is asked for.
type Store interface {
	siteconfig.Versions
	syncer.IndexStore
	syncer.RecordReader
	syncer.StatusStore
	syncer.RefusalStore
	extension.Records
}

// Run tests the stores that open returns. Each call of open gives a new, empty store, which
// open closes by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"versions", versionTests},
		{"save found", saveFoundTests},
		{"addresses", addressTests},
		{"listings", listingTests},
		{"mirrors", mirrorTests},
		{"departures", departureTests},
		{"figures", figureTests},
		{"read", readTests},
		{"list", listTests},
		{"statuses", statusTests},
		{"refusals", refusalTests},
		{"extension", extensionTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, open(t))
				})
			}
		})
	}
}

// test is one promise.
type test struct {
	name string
	run  func(t *testing.T, s Store)
}

// connection is the connection that most tests use.
const connection = "bitbucket"

// at is a time that no database can round without being seen.
var at = time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.UTC)

// id returns the id of a repository of connection.
func id(number int64) bitbucket.RepoID {
	return bitbucket.RepoID{Connection: connection, Number: number}
}

// repository returns a selected repository at key/slug.
func repository(number int64, key, slug string) syncer.Found {
	return syncer.Found{
		Repository: bitbucket.Repository{
			ID:          id(number),
			Address:     bitbucket.Address{Key: key, Slug: slug},
			Name:        "The " + slug,
			ProjectName: "Project " + key,
			State:       bitbucket.StateAvailable,
			CloneHTTP:   fmt.Sprintf("https://bitbucket.example.com/scm/%s/%s.git", key, slug),
			CloneSSH:    fmt.Sprintf("ssh://git@bitbucket.example.com:7999/%s/%s.git", key, slug),
		},
		Selected: true,
		Reason:   "everything is selected",
	}
}

// unselected returns the repository as one that is not selected.
func unselected(f syncer.Found) syncer.Found {
	f.Selected, f.Reason = false, "excluded"
	return f
}

// record is the record that a newly found repository gets.
func record(f syncer.Found, former ...bitbucket.Address) syncer.Record {
	return syncer.Record{Repository: f.Repository, Former: former, Selected: f.Selected, Reason: f.Reason}
}

// begin begins a listing of connection.
func begin(t *testing.T, s Store) int64 {
	t.Helper()
	number, err := s.BeginListing(t.Context(), connection)
	if err != nil {
		t.Fatalf("BeginListing: %v", err)
	}
	return number
}

// save saves what a listing (0: a lookup) found.
func save(t *testing.T, s Store, listing int64, found ...syncer.Found) syncer.Changes {
	t.Helper()
	changes, err := s.SaveFound(t.Context(), connection, listing, found)
	if err != nil {
		t.Fatalf("SaveFound: %v", err)
	}
	return changes
}

// finish finishes a listing at at.
func finish(t *testing.T, s Store, listing int64, maxDeletions int) syncer.Finished {
	t.Helper()
	finished, err := s.FinishListing(t.Context(), connection, listing, maxDeletions, at)
	if err != nil {
		t.Fatalf("FinishListing: %v", err)
	}
	return finished
}

// get reads a record that must be there.
func get(t *testing.T, s Store, number int64) syncer.Record {
	t.Helper()
	got, err := s.Record(t.Context(), id(number))
	if err != nil {
		t.Fatalf("Record(%d): %v", number, err)
	}
	return got
}

// each reads the records of a connection.
func each(ctx context.Context, s Store, connection string) ([]syncer.Record, error) {
	var records []syncer.Record
	err := s.EachRecord(ctx, connection, func(r syncer.Record) error {
		records = append(records, r)
		return nil
	})
	return records, err
}

// numberAt tells which repository answers to an address, 0 for none.
func numberAt(t *testing.T, s Store, key, slug string) int64 {
	t.Helper()
	got, err := s.RecordAt(t.Context(), connection, bitbucket.Address{Key: key, Slug: slug})
	switch {
	case err == nil:
		return got.ID.Number
	case isNoRecord(err):
		return 0
	default:
		t.Fatalf("RecordAt(%s/%s): %v", key, slug, err)
		return 0
	}
}

// equal fails the test unless got and want are the same.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
