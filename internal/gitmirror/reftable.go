package gitmirror

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// refTable is all that a mirror says by name: its branches and tags, and what HEAD names.
type refTable struct {
	refs map[string]plumbing.Hash // by full name
	head string                   // full name of the branch, which may be unborn; "" when detached
	// detached is the hash in a HEAD that names no branch. This package writes no such HEAD.
	detached plumbing.Hash

	sum string // what digest returned; "" before
}

// names returns the full names in order.
func (t *refTable) names() []string { return slices.Sorted(maps.Keys(t.refs)) }

// digest returns a hash over the sorted refs and HEAD. Two tables with one digest are the same. A table does
// not change once it was asked for its digest, which is made once: a fetch asks several times.
func (t *refTable) digest() string {
	if t.sum != "" {
		return t.sum
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "HEAD %s %s\n", t.head, t.detached)
	for _, name := range t.names() {
		_, _ = fmt.Fprintf(h, "%s %s\n", name, t.refs[name])
	}
	t.sum = hex.EncodeToString(h.Sum(nil))
	return t.sum
}

// defaultBranch returns the short name of the branch that HEAD names.
func (t *refTable) defaultBranch() string { return strings.TrimPrefix(t.head, headsPrefix) }

const (
	packedRefsFile   = "packed-refs"
	packedRefsHeader = "# pack-refs with: sorted \n"
	symbolic         = "ref: "
)

// refFiles is what the files say that hold the refs of a mirror. They are read once for everything that
// looks at them.
type refFiles struct {
	head     string
	packed   string
	unpacked bool       // there is no packed-refs
	loose    []looseRef // refs that are files of their own
	locks    []string   // paths of files below refs that are no refs
}

// looseRef is the file of a ref.
type looseRef struct{ name, content string }

// readRefTable reads the refs of the mirror at dir, packed and loose.
func readRefTable(dir string) (*refTable, error) {
	files, err := readRefFiles(dir)
	if err != nil {
		return nil, err
	}
	return files.table(), nil
}

// readRefFiles reads the files that hold the refs of the mirror at dir.
func readRefFiles(dir string) (*refFiles, error) {
	head, err := readFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		return nil, err
	}
	packed, err := readFile(filepath.Join(dir, packedRefsFile))
	f := &refFiles{head: string(head), packed: string(packed), unpacked: errors.Is(err, fs.ErrNotExist)}
	if err != nil && !f.unpacked {
		return nil, err
	}
	err = walkLoose(dir, func(path, name string) error {
		if isLock(name) { // no ref may end so
			f.locks = append(f.locks, path)
			return nil
		}
		content, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // packed meanwhile
		}
		f.loose = append(f.loose, looseRef{name, string(content)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// table returns the refs of the files. A ref that is broken is left out: compared with what Bitbucket lists, it
// is then missing and gets written again. Loose ones win over packed ones.
func (f *refFiles) table() *refTable {
	t := &refTable{refs: make(map[string]plumbing.Hash)}
	text := strings.TrimSpace(f.head)
	if target, ok := strings.CutPrefix(text, symbolic); ok {
		t.head = strings.TrimSpace(target)
	} else if plumbing.IsHash(text) {
		t.detached = plumbing.NewHash(text)
	}
	for line := range strings.Lines(f.packed) {
		hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if ok && mirrored(name) && plumbing.IsHash(hash) {
			t.refs[name] = plumbing.NewHash(hash)
		}
	}
	for _, ref := range f.loose {
		delete(t.refs, ref.name)
		if text := strings.TrimSpace(ref.content); mirrored(ref.name) && plumbing.IsHash(text) {
			t.refs[ref.name] = plumbing.NewHash(text)
		}
	}
	return t
}

// walkLoose calls visit with every file below refs, its path and its full ref name.
func walkLoose(dir string, visit func(path, name string) error) error {
	root := filepath.Join(dir, "refs")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return visit(path, filepath.ToSlash(rel))
	})
}

// write makes the mirror at dir have the refs of t, prepared in tmp. The refs change all at once,
// by the rename of packed-refs: a branch x/y can become x and the reverse, and no reader sees a half of
// it. Refs that another program wrote as loose files go afterwards; until then they show their old
// value, which the next fetch would mend.
func (t *refTable) write(dir, tmp string) error {
	var packed strings.Builder
	packed.WriteString(packedRefsHeader)
	for _, name := range t.names() {
		packed.WriteString(t.refs[name].String() + " " + name + "\n")
	}
	if err := replaceFile(tmp, filepath.Join(dir, packedRefsFile), []byte(packed.String())); err != nil {
		return fmt.Errorf("write the refs: %w", err)
	}
	if err := t.writeHead(dir, tmp); err != nil {
		return fmt.Errorf("write HEAD: %w", err)
	}
	if err := syncPath(dir); err != nil {
		return fmt.Errorf("write the refs: %w", err)
	}
	if err := removeLoose(dir); err != nil {
		return fmt.Errorf("remove refs that are packed now: %w", err)
	}
	return nil
}

// writeHead writes HEAD unless it is right already.
func (t *refTable) writeHead(dir, tmp string) error {
	want := symbolic + t.head + "\n"
	path := filepath.Join(dir, "HEAD")
	if have, err := os.ReadFile(path); err == nil && string(have) == want {
		return nil
	}
	return replaceFile(tmp, path, []byte(want))
}

// removeLoose removes every loose ref, and the folders that they leave empty below refs/heads and
// refs/tags. An empty folder x would keep another program from writing a ref x.
func removeLoose(dir string) error {
	err := walkLoose(dir, func(path, _ string) error { return os.Remove(path) })
	if err != nil {
		return err
	}
	for _, kind := range []string{"heads", "tags"} {
		top := filepath.Join(dir, "refs", kind)
		var folders []string
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && path != top {
				folders = append(folders, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, folder := range slices.Backward(folders) {
			if err := os.Remove(folder); err != nil {
				return err
			}
		}
	}
	return nil
}
