package bitbuckettest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// pullRow is a pull request in a list.
type pullRow struct {
	Number             int64
	Title, Author, URL string
	State              string
	From, To           string
}

// pullRow is called with mu held.
func (w *webCall) pullRow(p *pullRequest) pullRow {
	from := p.From
	if p.from != nil && p.from != p.to {
		from = p.from.project.Key + "/" + p.from.Slug + ":" + from
	}
	return pullRow{
		Number: p.Number, Title: p.Title, Author: p.author.DisplayName, State: p.State, From: from, To: p.To,
		URL: w.pageURL("pull-requests", strconv.FormatInt(p.Number, 10)+"/overview"),
	}
}

// StateLozenge is AUI's class for the state.
func (r pullRow) StateLozenge() string {
	return map[string]string{"MERGED": "aui-lozenge-success", "DECLINED": "aui-lozenge-error"}[r.State]
}

// Initials stand in for a picture of the author.
func (r pullRow) Initials() string { return initials(r.Author) }

// pullListPage is the list, or the page on which one is created.
func (w *webCall) pullListPage() (any, error) {
	if _, create := w.query["create"]; create {
		page, err := w.comparePage([]string{"diff"})
		if page, ok := page.(*webPage); ok {
			page.Title, page.Heading = "Create pull request", "Create pull request"
		}
		return page, err
	}
	w.server.mu.RLock()
	defer w.server.mu.RUnlock()
	state := strings.ToUpper(cmp.Or(w.query.Get("state"), "OPEN"))
	var rows []pullRow
	for _, p := range w.repository.pulls {
		if state == "ALL" || p.State == state {
			rows = append(rows, w.pullRow(p))
		}
	}
	slices.SortFunc(rows, func(a, b pullRow) int { return cmp.Compare(b.Number, a.Number) })
	return &webPage{Kind: pagePulls, Title: "Pull requests", Heading: "Pull requests", Body: rows}, nil
}

// pullBody is a pull request.
type pullBody struct {
	pullRow
	Description string
	Tab         string // overview, diff or commits
	Tabs        []pullTab
	Rows        []commitRow
	Files       []fileDiff
	Note        string
}

// pullTab is a tab of a pull request.
type pullTab struct {
	anchor
	Module string // as data-module-key of 5.x holds it
}

// pullPage is a pull request, or a commit as a pull request shows it.
func (w *webCall) pullPage(rest []string) (any, error) {
	number, err := strconv.ParseInt(rest[0], 10, 64)
	if err != nil {
		return &webPage{Kind: pageOther, Title: "Pull requests", Heading: "Pull requests"}, nil
	}
	w.server.mu.RLock()
	p := w.repository.pulls[number]
	w.server.mu.RUnlock()
	if p == nil {
		return nil, errNoSuchPullRequest(rest[0], w.d)
	}
	if len(rest) > 2 && rest[1] == "commits" {
		return w.commitPage(rest[2])
	}
	// Looking at a pull request writes its refs, and brings the commits of a fork.
	if err := w.server.writePullRefs(w.ctx(), p); err != nil {
		return nil, err
	}
	w.server.mu.RLock()
	body := pullBody{pullRow: w.pullRow(p), Description: p.Description, Tab: "overview"}
	from, to := p.ToCommit, p.FromCommit
	w.server.mu.RUnlock()
	if len(rest) > 1 && (rest[1] == "diff" || rest[1] == "commits") {
		body.Tab = rest[1]
	}
	if len(rest) > 1 && rest[1] == "unreviewed" {
		body.Tab = "diff"
	}
	for _, tab := range []string{"overview", "diff", "commits"} {
		body.Tabs = append(body.Tabs, pullTab{
			anchor: anchor{
				Name: strings.ToUpper(tab[:1]) + tab[1:], ID: tab, Selected: tab == body.Tab,
				URL: w.pageURL("pull-requests", strconv.FormatInt(number, 10)+"/"+tab),
			},
			Module: "bitbucket.pull-request.nav." + tab,
		})
	}
	dir, err := w.server.ensured(w.repository)
	if err != nil {
		return nil, err
	}
	if body.Rows, body.Files, err = w.changes(dir, from, to); err != nil {
		return nil, err
	}
	for i := range body.Rows { // a commit opened from a pull request stays below it
		body.Rows[i].URL = w.pageURL("pull-requests", strconv.FormatInt(number, 10)+"/commits/"+body.Rows[i].Hash)
	}
	for i := range body.Files {
		body.Files[i].SourceURL = w.pageURL("browse", body.Files[i].Path, "at", to)
	}
	w.head.Pull = number
	return &webPage{Kind: pagePull, Title: "Pull request #" + rest[0] + ": " + body.Title, Heading: body.Title, Body: body}, nil
}
