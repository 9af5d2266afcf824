// Package recordings reads recorded answers of real Bitbuckets, for the tests of the client
// and of the double: the one must understand them, the other must answer like them.
package recordings

import (
	"os"
	"path/filepath"
	"testing"
)

// Where they lie, in a folder above the tests.
var (
	folder = filepath.Join("shared", "fixtures", "bitbucket")
	pages  = filepath.Join("shared", "fixtures", "dom")
)

// Read returns the recording of that name. The recordings are not part of this repository:
// where their folder is absent, the test is skipped. Where it is there, one that is missing from it
// is a mistake of the test, which fails.
func Read(t testing.TB, name string) string {
	t.Helper()
	return readBelow(t, folder, name)
}

// ReadPage is Read for the saved web pages.
func ReadPage(t testing.TB, name string) string {
	t.Helper()
	return readBelow(t, pages, name)
}

func readBelow(t testing.TB, folder, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, folder)); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Skipf("no folder above has the recordings, %s", folder)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, folder, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
