package gitmirror

import (
	"context"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"

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
	// store reads the pack to its end. An error of the disk, or of the engine itself, is one that isLocal
	// recognizes; every other one is about what was read. An error leaves files in the stage, which
	// the caller removes.
	store(ctx context.Context, pack io.Reader, into stage) error
}

// stage is the repository that a fetch receives into.
type stage struct {
	dir    string
	mirror string            // whose objects count as there; "" for none
	report func(text string) // is told of progress; may be nil
}

// goGitEngine is go-git, in this process.
type goGitEngine struct{}

func (goGitEngine) name() string { return siteconfig.EngineGoGit }

func (goGitEngine) completes() bool { return false }

func (goGitEngine) store(_ context.Context, pack io.Reader, into stage) error {
	objects := openStage(into.dir)
	return errors.Join(packfile.WritePackfileToObjectStorage(objects, pack), objects.Close())
}
