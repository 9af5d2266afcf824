package app

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	extension "example.com/signpost/extension-assets"
)

// packages builds the real extension.
func packages(t *testing.T) *extension.Packages {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p, err := extension.Build(extension.Input{
		Configuration: extension.Configuration{ServerURL: "https://signpost.example.com", BitbucketURLs: []string{"https://bitbucket.example.com"}},
		Version:       "1.0.1", Key: key, Source: extension.Files,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asSigned makes of an XPI what Mozilla gives back.
func asSigned(t *testing.T, xpi []byte) []byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(xpi), int64(len(xpi)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, entry := range archive.File {
		if err := w.Copy(entry); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Create("META-INF/mozilla.rsa"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestASignedXPIInTheDataFolderIsSeen(t *testing.T) {
	t.Parallel()
	xpi, _ := packages(t).File(extension.XPI)
	signed := asSigned(t, xpi.Content)
	s := &signedXPI{path: filepath.Join(t.TempDir(), signedXPIName)}
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(s.path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.Chtimes(s.path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	look := func(when string, want, wantChanged bool, wantErr string) {
		t.Helper()
		got, changed, err := s.look()
		if (got != nil) != want || changed != wantChanged || (err != nil) != (wantErr != "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: there is one: %t, changed: %t, error %v", when, got != nil, changed, err)
		}
	}
	look("without a file", false, false, "")
	put(signed[:len(signed)/2])
	look("half of a copy", false, false, s.path)
	look("half of a copy, again", false, false, s.path)
	put(signed)
	look("the whole copy", true, true, "")
	look("the same, again", false, false, "")
	put(xpi.Content)
	look("one that is not signed", false, false, "not signed")
	put(bytes.Clone(signed))
	look("the next", true, true, "")
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	look("taken away", false, true, "")
	look("taken away, again", false, false, "")
	put(make([]byte, maxXPI+1))
	look("one that is too large", false, false, "larger")
}

// A build that ends in the middle leaves no half of anything behind: files are renamed into their
// places, and a folder that could not be put there gives way to the one that was.
func TestAFolderThatCannotBeReplacedStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place := filepath.Join(dir, "chrome")
	if err := writeNew(filepath.Join(place, "manifest.json"), []byte("old")); err != nil {
		t.Fatal(err)
	}
	err := replaceFolder(place, filepath.Join(dir, "nothing"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(place, "manifest.json")); err != nil || string(text) != "old" {
		t.Errorf("the folder that was there: %q, %v", text, err)
	}
}

func TestNothingButThePackagesIsLeftInTheFolder(t *testing.T) {
	t.Parallel()
	p := packages(t)
	target, err := openOutFolder(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // over nothing, and over itself
		if err := target.write(p); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, file := range append(p.Files(), p.Unpacked()...) {
			want[file.Name] = string(file.Content)
		}
		err := filepath.WalkDir(target.path, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(target.path, path)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(path)
			if want[name] != string(text) {
				t.Errorf("%s holds something else, or should not be there", name)
			}
			delete(want, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(want) > 0 {
			t.Errorf("%d files are missing", len(want))
		}
	}
}
