package bitbuckettest

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
)

const loginPage = `<!DOCTYPE html><html><head><title>Log in - Bitbucket</title></head><body class="aui-page-focused">` +
	`<form action="/j_atl_security_check" method="post"><h2>Log in</h2><input name="j_username"><input name="j_password" type="password"></form>` +
	`</body></html>`

// web answers the addresses of the web interface: a page that says which page it is, a redirect to
// the login page, or a page that there is no such page.
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
	page, err := c.webPage()
	var away *moved
	switch {
	case errors.As(err, &away):
		c.redirect(http.StatusFound, away.location)
	case c.caller.anonymous() && !c.server.opts.PagesWithoutLogin && (page == "" || errors.Is(err, errNotPermitted) || authentication != nil):
		c.redirect(http.StatusFound, c.base()+"/login?next="+url.QueryEscape(c.nextAfterLogin()))
	case err != nil || page == "":
		c.text(http.StatusNotFound, htmlType, webDocument("Error", "Oops! You've found a dead link."))
	default:
		c.text(http.StatusOK, htmlType, webDocument(page, "The double of Bitbucket "+c.server.Version()+" has no content on this page."))
	}
}

func (c *call) nextAfterLogin() string {
	if c.r.URL.RawQuery == "" {
		return c.path
	}
	return c.path + "?" + c.r.URL.RawQuery
}

func webDocument(title, text string) string {
	return fmt.Sprintf("<!DOCTYPE html><html><head><title>%s - Bitbucket</title></head><body><h1>%s</h1><p>%s</p></body></html>",
		html.EscapeString(title), html.EscapeString(title), html.EscapeString(text))
}

// pagesAfterLogin are the pages that belong to no project.
var pagesAfterLogin = map[string]string{
	"/dashboard":              "Your work",
	"/projects":               "Projects",
	"/plugins/servlet/search": "Search",
}

// webPage names the page at the path, "" where there is none or only after login.
func (c *call) webPage() (string, error) {
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
	switch {
	case pagesAfterLogin[c.path] != "":
		if known.caller.anonymous() {
			return "", nil
		}
		return pagesAfterLogin[c.path], nil
	case len(parts) == 2 && (parts[0] == "projects" || parts[0] == "users"):
		key := parts[1]
		if parts[0] == "users" {
			key = "~" + key
		}
		p, err := known.findProject(key)
		if err != nil {
			return "", err
		}
		return p.Name, nil
	case len(parts) >= 4 && (parts[0] == "projects" || parts[0] == "users") && parts[2] == "repos":
		key := parts[1]
		if parts[0] == "users" {
			key = "~" + key
		}
		r, err := known.findRepository(key, parts[3])
		if err != nil {
			return "", err
		}
		return strings.Join(append([]string{r.project.Key, r.Slug}, parts[4:]...), " / "), nil
	}
	return "", nil
}
