package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// What damage, a wrong key, a newer or foreign file and a full disk are told by.

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s := open(t, path)
	if _, err := s.AppendVersion(t.Context(), 0, "text", ""); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	_, err := Open(t.Context(), Options{Path: path, Key: [32]byte{9}})
	if !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "secret.key") {
		t.Errorf("Open: error %v, want ErrWrongKey, which names the file", err)
	}
	s = openUntilEnd(t, path)
	if got, err := s.LatestVersion(t.Context()); err != nil || got.Text != "text" {
		t.Errorf("with the right key: %v, %v", got, err)
	}
}

func TestATextThatWasTamperedWithIsRefused(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"another version's":      "UPDATE site_config_versions SET sealed = (SELECT sealed FROM site_config_versions WHERE version = 1) WHERE version = 2",
		"cut off":                "UPDATE site_config_versions SET sealed = substr(sealed, 1, 30) WHERE version = 2",
		"nothing":                "UPDATE site_config_versions SET sealed = x'' WHERE version = 2",
		"in the clear":           "UPDATE site_config_versions SET sealed = 'two' WHERE version = 2",
		"sealed for a key check": "UPDATE site_config_versions SET sealed = (SELECT sealed FROM key_checks) WHERE version = 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			for i, text := range []string{"one", "two"} {
				if _, err := s.AppendVersion(t.Context(), int64(i), text, ""); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.db.writer.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if got, err := s.LatestVersion(t.Context()); !errors.Is(err, ErrDamaged) || got.Text != "" {
				t.Errorf("LatestVersion: %v, %v; want ErrDamaged alone", got, err)
			}
			// The way out: another text is stored after it.
			if _, err := s.AppendVersion(t.Context(), 2, "three", ""); err != nil {
				t.Errorf("AppendVersion: %v", err)
			}
			if got, err := s.LatestVersion(t.Context()); err != nil || got.Text != "three" {
				t.Errorf("LatestVersion: %v, %v; want the new text", got, err)
			}
		})
	}
}

func TestADatabaseOfANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"ours":        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)",
		"the queue's": "INSERT INTO river_migration (line, version) VALUES ('main', 9999)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			closeStore(t, open(t, path))
			raw(t, path, statement)
			_, err := Open(t.Context(), Options{Path: path, Key: testKey})
			if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "9999") {
				t.Errorf("Open: error %v, want ErrNewerSchema with the version", err)
			}
		})
	}
}

func TestAFileThatIsNoDatabaseOfOursIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want error
	}{
		"a text": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrCorrupt},
		"a database with its first page overwritten": {func(t *testing.T, path string) {
			t.Helper()
			closeStore(t, open(t, path))
			overwrite(t, path, 0, 4096)
		}, ErrCorrupt},
		"a database that was cut off": {func(t *testing.T, path string) {
			t.Helper()
			closeStore(t, open(t, path))
			if err := os.Truncate(path, 3*4096+17); err != nil {
				t.Fatal(err)
			}
		}, ErrCorrupt},
		"another program's database": {func(t *testing.T, path string) {
			t.Helper()
			raw(t, path, "CREATE TABLE users (id INTEGER)")
		}, ErrForeignFile},
		"another program's marked database": {func(t *testing.T, path string) {
			t.Helper()
			raw(t, path, "PRAGMA application_id = 7")
		}, ErrForeignFile},
		"a folder": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ErrNotWritable},
		"a file in a folder that is not there": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, ErrNotWritable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testFile(t)
			c.make(t, path)
			if _, err := Open(t.Context(), Options{Path: path, Key: testKey}); !errors.Is(err, c.want) {
				t.Errorf("Open: error %v, want %v", err, c.want)
			}
		})
	}
}

func overwrite(t *testing.T, path string, from, size int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)), from); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamageInsideTheFileIsToldByWhatMeetsIt(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s := open(t, path)
	if _, err := s.SaveFound(t.Context(), "c", 0, someFound(2000)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, info.Size()/2, info.Size()/2)
	s, err = Open(t.Context(), Options{Path: path, Key: testKey})
	if err == nil {
		err = s.EachRecord(t.Context(), "", func(syncer.Record) error { return nil })
		_ = s.Close() // damaged: it may fail
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("EachRecord: error %v, want ErrCorrupt", err)
	}
}

func TestAFullDiskIsToldAndNothingIsLost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if _, err := s.AppendVersion(t.Context(), 0, "one", ""); err != nil {
		t.Fatal(err)
	}
	var pages int64
	if err := s.db.writer.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int64) {
		if _, err := s.db.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	if _, err := s.AppendVersion(t.Context(), 1, strings.Repeat("two", 10_000), ""); !errors.Is(err, ErrDiskFull) || !errors.Is(err, siteconfig.ErrStorageFull) {
		t.Errorf("AppendVersion: error %v, want ErrDiskFull and ErrStorageFull", err)
	}
	if _, err := s.SaveFound(t.Context(), "c", 0, someFound(1000)); !errors.Is(err, ErrDiskFull) {
		t.Errorf("SaveFound: error %v, want ErrDiskFull", err)
	}
	if got, err := s.LatestVersion(t.Context()); err != nil || got.Text != "one" {
		t.Errorf("LatestVersion: %v, %v; want what was there", got, err)
	}
	limit(pages * 1000)
	if _, err := s.AppendVersion(t.Context(), 1, "two", ""); err != nil {
		t.Errorf("AppendVersion with space again: %v", err)
	}
	if changes, err := s.SaveFound(t.Context(), "c", 0, someFound(1000)); err != nil || len(changes.Upserted) != 1000 {
		t.Errorf("SaveFound with space again: %d, %v; want all", len(changes.Upserted), err)
	}
}

func TestErrorsOfTheStoreDoNotShowTexts(t *testing.T) {
	t.Parallel()
	s := open(t, testFile(t))
	closeStore(t, s)
	_, err := s.AppendVersion(t.Context(), 0, "canary", "author")
	if err == nil || errors.Is(err, siteconfig.ErrConflict) || strings.Contains(err.Error(), "canary") {
		t.Errorf("AppendVersion on a closed store: error %v", err)
	}
}
