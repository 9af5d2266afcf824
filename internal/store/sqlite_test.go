package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// The tests of this file look behind the interfaces: at the file, at locks and at damage.

var testKey = [32]byte([]byte("0f8c5e2ab7d94163a1b2c3d4e5f60718"))

func testFile(t *testing.T) string { return filepath.Join(t.TempDir(), "signpost.db") }

// open opens the database at path; the caller closes it.

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path, Key: testKey})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// openUntilEnd opens the database at path until the test ends.

func openUntilEnd(t *testing.T, path string) *Store {
	t.Helper()
	s := open(t, path)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// someFound returns n repositories.

func someFound(n int) []syncer.Found {
	found := make([]syncer.Found, n)
	for i := range found {
		found[i] = syncer.Found{
			Repository: bitbucket.Repository{
				ID:        bitbucket.RepoID{Connection: "c", Number: int64(i) + 1},
				Address:   bitbucket.Address{Key: "PRJ", Slug: fmt.Sprintf("repo-%06d", i)},
				Name:      fmt.Sprintf("Repository %d", i),
				State:     bitbucket.StateAvailable,
				CloneHTTP: fmt.Sprintf("https://bitbucket.example.com/scm/prj/repo-%06d.git", i),
			},
			Selected: true,
			Reason:   "everything is selected",
		}
	}
	return found
}

// raw runs statements on the file, past the Store.

func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqliteDSN(path, "immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestOpenNeedsPathAndKey(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"no path": {Key: testKey}, "no key": {Path: testFile(t)}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWhatWasStoredIsThereAfterOpeningAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder # with 100% ?", "signpost.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if _, err := s.AppendVersion(t.Context(), 0, "text", "author"); err != nil {
		t.Fatal(err)
	}
	listing, err := s.BeginListing(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SaveFound(t.Context(), "c", listing, someFound(3)); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveConnectionStatus(t.Context(), syncer.ConnectionStatus{Connection: "c", Listed: 3}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("files after Close: %v, %v; want the database alone", files, err)
	}

	s = openUntilEnd(t, path)
	version, err := s.LatestVersion(t.Context())
	if err != nil || version.Text != "text" || version.Author != "author" {
		t.Errorf("LatestVersion: %v, %v", version, err)
	}
	record, err := s.RecordAt(t.Context(), "c", bitbucket.Address{Key: "prj", Slug: "repo-000002"})
	if err != nil || record.ID.Number != 3 {
		t.Errorf("RecordAt: %v, %v", record, err)
	}
	statuses, err := s.ConnectionStatuses(t.Context())
	if err != nil || len(statuses) != 1 || statuses[0].Listed != 3 {
		t.Errorf("ConnectionStatuses: %v, %v", statuses, err)
	}
	if _, err := s.FinishListing(t.Context(), "c", listing, 0, time.Now()); !errors.Is(err, ErrUnknownListing) {
		t.Errorf("FinishListing of a listing that a restart cut off: error %v, want ErrUnknownListing", err)
	}
	if next, err := s.BeginListing(t.Context(), "c"); err != nil || next <= listing {
		t.Errorf("BeginListing: %d, %v; want more than %d", next, err, listing)
	}
}

func TestTheFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	path := testFile(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil { //nolint:gosec // that is the case
		t.Fatal(err)
	}
	for _, attempt := range []string{"a file that others could read", "the file as it is then"} {
		s := open(t, path)
		if _, err := s.SaveFound(t.Context(), "c", 0, someFound(1)); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has mode %o, want 600", attempt, info.Name(), info.Mode().Perm())
			}
		}
		closeStore(t, s)
	}
}

func TestNoFileHoldsASecretInTheClear(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3c1b9e"
	path := testFile(t)
	s := open(t, path)
	for i := range int64(20) {
		text := fmt.Sprintf(`{"bitbucketServer": [{"token": "%s"}]} // %d %s`, canary, i, strings.Repeat(canary, 500))
		if _, err := s.AppendVersion(t.Context(), i, text, "author"); err != nil {
			t.Fatal(err)
		}
	}
	scan := func(when string) {
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) == 0 {
			t.Fatalf("files: %v, %v", files, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(content, []byte(canary)) || bytes.Contains(content, testKey[:]) {
				t.Errorf("%s: %s holds the secret or the key", when, filepath.Base(file))
			}
		}
	}
	scan("while it is open")
	closeStore(t, s)
	scan("after it was closed")
}

// overwrite damages a part of the file.

// holdWriter keeps the writer connection in a transaction until the returned function is called.

func TestWhatIsUnchangedIsNotWritten(t *testing.T) {
	t.Parallel()
	path := testFile(t)
	s := openUntilEnd(t, path)
	found := someFound(1000)
	if _, err := s.SaveFound(t.Context(), "c", 0, found); err != nil {
		t.Fatal(err)
	}
	listing, err := s.BeginListing(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	before := files(t, path)
	if _, err := s.SaveFound(t.Context(), "c", listing, found); err != nil {
		t.Fatal(err)
	}
	if _, err := s.FinishListing(t.Context(), "c", listing, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	if after := files(t, path); before != after {
		t.Errorf("the database or its log has grown: %s before, %s after", before, after)
	}
}

// files describes the database and its log.

func files(t *testing.T, path string) string {
	t.Helper()
	var text strings.Builder
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s%d bytes, written at %v; ", suffix, info.Size(), info.ModTime())
	}
	return text.String()
}

func TestOnlyTheNewestOpenListingsAreRemembered(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var numbers []int64
	for range openListings + 1 {
		number, err := s.BeginListing(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
	}
	for i, number := range numbers {
		_, err := s.FinishListing(t.Context(), "c", number, 0, time.Now())
		if i == 0 && !errors.Is(err, ErrUnknownListing) {
			t.Errorf("the oldest: error %v, want ErrUnknownListing", err)
		}
		if i > 0 && err != nil {
			t.Errorf("listing %d: %v", i, err)
		}
	}
}

// With a server database, replicas share it: what one of them looks up, a listing of

// another must not take for missing.
