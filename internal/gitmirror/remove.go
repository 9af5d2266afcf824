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

// Remove implements syncer.Mirrors. The mirror leaves its place by a rename, so that no half of it is
// ever there.
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
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	w.size = 0
	w.healed()
	m.readers.renew(repo)
	if err = errors.Join(err, os.RemoveAll(aside)); err != nil {
		return fmt.Errorf("remove %s: %w", repo, err)
	}
	return nil
}
