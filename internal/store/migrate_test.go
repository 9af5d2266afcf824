package store

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// schema returns what makes the tables and indexes of the database, River's excepted.
func schema(t *testing.T, s *Store) []string {
	t.Helper()
	var statements []string
	err := s.db.readers.NewSelect().Table("sqlite_master").Column("sql").
		Where("name NOT LIKE 'river%' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%'").
		OrderExpr("name").Scan(t.Context(), &statements)
	if err != nil {
		t.Fatal(err)
	}
	return statements
}

func TestEachMigrationCanBeTakenBackAndAppliedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	want := schema(t, s)
	provider, err := goose.NewProvider(s.db.goose, s.db.writer.DB, s.db.migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 0); err != nil {
		t.Fatalf("down: %v", err)
	}
	if left := schema(t, s); len(left) != 0 {
		t.Errorf("left after taking all back: %v", left)
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatalf("up: %v", err)
	}
	if got := schema(t, s); !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("after applying all again:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("migrations/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("folders: %v, %v", folders, err)
	}
	embedded, err := fs.Glob(sqliteMigrations, "migrations/sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(files) != len(embedded) {
			t.Fatalf("%s: %v, %v; want as many as are embedded for SQLite, %d", folder, files, err, len(embedded))
		}
		for i, file := range files { // Glob sorts
			version, err := goose.NumericComponent(file)
			if err != nil || version != int64(i)+1 {
				t.Errorf("%s has number %d, %v; want %d", file, version, err, i+1)
			}
		}
	}
}
