package store

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"example.com/signpost/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store { return newStore(t) })
}

// emptyDatabase is the file of a database without content. Migrating is slow under the
// race detector, so that most tests begin with a copy of this one.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "signpost-store-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "signpost.db")
	s, err := Open(context.Background(), Options{Path: path, Key: testKey})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// newFile makes an empty database and returns its path.
func newFile(t *testing.T) string {
	t.Helper()
	content, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	path := testFile(t)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newStore opens an empty database until the test ends.
func newStore(t *testing.T) *Store {
	t.Helper()
	return openUntilEnd(t, newFile(t))
}
