package bitbuckettest

import (
	"cmp"
	"encoding/json"
	"strings"
)

// anchor is what a page leads to.
type anchor struct {
	Name, URL string
	ID        string // of a branch or tag: its full ref
	Kind      string // of a directory's entry: FILE, DIRECTORY or SUBMODULE
	Selected  bool
}

// revisionSelector is the menu of branches and tags.
type revisionSelector struct {
	Name, ID       string
	Ref            string // JSON, as data-revision-ref holds it
	Branches, Tags []anchor
	CompareURL     string
}

// filesBody is a directory.
type filesBody struct {
	Selector revisionSelector
	Crumbs   []anchor
	Entries  []anchor
	Latest   *commitRow
}

// fileBody is a file: its lines, or what changed in it.
type fileBody struct {
	Selector                   revisionSelector
	Crumbs                     []anchor
	Latest                     *commitRow
	RawURL, SourceURL, DiffURL string
	Lines                      []string
	Note                       string // in place of lines
	History                    []commitRow
	Diff                       []fileDiff // nil in the source view
	IsDiff                     bool
}

// browsePage is a directory, a file, a submodule, or the page of a repository without commits.
func (w *webCall) browsePage(rest []string) (any, error) {
	w.head.Tab = "browse"
	path := strings.Join(rest, "/")
	if _, raw := w.query["raw"]; raw {
		return w.raw(path)
	}
	// An old revision of a file is named by until and untilPath, which win.
	asked, dirURL := w.query.Get("at"), ""
	if until := w.query.Get("until"); until != "" {
		asked, path = until, cmp.Or(w.query.Get("untilPath"), path)
	}
	dir, at, entry, err := w.entryOf(asked, path)
	if err != nil {
		return nil, err
	}
	w.head.Breadcrumbs = true
	latest, err := w.history(dir, at, entry.path, 10)
	if err != nil {
		return nil, err
	}
	selector, err := w.selector(dir, asked, at, "browse", path)
	if err != nil {
		return nil, err
	}
	crumbs := w.crumbs(path, asked)
	if entry.kind == "tree" {
		body := filesBody{Selector: selector, Crumbs: crumbs, Latest: first(latest)}
		entries, err := w.listTree(dir, entry.hash)
		if err != nil {
			return nil, err
		}
		if path != "" {
			dirURL = path + "/"
		}
		for _, kind := range []string{"tree", "commit", "blob"} {
			for _, child := range entries {
				if child.kind == kind {
					body.Entries = append(body.Entries, anchor{
						Name: child.path, Kind: child.browseType(), URL: w.pageURL("browse", dirURL+child.path, "at", asked),
					})
				}
			}
		}
		return &webPage{Kind: pageFiles, Title: cmp.Or(path, w.d.Name), Heading: "Source", Body: body}, nil
	}
	body := w.fileBody(path, asked, at)
	body.Selector, body.Crumbs, body.Latest, body.History = selector, crumbs, first(latest), latest
	if entry.kind == "commit" {
		body.Note = "Submodule at " + entry.hash
	} else {
		content, err := w.blob(dir, entry)
		if err != nil {
			return nil, err
		}
		if isBinary(content) {
			body.Note = "Binary file"
		} else if content != "" {
			body.Lines = strings.Split(strings.TrimSuffix(content, "\n"), "\n")
		}
	}
	return &webPage{Kind: pageFile, Title: "Source of " + path, Heading: "Source", Body: body}, nil
}

// entryOf is entryAt for a revision that need not stand in at=.
func (w *webCall) entryOf(asked, path string) (string, revision, treeEntry, error) {
	copied := *w.call
	copied.query = map[string][]string{"at": {asked}}
	b := *w.repositoryCall
	b.call = &copied
	return b.entryAt(path)
}

// fileBody is the part that both views of a file have.
func (w *webCall) fileBody(path, asked string, at revision) fileBody {
	return fileBody{
		RawURL:    w.pageURL("raw", path, "at", cmp.Or(asked, at.name)),
		SourceURL: w.pageURL("browse", path, "at", cmp.Or(asked, at.name)),
		DiffURL:   w.pageURL("diff", path, "until", cmp.Or(asked, at.name), "at", cmp.Or(asked, at.name)),
	}
}

