package resolver

import (
	"encoding/binary"

	"example.com/signpost/internal/bitbucket"
)

// normalise returns what of a page decides about its link. The rest is cleared, so that
// it cannot make two cache entries of one link. The connection and the repository are told apart
// by the entry that the address led to, in its canonical spelling.
func normalise(page bitbucket.Location) bitbucket.Location {
	n := bitbucket.Location{Page: page.Page}
	switch page.Page {
	case bitbucket.PageRepository, bitbucket.PageOther:
		n.Revision = page.Revision
	case bitbucket.PagePath:
		n.Revision, n.Path, n.Directory, n.Lines = page.Revision, page.Path, page.Directory, page.Lines
	case bitbucket.PageDiff:
		n.Revision, n.Until, n.Path = page.Revision, page.Until, page.Path
		if page.Until { // without it there is nothing to compare with
			n.Since = page.Since
		}
	case bitbucket.PageCommits:
		n.Revision, n.Path = page.Revision, page.Path
	case bitbucket.PageCommit:
		n.Commit, n.Since, n.File = page.Commit, page.Since, page.File
	case bitbucket.PageCompare:
		n.Source, n.Target, n.TargetRepository = page.Source, page.Target, page.TargetRepository
	case bitbucket.PagePullRequest:
		n.PullRequest, n.File = page.PullRequest, page.File
		if page.File != "" && page.Side != bitbucket.SideNone && page.Line > 0 {
			n.Side, n.Line = page.Side, page.Line
		}
	case bitbucket.PageProject:
		n.Key = page.Key
	case bitbucket.PageSearch:
		n.Query = page.Query
	case bitbucket.PageBranches, bitbucket.PageTags:
	}
	return n
}

// appendKey appends the cache key of a normalised page of a repository, or of a
// connection where entry is zero. The canonical address is part of it, so that after a
// rename nothing old can be found. Strings are preceded by their length: no two requests
// share a key, whatever they hold.
func appendKey(dst []byte, connection string, entry *Entry, n *bitbucket.Location) []byte {
	dst = append(dst, flightLink, byte(n.Page), byte(n.Side))
	dst = appendString(dst, connection)
	dst = binary.AppendVarint(dst, entry.ID.Number)
	dst = appendString(dst, entry.Address.Key)
	dst = appendString(dst, entry.Address.Slug)
	for _, s := range [...]string{
		n.Revision, n.Path, n.Commit, n.Since, n.Source, n.Target, n.File, n.Query, n.Key,
	} {
		dst = appendString(dst, s)
	}
	for _, number := range [...]int64{n.TargetRepository, n.PullRequest, int64(n.Line)} {
		dst = binary.AppendVarint(dst, number)
	}
	dst = append(dst, flag(n.Directory)|flag(n.Until)<<1)
	for _, lines := range n.Lines {
		dst = binary.AppendVarint(dst, int64(lines.Start))
		dst = binary.AppendVarint(dst, int64(lines.End))
	}
	return dst
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// The first byte of a key of flights and caches says what the key is of.
const (
	flightLink          = 'L'
	flightRepository    = 'R'
	flightPullRequest   = 'P'
	flightPathKind      = 'K'
	flightDefaultBranch = 'D'
)

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendStamp makes a key one of flights: work that began before a change must not be
// joined by those who come after it.
func appendStamp(dst []byte, s stamp) []byte {
	dst = binary.AppendUvarint(dst, s.refs)
	return binary.AppendUvarint(dst, s.pulls)
}
