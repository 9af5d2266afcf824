package bitbuckettest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// resource finds what a path below /rest names and asks it.
func (c *call) resource() (any, error) {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && !c.isWebhooks() {
		return nil, &restError{status: http.StatusMethodNotAllowed, message: "Method Not Allowed"}
	}
	parts := c.parts[1:]
	if len(parts) >= 3 && parts[0] == "api" && (parts[1] == "1.0" || parts[1] == "latest") {
		return c.api(parts[2:])
	}
	switch {
	case len(parts) == 1 && parts[0] == "capabilities":
		return c.capabilities(), nil
	case len(parts) == 4 && parts[0] == "access-tokens" && parts[1] == "1.0" && parts[2] == "users" && c.server.switches.tokens:
		return c.accessTokens(parts[3])
	}
	return nil, c.unknown()
}

func (c *call) unknown() error {
	return &unknownResource{url: c.base() + c.path}
}

// base is the address that the client used, with the context path.
func (c *call) base() string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host + c.server.opts.ContextPath
}

// api answers below /rest/api/1.0.
func (c *call) api(parts []string) (any, error) {
	switch parts[0] {
	case "application-properties":
		if len(parts) == 1 {
			return c.applicationProperties(), nil
		}
	case "projects":
		switch {
		case len(parts) == 1:
			return c.projects()
		case len(parts) == 2:
			return c.project(parts[1])
		case len(parts) == 3 && parts[2] == "repos":
			return c.projectRepositories(parts[1])
		case parts[2] == "webhooks" && c.server.switches.projectWebhooks:
			return c.webhookRequest(parts[1], "", parts[3:])
		case parts[2] == "repos":
			return c.belowRepository(parts[1], parts[3], parts[4:])
		}
	case "users":
		switch {
		case len(parts) == 1:
			return c.users()
		case len(parts) == 2:
			return c.user(parts[1])
		case len(parts) == 3 && parts[2] == "repos":
			return c.projectRepositories("~" + parts[1])
		case parts[2] == "repos":
			return c.belowRepository("~"+parts[1], parts[3], parts[4:])
		}
	case "repos":
		if len(parts) == 1 {
			return c.repositories()
		}
	case "labels":
		if c.server.switches.labels && len(parts) == 3 && parts[2] == "labeled" {
			return c.labeled(parts[1])
		}
	case "profile":
		if len(parts) == 3 && parts[1] == "recent" && parts[2] == "repos" {
			return c.recentRepositories()
		}
	}
	return nil, c.unknown()
}

func (c *call) applicationProperties() any {
	v := c.server.version
	return object{
		field("version", v.String()),
		field("buildNumber", v.buildNumber()),
		field("buildDate", strconv.FormatInt(1_447_000_000_000+int64(v.major)*31_536_000_000+int64(v.minor)*2_592_000_000, 10)),
		field("displayName", "Bitbucket"),
	}
}

func (c *call) capabilities() any {
	base := c.server.baseURL
	return object{
		field("links", object{field("self", base+"/rest/capabilities")}),
		field("application", "stash"),
		field("capabilities", object{field("navigation", base+"/rest/capabilities/navigation")}),
	}
}

// accessTokens lists the tokens of an account, without the tokens themselves.
func (c *call) accessTokens(slug string) (any, error) {
	s := c.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.userBySlug(slug)
	switch {
	case c.caller.user == nil || c.caller.token || u != nil && u != c.caller.user && !c.caller.user.Admin:
		return nil, errNotPermitted
	case u == nil:
		return nil, errNoSuchUser(slug)
	}
	return c.listing("users", len(u.Tokens), func(row int) any {
		return object{
			field("id", strconv.FormatInt(100_000_000_000+u.ID*1000+int64(row), 10)),
			field("createdDate", millis(firstCommitTime)),
			field("name", "token "+strconv.Itoa(row+1)),
			field("permissions", list{"PROJECT_READ", "REPO_READ"}),
			field("user", c.userObject(u)),
		}
	})
}

// findProject finds a project by its key in any case, "~user" too, and checks that the
// caller may see it. A former key gives a redirect. Called with mu held.
func (c *call) findProject(key string) (*project, error) {
	s := c.server
	p := s.projects[strings.ToLower(key)]
	if slug, personal := strings.CutPrefix(key, "~"); personal && p == nil {
		p = s.personalProject(slug)
	}
	if p == nil && s.switches.aliases {
		if renamed := s.projectAliases[strings.ToLower(key)]; renamed != nil && s.maySee(c.caller, renamed) {
			return nil, c.movedTo("projects/"+renamed.Key, 2)
		}
	}
	switch {
	case p == nil:
		return nil, errNoSuchProject(key)
	case !s.maySee(c.caller, p):
		return nil, c.invisible(errNoSuchProject(key))
	}
	return p, nil
}

