package gitmirror

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the checksum of git's files
	"encoding/binary"
	"errors"
	stdhash "hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// What it takes to join packs: the tables of their objects and the new index, measured with a million objects.
// The objects themselves pass through a buffer.
const (
	joinBase      = 4 << 20
	joinPerObject = 350
)

// Kinds of an entry of a pack that name another object (gitformat-pack).
const (
	offsetDelta = 6
	hashDelta   = 7
)

// packJoiner writes the entries of several packs into one, as they are: nothing is inflated, and a delta stays
// one. An object that several packs have is written once. A delta names its base by the distance to it, which changes when
// something between them is left out, or by its hash. The base is in the same pack before, and so in the new one
// afterwards; and a base is never a delta upon what is made of it, since an object is taken from the
// first of the packs that has it, whose bases are in that one or in one before.
type packJoiner struct {
	disk   *diskWriter
	sum    stdhash.Hash
	at     int64                   // bytes that were written
	placed map[plumbing.Hash]int64 // where each object is, or is to come
	index  idxfile.Writer
	buf    []byte
}

// packedObject is an object in one of the packs.
type packedObject struct {
	hash plumbing.Hash
	crc  uint32 // of its bytes there
	from int64  // where it begins there
	to   int64  // where it begins in the new pack
	skip bool   // a pack before has it
}

// joinPacks makes in the repository at dir one pack of all objects of packs, with its index, and returns its path. What is
// read is compared with the checksum of each object that its index has, and the indexes with their own: a *damagedError
// when it is something else. It takes joinMemory(packs) bytes of memory.
func joinPacks(ctx context.Context, dir string, packs []string) (pack string, err error) {
	file, err := os.CreateTemp(filepath.Join(dir, "objects", "pack"), "tmp_pack_")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	j := &packJoiner{
		disk:   &diskWriter{Writer: bufio.NewWriterSize(file, 256<<10)},
		sum:    sha1.New(), //nolint:gosec // as above
		placed: make(map[plumbing.Hash]int64),
		buf:    make([]byte, 64<<10),
	}
	objects := make([][]packedObject, len(packs))
	for i, pack := range packs {
		if objects[i], err = objectsOfPack(ctx, pack); err != nil {
			return "", err
		}
		for n := range objects[i] {
			o := &objects[i][n]
			_, o.skip = j.placed[o.hash]
			j.placed[o.hash] = 0
		}
	}
	if err := j.begin(len(j.placed)); err != nil {
		return "", err
	}
	for i, pack := range packs {
		if err := j.add(ctx, pack, objects[i]); err != nil {
			return "", err
		}
		objects[i] = nil
	}
	sum, err := j.end()
	if err != nil {
		return "", err
	}
	index, err := j.index.Index()
	if err != nil {
		return "", err
	}
	return placePack(dir, file.Name(), sum, index)
}

// joinMemory returns about how many bytes joinPacks takes.
func joinMemory(packs []string) (int64, error) {
	bytes := int64(joinBase)
	for _, pack := range packs {
		index, err := openPackIndex(indexOf(pack))
		if err != nil {
			return 0, err
		}
		bytes += joinPerObject * int64(index.count())
		if err := index.Close(); err != nil {
			return 0, err
		}
	}
	return bytes, nil
}

// objectsOfPack returns the objects of a pack in the order in which they lie there.
func objectsOfPack(ctx context.Context, pack string) (_ []packedObject, err error) {
	if err := errors.Join(checkPack(pack), checkSum(ctx, indexOf(pack))); err != nil {
		return nil, err
	}
	index, err := openPackIndex(indexOf(pack))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	objects, err := index.objects()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(objects, func(a, b packedObject) int { return cmp.Compare(a.from, b.from) })
	return objects, nil
}

// begin writes what a pack of so many objects begins with.
func (j *packJoiner) begin(objects int) error {
	header := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(objects))
	if err := j.index.OnHeader(uint32(objects)); err != nil {
		return err
	}
	return j.write(header)
}

// end writes what a pack ends with, and returns it.
func (j *packJoiner) end() (sum plumbing.Hash, err error) {
	copy(sum[:], j.sum.Sum(nil))
	if err := errors.Join(j.write(sum[:]), j.disk.Flush()); err != nil {
		return sum, err
	}
	return sum, j.index.OnFooter(sum)
}

func (j *packJoiner) write(p []byte) error {
	j.sum.Write(p)
	j.at += int64(len(p))
	_, err := j.disk.Write(p)
	return err
}

