package visit

import (
	"encoding/json"
	"strings"
)

// Page is a page of a double.
type Page struct {
	Name string // what it shows
	URL  string
	Kind string // what the double calls its kind, in body[data-double-page]
}

// repositories are the paths of the repositories that have every type of page: one of a project,
// and a personal one.
var repositories = []struct{ name, path string }{
	{"normal", "/projects/WEB/repos/storefront"},
	{"personal", "/users/ada/repos/storefront"},
}

// landmarks are pages that have a commit once the repositories are mirrored.
func (s *Site) landmarks() []string {
	var pages []string
	for _, r := range repositories {
		pages = append(pages, s.URL()+r.path+"/browse/README.md")
	}
	return pages
}

// Commit returns the hash of the commit that brought cart/price.go to every storefront.
func (s *Site) commit() string {
	for _, sample := range s.Demo.Samples {
		if _, hash, ok := strings.Cut(sample.URL, "/commits/"); ok {
			hash, _, _ = strings.Cut(hash, "#")
			return hash
		}
	}
	return ""
}

// Pages are the pages of every type, for both repositories, and those that belong to none.
func (s *Site) Pages() []Page {
	var pages []Page
	for _, r := range repositories {
		pages = append(pages, s.repositoryPages(r.name, s.URL()+r.path)...)
	}
	return append(pages,
		Page{"project", s.URL() + "/projects/WEB", "project"},
		Page{"user", s.URL() + "/users/ada", "project"},
		Page{"repository of another project", s.URL() + "/projects/OPS/repos/deploy.tools/browse", "files"},
		Page{"empty repository", s.URL() + "/projects/WEB/repos/ideas/browse", "empty"},
	)
}

func (s *Site) repositoryPages(name, base string) []Page {
	branch, commit := escape("refs/heads/main"), s.commit()
	other := escape("refs/heads/feature/search")
	if name == "personal" {
		other = escape("refs/heads/bugfix/rounding")
	}
	pages := []Page{
		{"repository", base + "/browse", "files"},
		{"repository without a final part", base, "files"},
		{"directory", base + "/browse/cart", "files"},
		{"directory at a branch", base + "/browse/cart?at=" + other, "files"},
		{"file", base + "/browse/cart/price.go", "file"},
		{"lines of a file", base + "/browse/cart/cart.go#5-9", "file"},
		{"file at a branch", base + "/browse/cart/cart.go?at=" + other, "file"},
		{"file with an unusual name", base + "/browse/docs/gr%C3%B6%C3%9Fe%20%26%20preis.md", "file"},
		{"diff of a file", base + "/diff/cart/price.go?until=" + commit, "file-diff"},
		{"commits", base + "/commits?until=" + branch, "commits"},
		{"commit", base + "/commits/" + commit, "commit"},
		{"file of a commit", base + "/commits/" + commit + "#cart/price.go", "commit"},
		{"comparison", base + "/compare/diff?sourceBranch=" + other + "&targetBranch=" + branch, "compare"},
		{"branches", base + "/branches", "branches"},
		{"pull requests", base + "/pull-requests", "pull-requests"},
		{"pull request", base + "/pull-requests/1", "pull-request"},
		{"overview of a pull request", base + "/pull-requests/1/overview", "pull-request"},
		{"diff of a pull request", base + "/pull-requests/1/diff", "pull-request"},
		{"commits of a pull request", base + "/pull-requests/1/commits", "pull-request"},
	}
	for i := range pages {
		pages[i].Name = name + ", " + pages[i].Name
	}
	return pages
}

// problemCode reads the code of a problem (RFC 9457).
func problemCode(body string) string {
	var problem struct{ Code string }
	if json.Unmarshal([]byte(body), &problem) != nil {
		return body
	}
	return problem.Code
}
