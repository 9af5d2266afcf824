package gitmirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sweepMirror removes from the mirror at dir what a killed process left: locks, packs that were being
// written, marks that a pack is to be kept, and what belongs to a pack that is not there. Nobody else
// writes the mirror, so what is older than this process has no owner any more; a file from the future is of
// a clock that went wrong. locks are paths below refs that readRefFiles found. The caller holds the
// writer's lock.
func sweepMirror(dir string, locks []string, started, now time.Time) (swept int, err error) {
	remove := func(path string) error {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if at := info.ModTime(); !at.Before(started) && !at.After(now) {
			return nil
		}
		swept++
		return os.Remove(path)
	}
	sweep := func(folder string, stale func(name string) bool) error {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() && stale(e.Name()) {
				if err := remove(filepath.Join(folder, e.Name())); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := sweep(dir, isLock); err != nil {
		return swept, err
	}
	for _, path := range locks {
		if err := remove(path); err != nil {
			return swept, err
		}
	}
	packs := filepath.Join(dir, "objects", "pack")
	err = sweep(packs, func(name string) bool {
		if isLock(name) || strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, ".tmp-") || strings.HasSuffix(name, ".keep") {
			return true
		}
		return isOrphan(packs, name)
	})
	return swept, err
}

// isLock tells whether git would wait for a file of that name to go, or give up.
func isLock(name string) bool {
	return strings.HasSuffix(name, ".lock") || name == "gc.pid" || name == packedRefsFile+".new"
}

// isOrphan tells whether a file belongs to a pack that is not there: an index goes into a mirror before its
// pack, and leaves it after.
func isOrphan(packs, name string) bool {
	ext := filepath.Ext(name)
	switch ext {
	case ".idx", ".rev", ".bitmap", ".mtimes":
	default:
		return false
	}
	if !strings.HasPrefix(name, "pack-") {
		return false
	}
	_, err := os.Lstat(filepath.Join(packs, strings.TrimSuffix(name, ext)+".pack"))
	return errors.Is(err, fs.ErrNotExist)
}
