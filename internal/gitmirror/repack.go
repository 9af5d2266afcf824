package gitmirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"example.com/signpost/syncer"
)

const (
	// repackTime bounds a repack, for which the mirror's next fetch waits.
	repackTime = 10 * time.Minute
	// drainReaders is how long a repack waits for readers that may have the old packs open, and new readers for it.
	// After that the old packs stay until the next repack.
	drainReaders = 300 * time.Millisecond
)

// repack makes one pack of the mirror's small ones when there are many. What goes
// wrong costs nothing but the time: the mirror stays as it is, and the next try waits until as many packs have come
// again, lest every fetch pays for it.
func (f *fetch) repack(ctx context.Context) {
	packs, err := packFiles(f.dir, ".pack")
	if err != nil || len(packs) < max(f.Mirrors.repackAt, f.writer.repackAt) {
		return
	}
	limited, cancel := context.WithTimeout(ctx, f.repackTime)
	defer cancel()
	start := time.Now()
	rolled, err := f.rollUp(limited, packs)
	f.writer.repackAt = 0
	if err != nil {
		f.writer.repackAt = len(packs) + f.Mirrors.repackAt
	}
	switch {
	case err == nil && rolled > 0:
		f.log.InfoContext(ctx, "small packs of a mirror were made one", "repository", f.id, "packs", rolled, "of", len(packs), "took", time.Since(start))
	case err == nil, stopped(ctx) != nil:
	case stopped(limited) != nil:
		f.log.WarnContext(ctx, "a mirror could not be repacked in time, and stays as it is until more packs have come",
			"repository", f.id, "packs", len(packs), "limit", f.repackTime)
	case errors.Is(err, syncer.ErrNoSpace), errors.Is(err, syncer.ErrTooLarge):
		f.log.WarnContext(ctx, "no room to repack a mirror", "repository", f.id, "err", err)
	default:
		f.log.WarnContext(ctx, "a mirror could not be repacked", "repository", f.id, "err", err)
		f.suspect(f.id, err)
	}
}

// rollUp makes one pack of the small ones among packs, and returns of how many. At every moment each
// object is in a pack whose index is there too: the new pack comes, in one piece, before the old ones go.
func (f *fetch) rollUp(ctx context.Context, packs []string) (int, error) {
	small, large, err := split(packs)
	if err != nil || len(small) == 0 {
		return 0, err
	}
	if err := f.Room(); err != nil {
		return 0, err
	}
	dir, err := f.stage("repack")
	defer func() { _ = os.RemoveAll(dir) }()
	if err != nil {
		return 0, err
	}
	made, err := f.engine.join(ctx, stage{dir: dir, mirror: f.dir}, small, large)
	if err != nil {
		return 0, err
	}
	if err := checkPack(made); err != nil {
		return 0, fmt.Errorf("the new pack: %w", err)
	}
	if err := sameObjects(made, small, large); err != nil {
		return 0, err
	}
	if err := stopped(ctx); err != nil {
		return 0, err
	}
	f.checked = 0
	if err := movePacks(dir, f.dir); err != nil {
		return 0, fmt.Errorf("put the new pack into the mirror: %w", err)
	}
	old := slices.DeleteFunc(small, func(pack string) bool { return filepath.Base(pack) == filepath.Base(made) })
	removed := f.readers.alone(ctx, f.id, drainReaders, func() {
		err = removePacks(old)
		f.readers.renew(f.id)
	})
	if !removed {
		f.readers.renew(f.id)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("remove packs that are part of another now: %w", err)
	}
	return len(old), syncPath(filepath.Join(f.dir, "objects", "pack"))
}

// split divides packs into small ones, which are to become one, and large ones.
func split(packs []string) (small, large []string, err error) {
	sizes := make(map[string]int64, len(packs))
	for _, pack := range packs {
		info, err := os.Stat(pack)
		if err != nil {
			return nil, nil, err
		}
		sizes[pack] = info.Size()
	}
	sorted := slices.SortedFunc(slices.Values(packs), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[a], sizes[b]), strings.Compare(a, b))
	})
	ascending := make([]int64, len(sorted))
	for i, pack := range sorted {
		ascending[i] = sizes[pack]
	}
	n := smallPacks(ascending)
	return sorted[:n], sorted[n:], nil
}

// smallPacks returns how many of the smallest packs are to become one, so that afterwards each is at least
// twice as large as all smaller ones together, as "git repack --geometric=2" does: what was packed once
// is read again only when as much has come again. sizes are in ascending order. 0 when nothing is to be done.
func smallPacks(sizes []int64) int {
	n := len(sizes) - 1
	for n > 0 && sizes[n] >= 2*sizes[n-1] {
		n--
	}
	if n <= 0 {
		return 0
	}
	n++ // the larger of the pair is small too
	var sum int64
	for _, size := range sizes[:n] {
		sum += size
	}
	for n < len(sizes) && sizes[n] < 2*sum {
		sum += sizes[n]
		n++
	}
	return n
}

// sameObjects returns an error unless every object of the small packs is in the new one or in a large one.
func sameObjects(made string, small, large []string) (err error) {
	var indexes []*packIndex // the new one first
	defer func() {
		for _, index := range indexes {
			err = errors.Join(err, index.Close())
		}
	}()
	for _, pack := range slices.Concat([]string{made}, large) {
		index, err := openPackIndex(indexOf(pack))
		if err != nil {
			return err
		}
		indexes = append(indexes, index)
	}
	for _, pack := range small {
		if err := coveredBy(pack, indexes); err != nil {
			return err
		}
	}
	return nil
}

// coveredBy returns an error unless every object of a pack is in one of the indexes.
func coveredBy(pack string, indexes []*packIndex) (err error) {
	old, err := openPackIndex(indexOf(pack))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	var names []byte
	for first := range 256 {
		if names, err = old.names(byte(first), names); err != nil {
			return err
		}
		hashes := make([]plumbing.Hash, len(names)/hashWidth)
		for i := range hashes {
			copy(hashes[i][:], names[hashWidth*i:])
		}
		for _, index := range indexes {
			if hashes, err = index.missing(hashes); err != nil {
				return err
			}
		}
		if len(hashes) > 0 {
			return fmt.Errorf("the new pack lacks %s", hashes[0])
		}
	}
	return nil
}

// removePacks removes packs and all that belongs to them, each pack before its index: go-git lists packs and then
// expects their indexes.
func removePacks(packs []string) error {
	for _, pack := range packs {
		base := strings.TrimSuffix(pack, ".pack")
		for _, ext := range []string{".pack", ".idx", ".rev", ".bitmap", ".mtimes", ".keep"} {
			if err := os.Remove(base + ext); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
