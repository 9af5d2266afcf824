package bitbuckettest

import (
	"cmp"
	"slices"
	"strings"
)

// projects lists the projects by name; personal ones are never in it.
func (c *call) projects() (any, error) {
	request, err := c.pageRequest("projects")
	if err != nil {
		return nil, err
	}
	permission := strings.ToUpper(c.query.Get("permission"))
	if permission != "" && !slices.Contains([]string{"PROJECT_READ", "PROJECT_WRITE", "PROJECT_ADMIN", "PROJECT_VIEW"}, permission) {
		return nil, badRequest("permission", "%s is not a permission of a project.", permission)
	}
	s := c.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	name := strings.ToLower(strings.TrimSpace(c.query.Get("name")))
	var rows []*project
	for _, p := range s.projects {
		if p.owner == nil && strings.Contains(strings.ToLower(p.Name), name) {
			rows = append(rows, p)
		}
	}
	slices.SortFunc(rows, compareProjects)
	page := c.pageOf(request, len(rows), func(row int) bool {
		switch permission {
		case "PROJECT_WRITE", "PROJECT_ADMIN":
			return s.mayAdmin(c.caller, rows[row])
		case "":
			return s.maySee(c.caller, rows[row])
		default: // asked for a permission, an anonymous caller has none
			return !c.caller.anonymous() && s.maySee(c.caller, rows[row])
		}
	})
	values := list{}
	for _, row := range page.at {
		values = append(values, c.projectObject(rows[row]))
	}
	return c.envelope(page, values), nil
}

func compareProjects(a, b *project) int {
	return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
}

func (c *call) project(key string) (any, error) {
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	p, err := c.findProject(key)
	if err != nil {
		return nil, err
	}
	return c.projectObject(p), nil
}

// projectRepositories lists the repositories of one project, archived ones included.
func (c *call) projectRepositories(key string) (any, error) {
	all := c.server.sortedRepositories()
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	p, err := c.findProject(key)
	if err != nil {
		return nil, err
	}
	return c.pageOfRepositories(all, false, "", func(r *repository) bool { return r.project == p })
}

// repositories lists the repositories that the filters leave.
func (c *call) repositories() (any, error) {
	filter, permission, err := c.repositoryFilter()
	if err != nil {
		return nil, err
	}
	all := c.server.sortedRepositories()
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	return c.pageOfRepositories(all, false, permission, filter)
}

// repositoryFilter reads the parameters of repos. Those of newer versions mean nothing.
func (c *call) repositoryFilter() (filter func(*repository) bool, permission string, err error) {
	switches := c.server.switches
	text := func(name string) string { return strings.ToLower(strings.TrimSpace(c.query.Get(name))) }
	oneOf := func(name string, values ...string) (string, error) {
		value := strings.ToUpper(c.query.Get(name))
		if value != "" && !slices.Contains(values, value) {
			return "", badRequest(name, "%s is not a value of %s.", value, name)
		}
		return value, nil
	}
	name, projectName := text("name"), text("projectname")
	if permission, err = oneOf("permission", "REPO_READ", "REPO_WRITE", "REPO_ADMIN"); err != nil {
		return nil, "", err
	}
	visibility, err := oneOf("visibility", "PUBLIC", "PRIVATE")
	if err != nil {
		return nil, "", err
	}
	var state, archived, projectKey string
	if switches.stateFilter {
		if state, err = oneOf("state", "AVAILABLE", "INITIALISING", "INITIALISATION_FAILED", "OFFLINE"); err != nil { //nolint:misspell // Bitbucket's spelling
			return nil, "", err
		}
	}
	if switches.archived {
		if archived, err = oneOf("archived", "ACTIVE", "ARCHIVED", "ALL"); err != nil {
			return nil, "", err
		}
		archived = cmp.Or(archived, "ACTIVE")
		projectKey = text("projectkey")
	}
	return func(r *repository) bool {
		public := r.Public || r.project.Public
		return (name == "" || strings.Contains(strings.ToLower(r.Name), name)) &&
			(projectName == "" || strings.Contains(strings.ToLower(r.project.Name), projectName)) &&
			(visibility == "" || public == (visibility == "PUBLIC")) &&
			(state == "" || r.State == state) &&
			(archived == "" || archived == "ALL" || r.Archived == (archived == "ARCHIVED")) &&
			(projectKey == "" || strings.EqualFold(r.project.Key, projectKey))
	}, permission, nil
}

