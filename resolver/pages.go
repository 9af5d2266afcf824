package resolver

import (
	"context"
	"fmt"

	"example.com/signpost/internal/bitbucket"
)

// build makes the link of a page: the rows of docs/links.md, section 3.
func (d *draft) build(ctx context.Context) error {
	switch d.page.Page {
	case bitbucket.PageRepository:
		return d.buildRepository(ctx)
	case bitbucket.PageOther:
		d.inexact("Sourcegraph has no such page, so this is the repository.")
		return d.buildRepository(ctx)
	case bitbucket.PagePath:
		return d.buildPath(ctx)
	case bitbucket.PageDiff:
		return d.buildDiff(ctx)
	case bitbucket.PageCommits:
		return d.buildCommits(ctx)
	case bitbucket.PageCommit:
		return d.buildCommit(ctx)
	case bitbucket.PageBranches:
		d.show(kindBranches, d.primary().BranchesURL(d.repo))
		d.alsoRepository()
		return nil
	case bitbucket.PageTags:
		d.show(kindTags, d.primary().TagsURL(d.repo))
		d.alsoRepository()
		return nil
	case bitbucket.PageCompare:
		return d.buildCompare(ctx)
	case bitbucket.PagePullRequest:
		return d.buildPullRequest(ctx)
	case bitbucket.PageProject:
		return d.buildProject()
	case bitbucket.PageSearch:
		d.show(kindSearch, d.primary().SearchURL(d.page.Query))
		return nil
	}
	return bitbucket.ErrUnsupportedPage
}

func (d *draft) buildRepository(ctx context.Context) error {
	rev, err := d.revision(ctx, d.page.Revision)
	if err != nil {
		return err
	}
	d.showRepository(rev)
	return nil
}

func (d *draft) showRepository(rev revision) {
	d.showAt(kindRepository, rev, func(rev string) string {
		return d.primary().RepositoryURL(d.repo, rev)
	})
}

// alsoRepository links the repository beside a page that no revision belongs to.
func (d *draft) alsoRepository() {
	d.also(kindRepository, d.primary().RepositoryURL(d.repo, ""))
}

func (d *draft) buildCommits(ctx context.Context) error {
	rev, err := d.revision(ctx, d.page.Revision)
	if err != nil {
		return err
	}
	if d.page.Path != "" && rev.commit != "" {
		if _, missing := d.mirrorPathKind(ctx, rev.commit, d.page.Path); missing {
			d.inexactPath(d.page.Path)
		}
	}
	d.showCommits(rev)
	return nil
}

func (d *draft) showCommits(rev revision) {
	d.link.Path = d.page.Path
	d.showAt(kindCommits, rev, func(rev string) string {
		return d.primary().CommitsURL(d.repo, rev, d.page.Path)
	})
	d.also(kindRepository, d.primary().RepositoryURL(d.repo, rev.name))
}

// buildCommit makes the link of one commit, or of its comparison with another parent.
func (d *draft) buildCommit(ctx context.Context) error {
	rev, err := d.revision(ctx, d.page.Commit)
	if err != nil {
		return err
	}
	// The page is that of a commit, also where a ref names it; a short hash stays as it is.
	if rev.commit != "" && !rev.isHash() {
		rev.name = rev.commit
	}
	if d.page.Since != "" {
		since, err := d.revision(ctx, d.page.Since)
		if err != nil {
			return err
		}
		d.showCompare(since, rev)
	} else {
		d.showCommit(rev)
	}
	d.alsoFile(ctx, rev, d.page.File)
	return nil
}

// showCommit links one commit.
func (d *draft) showCommit(rev revision) {
	d.showAt(kindCommit, rev, func(rev string) string {
		return d.primary().CommitURL(d.repo, rev)
	})
	d.alsoRepository()
}

// buildDiff makes the link of a file's diff, for which Sourcegraph has no page.
func (d *draft) buildDiff(ctx context.Context) error {
	rev, err := d.revision(ctx, d.page.Revision)
	if err != nil {
		return err
	}
	switch {
	case !d.page.Until:
		d.inexact("Sourcegraph has no page for the diff of a file, so this is the file.")
		d.showBlob(rev, d.page.Path, nil)
		return nil
	case d.page.Since != "":
		since, err := d.revision(ctx, d.page.Since)
		if err != nil {
			return err
		}
		d.inexact("Sourcegraph has no page for the diff of a file, so this is the whole comparison.")
		d.showCompare(since, rev)
	case rev.asked == d.page.Revision && rev.isHash(): // and no ref of a pull request
		d.inexact("Sourcegraph has no page for the diff of a file, so this is the whole commit.")
		d.showCommit(rev)
	default:
		d.inexact("Sourcegraph has no page for the diff of a file, so this is its history.")
		d.showCommits(rev)
	}
	d.alsoFile(ctx, rev, d.page.Path)
	return nil
}

// headCommit returns the commit of the default branch, "" when the mirror does not know it.
func (d *draft) headCommit(ctx context.Context) string {
	commit, _ := d.resolveRef(ctx, "")
	return commit
}

// buildProject makes the link of a project: a search for its repositories.
func (d *draft) buildProject() error {
	key := d.page.Key
	query, ok := d.conn.pattern.ProjectQuery(d.conn.host, key)
	if !ok {
		return fmt.Errorf("%w: the repositoryPathPattern of %s gives no prefix to the project %s", bitbucket.ErrUnsupportedPage, d.conn.name, key)
	}
	d.show(kindProject, d.primary().SearchURL(query))
	return nil
}
