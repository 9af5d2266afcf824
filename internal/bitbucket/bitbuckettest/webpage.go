package bitbuckettest

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

// pageKind is a type of web page. It stands in body[data-double-page], for tests.
type pageKind string

const (
	pageNone      pageKind = "none" // no such page, or what it is about is missing
	pageDashboard pageKind = "dashboard"
	pageProjects  pageKind = "projects"
	pageSearch    pageKind = "search"
	pageProject   pageKind = "project"
	pageEmpty     pageKind = "empty" // of a repository without commits
	pageFiles     pageKind = "files" // a directory, the root too
	pageFile      pageKind = "file"
	pageFileDiff  pageKind = "file-diff"
	pageCommits   pageKind = "commits"
	pageCommit    pageKind = "commit"
	pageCompare   pageKind = "compare"
	pageBranches  pageKind = "branches"
	pageTags      pageKind = "tags"
	pagePulls     pageKind = "pull-requests"
	pagePull      pageKind = "pull-request"
	pageOther     pageKind = "other" // settings and whatever else a repository has
)

// webPage is what the templates of the web pages are given.
type webPage struct {
	Kind       pageKind
	Title      string
	Heading    string
	Repository *repositoryHead // nil where the page belongs to none
	Body       any

	// Set by render.
	Era     *era
	Base    string // the context path
	Version string
}

// repositoryHead is what all pages of a repository show.
type repositoryHead struct {
	ProjectKey, ProjectName, ProjectURL string
	Slug, Name, URL, CloneURL           string
	Tab                                 string // first segment of the path below the repository
	Pull                                int64  // number of the pull request, 0 for none
	Breadcrumbs                         bool
}

//go:embed web
var webFiles embed.FS

// webTemplates holds a template for each kind of page, "page", and what they are built of.
var webTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"next":  func(i int) int { return i + 1 },
	"bare":  func(e *era) *era { return &era{name: e.name, major: e.major} }, // for pages of which nothing is known
	"on":    func(e *era, f fileDiff) fileView { return fileView{e, f} },
	"files": func(e *era, files []fileDiff) filesView { return filesView{e, files} },
}).ParseFS(webFiles, "web/*.html"))

// fileView and filesView are diffs as the pages of an era show them.
type fileView struct {
	Era  *era
	File fileDiff
}

type filesView struct {
	Era   *era
	Files []fileDiff
}

// webAsset is what the pages load.
type webAsset struct{ contentType, content string }

// webAssets are the assets by path, below the context path.
var webAssets = map[string]webAsset{
	"/s/double.css": {"text/css;charset=UTF-8", readAsset("web/double.css")},
	"/s/double.js":  {"text/javascript;charset=UTF-8", readAsset("web/double.js")},
}

func readAsset(name string) string {
	content, err := webFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is in the program
	}
	return string(content)
}

// pagePolicy is stricter than Bitbucket's, so that what works on the double's pages works on those
// of a Bitbucket behind a strict proxy.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Content is the page's own part, drawn by the template of its kind.
func (p *webPage) Content() (template.HTML, error) {
	var out bytes.Buffer
	err := webTemplates.ExecuteTemplate(&out, string(p.Kind), p)
	return template.HTML(out.String()), err //nolint:gosec // written by html/template
}

// HeaderActions tells whether the page's header has its actions.
func (p *webPage) HeaderActions() bool {
	if p.Repository == nil || !p.Era.Knows("aui-page-header-actions") {
		return false
	}
	switch p.Kind {
	case pageFiles, pageFile, pageFileDiff, pageCommits, pageBranches, pageTags, pagePulls:
		return true
	}
	return false
}

// Comment is the comment that says what is not known of the page.
func (p *webPage) Comment() template.HTML { return p.Era.Comment(p.Kind) }

// render writes a page.
func (c *call) render(status int, p *webPage) {
	p.Era, p.Base, p.Version = eraOf(c.server.version), c.server.opts.ContextPath, c.server.Version()
	var out bytes.Buffer
	if err := webTemplates.ExecuteTemplate(&out, "page", p); err != nil {
		c.server.log.Error("the double of Bitbucket failed", "path", c.path, "err", err)
		c.tomcatError(http.StatusInternalServerError, "Internal Server Error", "The page could not be drawn.")
		return
	}
	c.w.Header().Set("Content-Security-Policy", pagePolicy)
	c.text(status, htmlType, out.String())
}
