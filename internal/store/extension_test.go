package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"example.com/signpost/internal/siteconfig"
)

func TestTheSigningKeyOutlivesTheProcessAndIsNowhereInTheClear(t *testing.T) {
	t.Parallel()
	const canary = "canary-signing-key-5e1d"
	path := newFile(t)
	for number, digest := range []string{"a", "b", "b"} {
		s, err := Open(t.Context(), Options{Path: path, Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		key, err := s.SaveExtensionKey(t.Context(), siteconfig.NewSecret(canary))
		if err != nil || key.Reveal() != canary {
			t.Errorf("opened for the %d. time: the key is another one; error %v", number+1, err)
		}
		if got, err := s.ExtensionVersion(t.Context(), digest); err != nil || got != []int64{1, 2, 2}[number] {
			t.Errorf("version of %q after %d restarts: %d, %v", digest, number, got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(canary)) {
			t.Errorf("%s holds the key in the clear", file)
		}
	}
}

func TestASigningKeyThatWasChangedOutsideIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if _, err := s.SaveExtensionKey(t.Context(), siteconfig.NewSecret("key")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.writer.ExecContext(t.Context(), "UPDATE extension_keys SET sealed = x'0102'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ExtensionKey(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("ExtensionKey: error %v, want ErrDamaged", err)
	}
	// It is not replaced either: the browsers know the extension by it.
	if _, err := s.SaveExtensionKey(t.Context(), siteconfig.NewSecret("new")); !errors.Is(err, ErrDamaged) {
		t.Errorf("SaveExtensionKey: error %v, want ErrDamaged", err)
	}
}
