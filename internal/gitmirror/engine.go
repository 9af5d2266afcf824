package gitmirror

import (
	"context"
	"errors"
	"io"

	"example.com/signpost/internal/siteconfig"
)

// engine writes the pack that Bitbucket sends, and the index that it makes of it, into a repository
// that is prepared beside the mirrors. Everything before and after is the same for all engines. Safe for
// concurrent use.
type engine interface {
	// name returns the engine's name in the site configuration.
	name() string
	// completes tells that the engine completes a thin pack, whose deltas have bases in the mirror alone.
	completes() bool
	// reserve waits for the memory that the engine takes while it receives, whatever comes; the caller releases it.
	reserve(ctx context.Context) (release func(), err error)
	// store reads the pack to its end. An error of the disk, or of the engine itself, is one that isLocal
	// recognizes; every other one is about what was read. An error leaves files in the stage, which
	// the caller removes.
	store(ctx context.Context, pack io.Reader, into stage) error
	// join makes in the stage, which is empty, one pack with its index of the objects that are in the small packs of the
	// stage's mirror, also of those that no ref leads to; what is in the large ones too may be left out. It waits for the memory
	// that this takes, reads every byte of the small packs against a checksum, and returns the path of the new pack.
	join(ctx context.Context, into stage, small, large []string) (pack string, err error)
}

// stage is the repository that a fetch receives into.
type stage struct {
	dir    string
	mirror string            // whose objects count as there; "" for none
	report func(text string) // is told of progress; may be nil
}

// goGitEngine is go-git, in this process. It receives the whole pack first, so that nobody on the network waits
// for the memory that it takes to index it.
type goGitEngine struct{ memory *memory }

func (goGitEngine) name() string { return siteconfig.EngineGoGit }

func (goGitEngine) completes() bool { return false }

func (goGitEngine) reserve(context.Context) (func(), error) { return func() {}, nil }

func (e goGitEngine) store(ctx context.Context, pack io.Reader, into stage) (err error) {
	s, err := receiveSpool(ctx, pack, into.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.file.Close()) }()
	release, err := e.memory.acquire(ctx, s.memory())
	if err != nil {
		return err
	}
	defer release()
	return s.index(into.dir)
}

func (e goGitEngine) join(ctx context.Context, into stage, small, _ []string) (string, error) {
	bytes, err := joinMemory(small)
	if err != nil {
		return "", err
	}
	release, err := e.memory.acquire(ctx, bytes)
	if err != nil {
		return "", err
	}
	defer release()
	return joinPacks(ctx, into.dir, small)
}
