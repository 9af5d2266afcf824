package gitmirror

import (
	"bytes"
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

// searchIndex adds to found what a pack index has with prefix.
func searchIndex(path, prefix string, found map[plumbing.Hash]bool) (err error) {
	index, err := openPackIndex(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	var first [1]byte
	if _, err := hex.Decode(first[:], []byte(prefix[:2])); err != nil {
		return err
	}
	low, high := index.bounds(first[0])

	var hash plumbing.Hash
	var text [2 * hashWidth]byte
	var readErr error
	at := func(i int) string {
		if _, err := index.ReadAt(hash[:], indexNames+int64(hashWidth*i)); err != nil {
			readErr = err
		}
		hex.Encode(text[:], hash[:])
		return string(text[:len(prefix)])
	}
	i := low + sort.Search(high-low, func(n int) bool { return at(low+n) >= prefix })
	for ; i < high && readErr == nil && len(found) < maxPrefixMatches && at(i) == prefix; i++ {
		found[hash] = true
	}
	return readErr
}

// missing returns those of hashes, which are in order, that the index lacks.
func (x *packIndex) missing(hashes []plumbing.Hash) (missing []plumbing.Hash, err error) {
	var names []byte
	for len(hashes) > 0 {
		first := hashes[0][0]
		n := sort.Search(len(hashes), func(i int) bool { return hashes[i][0] > first })
		if names, err = x.names(first, names); err != nil {
			return nil, err
		}
		for _, h := range hashes[:n] {
			count := len(names) / hashWidth
			at := sort.Search(count, func(i int) bool { return bytes.Compare(names[hashWidth*i:hashWidth*(i+1)], h[:]) >= 0 })
			if at == count || !bytes.Equal(names[hashWidth*at:hashWidth*(at+1)], h[:]) {
				missing = append(missing, h)
			}
		}
		hashes = hashes[n:]
	}
	return missing, nil
}

// The parts of a pack index of version 2 (gitformat-pack): 8 bytes of header, 256 counts by first byte, the
// sorted hashes, for each object a checksum and an offset of 4 bytes, 8 bytes for each offset that does not
// fit, and two hashes: the pack's and its own.
const (
	indexHeader = 8
	indexNames  = indexHeader + 4*256
	indexEnd    = 2 * hashWidth
	indexObject = hashWidth + 4 + 4

	hashWidth = 20

	// largeOffset says that the rest of an offset of 4 bytes is the number of one of 8.
	largeOffset = 1 << 31
)

// packHeader is the length of what a pack begins with: PACK, its version and the number of its objects.
const packHeader = 12

// objectsOf returns the number of objects that the header of a pack tells; false when it is none.
func objectsOf(header [packHeader]byte) (int, bool) {
	version := binary.BigEndian.Uint32(header[4:])
	return int(binary.BigEndian.Uint32(header[8:])), string(header[:4]) == "PACK" && (version == 2 || version == 3)
}

// packIndex is an index that was opened. Its header makes sense and its size is right.
type packIndex struct {
	*os.File
	fanout [256]uint32
	size   int64
}

// openPackIndex opens an index. A *damagedError when it is none, or not a whole one.
func openPackIndex(path string) (*packIndex, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	index := &packIndex{File: f}
	if err := index.readStart(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return index, nil
}

func (x *packIndex) readStart() error {
	info, err := x.Stat()
	if err != nil {
		return err
	}
	x.size = info.Size()
	name := filepath.Base(x.Name())
	var start [indexNames]byte
	if x.size < indexNames+indexEnd {
		return damaged("%s has %d bytes", name, x.size)
	}
	if _, err := x.ReadAt(start[:], 0); err != nil {
		return err
	}
	if string(start[:indexHeader]) != "\xfftOc\x00\x00\x00\x02" {
		return damaged("%s is not a pack index of version 2", name)
	}
	for i := range x.fanout {
		x.fanout[i] = binary.BigEndian.Uint32(start[indexHeader+4*i:])
		if i > 0 && x.fanout[i] < x.fanout[i-1] {
			return damaged("%s counts backwards", name)
		}
	}
	large := x.size - indexNames - indexEnd - indexObject*int64(x.count())
	if large < 0 || large%8 != 0 || large/8 > int64(x.count()) {
		return damaged("%s has %d bytes, which is not right for %d objects", name, x.size, x.count())
	}
	return nil
}

func (x *packIndex) count() int { return int(x.fanout[255]) }

// bounds returns where the objects lie whose hash begins with first.
func (x *packIndex) bounds(first byte) (low, high int) {
	if first > 0 {
		low = int(x.fanout[first-1])
	}
	return low, int(x.fanout[first])
}

// names reads the hashes that begin with first, one after the other, into buf or a larger one.
func (x *packIndex) names(first byte, buf []byte) ([]byte, error) {
	low, high := x.bounds(first)
	size := hashWidth * (high - low)
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err := x.ReadAt(buf, indexNames+int64(hashWidth*low))
	return buf, err
}

// packSum returns the checksum of the pack that the index is of.
func (x *packIndex) packSum() (sum plumbing.Hash, err error) {
	_, err = x.ReadAt(sum[:], x.size-indexEnd)
	return sum, err
}

// objects returns every object of the pack, in the order of their hashes.
func (x *packIndex) objects() ([]packedObject, error) {
	body := make([]byte, x.size-indexNames-indexEnd)
	if _, err := x.ReadAt(body, indexNames); err != nil {
		return nil, err
	}
	count := x.count()
	names, body := body[:hashWidth*count], body[hashWidth*count:]
	sums, body := body[:4*count], body[4*count:]
	offsets, large := body[:4*count], body[4*count:]
	objects := make([]packedObject, count)
	for i := range objects {
		o := &objects[i]
		copy(o.hash[:], names[hashWidth*i:])
		o.crc = binary.BigEndian.Uint32(sums[4*i:])
		offset := binary.BigEndian.Uint32(offsets[4*i:])
		o.from = int64(offset)
		if offset&largeOffset == 0 {
			continue
		}
		at := 8 * int(offset&^largeOffset)
		if at+8 > len(large) {
			return nil, damaged("%s says of %s no place", filepath.Base(x.Name()), o.hash)
		}
		o.from = int64(binary.BigEndian.Uint64(large[at:]) & (1<<63 - 1))
	}
	return objects, nil
}
