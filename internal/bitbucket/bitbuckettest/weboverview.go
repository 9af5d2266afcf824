package bitbuckettest

import (
	"slices"
	"strings"
)

// overviewBody lists projects and repositories.
type overviewBody struct {
	Query        string
	Projects     []anchor
	Repositories []repositoryRow
	Description  string
	Key          string
}

// repositoryRow is a repository in a list.
type repositoryRow struct {
	anchor
	Project, Description string
	Archived             bool
}

// overview is a page that belongs to no project: what the caller may see.
func (c *call) overview(kind pageKind) *webPage {
	titles := map[pageKind]string{pageDashboard: "Your work", pageProjects: "Projects", pageSearch: "Search"}
	body := overviewBody{Query: c.query.Get("q")}
	s := c.server
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.projects {
		if p.owner == nil && s.maySee(c.caller, p) {
			body.Projects = append(body.Projects, anchor{Name: p.Name, ID: p.Key, URL: s.opts.ContextPath + p.pagePath()})
		}
	}
	slices.SortFunc(body.Projects, func(a, b anchor) int { return strings.Compare(a.Name, b.Name) })
	body.Repositories = c.repositoryRows(func(*repository) bool { return true })
	return &webPage{Kind: kind, Title: titles[kind], Heading: titles[kind], Body: body}
}

// projectPage lists the repositories of a project.
func (c *call) projectPage(p *project) *webPage {
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	body := overviewBody{Description: p.Description, Key: p.Key, Repositories: c.repositoryRows(func(r *repository) bool { return r.project == p })}
	return &webPage{Kind: pageProject, Title: p.Name, Heading: p.Name, Body: body}
}

// repositoryRows is called with mu held.
func (c *call) repositoryRows(wanted func(*repository) bool) []repositoryRow {
	var rows []repositoryRow
	for _, r := range c.server.repositories {
		if !wanted(r) || !c.server.mayRead(c.caller, r) {
			continue
		}
		rows = append(rows, repositoryRow{
			anchor:      anchor{Name: r.Name, URL: c.server.opts.ContextPath + r.pagePath() + "/browse"},
			Project:     r.project.Name,
			Description: r.Description, Archived: r.Archived && c.server.switches.archived,
		})
	}
	slices.SortFunc(rows, func(a, b repositoryRow) int {
		return strings.Compare(strings.ToLower(a.Project+"/"+a.Name), strings.ToLower(b.Project+"/"+b.Name))
	})
	return rows
}