// personalProject is called with mu held.
func (s *Server) personalProject(slug string) *project {
	owner := s.userBySlug(slug)
	if owner == nil {
		return nil
	}
	for _, p := range s.projects {
		if p.owner == owner {
			return p
		}
	}
	return nil
}

// findRepository is findProject for a repository. Called with mu held.
func (c *call) findRepository(key, slug string) (*repository, error) {
	s := c.server
	canonical := key
	p := s.projects[strings.ToLower(key)]
	if user, personal := strings.CutPrefix(key, "~"); personal && p == nil {
		p = s.personalProject(user)
	}
	if p != nil {
		canonical = p.Key
	}
	address := strings.ToLower(canonical + "/" + slug)
	if r := s.byAddress[address]; r != nil {
		if !s.mayRead(c.caller, r) {
			return nil, c.invisible(errNoSuchRepository(key, slug))
		}
		return r, nil
	}
	if s.switches.aliases {
		r := s.aliases[address]
		if renamed := s.projectAliases[strings.ToLower(key)]; r == nil && renamed != nil {
			r = s.byAddress[strings.ToLower(renamed.Key+"/"+slug)]
		}
		if r != nil && s.mayRead(c.caller, r) {
			if strings.HasPrefix(key, "~") && c.kind == KindREST && c.parts[3] == "projects" {
				// BSERV-11763: users/user/repos/... redirects, this fails.
				return nil, &restError{status: http.StatusInternalServerError, message: "An error occurred while processing the request."}
			}
			return nil, c.movedTo("projects/"+r.project.Key+"/repos/"+escapeSegment(r.Slug), 4)
		}
	}
	if p == nil {
		return nil, errNoSuchProject(key)
	}
	return nil, errNoSuchRepository(key, slug)
}

// invisible is the answer about what the caller may not see: 401 by the manual.
func (c *call) invisible(hidden error) error {
	if c.server.opts.HideInvisible {
		return hidden
	}
	return errNotPermitted
}

// movedTo redirects to another place of the same API (or of the web pages): replaced
// segments of the path give way to address, and what follows stays.
func (c *call) movedTo(address string, replaced int) error {
	before := 0
	if c.kind == KindREST {
		before = 3 // rest/api/1.0
	}
	segments := strings.Split(strings.Trim(c.path, "/"), "/")
	kept := segments[min(len(segments), before+replaced):]
	location := c.base() + "/" + strings.Join(slices.Concat(segments[:before], []string{address}, kept), "/")
	if c.r.URL.RawQuery != "" {
		location += "?" + c.r.URL.RawQuery
	}
	return &moved{location: location}
}

// belowRepository answers for one repository and what is below it.
func (c *call) belowRepository(key, slug string, parts []string) (any, error) {
	s := c.server
	if len(parts) > 0 && parts[0] == "webhooks" && s.switches.webhooks {
		return c.webhookRequest(key, slug, parts[1:])
	}
	s.mu.RLock()
	r, err := c.findRepository(key, slug)
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	if len(parts) == 0 {
		defer s.mu.RUnlock()
		return c.repositoryObject(r), nil
	}
	d := r.description()
	s.mu.RUnlock()

	b := &repositoryCall{call: c, repository: r, d: d}
	rest := parts[1:]
	switch parts[0] {
	case "default-branch":
		if s.switches.defaultBranch && len(rest) == 0 {
			return b.configuredDefaultBranch()
		}
	case "pull-requests":
		return b.belowPullRequests(rest)
	case "branches":
		switch {
		case len(rest) == 0:
			return b.branches()
		case len(rest) == 1 && rest[0] == "default":
			return b.defaultBranch()
		}
	case "tags":
		if len(rest) == 0 {
			return b.tags()
		}
		return b.tag(strings.Join(rest, "/"))
	case "commits":
		switch len(rest) {
		case 0:
			return b.commits()
		case 1:
			return b.commit(rest[0])
		}
	case "browse":
		return b.browse(strings.Join(rest, "/"))
	case "files":
		return b.files(strings.Join(rest, "/"))
	case "raw":
		if s.switches.restRaw && len(rest) > 0 {
			return b.raw(strings.Join(rest, "/"))
		}
	case "labels":
		if s.switches.labels && len(rest) == 0 {
			return c.listing("all", len(d.Labels), func(row int) any { return object{field("name", d.Labels[row])} })
		}
	}
	return nil, c.unknown()
}

// repositoryCall is a call about one repository.
type repositoryCall struct {
	*call
	repository *repository
	d          Repository // its description when the call began
}

// isTrue tells whether a parameter is true; a bare one is false.
func isTrue(query url.Values, name string) bool { return strings.EqualFold(query.Get(name), "true") }
