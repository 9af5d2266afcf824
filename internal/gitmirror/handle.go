package gitmirror

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

const (
	// maxOpenPacks bounds the file descriptors of a handle.
	maxOpenPacks = 8
	// handleCache bounds the decoded objects that a handle keeps. Trees and commits are small.
	handleCache = 4 * cache.MiByte
	// maxTags bounds a chain of tags that tag one another.
	maxTags = 16
	// maxMetadata bounds what is read of a commit or a tree.
	maxMetadata = 64 << 20
)

// Modes of a tree's entries (git's fsck knows no others).
const (
	modeTree    = "40000"
	modeGitlink = "160000"
)

// handle reads the objects of a mirror as it was when the handle was opened. go-git's storage
// is not safe for concurrent use, so a handle has one user at a time.
type handle struct {
	dir     string
	storage *filesystem.Storage
	memory  int64 // bytes that it will take, roughly
	buf     bytes.Buffer
}

// openHandle returns a handle. It reads the indexes of the packs at its first use, not now.
func openHandle(dir string) *handle {
	return &handle{
		dir: dir,
		storage: filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(handleCache),
			filesystem.Options{MaxOpenDescriptors: maxOpenPacks}),
		// An index is kept whole, and beside it a map from offsets to hashes of twice its size.
		memory: 3*indexBytes(dir) + int64(handleCache),
	}
}

func (h *handle) close() { _ = h.storage.Close() }

// object returns an object. plumbing.ErrObjectNotFound.
func (h *handle) object(hash plumbing.Hash) (plumbing.EncodedObject, error) {
	return h.storage.EncodedObject(plumbing.AnyObject, hash)
}

// content returns the bytes of an object. They are good until the next call.
func (h *handle) content(o plumbing.EncodedObject) (_ []byte, err error) {
	if o.Size() > maxMetadata {
		return nil, fmt.Errorf("%s is larger than a tree or a commit can be", o.Hash())
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	h.buf.Reset()
	if _, err := h.buf.ReadFrom(io.LimitReader(r, maxMetadata)); err != nil {
		return nil, err
	}
	return h.buf.Bytes(), nil
}

// peel returns hash if it is a commit, and the commit that it leads to if it is a tag.
// ErrRefNotFound if it is absent, or leads to something else.
func (h *handle) peel(hash plumbing.Hash) (plumbing.Hash, error) {
	for range maxTags {
		o, err := h.object(hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return plumbing.ZeroHash, fmt.Errorf("%w: %w", resolver.ErrRefNotFound, err)
		}
		if err != nil {
			return plumbing.ZeroHash, err
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return hash, nil
		case plumbing.TagObject:
			if hash, err = h.headerHash(o, "object"); err != nil {
				return plumbing.ZeroHash, err
			}
		default:
			return plumbing.ZeroHash, fmt.Errorf("%w: it is a %s", resolver.ErrRefNotFound, o.Type())
		}
	}
	return plumbing.ZeroHash, fmt.Errorf("%w: a tag of a tag, too often", resolver.ErrRefNotFound)
}

// headerHash returns the hash in the first line of a commit (tree) or a tag (object).
func (h *handle) headerHash(o plumbing.EncodedObject, key string) (plumbing.Hash, error) {
	content, err := h.content(o)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	text, ok := strings.CutPrefix(string(line), key+" ")
	if !ok || !plumbing.IsHash(text) {
		return plumbing.ZeroHash, fmt.Errorf("the %s %s is damaged", o.Type(), o.Hash())
	}
	return plumbing.NewHash(text), nil
}

// byPrefix returns the one commit whose hash begins with prefix, in lower case. Trees and blobs of the same
// beginning do not count.
func (h *handle) byPrefix(prefix string) (plumbing.Hash, error) {
	hashes, err := hashesWithPrefix(h.dir, prefix)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	var found plumbing.Hash
	for _, hash := range hashes {
		o, err := h.object(hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return plumbing.ZeroHash, fmt.Errorf("%w: %w", resolver.ErrRefNotFound, err)
		}
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if o.Type() != plumbing.CommitObject {
			continue
		}
		if !found.IsZero() {
			return plumbing.ZeroHash, fmt.Errorf("%w: several commits begin with %s", resolver.ErrRefNotFound, prefix)
		}
		found = hash
	}
	if found.IsZero() {
		return found, resolver.ErrRefNotFound
	}
	return found, nil
}

// pathKind says what path is in commit.
func (h *handle) pathKind(commit plumbing.Hash, path string) (bitbucket.PathKind, error) {
	o, err := h.object(commit)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return 0, fmt.Errorf("%w: %w", resolver.ErrRefNotFound, err)
	}
	if err != nil {
		return 0, err
	}
	if o.Type() != plumbing.CommitObject {
		return 0, fmt.Errorf("%w: it is a %s", resolver.ErrRefNotFound, o.Type())
	}
	tree, err := h.headerHash(o, "tree")
	if err != nil {
		return 0, err
	}
	parent := commit
	for path != "" {
		var name, mode string
		name, path, _ = strings.Cut(path, "/")
		in := tree
		if mode, tree, err = h.entry(tree, name); err != nil {
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				err = &missingError{parent: parent, hash: in}
			}
			return 0, err
		}
		parent = in
		switch {
		case mode == modeTree:
		case path != "":
			return 0, resolver.ErrPathNotFound
		case mode == modeGitlink:
			return bitbucket.PathSubmodule, nil
		default: // a symbolic link is a file
			return bitbucket.PathFile, nil
		}
	}
	return bitbucket.PathDirectory, nil
}

// entry finds a name in a tree. The raw bytes are searched: go-git would build a map of the
// whole tree for every look-up.
func (h *handle) entry(tree plumbing.Hash, name string) (mode string, hash plumbing.Hash, err error) {
	o, err := h.object(tree)
	if err != nil {
		return "", hash, fmt.Errorf("the tree %s of the mirror: %w", tree, err)
	}
	if o.Type() != plumbing.TreeObject {
		return "", hash, fmt.Errorf("%s of the mirror is a %s and should be a tree", tree, o.Type())
	}
	content, err := h.content(o)
	if err != nil {
		return "", hash, err
	}
	// Each entry is MODE, a space, the name, a zero byte, the hash.
	for len(content) > 0 {
		space := bytes.IndexByte(content, ' ')
		end := bytes.IndexByte(content, 0)
		if space < 0 || end < space || len(content) < end+1+len(hash) {
			return "", hash, fmt.Errorf("the tree %s of the mirror is damaged", tree)
		}
		if string(content[space+1:end]) == name {
			copy(hash[:], content[end+1:])
			return modeText(content[:space]), hash, nil
		}
		content = content[end+1+len(hash):]
	}
	return "", hash, resolver.ErrPathNotFound
}

// modeText returns a mode without the zero that old programs wrote in front of it.
func modeText(mode []byte) string {
	switch string(bytes.TrimLeft(mode, "0")) {
	case modeTree:
		return modeTree
	case modeGitlink:
		return modeGitlink
	}
	return ""
}

// indexBytes returns the size of all pack indexes of a repository.
func indexBytes(dir string) int64 {
	var size int64
	indexes, _ := packFiles(dir, ".idx") // what cannot be listed cannot be read either
	for _, index := range indexes {
		if s, err := stampFile(index); err == nil {
			size += s.size
		}
	}
	return size
}
