package bitbuckettest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// commitRow is a commit in a list.
type commitRow struct {
	Hash, Short, Author string
	Subject, Message    string
	Time                time.Time
	URL                 string // of its page
	FileURL             string // of the path that the list is about, at the commit
	Parents             []anchor
}

// Day is when the commit was made, for people.
func (c commitRow) Day() string { return c.Time.Format("02 Jan 2006") }

// Initials stand in for a picture of the author.
func (c commitRow) Initials() string { return initials(c.Author) }

func initials(name string) string {
	out := ""
	for word := range strings.FieldsSeq(name) {
		if letters := []rune(word); len(out) < 2 {
			out += string(letters[0])
		}
	}
	return out
}

// commitRows reads commits for a list, by the arguments of git log.
func (w *webCall) commitRows(dir string, args ...string) ([]commitRow, error) {
	records, err := w.readCommits(dir, args...)
	if err != nil {
		return nil, err
	}
	rows := make([]commitRow, 0, len(records))
	for _, r := range records {
		subject, _, _ := strings.Cut(r.message, "\n")
		row := commitRow{
			Hash: r.hash, Short: displayName(r.hash), Author: r.authorName, Subject: subject, Message: r.message,
			Time: time.Unix(r.authorTime, 0).UTC(), URL: w.pageURL("commits", r.hash),
		}
		for _, parent := range r.parents {
			row.Parents = append(row.Parents, anchor{Name: displayName(parent), URL: w.pageURL("commits", parent)})
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// history lists the last commits that changed a path; "" is the root.
func (w *webCall) history(dir string, at revision, path string, limit int) ([]commitRow, error) {
	args := []string{"--max-count=" + strconv.Itoa(limit), at.hash, "--"}
	if path != "" {
		args = append(args, path)
	}
	rows, err := w.commitRows(dir, args...)
	for i := range rows {
		rows[i].FileURL = w.pageURL("browse", path, "until", rows[i].Hash, "untilPath", path)
		if path != "" {
			rows[i].URL += "#" + escapeFragment(path)
		}
	}
	return rows, err
}

// commitsBody is a list of commits.
type commitsBody struct {
	Revision string
	Path     string
	Rows     []commitRow
}

func (w *webCall) commitsPage() (any, error) {
	dir, err := w.server.ensured(w.repository)
	if err != nil {
		return nil, err
	}
	until, err := w.revisionOf(dir, w.query.Get("until"))
	if err != nil {
		return nil, err
	}
	body := commitsBody{Revision: displayName(until.name), Path: w.query.Get("path")}
	args := []string{"--max-count=50", until.hash, "--"}
	if body.Path != "" {
		if !isTreePath(body.Path) {
			return nil, errNoSuchPath(body.Path, until.name)
		}
		args = append(args, body.Path)
	}
	if body.Rows, err = w.commitRows(dir, args...); err != nil {
		return nil, err
	}
	return &webPage{Kind: pageCommits, Title: "Commits", Heading: "Commits", Body: body}, nil
}

// commitBody is a commit with what it changed.
type commitBody struct {
	Commit commitRow
	Files  []fileDiff
}

// commitPage takes a hash or, as the real one does not always, a ref.
func (w *webCall) commitPage(name string) (any, error) {
	dir, err := w.server.ensured(w.repository)
	if err != nil {
		return nil, err
	}
	at, err := w.revisionOf(dir, name)
	if err != nil {
		return nil, err
	}
	rows, err := w.commitRows(dir, "--no-walk", at.hash)
	if err != nil {
		return nil, err
	}
	since := w.parentOf(dir, at.hash)
	if name := w.query.Get("since"); name != "" {
		other, err := w.revisionOf(dir, name)
		if err != nil {
			return nil, err
		}
		since = other.hash
	}
	body := commitBody{Commit: rows[0]}
	if body.Files, err = w.diff(dir, since, at.hash); err != nil {
		return nil, err
	}
	w.head.Tab = "commits"
	return &webPage{Kind: pageCommit, Title: "Commit " + body.Commit.Short, Heading: "Commit", Body: body}, nil
}

// refRow is a branch or a tag in its list.
type refRow struct {
	anchor
	Short, CommitURL, CompareURL string
	Default                      bool
}

func (w *webCall) refsPage(kind pageKind) (any, error) {
	dir, err := w.server.ensured(w.repository)
	if err != nil {
		return nil, err
	}
	prefix, heading := "refs/heads/", "Branches"
	if kind == pageTags {
		prefix, heading = "refs/tags/", "Tags"
	}
	refs, err := w.server.refs(w.ctx(), dir, prefix)
	if err != nil {
		return nil, err
	}
	target := "refs/heads/" + w.d.DefaultBranch
	var rows []refRow
	for _, ref := range refs {
		row := refRow{
			anchor: anchor{Name: displayName(ref.name), ID: ref.name, URL: w.pageURL("browse", "", "at", ref.name)},
			Short:  displayName(ref.commit()), CommitURL: w.pageURL("commits", ref.commit()), Default: ref.name == target,
		}
		if !row.Default {
			row.CompareURL = w.pageURL("compare/diff", "", "sourceBranch", ref.name, "targetBranch", target)
		}
		rows = append(rows, row)
	}
	return &webPage{Kind: kind, Title: heading, Heading: heading, Body: rows}, nil
}

// compareBody is a comparison.
type compareBody struct {
	Source, Target      string
	DiffURL, CommitsURL string
	Commits             bool // the tab of the commits
	Rows                []commitRow
	Files               []fileDiff
	Note                string
}

// comparePage compares sourceBranch= with targetBranch=, the default branch if that is missing.
func (w *webCall) comparePage(rest []string) (any, error) {
	source, target := w.query.Get("sourceBranch"), w.query.Get("targetBranch")
	body := compareBody{
		Source: displayName(source), Target: displayName(cmp.Or(target, w.d.DefaultBranch)),
		DiffURL:    w.pageURL("compare/diff", "", "sourceBranch", source, "targetBranch", target),
		CommitsURL: w.pageURL("compare/commits", "", "sourceBranch", source, "targetBranch", target),
		Commits:    slices.Equal(rest, []string{"commits"}),
	}
	page := &webPage{Kind: pageCompare, Title: "Compare", Heading: "Compare"}
	if source == "" {
		body.Note = "Pick a source to compare."
		page.Body = body
		return page, nil
	}
	dir, err := w.server.ensured(w.repository)
	if err != nil {
		return nil, err
	}
	from, err := w.revisionOf(dir, target)
	if err != nil {
		return nil, err
	}
	to, err := w.revisionOf(dir, source)
	if err != nil {
		return nil, err
	}
	if body.Rows, body.Files, err = w.changes(dir, from.hash, to.hash); err != nil {
		return nil, err
	}
	page.Body = body
	return page, nil
}

// changes are the commits that to has and from lacks, and what changed on the way from where
// both parted.
func (w *webCall) changes(dir, from, to string) ([]commitRow, []fileDiff, error) {
	rows, err := w.commitRows(dir, "--max-count=50", to, "^"+from, "--")
	if err != nil {
		return nil, nil, err
	}
	base, err := w.server.git.run(w.ctx(), dir, nil, "merge-base", from, to)
	if err != nil { // they have nothing in common
		base = from
	}
	files, err := w.diff(dir, strings.TrimSpace(base), to)
	return rows, files, err
}
