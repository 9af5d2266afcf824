package bitbuckettest

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const loginPage = `<!DOCTYPE html><html><head><title>Log in - Bitbucket</title></head><body class="aui-page-focused">` +
	`<form action="/j_atl_security_check" method="post"><h2>Log in</h2><input name="j_username"><input name="j_password" type="password"></form>` +
	`</body></html>`

// web answers the addresses of the web interface: a page, a redirect to the login page, or a page
// that there is no such page.
func (c *call) web(authentication error) {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.tomcatError(http.StatusMethodNotAllowed, "Method Not Allowed", "Request method not supported.")
		return
	}
	switch c.path {
	case "", "/":
		c.redirect(http.StatusFound, c.base()+"/dashboard")
		return
	case "/login":
		c.text(http.StatusOK, htmlType, loginPage)
		return
	}
	if asset, ok := webAssets[c.path]; ok {
		c.text(http.StatusOK, asset.contentType, asset.content)
		return
	}
	target, err := c.webTarget()
	var away *moved
	switch {
	case errors.As(err, &away):
		c.redirect(http.StatusFound, away.location)
	case c.caller.anonymous() && !c.server.opts.PagesWithoutLogin && (target == nil || errors.Is(err, errNotPermitted) || authentication != nil):
		c.redirect(http.StatusFound, c.base()+"/login?next="+url.QueryEscape(c.nextAfterLogin()))
	case err != nil || target == nil:
		c.render(http.StatusNotFound, &webPage{Kind: pageNone, Title: "Error", Heading: "Oops! You've found a dead link."})
	default:
		c.answerPage(target)
	}
}

func (c *call) nextAfterLogin() string {
	if c.r.URL.RawQuery == "" {
		return c.path
	}
	return c.path + "?" + c.r.URL.RawQuery
}

// answerPage builds a page and writes it. What a page is about can be missing from the repository:
// such a page says so. Its status on a real Bitbucket is not known, and nothing depends on it.
func (c *call) answerPage(target *webTarget) {
	answer, err := target.build()
	var failed *restError
	switch {
	case errors.As(err, &failed) && failed.exception == noDefaultBranch:
		answer = &webPage{Kind: pageEmpty, Title: target.head.Name, Heading: "This repository is empty", Body: target.head.CloneURL}
	case errors.As(err, &failed):
		answer = &webPage{Kind: pageNone, Title: "Error", Heading: failed.message}
	case err != nil:
		c.answer(nil, err)
		return
	}
	if file, ok := answer.(rawFile); ok {
		c.text(http.StatusOK, file.contentType, file.content)
		return
	}
	page := answer.(*webPage)
	page.Repository = target.head
	c.render(http.StatusOK, page)
}

// pagesAfterLogin are the pages that belong to no project.
var pagesAfterLogin = map[string]pageKind{
	"/dashboard":              pageDashboard,
	"/projects":               pageProjects,
	"/plugins/servlet/search": pageSearch,
}

// webTarget is what the path of a page names.
type webTarget struct {
	head  *repositoryHead // nil where the page belongs to no repository
	build func() (any, error)
}

// webTarget finds what the path names, nil where there is no page or only after login.
func (c *call) webTarget() (*webTarget, error) {
	s := c.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	parts := c.parts
	known := c
	if s.opts.PagesWithoutLogin {
		copied := *c
		copied.caller = caller{user: &user{User: User{Admin: true}}}
		known = &copied
	}
	if len(parts) >= 2 && parts[0] == "users" {
		parts = append([]string{"projects", "~" + parts[1]}, parts[2:]...)
	}
	switch {
	case pagesAfterLogin[c.path] != "":
		if known.caller.anonymous() {
			return nil, nil
		}
		return &webTarget{build: func() (any, error) { return known.overview(pagesAfterLogin[c.path]), nil }}, nil
	case len(parts) == 2 && parts[0] == "projects":
		p, err := known.findProject(parts[1])
		if err != nil {
			return nil, err
		}
		return &webTarget{build: func() (any, error) { return known.projectPage(p), nil }}, nil
	case len(parts) >= 4 && parts[0] == "projects" && parts[2] == "repos":
		r, err := known.findRepository(parts[1], parts[3])
		if err != nil {
			return nil, err
		}
		w := known.webCall(r)
		return &webTarget{head: w.head, build: func() (any, error) { return w.page(parts[4:]) }}, nil
	}
	return nil, nil
}

// webCall is a call for a page of a repository.
type webCall struct {
	*repositoryCall
	home string // where the repository's pages lie, without host
	head *repositoryHead
}

// webCall is called with mu held.
func (c *call) webCall(r *repository) *webCall {
	context := c.server.opts.ContextPath
	w := &webCall{repositoryCall: &repositoryCall{call: c, repository: r, d: r.description()}, home: context + r.pagePath()}
	w.head = &repositoryHead{
		ProjectKey: r.project.Key, Slug: r.Slug, Name: r.Name,
		ProjectName: r.project.Name, ProjectURL: context + r.project.pagePath(), URL: w.home,
		CloneURL: c.server.baseURL + "/scm/" + escapeSegment(strings.ToLower(r.project.Key)) + "/" + escapeSegment(r.Slug) + ".git",
	}
	return w
}

// page builds the page at a path below a repository, or the file itself.
func (w *webCall) page(parts []string) (any, error) {
	if len(parts) == 0 || len(parts) == 1 && parts[0] == "" {
		return w.browsePage(nil)
	}
	w.head.Tab = parts[0]
	rest := parts[1:]
	switch parts[0] {
	case "browse":
		return w.browsePage(rest)
	case "raw":
		return w.raw(strings.Join(rest, "/"))
	case "diff":
		return w.fileDiffPage(strings.Join(rest, "/"))
	case "commits":
		if len(rest) == 0 || rest[0] == "" {
			return w.commitsPage()
		}
		return w.commitPage(rest[0])
	case "branches":
		return w.refsPage(pageBranches)
	case "tags":
		return w.refsPage(pageTags)
	case "compare":
		return w.comparePage(rest)
	case "pull-requests":
		if len(rest) == 0 || rest[0] == "" {
			return w.pullListPage()
		}
		return w.pullPage(rest)
	}
	return &webPage{Kind: pageOther, Title: parts[0], Heading: strings.Join(parts, " / ")}, nil
}