// pageOfRepositories is called with mu held.
func (c *call) pageOfRepositories(all []*repository, labeled bool, permission string, filter func(*repository) bool) (any, error) {
	request, err := c.pageRequest("repositories")
	if err != nil {
		return nil, err
	}
	s := c.server
	rows := make([]*repository, 0, len(all))
	for _, r := range all {
		if filter(r) {
			rows = append(rows, r)
		}
	}
	page := c.pageOf(request, len(rows), func(row int) bool {
		r := rows[row]
		switch permission {
		case "REPO_WRITE", "REPO_ADMIN":
			return s.mayAdmin(c.caller, r.project)
		case "REPO_READ": // by design, nobody is an empty list
			return !c.caller.anonymous() && s.mayRead(c.caller, r)
		default:
			return s.mayRead(c.caller, r)
		}
	})
	values := list{}
	for _, row := range page.at {
		values = append(values, c.repositoryObjectWith(rows[row], labeled))
	}
	return c.envelope(page, values), nil
}

// sortedRepositories returns the repositories in the order of listings: by the names of
// project and repository. The slice is not changed afterwards.
func (s *Server) sortedRepositories() []*repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted != nil {
		return s.sorted
	}
	type key struct {
		project, name string
		r             *repository
	}
	keys := make([]key, 0, len(s.repositories))
	for _, r := range s.repositories {
		keys = append(keys, key{strings.ToLower(r.project.Name), strings.ToLower(r.Name), r})
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.r.project.ID, b.r.project.ID),
			cmp.Compare(a.name, b.name), cmp.Compare(a.r.ID, b.r.ID))
	})
	s.sorted = make([]*repository, 0, len(keys))
	for _, k := range keys {
		s.sorted = append(s.sorted, k.r)
	}
	return s.sorted
}

// labeled lists what has a label. A label that nothing has does not exist.
func (c *call) labeled(label string) (any, error) {
	all := c.server.sortedRepositories()
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	has := func(r *repository) bool { return containsFold(r.Labels, label) }
	if !slices.ContainsFunc(all, has) {
		return nil, errNoSuchLabel
	}
	return c.pageOfRepositories(all, true, "", has)
}

func (c *call) recentRepositories() (any, error) {
	if c.caller.user == nil {
		return nil, errNotPermitted
	}
	all := c.server.sortedRepositories()
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	return c.pageOfRepositories(all, false, "", func(*repository) bool { return true })
}

func (c *call) users() (any, error) {
	if c.caller.user == nil {
		return nil, errNotPermitted
	}
	s := c.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	filter := strings.ToLower(c.query.Get("filter"))
	var rows []*user
	for _, u := range s.users {
		if strings.Contains(strings.ToLower(u.Name+"\n"+u.DisplayName+"\n"+u.Email), filter) {
			rows = append(rows, u)
		}
	}
	slices.SortFunc(rows, func(a, b *user) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.DisplayName), strings.ToLower(b.DisplayName)), cmp.Compare(a.ID, b.ID))
	})
	return c.listing("users", len(rows), func(row int) any { return c.userObject(rows[row]) })
}

func (c *call) user(slug string) (any, error) {
	if c.caller.user == nil {
		return nil, errNotPermitted
	}
	s := c.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.userBySlug(slug)
	if u == nil {
		return nil, errNoSuchUser(slug)
	}
	return c.userObject(u), nil
}
