package gitmirror

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// ResolveRef implements resolver.Mirrors. Names come before short hashes, and a full hash
// before names, as in git. The hash of an annotated tag counts as its commit. A commit that
// no ref leads to any more is found as long as the mirror has it.
func (m *Mirrors) ResolveRef(ctx context.Context, repo bitbucket.RepoID, rev string) (string, error) {
	var commit plumbing.Hash
	err := m.read(ctx, repo, func(v *view) (err error) {
		commit, err = v.resolve(ctx, rev)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("resolve %s in %s: %w", printable(rev, 100), repo, err)
	}
	return commit.String(), nil
}

// PathKind implements resolver.Mirrors. path has no slash at either end; "" is the root.
func (m *Mirrors) PathKind(ctx context.Context, repo bitbucket.RepoID, commit, path string) (bitbucket.PathKind, error) {
	var kind bitbucket.PathKind
	err := m.read(ctx, repo, func(v *view) error {
		if len(commit) != 40 || !isHex(commit) {
			return resolver.ErrRefNotFound
		}
		return v.with(ctx, func(h *handle) (err error) {
			kind, err = h.pathKind(plumbing.NewHash(commit), path)
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("look up a path of %s: %w", repo, err)
	}
	return kind, nil
}

// DefaultBranch implements resolver.Mirrors.
func (m *Mirrors) DefaultBranch(ctx context.Context, repo bitbucket.RepoID) (string, error) {
	var name string
	err := m.read(ctx, repo, func(v *view) error {
		if len(v.refs.refs) > 0 {
			name = v.refs.defaultBranch()
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("default branch of %s: %w", repo, err)
	}
	return name, nil
}

// read calls fn with the view of a mirror. What looks as if packs had come or gone under the
// view is tried once more, on a new one.
func (m *Mirrors) read(ctx context.Context, repo bitbucket.RepoID, fn func(*view) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := m.folder(repo)
	if err != nil {
		return err
	}
	leave, err := m.readers.enter(ctx, repo)
	if err != nil {
		return err
	}
	defer leave()
	for attempt := 1; ; attempt++ {
		v, err := m.readers.view(repo, dir)
		if err != nil {
			m.suspect(repo, err)
			return err
		}
		before := v.memory.Load()
		err = fn(v)
		if v.memory.Load() != before {
			m.readers.grown()
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if attempt > 1 || !worthRetry(v, err) {
			m.suspect(repo, err)
			return err
		}
		m.readers.forget(v)
	}
}

// worthRetry tells whether a view that was opened anew could know better. An object that is missing although no
// pack came since stays missing: made-up hashes must not open the repository again and again.
func worthRetry(v *view, err error) bool {
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return v.packsChanged()
	case errors.Is(err, resolver.ErrRefNotFound), errors.Is(err, resolver.ErrPathNotFound):
		return false
	default:
		return true
	}
}
