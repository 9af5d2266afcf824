package resolver

import (
	"context"
	"fmt"

	"example.com/signpost/internal/bitbucket"
)

// buildCompare makes the link of a comparison of two branches, also of the page that opens a pull request.
func (d *draft) buildCompare(ctx context.Context) error {
	if d.page.Source == "" {
		d.inexact("The page names no source to compare, so this is the repository.")
		return d.buildRepository(ctx)
	}
	source, err := d.revision(ctx, d.page.Source)
	if err != nil {
		return err
	}
	if d.page.TargetRepository != 0 && d.page.TargetRepository != d.entry.ID.Number {
		d.inexact("The target lies in another repository, and Sourcegraph compares within one only, so this is the source.")
		d.showRepository(source)
		return nil
	}
	target := d.page.Target
	if target == "" {
		if branch := d.defaultBranch(ctx); branch != "" {
			target = headsPrefix + branch
		}
	}
	base := revision{name: "HEAD"}
	if target == "" {
		base.commit = d.headCommit(ctx)
	} else if base, err = d.revision(ctx, target); err != nil {
		return err
	}
	d.showCompare(base, source)
	return nil
}

// showCompare links what head has that base has not. The commit is that of head.
func (d *draft) showCompare(base, head revision) {
	d.show(kindCompare, d.primary().CompareURL(d.repo, base.name, head.name))
	d.link.Revision, d.link.Commit = head.name, head.commit
	from := base.commit
	if from == "" && isFullHash(base.name) { // it stays what it is, also where no mirror has it
		from = base.name
	}
	if from != "" && head.commit != "" {
		d.also(kindPermalink, d.primary().CompareURL(d.repo, from, head.commit))
	}
	d.alsoRepository()
}

// buildPullRequest makes the link of a pull request: the comparison of its two commits,
// or a line of one of its files.
func (d *draft) buildPullRequest(ctx context.Context) error {
	pr, err := d.pullRequest(ctx, d.page.PullRequest)
	if err != nil {
		return err
	}
	from, err := d.side(ctx, pr.From)
	if err != nil {
		return err
	}
	to, err := d.side(ctx, pr.To)
	if err != nil {
		return err
	}
	if d.page.Line == 0 {
		d.showCompare(to, from)
		d.alsoFile(ctx, from, d.page.File)
		return nil
	}
	rev := from // of the new file
	if d.page.Side == bitbucket.SideFrom {
		rev = to // the old file is that of the target
	}
	file, missing := d.fragmentPath(ctx, rev.commit, d.page.File)
	if missing { // on the old side, for instance, of a file that was renamed
		d.inexactPath(file)
	}
	d.showBlob(rev, file, []bitbucket.LineRange{{Start: d.page.Line, End: d.page.Line}})
	d.also(kindCompare, d.primary().CompareURL(d.repo, to.name, from.name))
	return nil
}

// side is the revision of one side of a pull request: its hash. The mirror knows it where
// a branch or tag holds it.
func (d *draft) side(ctx context.Context, ref bitbucket.PullRequestRef) (revision, error) {
	if !isFullHash(ref.Commit) {
		return revision{}, fmt.Errorf("%w: a pull request of %s has no commit", ErrBitbucketUnavailable, d.entry.Address)
	}
	commit, _ := d.resolveRef(ctx, ref.Commit)
	return revision{name: ref.Commit, asked: ref.Commit, commit: commit}, nil
}
