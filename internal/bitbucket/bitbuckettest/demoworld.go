package bitbuckettest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// DemoWorldOptions says how to build a DemoWorld.
type DemoWorldOptions struct {
	Version     string // 8.19 if empty
	Listen      string // "127.0.0.1:0" if empty
	ContextPath string
	Dir         string // a temporary folder if empty
	Logger      *slog.Logger
}

// DemoWorld is a friendly Bitbucket with a few repositories, each with real git, for
// people to look at. Close it.
type DemoWorld struct {
	Server *Server
	// Account sees everything. Its token is there from 5.5 on.
	Account Credentials
	// Samples are pages of that Bitbucket, each of another type.
	Samples []Sample
}

// Sample is a page of a Bitbucket.
type Sample struct {
	Label string `json:"label"` // what the page shows, in a few words
	URL   string `json:"url"`
}

// StartDemoWorld builds the world.
func StartDemoWorld(o DemoWorldOptions) (*DemoWorld, error) {
	s, err := Start(Options{
		Version: o.Version, Listen: o.Listen, ContextPath: o.ContextPath, Dir: o.Dir, Logger: o.Logger, PagesWithoutLogin: true,
	})
	if err != nil {
		return nil, err
	}
	w := &DemoWorld{Server: s, Account: Credentials{Username: "signpost", Password: "a password of the demo"}}
	if s.HasTokens() {
		w.Account.Token = "BBDC-demo-token"
	}
	if err := w.build(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Close stops the server.
func (w *DemoWorld) Close() error { return w.Server.Close() }

const (
	demoMain = "WEB/storefront"
	demoFork = "~ADA/storefront"
)

func (w *DemoWorld) build() error {
	s := w.Server
	service := User{Name: w.Account.Username, Password: w.Account.Password, DisplayName: "Signpost", Email: "signpost@example.com", Service: true, Admin: true}
	if w.Account.Token != "" {
		service.Tokens = []string{w.Account.Token}
	}
	for _, u := range []User{
		{Name: "ada", DisplayName: "Ada Example", Email: "ada@example.com", Password: "password of ada"},
		{Name: "grace", DisplayName: "Grace Example", Email: "grace@example.com", Password: "password of grace"},
		service,
	} {
		if _, err := s.AddUser(u); err != nil {
			return err
		}
	}
	for _, p := range []Project{
		{Key: "WEB", Name: "Web shop", Description: "What customers see."},
		{Key: "OPS", Name: "Operations"},
		{Owner: "ada"},
	} {
		if _, err := s.AddProject(p); err != nil {
			return err
		}
	}
	theme, err := s.addWithHashes(Repository{Project: "WEB", Slug: "theme", Name: "theme", Description: "Colors and fonts"}, demoThemeHistory())
	if err != nil {
		return err
	}
	hashes, err := s.addWithHashes(Repository{Project: "WEB", Slug: "storefront", Description: "The shop itself"}, demoStorefrontHistory(theme["theme"]))
	if err != nil {
		return err
	}
	for _, r := range []Repository{
		{Project: "WEB", Slug: "ideas", Description: "Nothing yet"},
		{Project: "OPS", Slug: "deploy.tools", DefaultBranch: "develop", History: demoOpsHistory("develop", "deploy")},
		{Project: "OPS", Slug: "old-deploy", Archived: true, Labels: []string{"archived"}, History: demoOpsHistory("main", "old deploy")},
		{Project: "~ADA", Slug: "dotfiles", History: demoOpsHistory("main", "dotfiles")},
		{Project: "~ADA", Slug: "storefront", Origin: demoMain},
	} {
		if _, err := s.AddRepository(r); err != nil {
			return err
		}
	}
	if _, err := s.Push(demoFork, History{Commits: []Commit{{
		Branch: "bugfix/rounding", From: "main", Message: "Round prices to cents", Author: "Ada Example <ada@example.com>",
		Files: map[string]File{"cart/price.go": Text("package cart\n\nimport \"math\"\n\n// Price is in cents.\nfunc Price(euros float64) int {\n\treturn int(math.Round(euros * 100))\n}\n")},
	}}}); err != nil {
		return err
	}
	for _, p := range []PullRequest{
		{Title: "Search as you type", Description: "Asks after each letter.", From: "feature/search", Author: "grace"},
		{Title: "Round prices to cents", From: "bugfix/rounding", FromRepository: demoFork, Author: "ada"},
	} {
		if _, err := s.AddPullRequest(demoMain, p); err != nil {
			return err
		}
	}
	w.Samples = demoSamples(s, hashes)
	return nil
}

// addWithHashes adds a repository, pushes a history into it, and returns what Push does.
func (s *Server) addWithHashes(d Repository, h History) (map[string]string, error) {
	r, err := s.AddRepository(d)
	if err != nil {
		return nil, err
	}
	return s.Push(r.Address(), h)
}

func demoSamples(s *Server, hashes map[string]string) []Sample {
	base := s.BaseURL()
	repository := base + "/projects/WEB/repos/storefront"
	feature, release := url.QueryEscape("refs/heads/feature/search"), url.QueryEscape("refs/tags/v1.1")
	branch := url.QueryEscape("refs/heads/main")
	clone := base + "/scm/web/storefront.git"
	return []Sample{
		{"repository", repository + "/browse"},
		{"directory", repository + "/browse/cart"},
		{"file", repository + "/browse/cart/price.go"},
		{"lines of a file", repository + "/browse/cart/cart.go#5-9"},
		{"file on a branch", repository + "/browse/search/search.go?at=" + feature},
		{"file at a tag", repository + "/browse/README.md?at=" + release},
		{"file with an unusual name", repository + "/browse/docs/" + escapeSegment("größe & preis.md")},
		{"raw file", repository + "/raw/README.md?at=" + branch},
		{"submodule", repository + "/browse/vendor/theme"},
		{"old revision of a file", repository + "/browse/README.md?until=" + hashes["first"] + "&untilPath=README.md"},
		{"diff of a file", repository + "/diff/cart/price.go?since=" + hashes["first"] + "&until=" + hashes["price"]},
		{"list of commits", repository + "/commits?until=" + branch},
		{"commit", repository + "/commits/" + hashes["price"]},
		{"file in a commit", repository + "/commits/" + hashes["price"] + "#cart/price.go"},
		{"branches", repository + "/branches"},
		{"tags", repository + "/tags"},
		{"comparison", repository + "/compare/diff?sourceBranch=" + feature + "&targetBranch=" + branch},
		{"new pull request", repository + "/pull-requests?create&sourceBranch=" + feature + "&targetBranch=" + branch},
		{"pull request", repository + "/pull-requests/1/overview"},
		{"line of a pull request", repository + "/pull-requests/1/diff#cart/cart.go?t=8"},
		{"pull request of a fork", repository + "/pull-requests/2/overview"},
		{"fork in a personal project", base + "/users/ada/repos/storefront/browse"},
		{"archived repository", base + "/projects/OPS/repos/old-deploy/browse"},
		{"empty repository", base + "/projects/WEB/repos/ideas/browse"},
		{"project", base + "/projects/WEB"},
		{"user", base + "/users/ada"},
		{"search", base + "/plugins/servlet/search?q=" + url.QueryEscape("func Price")},
		{"clone over http", clone},
		{"clone over ssh", s.sshBase() + "/web/storefront.git"},
	}
}

func demoThemeHistory() History {
	return History{Commits: []Commit{{
		Label: "theme", Message: "Pick colors", Author: "Grace Example <grace@example.com>",
		Files: map[string]File{"README.md": Text("# Theme\n\nColors and fonts of the shop.\n"), "colors.css": Text(":root {\n  --accent: #0052cc;\n}\n")},
	}}}
}

func demoStorefrontHistory(theme string) History {
	cart := []string{
		"// Package cart adds up what a customer wants.", "package cart", "", "// Cart is what a customer has picked.", "type Cart struct {",
		"\tItems []Item", "}", "", "// Item is a product, some times.", "type Item struct {", "\tName  string", "\tCount int", "\tPrice int // in cents", "}", "",
		"// Total adds up the prices.", "func (c Cart) Total() int {", "\ttotal := 0", "\tfor _, item := range c.Items {",
		"\t\ttotal += item.Count * item.Price", "\t}", "\treturn total", "}",
	}
	ada, grace := "Ada Example <ada@example.com>", "Grace Example <grace@example.com>"
	return History{
		Commits: []Commit{
			{Label: "first", Author: ada, Message: "Open the shop", Files: map[string]File{
				"README.md":             Text("# Storefront\n\nThe shop that customers see.\n"),
				"cart/cart.go":          Text(strings.Join(cart, "\n") + "\n"),
				"bin/start":             Executable("#!/bin/sh\nexec ./storefront\n"),
				"LESEN":                 Symlink("README.md"),
				"docs/größe & preis.md": Text("# Größen und Preise\n"),
				"docs/日本語.md":           Text("# 日本語\n"),
				"vendor/theme":          Submodule(theme),
			}},
			{Label: "price", Author: ada, Message: "Show prices\n\nIn cents, so that nothing is lost.", Files: map[string]File{
				"cart/price.go": Text("package cart\n\n// Price is in cents.\nfunc Price(euros float64) int {\n\treturn int(euros * 100)\n}\n"),
			}},
			{Label: "search", Branch: "feature/search", From: "price", Author: grace, Message: "Search as you type", Files: map[string]File{
				"search/search.go": Text("// Package search finds products.\npackage search\n\n// Find asks after each letter.\nfunc Find(letters string) []string {\n\treturn nil\n}\n"),
				"cart/cart.go":     Text(strings.Join(cart[:8], "\n") + "\n// Item is a product that search found, some times.\n" + strings.Join(cart[9:], "\n") + "\n"),
			}},
			{Label: "docs", Author: grace, Message: "Say how to start", Files: map[string]File{
				"README.md": Text("# Storefront\n\nThe shop that customers see.\n\nStart it with `bin/start`.\n"),
			}},
			{Branch: "release/1.x", From: "price", Author: ada, Message: "Prepare 1.1", Files: map[string]File{"VERSION": Text("1.1\n")}},
		},
		Tags: []Tag{
			{Name: "v1.0", Target: "first"},
			{Name: "v1.1", Target: "release/1.x", Message: "Version 1.1"},
		},
	}
}

func demoOpsHistory(branch, name string) *History {
	return &History{Commits: []Commit{{
		Branch: branch, Message: "Begin", Author: "Grace Example <grace@example.com>",
		Files: map[string]File{
			"README.md":  Text(fmt.Sprintf("# %s\n", name)),
			"bin/run.sh": Executable("#!/bin/sh\necho " + strings.ReplaceAll(name, " ", "-") + "\n"),
		},
	}}}
}
