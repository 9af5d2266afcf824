package gitmirror

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// TestMirroredTellsOfWhatIsOnTheDisk and nothing that somebody else put there; the notes outlive a restart, and harm nothing.
func TestMirroredTellsOfWhatIsOnTheDisk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	for _, folder := range []string{"bitbucket/notes.git", "bitbucket/007.git", "bitbucket/-1.git", "bitbucket/8", "lost+found"} {
		if err := os.MkdirAll(filepath.Join(f.data, "mirrors", folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := func(since time.Time) {
		t.Helper()
		got, err := f.Mirrored(t.Context())
		if diff := cmp.Diff([]syncer.Mirrored{{Repo: f.id, Unclaimed: since}}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	note := func(id bitbucket.RepoID, since time.Time) {
		t.Helper()
		if err := f.SetUnclaimed(t.Context(), id, since); err != nil {
			t.Error(err)
		}
	}
	want(time.Time{})
	note(f.id, time.Time{})
	note(bitbucket.RepoID{Connection: "bitbucket", Number: 77}, time.Now())
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	note(f.id, since)
	want(since)
	f.reopen(t)
	want(since)
	f.checkSame(t)
	overwrite(t, filepath.Join(f.mirror(), unclaimedMark), []byte("\x00\x00"))
	want(time.Time{})
	note(f.id, time.Time{})
	want(time.Time{})
	if _, err := os.Stat(filepath.Join(f.mirror(), unclaimedMark)); !os.IsNotExist(err) {
		t.Errorf("the note is there: %v", err)
	}
}
