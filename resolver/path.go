package resolver

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// buildPath makes the link of a file, a directory or a submodule.
func (d *draft) buildPath(ctx context.Context) error {
	rev, err := d.revision(ctx, d.page.Revision)
	if err != nil {
		return err
	}
	switch d.pathKind(ctx, rev, d.page.Path) {
	case bitbucket.PathDirectory:
		d.showTree(rev, d.page.Path)
	case bitbucket.PathSubmodule:
		d.inexact(fmt.Sprintf("%s is a submodule, so this is the folder that holds it.", d.page.Path))
		if folder := path.Dir(d.page.Path); folder != "." {
			d.showTree(rev, folder)
		} else {
			d.showRepository(rev)
		}
	default:
		d.showBlob(rev, d.page.Path, d.page.Lines)
	}
	return nil
}

// pathKind says what a path is: the mirror knows, else Bitbucket, else it is guessed.
func (d *draft) pathKind(ctx context.Context, rev revision, p string) bitbucket.PathKind {
	commit, mirrorLacks := rev.commit, false
	if commit != "" {
		var kind bitbucket.PathKind
		kind, mirrorLacks = d.mirrorPathKind(ctx, commit, p)
		if kind != 0 {
			return kind
		}
	}
	// What a commit lacks it lacks for ever; a branch may have moved on since the last fetch.
	if !mirrorLacks || !isFullHash(rev.asked) {
		kind, err := d.bitbucketPathKind(ctx, rev.asked, p)
		if err == nil && kind != 0 {
			if mirrorLacks {
				d.inexactPath(p)
			}
			return kind
		}
		if err != nil {
			d.noteBitbucketError(ctx, err)
		}
		d.unsure()
	}
	if mirrorLacks {
		d.inexactPath(p)
	}
	if d.page.Directory {
		d.inexact(fmt.Sprintf("Whether %s is a folder could not be found out; it is written as one.", p))
		return bitbucket.PathDirectory
	}
	d.inexact(fmt.Sprintf("Whether %s is a file or a folder could not be found out; a file is assumed.", p))
	return bitbucket.PathFile
}

// inexactPath says that a complete mirror lacks a path. The mirror may be behind.
func (d *draft) inexactPath(p string) {
	d.inexact(fmt.Sprintf("The path %s is not in the repository at this revision, or not yet fetched.", p))
	d.unsure()
}

// mirrorPathKind asks the mirror what a path is at a commit; 0 when it does not know. It
// tells whether the mirror has the commit and lacks the path.
func (d *draft) mirrorPathKind(ctx context.Context, commit, p string) (kind bitbucket.PathKind, missing bool) {
	kind, err := d.r.mirrors.PathKind(ctx, d.entry.ID, commit, p)
	switch {
	case err == nil:
		return kind, false
	case errors.Is(err, ErrPathNotFound):
		return 0, true
	case !errors.Is(err, ErrRefNotFound):
		d.noteMirrorError(ctx, err)
	}
	return 0, false
}

func (d *draft) showTree(rev revision, p string) {
	d.link.Path = p
	d.showAt(kindTree, rev, func(rev string) string {
		return d.primary().TreeURL(d.repo, rev, p)
	})
	d.also(kindRepository, d.primary().RepositoryURL(d.repo, rev.name))
}

// showBlob links a file. A link holds one range of lines only.
func (d *draft) showBlob(rev revision, p string, lines []bitbucket.LineRange) {
	d.link.Path, d.link.Lines = p, lines
	var first bitbucket.LineRange
	if len(lines) > 0 {
		first = lines[0]
	}
	if len(lines) > 1 {
		d.inexact("A link holds one range of lines only, so this is the first one.")
	}
	d.showAt(kindBlob, rev, func(rev string) string {
		return d.primary().BlobURL(d.repo, rev, p, first.Start, first.End)
	})
	d.also(kindRepository, d.primary().RepositoryURL(d.repo, rev.name))
}

// alsoFile links the file of a page that shows more, at a revision of it, unless the mirror knows that it is not there.
func (d *draft) alsoFile(ctx context.Context, rev revision, file string) {
	if file == "" {
		return
	}
	file, missing := d.fragmentPath(ctx, rev.commit, file)
	if missing {
		return
	}
	d.link.Path = file
	d.also(kindBlob, d.primary().BlobURL(d.repo, rev.name, file, 0, 0))
}

// fragmentPath reads the path of a fragment. A "+" is a plus sign there, but some tools
// write one for a space: where the mirror has only the path with spaces, that is meant.
// It tells whether the mirror has the commit and lacks the path.
func (d *draft) fragmentPath(ctx context.Context, commit, file string) (string, bool) {
	if commit == "" {
		return file, false
	}
	_, missing := d.mirrorPathKind(ctx, commit, file)
	if missing && strings.Contains(file, "+") {
		spaced := strings.ReplaceAll(file, "+", " ")
		if kind, _ := d.mirrorPathKind(ctx, commit, spaced); kind != 0 {
			return spaced, false
		}
	}
	return file, missing
}
