package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// unclaimedMark is a file in a mirror that tells since when nobody knows it (RFC 3339).
const unclaimedMark = "signpost-unclaimed"

// each calls yield with every mirror on the disk. Folders of other names are not this program's. The error is of the
// folder of the mirrors, or of ctx.
func (m *Mirrors) each(ctx context.Context, yield func(bitbucket.RepoID)) error {
	connections, err := os.ReadDir(m.root)
	if err != nil {
		return err
	}
	for _, c := range connections {
		if !c.IsDir() {
			continue
		}
		mirrors, err := os.ReadDir(filepath.Join(m.root, c.Name()))
		if err != nil {
			return err
		}
		for _, e := range mirrors {
			number, ok := strings.CutSuffix(e.Name(), ".git")
			n, err := strconv.ParseInt(number, 10, 64)
			if !ok || err != nil || n <= 0 || strconv.FormatInt(n, 10) != number {
				continue
			}
			if err := stopped(ctx); err != nil {
				return err
			}
			yield(bitbucket.RepoID{Connection: c.Name(), Number: n})
		}
	}
	return nil
}

// Mirrored implements syncer.MirrorFolders.
func (m *Mirrors) Mirrored(ctx context.Context) (all []syncer.Mirrored, err error) {
	err = m.each(ctx, func(id bitbucket.RepoID) {
		dir, err := m.folder(id)
		if err != nil {
			return // a folder of somebody else
		}
		one := syncer.Mirrored{Repo: id}
		if text, err := os.ReadFile(filepath.Join(dir, unclaimedMark)); err == nil {
			// What cannot be read counts as no note, and is written anew.
			one.Unclaimed, _ = time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
		}
		all = append(all, one)
	})
	if err != nil {
		return nil, fmt.Errorf("look for the mirrors: %w", err)
	}
	return all, nil
}

// SetUnclaimed implements syncer.MirrorFolders.
func (m *Mirrors) SetUnclaimed(ctx context.Context, repo bitbucket.RepoID, since time.Time) error {
	w, unlock, err := m.lockWriter(ctx, repo)
	if err != nil {
		return fmt.Errorf("note of %s whether it is known: %w", repo, err)
	}
	defer unlock()
	mark := filepath.Join(w.dir, unclaimedMark)
	if since.IsZero() {
		err = os.Remove(mark)
	} else if _, err = os.Lstat(w.dir); err == nil {
		err = replaceFile(m.tmp, mark, []byte(since.UTC().Format(time.RFC3339)+"\n"))
	}
	if err == nil {
		err = syncPath(w.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note of %s whether it is known: %w", repo, err)
	}
	return nil
}
