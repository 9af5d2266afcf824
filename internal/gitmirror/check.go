package gitmirror

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the checksum of git's files
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
)

// damagedMark is a file that a mirror gets once it is known to be damaged where the cheap check does not
// look, so that a restart does not forget it. The mirror that replaces it has none.
const damagedMark = "signpost-damaged"

// damagedError means that the disk gave what a mirror should hold, and that it is not what was
// written: an index without its end, a pack without its index.
type damagedError struct {
	cause error
	// refs means that only HEAD or the list of refs is damaged. A fetch writes them again; nothing needs to
	// be cloned.
	refs bool
}

func (e *damagedError) Error() string { return "the mirror is damaged: " + e.cause.Error() }

func (e *damagedError) Unwrap() error { return e.cause }

func damaged(format string, args ...any) error {
	return &damagedError{cause: fmt.Errorf(format, args...)}
}

func damagedRefs(format string, args ...any) error {
	return &damagedError{cause: fmt.Errorf(format, args...), refs: true}
}

// checkMirror looks for what power cuts, full disks and people do to a mirror: files that are missing, cut
// off, empty or full of zeros, and refs whose object is in no pack. It reads the refs, and of
// each pack the beginning, the end and a part of the index: some tenths of a millisecond. A *damagedError
// is proof; any other error says that the disk could not be read, which is none. files are those that
// readMirror gave; nil for them to be read.
func checkMirror(dir string, files *refFiles) error {
	if files == nil {
		for _, part := range []string{"HEAD", "objects", "refs"} {
			if _, err := os.Stat(filepath.Join(dir, part)); errors.Is(err, fs.ErrNotExist) {
				return damaged("it has no %s", part)
			} else if err != nil {
				return err
			}
		}
		var err error
		if files, err = readRefFiles(dir); err != nil {
			return err
		}
	}
	if reason, err := readFile(filepath.Join(dir, damagedMark)); err == nil {
		return damaged("%s", printable(string(reason), 300))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := checkConfig(dir); err != nil {
		return err
	}
	tips := distinct(files.table().refs)
	err := checkPacks(dir, func(pack string) (err error) {
		tips, err = checkPackFor(pack, tips)
		return err
	})
	if err != nil {
		return err
	}
	if err := checkLoose(dir, tips); err != nil {
		return err
	}
	return files.check()
}

// checkMirrorWhole is checkMirror, and reads every byte of every pack and index against their checksums.
func checkMirrorWhole(ctx context.Context, dir string) error {
	if err := checkMirror(dir, nil); err != nil {
		return err
	}
	return checkPacks(dir, func(pack string) error {
		for _, path := range []string{pack, indexOf(pack)} {
			if err := checkSum(ctx, path); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkConfig finds a configuration that the git program would refuse. A missing one means the defaults.
func checkConfig(dir string) error {
	config, err := readFile(filepath.Join(dir, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && bytes.IndexByte(config, 0) >= 0 {
		return damaged("its config is full of zeros")
	}
	return err
}

// check finds damage in HEAD and the files of the refs. A list that was cut off at the end of a
// line looks whole; the next fetch finds out.
func (f *refFiles) check() error {
	if !isRefContent(f.head) {
		return damagedRefs("its HEAD names nothing")
	}
	for _, ref := range f.loose {
		if mirrored(ref.name) && !isRefContent(ref.content) {
			return damagedRefs("the file of %s holds no hash", printable(ref.name, 100))
		}
	}
	switch {
	case f.unpacked && len(f.loose) > 0:
		return nil // the git program made it
	case f.unpacked:
		return damagedRefs("it has no %s", packedRefsFile)
	case f.packed == "":
		return damagedRefs("its %s is empty", packedRefsFile)
	}
	for line := range strings.Lines(f.packed) {
		text, ended := strings.CutSuffix(line, "\n")
		hash, name, _ := strings.Cut(text, " ")
		switch {
		case !ended:
			return damagedRefs("its %s is cut off", packedRefsFile)
		case strings.HasPrefix(text, "#"), strings.HasPrefix(text, "^") && plumbing.IsHash(text[1:]):
		case !plumbing.IsHash(hash) || name == "" || strings.ContainsRune(name, 0):
			return damagedRefs("its %s has a line that is no ref", packedRefsFile)
		}
	}
	return nil
}

// isRefContent tells whether text is what HEAD or the file of a ref can hold.
func isRefContent(text string) bool {
	text = strings.TrimSpace(text)
	target, ok := strings.CutPrefix(text, symbolic)
	return ok && strings.HasPrefix(target, "refs/") && !strings.ContainsRune(target, 0) || plumbing.IsHash(text)
}

// indexOf returns the path of a pack's index.
func indexOf(pack string) string { return strings.TrimSuffix(pack, ".pack") + ".idx" }

// checkPacks calls check with every pack. What check cannot make sense of is damage, also a file that a
// failing disk does not give.
func checkPacks(dir string, check func(pack string) error) error {
	packs, err := packFiles(dir, ".pack")
	if err != nil {
		return err
	}
	for _, pack := range packs {
		err := check(pack)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.EIO):
			return damaged("%s: %w", filepath.Base(pack), err)
		default:
			return err
		}
	}
	return nil
}

// checkPack compares the ends of a pack with its index.
func checkPack(pack string) error {
	_, err := checkPackFor(pack, nil)
	return err
}

// checkPackFor is checkPack, and returns those of tips, which are in order, that the pack lacks.
func checkPackFor(pack string, tips []plumbing.Hash) (missing []plumbing.Hash, err error) {
	index, err := openPackIndex(indexOf(pack))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	promised, err := index.packSum()
	if err != nil {
		return nil, err
	}
	if err := checkEnds(pack, index.count(), promised); err != nil {
		return nil, err
	}
	return index.missing(tips)
}

// checkEnds compares the beginning and the end of a pack with what its index says.
func checkEnds(pack string, count int, promised plumbing.Hash) (err error) {
	f, err := openFile(pack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var header [packHeader]byte
	var sum plumbing.Hash
	if info.Size() < int64(len(header)+len(sum)) {
		return damaged("%s has %d bytes", filepath.Base(pack), info.Size())
	}
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return err
	}
	if objects, ok := objectsOf(header); !ok || objects != count {
		return damaged("%s does not begin as its index says", filepath.Base(pack))
	}
	if _, err := f.ReadAt(sum[:], info.Size()-int64(len(sum))); err != nil {
		return err
	}
	if sum != promised {
		return damaged("%s does not end as its index says", filepath.Base(pack))
	}
	return nil
}

// checkLoose makes sure that the mirror has tips that are in no pack: the git program makes loose objects.
func checkLoose(dir string, tips []plumbing.Hash) error {
	for _, tip := range tips {
		name := tip.String()
		if info, err := os.Stat(filepath.Join(dir, "objects", name[:2], name[2:])); err != nil || info.Size() == 0 {
			return damaged("%s, which a ref names, is missing", name)
		}
	}
	return nil
}

// checkSum compares a pack or an index with the checksum at its own end.
func checkSum(ctx context.Context, path string) (err error) {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	body := info.Size() - sha1.Size
	if body < 0 {
		return damaged("%s has %d bytes", filepath.Base(path), info.Size())
	}
	hash := sha1.New() //nolint:gosec // as above
	if _, err := io.CopyN(hash, &contextReader{ctx, f}, body); err != nil {
		return err
	}
	var sum plumbing.Hash
	if _, err := io.ReadFull(f, sum[:]); err != nil {
		return err
	}
	if !bytes.Equal(hash.Sum(nil), sum[:]) {
		return damaged("%s is not what its checksum says", filepath.Base(path))
	}
	return nil
}

// contextReader stops reading when ctx ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r *contextReader) Read(p []byte) (int, error) {
	if err := stopped(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
