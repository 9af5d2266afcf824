package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/signpost/internal/bitbucket"
)

// Remove implements syncer.Mirrors. The mirror leaves its place by a rename that is on the disk before anything of it is
// removed, so that no half of it is ever there.
func (m *Mirrors) Remove(ctx context.Context, repo bitbucket.RepoID) error {
	w, unlock, err := m.lockWriter(ctx, repo)
	if err != nil {
		return fmt.Errorf("remove %s: %w", repo, err)
	}
	defer unlock()
	aside, err := os.MkdirTemp(m.tmp, tmpPrefix+"removed-")
	if err != nil {
		return fmt.Errorf("remove %s: %w", repo, err)
	}
	err = os.Rename(w.dir, filepath.Join(aside, "mirror"))
	if err == nil {
		err = m.syncFolder(filepath.Dir(w.dir))
	}
	w.size, w.removed = 0, true
	w.healed()
	m.readers.renew(repo)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // after a power cut it may be in its place again, and is to be whole then
		return fmt.Errorf("remove %s: %w", repo, err)
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("remove %s: %w", repo, err)
	}
	return nil
}
