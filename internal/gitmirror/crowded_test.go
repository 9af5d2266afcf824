package gitmirror

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestFetchClonesACrowdedMirrorAnew, since each fetch adds a pack and every look reads the
// index of each.
func TestFetchClonesACrowdedMirrorAnew(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, Options{MaxPacks: 3})
	f.origin.history()
	f.fetch(t)
	push := func(n int) string {
		return f.origin.commit("refs/heads/main", map[string]string{fmt.Sprintf("file%d", n): "1"})
	}
	packs := func() int {
		files, err := packFiles(f.mirror(), ".pack")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	for n := range 2 {
		push(n)
		f.fetch(t)
	}
	if n := packs(); n != 3 {
		t.Fatalf("%d packs, want 3", n)
	}

	// A clone that fails does not keep the news away.
	commit := push(2)
	f.origin.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err == nil && bytes.Contains(body, []byte("have ")) {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	if result := f.fetch(t); result.Cloned || !result.Changed {
		t.Errorf("result %+v", result)
	}
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v; want %s", got, err, commit)
	}
	if n := packs(); n != 4 {
		t.Errorf("%d packs after a clone that failed, want 4", n)
	}

	f.origin.setFault(nil)
	commit = push(3)
	if result := f.fetch(t); !result.Cloned || !result.Changed {
		t.Errorf("result %+v", result)
	}
	if n := packs(); n != 1 {
		t.Errorf("%d packs, want 1", n)
	}
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v; want %s", got, err, commit)
	}
	f.checkSame(t)
}

// A clone that failed is not tried again with every push.
func TestACrowdedMirrorLetsSomeFetchesPass(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, Options{MaxPacks: 20})
	f.origin.history()
	f.fetch(t)
	w := &writer{id: f.id, dir: f.mirror()}
	var crowded []int
	for n := 2; n <= 24; n++ {
		pack := filepath.Join(f.mirror(), "objects", "pack", fmt.Sprintf("pack-%040d.pack", n))
		if err := os.WriteFile(pack, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if (&fetch{Mirrors: f.Mirrors, writer: w}).isCrowded() {
			crowded = append(crowded, n)
		}
	}
	if got, want := fmt.Sprint(crowded), "[20 22 24]"; got != want {
		t.Errorf("crowded at %s packs, want %s", got, want)
	}
}
