package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// maxResolved bounds the revisions that a view remembers the commit of.
const maxResolved = 4096

// minShortHash is the shortest abbreviation of a hash that is looked up.
const minShortHash = 7

// view is one generation of a mirror: its refs in memory, since go-git scans packed-refs once for every
// ref, and a few handles to its objects. It is safe for concurrent use.
type view struct {
	id     bitbucket.RepoID
	dir    string
	stamp  stamp
	packs  fileStamp // of objects/pack, from before any handle was opened
	refs   *refTable
	memory atomic.Int64 // bytes, roughly

	slots chan struct{} // one token for each handle that is in use

	mu       sync.Mutex
	closed   bool
	idle     []*handle                // the last one used at the end
	resolved map[string]plumbing.Hash // commits by revision
}

func newView(id bitbucket.RepoID, dir string, now stamp, maxHandles int) (*view, error) {
	packs, err := stampFile(filepath.Join(dir, "objects", "pack"))
	if err != nil {
		return nil, err
	}
	refs, err := readRefTable(dir)
	if err != nil {
		return nil, fmt.Errorf("read refs: %w", err)
	}
	v := &view{
		id: id, dir: dir, stamp: now, packs: packs, refs: refs,
		slots:    make(chan struct{}, maxHandles),
		resolved: make(map[string]plumbing.Hash),
	}
	v.memory.Store(int64(len(refs.refs)) * 120)
	return v, nil
}

// packsChanged tells whether packs came or went since the view was made.
func (v *view) packsChanged() bool {
	now, err := stampFile(filepath.Join(v.dir, "objects", "pack"))
	return err == nil && !now.same(v.packs)
}

// with calls fn with a handle of its own. It waits while all handles are in use.
func (v *view) with(ctx context.Context, fn func(*handle) error) error {
	select {
	case v.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for a reader of the mirror: %w", ctx.Err())
	}
	defer func() { <-v.slots }()
	h := v.take()
	err := fn(h)
	v.give(h, err)
	return err
}

func (v *view) take() *handle {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.idle); n > 0 {
		h := v.idle[n-1]
		v.idle = v.idle[:n-1]
		return h
	}
	h := openHandle(v.dir)
	v.memory.Add(h.memory)
	return h
}

// give takes a handle back from a use that ended with err. After an unexpected error the
// handle is given up: go-git remembers a half-read list of packs as a whole one.
func (v *view) give(h *handle, err error) {
	broken := err != nil && !errors.Is(err, resolver.ErrRefNotFound) && !errors.Is(err, resolver.ErrPathNotFound)
	v.mu.Lock()
	defer v.mu.Unlock()
	if broken {
		v.memory.Add(-h.memory)
	}
	if broken || v.closed {
		h.close()
		return
	}
	v.idle = append(v.idle, h)
}

// close closes the handles, those in use when they are given back.
func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, h := range v.idle {
		h.close()
	}
	v.idle = nil
}

// resolve returns the commit that rev names.
func (v *view) resolve(ctx context.Context, rev string) (plumbing.Hash, error) {
	v.mu.Lock()
	known, ok := v.resolved[rev]
	v.mu.Unlock()
	if ok {
		return known, nil
	}
	var commit plumbing.Hash
	err := v.with(ctx, func(h *handle) (err error) {
		commit, err = v.lookup(h, rev)
		return err
	})
	if err != nil {
		return plumbing.ZeroHash, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.resolved) >= maxResolved {
		clear(v.resolved)
	}
	v.resolved[rev] = commit
	return commit, nil
}

// lookup finds rev: a full hash, then names, then a short hash, as git does.
func (v *view) lookup(h *handle, rev string) (plumbing.Hash, error) {
	hexadecimal := isHex(rev)
	if hexadecimal && len(rev) == 40 {
		commit, err := h.peel(plumbing.NewHash(rev))
		if err == nil || !errors.Is(err, resolver.ErrRefNotFound) {
			return commit, err
		}
		if named, ok := v.named(rev); ok { // a branch that is called like a hash
			return h.peel(named)
		}
		return commit, err
	}
	if named, ok := v.named(rev); ok {
		commit, err := h.peel(named)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			err = fmt.Errorf("%w: %w", err, &missingError{hash: named})
		}
		return commit, err
	}
	if !hexadecimal || len(rev) < minShortHash || len(rev) > 40 {
		return plumbing.ZeroHash, resolver.ErrRefNotFound
	}
	return h.byPrefix(strings.ToLower(rev))
}

// named returns what a ref name points to: HEAD, a full name, a branch, a tag.
func (v *view) named(rev string) (plumbing.Hash, bool) {
	if rev == "" || rev == "HEAD" {
		if v.refs.head == "" {
			return v.refs.detached, !v.refs.detached.IsZero()
		}
		rev = v.refs.head
	}
	for _, name := range []string{rev, headsPrefix + rev, tagsPrefix + rev} {
		if hash, ok := v.refs.refs[name]; ok {
			return hash, true
		}
	}
	return plumbing.ZeroHash, false
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return s != ""
}
