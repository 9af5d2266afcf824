package gitmirror

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPrefixMatches bounds the objects of one short hash. Seven digits match a handful even
// among a hundred million objects.
const maxPrefixMatches = 256

// packFiles returns the packs of the repository at dir (suffix ".pack") or their indexes (".idx").
// The folder is listed, since dir may hold what filepath.Glob takes for a pattern.
func packFiles(dir, suffix string) ([]string, error) {
	folder := filepath.Join(dir, "objects", "pack")
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, "pack-") && strings.HasSuffix(name, suffix) {
			files = append(files, filepath.Join(folder, name))
		}
	}
	return files, nil
}

// hashesWithPrefix returns the objects of the repository at dir whose hash begins with
// prefix, at least two hexadecimal digits in lower case. go-git visits every object for that; here the
// sorted index files are searched where they lie.
func hashesWithPrefix(dir, prefix string) ([]plumbing.Hash, error) {
	found := make(map[plumbing.Hash]bool)
	indexes, err := packFiles(dir, ".idx")
	if err != nil {
		return nil, err
	}
	for _, index := range indexes {
		if err := searchIndex(index, prefix, found); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("search %s: %w", filepath.Base(index), err)
		}
	}
	// Loose objects, which the git program makes of small fetches.
	loose, err := os.ReadDir(filepath.Join(dir, "objects", prefix[:2]))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range loose {
		if name := prefix[:2] + e.Name(); strings.HasPrefix(name, prefix) && plumbing.IsHash(name) {
			found[plumbing.NewHash(name)] = true
		}
	}
	hashes := make([]plumbing.Hash, 0, len(found))
	for h := range found {
		hashes = append(hashes, h)
	}
	plumbing.HashesSort(hashes)
	return hashes, nil
}

// searchIndex adds to found what a pack index has with prefix. The format is version 2 of
// git's (gitformat-pack): 8 bytes of header, 256 counts by first byte, then the sorted hashes.
func searchIndex(path, prefix string, found map[plumbing.Hash]bool) error {
	const header, fanout, width = 8, 4 * 256, 20
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var start [header + fanout]byte
	if _, err := f.ReadAt(start[:], 0); err != nil {
		return err
	}
	if string(start[:header]) != "\xfftOc\x00\x00\x00\x02" {
		return errors.New("not a pack index of version 2")
	}
	count := func(first int) int {
		if first < 0 {
			return 0
		}
		return int(binary.BigEndian.Uint32(start[header+4*first:]))
	}
	var first [1]byte
	if _, err := hex.Decode(first[:], []byte(prefix[:2])); err != nil {
		return err
	}
	low, high := count(int(first[0])-1), count(int(first[0]))

	var hash plumbing.Hash
	var text [2 * width]byte
	var readErr error
	at := func(i int) string {
		if _, err := f.ReadAt(hash[:], int64(header+fanout+width*i)); err != nil {
			readErr = err
		}
		hex.Encode(text[:], hash[:])
		return string(text[:len(prefix)])
	}
	if high < low {
		return errors.New("damaged")
	}
	i := low + sort.Search(high-low, func(n int) bool { return at(low+n) >= prefix })
	for ; i < high && readErr == nil && len(found) < maxPrefixMatches && at(i) == prefix; i++ {
		found[hash] = true
	}
	return readErr
}