// fileDiffPage is what changed in a file: from since=, or from before its last change, to until=.
func (w *webCall) fileDiffPage(path string) (any, error) {
	w.head.Tab = "browse"
	dir, err := w.server.ensured(w.repository)
	if err != nil {
		return nil, err
	}
	asked := cmp.Or(w.query.Get("until"), w.query.Get("at"))
	until, err := w.revisionOf(dir, asked)
	if err != nil {
		return nil, err
	}
	if !isTreePath(path) {
		return nil, errNoSuchPath(path, until.name)
	}
	to, err := w.lastChangeOf(dir, until, path)
	if err != nil {
		return nil, err
	}
	from := w.parentOf(dir, to)
	if name := w.query.Get("since"); name != "" {
		since, err := w.revisionOf(dir, name)
		if err != nil {
			return nil, err
		}
		from, to = since.hash, until.hash
	}
	at := cmp.Or(w.query.Get("at"), asked)
	body := w.fileBody(path, at, until)
	body.IsDiff = true
	if body.Diff, err = w.diff(dir, from, to, path); err != nil {
		return nil, err
	}
	if len(body.Diff) == 0 {
		body.Note = "Nothing changed in this file."
	}
	if body.History, err = w.history(dir, until, path, 10); err != nil {
		return nil, err
	}
	body.Latest = first(body.History)
	if body.Selector, err = w.selector(dir, at, until, "browse", path); err != nil {
		return nil, err
	}
	body.Crumbs = w.crumbs(path, at)
	w.head.Breadcrumbs = true
	return &webPage{Kind: pageFileDiff, Title: "Diff of " + path, Heading: "Source", Body: body}, nil
}

// crumbs are the directories above a path, from the repository down, and the path's last part.
func (w *webCall) crumbs(path, at string) []anchor {
	crumbs := []anchor{{Name: w.d.Name, URL: w.pageURL("browse", "", "at", at)}}
	if path == "" {
		return crumbs
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		crumbs = append(crumbs, anchor{Name: part, URL: w.pageURL("browse", strings.Join(parts[:i+1], "/"), "at", at)})
	}
	return crumbs
}

// selector builds the menu of branches and tags that leads to the same path.
func (w *webCall) selector(dir, asked string, at revision, page, path string) (revisionSelector, error) {
	refs, err := w.server.refs(w.ctx(), dir, "refs/heads/", "refs/tags/")
	if err != nil {
		return revisionSelector{}, err
	}
	s := revisionSelector{Name: displayName(at.name), ID: at.name}
	for _, ref := range refs {
		entry := anchor{Name: displayName(ref.name), ID: ref.name, URL: w.pageURL(page, path, "at", ref.name)}
		if entry.Selected = ref.name == at.name || s.ID == at.name && entry.Name == asked; entry.Selected {
			s.ID = ref.name
		}
		if strings.HasPrefix(ref.name, "refs/heads/") {
			s.Branches = append(s.Branches, entry)
		} else {
			s.Tags = append(s.Tags, entry)
		}
	}
	text, err := json.Marshal(map[string]any{
		"id": s.ID, "displayId": s.Name, "latestCommit": at.hash, "isDefault": s.ID == "refs/heads/"+w.d.DefaultBranch,
	})
	s.Ref = string(text)
	s.CompareURL = w.pageURL("compare/diff", "", "sourceBranch", s.ID, "targetBranch", "refs/heads/"+w.d.DefaultBranch)
	return s, err
}

// displayName is the short name of a ref, or a hash shortened as Bitbucket does.
func displayName(name string) string {
	if len(name) == 40 && isHex(name) {
		return name[:11]
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "refs/heads/"), "refs/tags/")
}

func first(rows []commitRow) *commitRow {
	if len(rows) == 0 {
		return nil
	}
	return &rows[0]
}