// add writes the objects of a pack that no pack before has.
func (j *packJoiner) add(ctx context.Context, pack string, objects []packedObject) (err error) {
	f, err := os.Open(pack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size() - sha1.Size
	in := bufio.NewReaderSize(&contextReader{ctx, io.NewSectionReader(f, packHeader, end-packHeader)}, 256<<10)
	from := int64(packHeader)
	for i := range objects {
		o := &objects[i]
		next := end
		if i+1 < len(objects) {
			next = objects[i+1].from
		}
		if o.from != from || next <= from {
			return damaged("%s: there is something between its objects", filepath.Base(pack))
		}
		if o.skip {
			o.to = j.placed[o.hash]
			_, err = in.Discard(int(next - from))
		} else {
			o.to = j.at
			j.placed[o.hash] = j.at
			err = j.copy(in, next-from, objects[:i+1])
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = damaged("%s: %w", filepath.Base(pack), err)
		}
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// copy writes the last one of objects, of so many bytes in its pack. Those before it are placed.
func (j *packJoiner) copy(in *bufio.Reader, size int64, objects []packedObject) error {
	o := objects[len(objects)-1]
	head, err := in.Peek(int(min(size, maxEntryHead)))
	if err != nil {
		return err
	}
	start, rest, err := j.head(head, objects)
	if err != nil {
		return damaged("the object %s: %w", o.hash, err)
	}
	read, written := crc32.ChecksumIEEE(head[:rest]), crc32.ChecksumIEEE(start)
	if err := j.write(start); err != nil {
		return err
	}
	if _, err := in.Discard(rest); err != nil {
		return err
	}
	for left := size - int64(rest); left > 0; {
		n, err := io.ReadFull(in, j.buf[:min(left, int64(len(j.buf)))])
		if err != nil {
			return err
		}
		read = crc32.Update(read, crc32.IEEETable, j.buf[:n])
		written = crc32.Update(written, crc32.IEEETable, j.buf[:n])
		if err := j.write(j.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	if read != o.crc {
		return damaged("the object %s is not what the index of its pack says", o.hash)
	}
	j.index.Add(o.hash, uint64(o.to), written)
	return nil
}

// maxEntryHead is how long the beginning of an entry is at most: its kind and size, and where its base is.
const maxEntryHead = binary.MaxVarintLen64 + hashWidth

// head returns what the last one of objects is to begin with in the new pack, and how many bytes of head, which it
// begins with in its own, that stands for.
func (j *packJoiner) head(head []byte, objects []packedObject) (start []byte, rest int, err error) {
	n := 0
	for n < len(head) && head[n]&0x80 != 0 { // its size, which stays
		n++
	}
	n++
	if n > len(head) {
		return nil, 0, errors.New("its size has no end")
	}
	switch head[0] >> 4 & 7 {
	case offsetDelta:
		distance, width := baseDistance(head[n:])
		o := objects[len(objects)-1]
		at, found := slices.BinarySearchFunc(objects, o.from-distance, func(o packedObject, from int64) int { return cmp.Compare(o.from, from) })
		if width == 0 || distance <= 0 || !found {
			return nil, 0, errors.New("its base is nowhere")
		}
		return appendBaseDistance(slices.Clone(head[:n]), o.to-objects[at].to), n + width, nil
	case hashDelta:
		if len(head) < n+hashWidth {
			return nil, 0, errors.New("it has no base")
		}
		if _, ok := j.placed[plumbing.Hash(head[n:n+hashWidth])]; !ok {
			return nil, 0, errors.New("its base is in another pack")
		}
		n += hashWidth
	}
	return head[:n], n, nil
}

// baseDistance reads how far before a delta its base is, and how many bytes tell that; 0 when they do not. There is one
// way to write each number (gitformat-pack, "offset encoding").
func baseDistance(p []byte) (distance int64, width int) {
	for i, b := range p[:min(len(p), binary.MaxVarintLen64-1)] {
		if i > 0 {
			distance++
		}
		distance = distance<<7 | int64(b&0x7f)
		if b&0x80 == 0 {
			return distance, i + 1
		}
	}
	return 0, 0
}

// appendBaseDistance writes what baseDistance reads.
func appendBaseDistance(p []byte, distance int64) []byte {
	var digits [binary.MaxVarintLen64]byte
	i := len(digits) - 1
	digits[i] = byte(distance & 0x7f)
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		i--
		digits[i] = 0x80 | byte(distance&0x7f)
	}
	return append(p, digits[i:]...)
}
