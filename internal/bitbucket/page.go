package bitbucket

import (
	"strconv"
	"strings"
)

// parsePage reads a page's path below the context path, decoded by cleanPath, and the raw
// query and fragment. l.Connection is set.
func (l *Location) parsePage(path, query, fragment string) error {
	first, rest := shift(path)
	switch first {
	case "projects":
		l.Key, rest = shift(rest)
	case "users":
		var user string
		if user, rest = shift(rest); user != "" {
			l.Key = "~" + user
		}
	case "scm":
		return l.parseClonePath(rest)
	case "plugins":
		if rest = strings.TrimSuffix(rest, "/"); rest == "/servlet/search" {
			return l.parseSearch(query)
		}
		return errPage
	default:
		return errPage
	}
	if l.Key == "" {
		return errPage
	}
	if isEnd(rest) {
		l.Page = PageProject
		return nil
	}
	var repos string
	repos, rest = shift(rest)
	l.Slug, rest = shift(rest)
	if repos != "repos" || l.Slug == "" {
		return errPage
	}
	return l.parseRepositoryPage(rest, &suffix{parseQuery(query), fragment})
}

func (l *Location) parseSearch(query string) (err error) {
	p := parseQuery(query)
	l.Page = PageSearch
	l.Query, err = p.text(paramQ)
	return err
}

// parseClonePath reads KEY/SLUG or KEY/SLUG.git at the end of a clone address.
func (l *Location) parseClonePath(path string) error {
	var rest string
	l.Key, rest = shift(path)
	l.Slug, rest = shift(rest)
	l.Slug = strings.TrimSuffix(l.Slug, ".git")
	if l.Key == "" || l.Slug == "" || !isEnd(rest) {
		return errPage
	}
	l.Page = PageRepository
	return nil
}

// suffix is what follows the path in the URL of a page.
type suffix struct {
	parameters
	fragment string
}

// parseRepositoryPage reads the path below the repository's. (The suffix is no part of a
// struct together with the location: that would move each location to the heap.)
func (l *Location) parseRepositoryPage(path string, s *suffix) error {
	name, rest := shift(path)
	switch name {
	case "":
		return l.parseRevision(PageRepository, s)
	case "browse":
		return l.parsePath(PagePath, rest, PageRepository, s)
	case "raw":
		return l.parsePath(PagePath, rest, PageOther, s)
	case "diff":
		return l.parseDiff(rest, s)
	case "commits":
		if isEnd(rest) {
			return l.parseCommits(s)
		}
		return l.parseCommit(rest, s)
	case "branches", "tags":
		if !isEnd(rest) {
			break
		}
		l.Page = PageBranches
		if name == "tags" {
			l.Page = PageTags
		}
		return nil
	case "compare":
		if tab, rest := shift(rest); isEnd(rest) && (tab == "" || tab == "commits" || tab == "diff") {
			return l.parseCompare(s)
		}
	case "pull-requests":
		if !isEnd(rest) {
			return l.parsePullRequest(rest, s)
		}
		if s.present[paramCreate] {
			return l.parseCompare(s)
		}
	}
	return l.parseRevision(PageOther, s)
}

// parseRevision reads until and at, of which until wins.
func (l *Location) parseRevision(page Page, s *suffix) (err error) {
	l.Page = page
	if l.Revision, err = s.revision(paramUntil); err != nil {
		return err
	}
	if l.Until = l.Revision != ""; l.Until {
		return nil
	}
	l.Revision, err = s.revision(paramAt)
	return err
}

// parsePath reads a page whose path goes on with a path in the repository. Without one it
// is the page root.
func (l *Location) parsePath(page Page, path string, root Page, s *suffix) error {
	if err := l.parseRevision(page, s); err != nil {
		return err
	}
	l.Path, l.Directory = trimSlashes(path)
	if l.Until {
		untilPath, slash, err := s.path(paramUntilPath)
		if err != nil {
			return err
		}
		if untilPath != "" {
			l.Path, l.Directory = untilPath, slash
		}
	}
	if l.Path == "" {
		l.Page, l.Directory = root, false
		return nil
	}
	if page == PagePath {
		l.Lines = parseLines(s.fragment)
	}
	return nil
}

