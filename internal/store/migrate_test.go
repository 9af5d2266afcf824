package store

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// What left before the times of leaving were kept: nothing is removed earlier for it.
func TestTheSecondMigrationGivesTimesOfLeaving(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	provider, err := goose.NewProvider(s.db.goose, s.db.writer.DB, s.db.migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 1); err != nil {
		t.Fatalf("down: %v", err)
	}
	for number, row := range []struct{ selected, missing int }{{1, 0}, {0, 0}, {0, 42}} {
		_, err := s.db.writer.ExecContext(t.Context(), `INSERT INTO repositories (connection, number, project_key, slug, name,
			project_name, personal, state, archived, fork, clone_http, clone_ssh, selected, reason, missing_since, changed_in)
			VALUES ('c', ?, 'PRJ', 'a', '', '', FALSE, 'AVAILABLE', FALSE, FALSE, '', '', ?, '', ?, 1)`, number, row.selected, row.missing)
		if err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now().Truncate(time.Second).UnixNano()
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatalf("up: %v", err)
	}
	var left []int64
	if err := s.db.readers.NewSelect().Table("repositories").Column("left_at").OrderExpr("number").Scan(t.Context(), &left); err != nil {
		t.Fatal(err)
	}
	if len(left) != 3 || left[0] != 0 || left[1] < begun || left[2] != 42 {
		t.Errorf("left at %v, want never, since %d and at 42", left, begun)
	}
	rows, err := loadConnections(t.Context(), s.db.readers)
	if err != nil || len(rows) != 1 || *rows["c"] != (connectionRow{Connection: "c"}) {
		t.Errorf("connections %+v, %v; want the one that has records", rows, err)
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
