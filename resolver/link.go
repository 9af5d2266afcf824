package resolver

import "example.com/signpost/internal/bitbucket"

// Link is the answer for a Bitbucket URL, as the API writes it. Every address in it
// begins with the primary URL. Fields that do not apply are left out.
type Link struct {
	URL        string                `json:"url"` // the most specific link
	Kind       string                `json:"kind"`
	Repository *LinkRepository       `json:"repository,omitempty"`
	Revision   string                `json:"revision,omitempty"`
	Commit     string                `json:"commit,omitempty"` // 40 digits, when the mirror knows it
	Path       string                `json:"path,omitempty"`
	Lines      []bitbucket.LineRange `json:"lines,omitempty"`
	Links      map[string]string     `json:"links,omitempty"` // every link that makes sense, by kind
	Exact      bool                  `json:"exact"`
	Notes      []string              `json:"notes,omitempty"` // why it is not exact, a sentence each
}

// LinkRepository is the repository that a link is about.
type LinkRepository struct {
	Name       string `json:"name"` // on Sourcegraph
	ProjectKey string `json:"projectKey"`
	Slug       string `json:"slug"`
	ID         int64  `json:"id"`
}
