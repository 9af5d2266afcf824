package resolver

import (
	"context"
	"errors"
	"slices"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// The kinds of links, as they stand in Link.Kind and as keys of Link.Links.
const (
	kindRepository = "repository"
	kindBlob       = "blob"
	kindTree       = "tree"
	kindCommit     = "commit"
	kindCommits    = "commits"
	kindBranches   = "branches"
	kindTags       = "tags"
	kindCompare    = "compare"
	kindPermalink  = "permalink"
	kindProject    = "project"
	kindSearch     = "search"
)

// draft is a link in the making. It belongs to one flight.
type draft struct {
	r     *Resolver
	now   *state
	conn  *connection
	entry Entry              // zero for the pages of a project and of a search
	page  bitbucket.Location // normalised
	stamp stamp

	repo    sourcegraph.RepoName
	link    Link
	pulls   bool      // the link depends on pull requests
	expires time.Time // the earliest end of what the link depends on
}

// finish makes the link, and checks and encodes it.
func (d *draft) finish(ctx context.Context) (*answer, error) {
	d.expires = time.Now().Add(linkTTL)
	d.link = Link{Exact: true, Links: make(map[string]string, 4)}
	if d.entry.ID != (bitbucket.RepoID{}) {
		d.repo = d.conn.repoName(d.entry.Address)
		d.link.Repository = &LinkRepository{
			Name:       string(d.repo),
			ProjectKey: d.entry.Address.Key,
			Slug:       d.entry.Address.Slug,
			ID:         d.entry.ID.Number,
		}
	}
	if err := d.build(ctx); err != nil {
		return nil, err
	}
	if err := d.link.check(d.primary()); err != nil {
		d.r.log.ErrorContext(ctx, "refused a link outside the primary URL", "primary", d.primary().String(), "kind", d.link.Kind, "err", err)
		return nil, err
	}
	encoded, err := d.link.encode()
	if err != nil {
		return nil, err
	}
	link := d.link // a copy, so that the cache does not keep the draft and its index alive
	return &answer{link: &link, json: encoded, stamp: d.stamp, pulls: d.pulls, expires: d.expires}, nil
}

func (d *draft) primary() sourcegraph.Instance { return d.now.config.primary }

// inexact says, in one sentence, why the link is only the nearest one.
func (d *draft) inexact(note string) {
	d.link.Exact = false
	if !slices.Contains(d.link.Notes, note) {
		d.link.Notes = append(d.link.Notes, note)
	}
}

// expireAt ends the life of the answer at t, unless it ends before.
func (d *draft) expireAt(t time.Time) {
	if t.Before(d.expires) {
		d.expires = t
	}
}

// unsure makes the answer a short-lived one: the next fetch, or the next question, may make it better.
func (d *draft) unsure() { d.expireAt(time.Now().Add(unsureTTL)) }

// show makes url what the page leads to.
func (d *draft) show(kind, url string) {
	d.link.Kind, d.link.URL = kind, url
	d.link.Links[kind] = url
}

// showAt shows what build makes of a revision, and the same at its commit as the permalink.
func (d *draft) showAt(kind string, rev revision, build func(rev string) string) {
	d.show(kind, build(rev.name))
	d.link.Revision = rev.name
	if rev.commit != "" {
		d.link.Commit = rev.commit
		d.link.Links[kindPermalink] = build(rev.commit)
	}
}

// also puts a further link beside the one that is shown.
func (d *draft) also(kind, url string) { d.link.Links[kind] = url }

// noteMirrorError looks at an error of the mirror that is neither "no such ref" nor "no
// such path". The link is then made as if there was no mirror.
func (d *draft) noteMirrorError(ctx context.Context, err error) {
	if errors.Is(err, ErrNotMirrored) {
		// Until the mirror is there, what Bitbucket says may change unannounced.
		d.expireAt(time.Now().Add(bitbucketTTL))
		return
	}
	d.unsure()
	d.r.log.WarnContext(ctx, "reading a mirror failed", "repository", d.entry.ID.String(), "err", err)
}

// noteBitbucketError looks at an error of Bitbucket where the link can do without the answer.
func (d *draft) noteBitbucketError(ctx context.Context, err error) {
	if errors.Is(err, bitbucket.ErrNotFound) || errors.Is(err, bitbucket.ErrEmptyRepository) {
		return
	}
	d.unsure()
	d.r.log.WarnContext(ctx, "asking Bitbucket failed", "repository", d.entry.ID.String(), "err", err)
}
