package resolver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"example.com/signpost/internal/sourcegraph"
)

const (
	headsPrefix = "refs/heads/"
	tagsPrefix  = "refs/tags/"
	pullsPrefix = "refs/pull-requests/"
)

// revision is what a link holds of a revision that a Bitbucket URL names (docs/links.md, section 2).
type revision struct {
	name   string // as links hold it; "" leaves it out, which is the default branch
	asked  string // as Bitbucket knows it
	commit string // 40 digits; "" when the mirror does not know it
}

// revision reads a revision of a URL, "" for none. It makes the draft inexact where the
// link cannot be what was meant. Errors: those of pullRequest, for the refs of one.
func (d *draft) revision(ctx context.Context, raw string) (revision, error) {
	if raw == "" {
		commit, _ := d.resolveRef(ctx, "")
		return revision{commit: commit}, nil
	}
	if rest, ok := strings.CutPrefix(raw, pullsPrefix); ok {
		if number, side, ok := cutPullRequestRef(rest); ok {
			return d.pullRequestRevision(ctx, number, side)
		}
	}
	rev := revision{name: raw, asked: raw}
	full := false
	for _, prefix := range []string{headsPrefix, tagsPrefix} {
		if short, ok := strings.CutPrefix(raw, prefix); ok && short != "" {
			rev.name, full = short, true
		}
	}
	var missing bool
	rev.commit, missing = d.resolveRef(ctx, raw)
	switch {
	case full && (isTaken(rev.name) || rev.commit != "" && d.hasTwin(ctx, raw)):
		rev.name = raw
	case !full && strings.HasPrefix(raw, "refs/"):
		d.inexact(fmt.Sprintf("Sourcegraph may not have the ref %s, which is neither a branch nor a tag.", raw))
	}
	if missing && !isFullHash(raw) {
		// A hash needs no ref: commits of pull requests are not in a mirror, and exist.
		d.inexact(fmt.Sprintf("The revision %s is not in the repository, or not yet fetched.", raw))
		d.unsure()
	}
	if !sourcegraph.CanNameRevision(rev.name) {
		if rev.commit != "" {
			rev.name = rev.commit
		} else {
			d.inexact(fmt.Sprintf("A link cannot hold the revision %s as it is written, so it is percent-encoded.", raw))
		}
	}
	return rev, nil
}

// resolveRef returns the commit of a revision, "" when the mirror does not know it, and
// whether a complete mirror lacks it.
func (d *draft) resolveRef(ctx context.Context, rev string) (commit string, missing bool) {
	commit, err := d.r.mirrors.ResolveRef(ctx, d.entry.ID, rev)
	switch {
	case err == nil:
		return commit, false
	case errors.Is(err, ErrRefNotFound):
		return "", true
	}
	d.noteMirrorError(ctx, err)
	return "", false
}

// isTaken tells whether git reads the short name of a branch or tag as something else
// before it looks for branches and tags (gitrevisions(7)): HEAD, a full ref, a full hash.
func isTaken(short string) bool {
	return short == "HEAD" || strings.HasPrefix(short, "refs/") || isFullHash(short)
}

// hasTwin tells whether a tag has the name of this branch, or a branch that of this tag.
func (d *draft) hasTwin(ctx context.Context, ref string) bool {
	twin, ok := strings.CutPrefix(ref, headsPrefix)
	if ok {
		twin = tagsPrefix + twin
	} else {
		twin = headsPrefix + strings.TrimPrefix(ref, tagsPrefix)
	}
	commit, _ := d.resolveRef(ctx, twin)
	return commit != ""
}

// pullRequestRevision is the revision of refs/pull-requests/N/from or /merge, refs that no
// mirror has: the hash that the pull request tells.
func (d *draft) pullRequestRevision(ctx context.Context, number int64, side string) (revision, error) {
	pr, err := d.pullRequest(ctx, number)
	if err != nil {
		return revision{}, err
	}
	if side == "merge" {
		d.inexact(fmt.Sprintf("The merge of pull request %d with its target exists on Bitbucket only; this is its source.", number))
	}
	return d.side(ctx, pr.From)
}

// cutPullRequestRef reads N/from and N/merge.
func cutPullRequestRef(rest string) (number int64, side string, ok bool) {
	digits, side, ok := strings.Cut(rest, "/")
	if !ok || side != "from" && side != "merge" {
		return 0, "", false
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, side, err == nil && number > 0 && digits[0] != '+'
}

// isHash tells whether a hash was asked for. What looks like a short one is none where the
// mirror has a branch or tag of that name: tags are called after dates, such as 20240131.
func (r revision) isHash() bool {
	return isFullHash(r.asked) ||
		isHash(r.asked) && (r.commit == "" || strings.HasPrefix(r.commit, strings.ToLower(r.asked)))
}

// isHash tells whether a revision is a full hash, or a short one of at least 7 digits.
func isHash(rev string) bool {
	return 7 <= len(rev) && len(rev) <= 40 && strings.Trim(rev, "0123456789abcdefABCDEF") == ""
}

func isFullHash(rev string) bool { return len(rev) == 40 && isHash(rev) }
