package gitmirror

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// What go-git takes to index a pack, measured on packs of a large blob, of a large blob and a delta to it, and
// of 100,000 objects: it reads whole objects, and holds the ends and the steps of a delta at the same time.
const (
	indexBase      = 16 << 20
	indexPerObject = 400
	indexPerBlob   = 2        // times the largest object
	indexPerDelta  = 6        // times the largest object that has to do with a delta
	indexCache     = 96 << 20 // of go-git's own, for bases of deltas
)

// spool is a pack that came, in a file, and what its objects promise of the memory that it takes to index it.
type spool struct {
	file    *os.File
	sum     plumbing.Hash
	objects int64
	blob    int64 // bytes of the largest object that is there whole
	delta   int64 // bytes of the largest that is there as a delta, or is the base of one
	deltas  int64 // bytes of all that are there as deltas
}

// memory returns about how many bytes go-git takes to index the pack.
func (s *spool) memory() int64 {
	return indexBase + indexPerObject*s.objects + max(indexPerBlob*s.blob, indexPerDelta*s.delta) + min(indexCache, s.deltas)
}

// receiveSpool reads a pack to its end into a file of the repository at dir, and looks at the head of each object
// on the way. It takes little memory, however large the pack. The caller closes the file. An error of the
// disk is one that isLocal recognizes.
func receiveSpool(ctx context.Context, pack io.Reader, dir string) (_ *spool, err error) {
	file, err := os.CreateTemp(filepath.Join(dir, "objects", "pack"), "tmp_pack_")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	s := &spool{file: file}
	disk := &diskWriter{Writer: bufio.NewWriterSize(file, 256<<10)}
	err = s.scan(io.TeeReader(&contextReader{ctx, pack}, disk))
	if err == nil {
		err = disk.Flush()
	}
	if disk.err != nil {
		return nil, disk.err // go-git's error need not wrap it
	}
	if err != nil {
		return nil, err
	}
	var end plumbing.Hash
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := file.ReadAt(end[:], info.Size()-int64(len(end))); err != nil {
		return nil, err
	}
	if end != s.sum {
		return nil, errors.New("more came than the pack")
	}
	return s, nil
}

// scan reads a pack to its end, and what follows it.
func (s *spool) scan(pack io.Reader) error {
	scanner := packfile.NewScanner(pack)
	_, count, err := scanner.Header()
	if err != nil {
		return err
	}
	s.objects = int64(count)
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		if !header.Type.IsDelta() {
			s.blob = max(s.blob, header.Length)
			continue
		}
		var head deltaHead
		if _, _, err := scanner.NextObject(&head); err != nil {
			return err
		}
		base, result := head.sizes()
		s.delta = max(s.delta, base, result, header.Length)
		s.deltas = min(s.deltas+result, indexCache)
	}
	if s.sum, err = scanner.Checksum(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, pack)
	return err
}

// index makes the pack one of the repository at dir, with its index.
func (s *spool) index(dir string) (err error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	writer := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(s.file), writer)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(); err != nil {
		return err
	}
	index, err := writer.Index()
	if err != nil {
		return err
	}
	_, err = placePack(dir, s.file.Name(), s.sum, index)
	return err
}

// placePack makes a file, which ends with sum, a pack of the repository at dir, with its index. It returns the path of the pack.
func placePack(dir, file string, sum plumbing.Hash, index *idxfile.MemoryIndex) (string, error) {
	base := filepath.Join(dir, "objects", "pack", "pack-"+sum.String())
	f, err := os.OpenFile(base+".idx", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	disk := &diskWriter{Writer: bufio.NewWriterSize(f, 256<<10)}
	_, err = idxfile.NewEncoder(disk).Encode(index)
	if err = errors.Join(err, disk.Flush(), f.Close()); err != nil {
		return "", err
	}
	return base + ".pack", os.Rename(file, base+".pack")
}

// diskWriter remembers the error of the file that it writes to.
type diskWriter struct {
	*bufio.Writer
	err error
}

// Write implements io.Writer.
func (w *diskWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("write the pack: %w", err)
	}
	return n, err
}

// deltaHead keeps the beginning of a delta, which tells two sizes: that of its base, and that of the object.
type deltaHead struct{ start []byte }

// Write implements io.Writer.
func (d *deltaHead) Write(p []byte) (int, error) {
	const twoSizes = 2 * binary.MaxVarintLen64
	d.start = append(d.start, p[:min(len(p), twoSizes-len(d.start))]...)
	return len(p), nil
}

// sizes returns the two sizes, 0 for what makes no sense. A server can promise anything; what it promises is
// bounded so that sums stay numbers.
func (d *deltaHead) sizes() (base, result int64) {
	b, n := binary.Uvarint(d.start) // seven bits a byte, the lowest first, as in a delta
	if n <= 0 {
		return 0, 0
	}
	r, n := binary.Uvarint(d.start[n:])
	if n <= 0 {
		return 0, 0
	}
	return int64(min(b, 1<<50)), int64(min(r, 1<<50))
}
