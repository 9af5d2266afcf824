package bitbuckettest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

// What follows writes the shapes of REST answers. All are called with mu held.

func selfLink(href string) member {
	return field("links", object{field("self", list{object{field("href", href)}})})
}

func (c *call) userObject(u *user) object {
	kind := "NORMAL"
	if u.Service {
		kind = "SERVICE"
	}
	return object{
		field("name", u.Name),
		optional("emailAddress", u.Email, u.Email != ""),
		field("id", u.ID),
		field("displayName", u.DisplayName),
		field("active", true),
		field("slug", u.Slug),
		field("type", kind),
		selfLink(c.server.baseURL + "/users/" + escapeSegment(u.Slug)),
	}
}

func (c *call) projectObject(p *project) object {
	if p.owner != nil {
		return object{
			field("key", p.Key),
			field("id", p.ID),
			field("name", p.Name),
			field("type", "PERSONAL"),
			field("owner", c.userObject(p.owner)),
			selfLink(c.server.baseURL + "/users/" + escapeSegment(p.owner.Slug)),
		}
	}
	return object{
		field("key", p.Key),
		field("id", p.ID),
		field("name", p.Name),
		optional("description", p.Description, p.Description != ""),
		field("public", p.Public),
		field("type", "NORMAL"),
		selfLink(c.server.baseURL + "/projects/" + p.Key),
	}
}

func (c *call) repositoryObject(r *repository) object { return c.repositoryObjectWith(r, false) }

// repositoryObjectWith has the key labelableType, as on the pages of labels, when labeled is true.
func (c *call) repositoryObjectWith(r *repository, labeled bool) object {
	s := c.server
	statusMessage := map[string]string{
		"AVAILABLE":             "Available",
		"INITIALISING":          "Initialising", //nolint:misspell // Bitbucket's spelling
		"INITIALISATION_FAILED": "Initialisation failed",
		"OFFLINE":               "Offline",
	}[r.State]
	var origin any
	if r.origin != nil {
		origin = c.repositoryObject(r.origin)
	}
	return object{
		field("slug", r.Slug),
		field("id", r.ID),
		field("name", r.Name),
		optional("description", r.Description, r.Description != ""),
		optional("hierarchyId", hierarchyID(r), s.switches.hierarchyID),
		field("scmId", "git"),
		field("state", r.State),
		field("statusMessage", statusMessage),
		field("forkable", true),
		optional("origin", origin, r.origin != nil),
		field("project", c.projectObject(r.project)),
		field("public", r.Public || r.project.Public),
		optional("archived", r.Archived, s.switches.archived),
		optional("labelableType", "REPOSITORY", labeled),
		field("links", object{
			optional("clone", c.cloneLinks(r), !s.opts.HTTPOff || !s.opts.SSHOff),
			field("self", list{object{field("href", c.repositoryPage(r)+"/browse")}}),
		}),
	}
}

// repositoryPage is the address of the repository's web pages.
func (c *call) repositoryPage(r *repository) string {
	return c.server.baseURL + r.pagePath()
}

// pagePath is where the repository's web pages lie, below the context path. Called with mu held.
func (r *repository) pagePath() string {
	return r.project.pagePath() + "/repos/" + escapeSegment(r.Slug)
}

// pagePath is where the project's web pages lie, below the context path. Called with mu held.
func (p *project) pagePath() string {
	if p.owner != nil {
		return "/users/" + escapeSegment(p.owner.Slug)
	}
	return "/projects/" + p.Key
}

// hierarchyID is the same for a repository and its forks.
func hierarchyID(r *repository) string {
	for r.origin != nil {
		r = r.origin
	}
	sum := sha256.Sum256([]byte("hierarchy " + strconv.FormatInt(r.ID, 10)))
	return hex.EncodeToString(sum[:10])
}

func (c *call) cloneLinks(r *repository) list {
	s := c.server
	tail := "/" + escapeSegment(strings.ToLower(r.project.Key)) + "/" + escapeSegment(r.Slug) + ".git"
	links := list{}
	if !s.opts.HTTPOff {
		links = append(links, object{field("href", s.httpCloneBase(c.caller)+"/scm"+tail), field("name", "http")})
	}
	if !s.opts.SSHOff {
		links = append(links, object{field("href", s.sshBase()+tail), field("name", "ssh")})
	}
	sshFirst := s.opts.CloneLinkOrder == "ssh"
	if s.opts.CloneLinkOrder == "" {
		sum := sha256.Sum256([]byte(strconv.FormatInt(r.ID, 10)))
		sshFirst = sum[0]%2 == 1
	}
	if len(links) == 2 && sshFirst {
		links[0], links[1] = links[1], links[0]
	}
	return links
}

// httpCloneBase is the base URL, with the caller's name before 6.0.
func (s *Server) httpCloneBase(who caller) string {
	if !s.switches.userInCloneLinks || who.name() == "" {
		return s.baseURL
	}
	scheme, rest, _ := strings.Cut(s.baseURL, "://")
	return scheme + "://" + escapeSegment(who.name()) + "@" + rest
}

func (s *Server) sshBase() string {
	if s.opts.SSHBaseURL != "" {
		return strings.TrimSuffix(s.opts.SSHBaseURL, "/")
	}
	if s.ssh != nil {
		return "ssh://git@" + s.SSHAddr()
	}
	host := "localhost"
	if u, err := url.Parse(s.baseURL); err == nil {
		host = u.Hostname()
	}
	return "ssh://git@" + host + ":7999"
}

// escapeSegment encodes a segment of a path as encodeURIComponent does, except that "~" needs none.
func escapeSegment(segment string) string {
	return strings.ReplaceAll(url.QueryEscape(segment), "+", "%20")
}
