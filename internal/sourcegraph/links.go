package sourcegraph

import (
	"strconv"
	"strings"
)

// The methods below build the links of docs/links.md. They take everything decoded and encode
// it (docs/links.md, section 4). rev "" leaves the revision out; a path "" is the root; slashes
// at the ends and runs of slashes mean nothing.
//
// Each link lies below the instance's address, also after a browser has normalised it.
// Browsers resolve "." and ".." also where they are percent-encoded, so that no link can
// hold such a component. The methods then return the nearest link that can be: without
// the revision, or to the repository instead of the path, commit or comparison. For the
// zero Instance, an empty name and a name with such a component there is none: "".

// RepositoryURL links a repository at a revision.
func (i Instance) RepositoryURL(repo RepoName, rev string) string {
	return string(i.appendRepository(nil, repo, rev))
}

// BlobURL links a file; start 0 means no lines, end <= start one line. Lines count from 1.
func (i Instance) BlobURL(repo RepoName, rev, path string, start, end int) string {
	link, ok := i.appendPage(repo, rev, "blob", path)
	if ok && start > 0 {
		link = append(link, "?L"...)
		link = strconv.AppendInt(link, int64(start), 10)
		if end > start {
			link = append(link, '-')
			link = strconv.AppendInt(link, int64(end), 10)
		}
	}
	return string(link)
}

// TreeURL links a directory; the root is the repository itself.
func (i Instance) TreeURL(repo RepoName, rev, path string) string {
	link, _ := i.appendPage(repo, rev, "tree", path)
	return string(link)
}

// CommitURL links a commit, given by its hash or by a ref.
func (i Instance) CommitURL(repo RepoName, commit string) string {
	link, _ := i.appendPage(repo, "", "commit", commit)
	return string(link)
}

// CommitsURL links the history of a revision, or of a path in it.
func (i Instance) CommitsURL(repo RepoName, rev, path string) string {
	link := i.appendRepository(nil, repo, rev)
	if len(link) == 0 {
		return ""
	}
	link = append(link, "/-/commits"...)
	if holds(path) {
		link = appendPath(append(link, '/'), path)
	}
	return string(link)
}

// BranchesURL links the list of branches.
func (i Instance) BranchesURL(repo RepoName) string {
	return i.listURL(repo, "branches")
}

// TagsURL links the list of tags.
func (i Instance) TagsURL(repo RepoName) string {
	return i.listURL(repo, "tags")
}

// CompareURL links what head has that base has not. base "" is the default branch: HEAD.
// Without a head there is nothing to compare, and the link goes to the repository.
func (i Instance) CompareURL(repo RepoName, base, head string) string {
	link := i.appendRepository(nil, repo, "")
	if base == "" {
		base = "HEAD"
	}
	if len(link) == 0 || !holds(base) || !holds(head) {
		return string(link)
	}
	link = append(link, "/-/compare/"...)
	link = appendPath(link, base)
	link = append(link, "..."...)
	return string(appendPath(link, head))
}

// SearchURL links a search.
func (i Instance) SearchURL(query string) string {
	if i.IsZero() {
		return ""
	}
	return string(appendComponent([]byte(i.base+"/search?q="), query, ""))
}

// CanNameRevision tells whether a link can hold the revision by name: it has no "@" and no
// path component that is just "-", "." or "..".
func CanNameRevision(rev string) bool {
	if strings.Contains(rev, "@") {
		return false
	}
	for part := range strings.SplitSeq(rev, "/") {
		if part == "-" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// appendRepository appends the address of a repository, or nothing where there is none.
func (i Instance) appendRepository(dst []byte, repo RepoName, rev string) []byte {
	if i.IsZero() || !holds(string(repo)) {
		return dst
	}
	dst = append(dst, i.base...)
	dst = append(dst, '/')
	dst = appendPath(dst, string(repo))
	if holds(rev) {
		dst = append(dst, '@')
		dst = appendPath(dst, rev)
	}
	return dst
}

// listURL links a page of a repository that has neither revision nor path.
func (i Instance) listURL(repo RepoName, page string) string {
	link := i.appendRepository(nil, repo, "")
	if len(link) > 0 {
		link = append(link, "/-/"+page...)
	}
	return string(link)
}

// appendPage builds the address of a repository's page that has a path. It reports false,
// beside the repository's address, where the link cannot hold the path.
func (i Instance) appendPage(repo RepoName, rev, page, path string) ([]byte, bool) {
	link := i.appendRepository(nil, repo, rev)
	if len(link) == 0 || !holds(path) {
		return link, false
	}
	link = append(link, "/-/"...)
	link = append(link, page...)
	link = append(link, '/')
	return appendPath(link, path), true
}