func (l *Location) parseDiff(path string, s *suffix) (err error) {
	if err = l.parsePath(PageDiff, path, PageOther, s); err != nil || l.Page != PageDiff {
		return err
	}
	l.Since, err = s.revision(paramSince)
	return err
}

func (l *Location) parseCommits(s *suffix) (err error) {
	if err = l.parseRevision(PageCommits, s); err != nil {
		return err
	}
	l.Path, l.Directory, err = s.path(paramPath)
	return err
}

// parseCommit reads commits/COMMIT, also below a pull request.
func (l *Location) parseCommit(path string, s *suffix) (err error) {
	commit, _ := trimSlashes(path)
	// A commit's own pages lie below its hash. What else has slashes is a ref's name.
	if first, rest, ok := strings.Cut(commit, "/"); ok {
		word, number, _ := strings.Cut(rest, "/")
		switch {
		case word == "comment" && isNumber(number):
			commit = first
		case isFullHash(first):
			l.PullRequest = 0
			return l.parseRevision(PageOther, s)
		}
	}
	l.Page, l.Commit = PageCommit, commit
	if l.Since, err = s.revision(paramSince); err != nil {
		return err
	}
	return l.parseFile(s)
}

// parseFile reads the file that the fragment names.
func (l *Location) parseFile(s *suffix) error {
	file, err := parseFileFragment(s.fragment)
	if err != nil || file.path == "" {
		return err
	}
	l.File, l.Side, l.Line = file.path, file.side, file.line
	return nil
}

func (l *Location) parseCompare(s *suffix) (err error) {
	l.Page = PageCompare
	if l.Source, err = s.revision(paramSourceBranch); err != nil {
		return err
	}
	if l.Target, err = s.revision(paramTargetBranch); err != nil {
		return err
	}
	id, err := s.text(paramTargetRepoID)
	if err != nil {
		return err
	}
	l.TargetRepository, _ = parseID(id)
	return nil
}

// parsePullRequest reads what follows pull-requests/.
func (l *Location) parsePullRequest(path string, s *suffix) error {
	id, rest := shift(path)
	tab, rest := shift(rest)
	number, ok := parseID(id)
	if !ok {
		return l.parseRevision(PageOther, s)
	}
	switch tab {
	case "commits":
		if !isEnd(rest) {
			l.PullRequest = number
			return l.parseCommit(rest, s)
		}
	case "diff":
		l.File, _ = trimSlashes(rest)
	case "", "overview", "activity", "unreviewed", "builds":
		if !isEnd(rest) {
			return l.parseRevision(PageOther, s)
		}
	default:
		return l.parseRevision(PageOther, s)
	}
	l.Page, l.PullRequest = PagePullRequest, number
	return l.parseFile(s)
}

// shift returns the first segment of a path that begins with a slash or is empty, and the
// path after it.
func shift(path string) (segment, rest string) {
	if path == "" {
		return "", ""
	}
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// isEnd tells whether nothing follows but a slash.
func isEnd(path string) bool { return path == "" || path == "/" }

// trimSlashes removes the slash at either end of a path without runs of slashes, and
// tells whether there was one at the end.
func trimSlashes(path string) (trimmed string, slash bool) {
	path, slash = strings.CutSuffix(path, "/")
	return strings.TrimPrefix(path, "/"), slash
}

// parseID reads a number that Bitbucket gives: of a pull request, of a repository.
func parseID(s string) (int64, bool) {
	if !isNumber(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}

// isFullHash tells whether s is the whole hash of a commit.
func isFullHash(s string) bool {
	for i := range len(s) {
		if hexValue(s[i]) > 15 {
			return false
		}
	}
	return len(s) == 40
}
