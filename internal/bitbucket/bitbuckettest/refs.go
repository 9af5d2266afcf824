package bitbuckettest

import (
	"context"
	"strings"
)

// ctx is the context of the request, which ends when the client goes away.
func (c *call) ctx() context.Context { return c.r.Context() }

func (b *repositoryCall) branchObject(ref gitRef) object {
	short := strings.TrimPrefix(ref.name, "refs/heads/")
	return object{
		field("id", ref.name),
		field("displayId", short),
		field("type", "BRANCH"),
		field("latestCommit", ref.object),
		field("latestChangeset", ref.object),
		field("isDefault", short == b.d.DefaultBranch),
	}
}

func tagObject(ref gitRef) object {
	var hash any // null for a lightweight tag
	if ref.peeled != "" {
		hash = ref.object
	}
	return object{
		field("id", ref.name),
		field("displayId", strings.TrimPrefix(ref.name, "refs/tags/")),
		field("type", "TAG"),
		field("latestCommit", ref.commit()),
		field("latestChangeset", ref.commit()),
		field("hash", hash),
	}
}

// refsBelow lists refs in the order that orderBy= asks for, left by filterText=.
func (b *repositoryCall) refsBelow(prefix, newest string) ([]gitRef, error) {
	dir, err := b.server.ensured(b.repository)
	if err != nil {
		return nil, err
	}
	order := "refname"
	switch orderBy := strings.ToUpper(b.query.Get("orderBy")); orderBy {
	case "ALPHABETICAL":
	case "", "MODIFICATION":
		order = newest
	default:
		return nil, badRequest("orderBy", "%s is not an order.", orderBy)
	}
	refs, err := b.server.refsOrdered(b.ctx(), dir, order, prefix)
	if err != nil {
		return nil, err
	}
	filter := strings.ToLower(b.query.Get("filterText"))
	var left []gitRef
	for _, ref := range refs {
		if strings.Contains(strings.ToLower(strings.TrimPrefix(ref.name, prefix)), filter) {
			left = append(left, ref)
		}
	}
	return left, nil
}

func (b *repositoryCall) branches() (any, error) {
	refs, err := b.refsBelow("refs/heads/", "-committerdate")
	if err != nil {
		return nil, err
	}
	return b.listing("branches", len(refs), func(row int) any { return b.branchObject(refs[row]) })
}

// defaultBranch is the form of every version: 204 for an empty repository, 404 where
// the default branch does not exist among others.
func (b *repositoryCall) defaultBranch() (any, error) {
	dir, err := b.server.ensured(b.repository)
	if err != nil {
		return nil, err
	}
	refs, err := b.server.refs(b.ctx(), dir, "refs/heads/")
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if ref.name == "refs/heads/"+b.d.DefaultBranch {
			return b.branchObject(ref), nil
		}
	}
	if len(refs) == 0 {
		return noContent{}, nil
	}
	return nil, errNoDefaultBranch(b.d)
}

// configuredDefaultBranch is the form from 7.5 on: what is configured, even if unborn.
func (b *repositoryCall) configuredDefaultBranch() (any, error) {
	return object{
		field("id", "refs/heads/"+b.d.DefaultBranch),
		field("displayId", b.d.DefaultBranch),
		field("type", "BRANCH"),
	}, nil
}

func (b *repositoryCall) tags() (any, error) {
	refs, err := b.refsBelow("refs/tags/", "-creatordate")
	if err != nil {
		return nil, err
	}
	return b.listing("tags", len(refs), func(row int) any { return tagObject(refs[row]) })
}

func (b *repositoryCall) tag(name string) (any, error) {
	dir, err := b.server.ensured(b.repository)
	if err != nil {
		return nil, err
	}
	if checkRef("refs/tags/"+name) == nil {
		refs, err := b.server.refs(b.ctx(), dir, "refs/tags/"+name)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			if ref.name == "refs/tags/"+name {
				return tagObject(ref), nil
			}
		}
	}
	return nil, notFound("repository.NoSuchTagException", "Tag '%s' does not exist in repository '%s'.", name, b.d.Slug)
}
