package siteconfig

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Keys of projects and slugs of repositories, as Bitbucket makes them; "~" begins the key
// of a personal project.
var (
	projectKey = regexp.MustCompile(`^~?[\w.-]+$`)
	repoSlug   = regexp.MustCompile(`^[\w.-]+$`)
)

// selection reads which repositories the connection takes.
func (c *checker) selection(n *node, connection *Connection) {
	connection.Repos = c.namesOf(n, "repos", "name a repository as PROJECT/repository or ~user/repository", isRepository)
	connection.ProjectKeys = c.namesOf(n, "projectKeys", "name a project by its key, such as PRJ or ~user", isProjectKey)
	if v := c.value(n, "projectKeys"); v != nil && len(v.elements) == 0 {
		c.warn(v, "is empty, which is as if it were not there: remove it, or name a project")
	}
	for _, v := range c.list(n, "repositoryQuery") {
		if mend := queryMend(v.text()); mend != "" {
			c.fault(v, "%s", mend)
			continue
		}
		connection.RepositoryQuery = append(connection.RepositoryQuery, v.text())
	}
	for _, v := range c.list(n, "exclude") {
		if exclusion, ok := c.exclusion(v); ok {
			connection.Exclude = append(connection.Exclude, exclusion)
		}
	}
}

// namesOf returns the texts of a list, each of which must be good, and warns of those that it has twice.
func (c *checker) namesOf(n *node, key, mend string, good func(string) bool) []string {
	var all []string
	first := map[string]string{}
	for _, v := range c.list(n, key) {
		text := v.text()
		if !good(text) {
			c.fault(v, "must %s", mend)
			continue
		}
		lower := strings.ToLower(text)
		if before := first[lower]; before != "" {
			c.warn(v, "is in the list already, as %s (case does not count): remove it", before)
			continue
		}
		first[lower] = v.path
		all = append(all, text)
	}
	return all
}

// isRepository tells whether a text is PROJECT/repository.
func isRepository(text string) bool {
	key, slug, ok := strings.Cut(text, "/")
	return ok && isProjectKey(key) && repoSlug.MatchString(slug) && slug != "." && slug != ".."
}

func isProjectKey(text string) bool {
	key := strings.TrimPrefix(text, "~")
	return projectKey.MatchString(text) && key != "." && key != ".."
}

// queryMend says what to do about an element of repositoryQuery, "" when it is good.
func queryMend(text string) string {
	switch text {
	case "none", "all":
		return ""
	case "", "?":
		return `is empty: write "all", "none" or a query string such as "?name=api"`
	}
	if strings.Contains(text, "://") {
		return "must be the query string only: leave out what stands before the ?"
	}
	query, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	if err != nil {
		return "is not a query string: separate parameters by & and write other characters percent-encoded"
	}
	for name, values := range query {
		switch {
		case name == "start" || name == "limit":
			return fmt.Sprintf("must not have the parameter %q, with which Signpost turns the pages: remove it", name)
		case name == "" || strings.Join(values, "") == "" && !strings.Contains(text, "="):
			return `must be "all", "none" or a query string such as "?name=api&projectname=backend"`
		}
	}
	return ""
}

// exclusion reads an entry of exclude.
func (c *checker) exclusion(n *node) (Exclusion, bool) {
	given := 0
	for _, key := range exclusion.names() {
		if n.get(key) != nil {
			given++
		}
	}
	switch {
	case given == 0 && len(n.members) > 0: // unknown keys, faulted already
		return Exclusion{}, false
	case given == 0:
		c.fault(n, "excludes nothing: give it a name, an id or a pattern")
		return Exclusion{}, false
	case given > 1:
		c.fault(n, "must have only one of name, id and pattern: make an entry of each")
		return Exclusion{}, false
	}
	if v := c.value(n, "name"); v != nil {
		if !isRepository(v.text()) {
			c.fault(v, "must name a repository as PROJECT/repository or ~user/repository; for more than one, use a pattern")
			return Exclusion{}, false
		}
		return Exclusion{Name: v.text()}, true
	}
	if v := c.value(n, "id"); v != nil {
		return Exclusion{ID: int64(v.integer())}, true
	}
	v := c.value(n, "pattern")
	if v == nil {
		return Exclusion{}, false
	}
	if v.text() == "" {
		c.fault(v, `is empty, and so would exclude everything: write a regular expression such as "^OLD/"`)
		return Exclusion{}, false
	}
	if _, err := regexp.Compile(v.text()); err != nil {
		c.fault(v, "is not a regular expression: %v", err)
		return Exclusion{}, false
	}
	return Exclusion{Pattern: v.text()}, true
}
