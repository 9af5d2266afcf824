package bitbuckettest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/bitbucket/bitbuckettest/recordings"
)

// hooks are the ids, classes and attributes of Bitbucket that a page has: not those that AUI
// documents for everybody, and not the double's own.
func (p page) hooks() []string {
	found := map[string]bool{}
	for node := range p.root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		for _, a := range node.Attr {
			switch {
			case a.Key == "id" && !slices.Contains([]string{"page", "header", "logo", "content", "footer"}, a.Val):
				found["#"+a.Val] = true
			case a.Key == "class":
				for class := range strings.FieldsSeq(a.Val) {
					ofAUI := class == "footer-body" || strings.HasPrefix(class, "aui") && !slices.Contains([]string{"aui-page-header-actions", "aui-header-logo-bitbucket"}, class)
					if !ofAUI && !strings.HasPrefix(class, "double-") {
						found["."+class] = true
					}
				}
			case strings.HasPrefix(a.Key, "data-") && !strings.HasPrefix(a.Key, "data-double-") && a.Key != "data-color-mode":
				found["["+a.Key+"]"] = true
			case node.Data == "meta" && a.Key == "name":
				found["meta "+a.Val] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// eraCase is what the pages of a version may have of Bitbucket.
type eraCase struct {
	version string
	every   string            // on every page
	repo    string            // on every page of a repository
	pages   map[string]string // on pages of a kind, beside these; a kind that is not here has none
	// selectors find something on pages of a kind.
	selectors map[string][]string
	unknown   []string // kinds whose comment says that it is not known
}

const (
	toolbar = " .branch-selector-toolbar #repository-layout-revision-selector #branch-actions"
	lineOf5 = " .content-view .line .line-number .line-locator [data-line-number]"
	diffOf5 = lineOf5 + " .diff-view .line-number-from .line-number-to .line-number-marker"
	fileOf5 = toolbar + " .name [data-id] [data-revision-ref] .breadcrumbs .repository-breadcrumbs" +
		" #file-content .file-content .file-toolbar .primary .secondary .mode-toggle .mode-source .mode-diff .raw-view-link .file-blame"
	tabsOf5 = " #pull-request-header .pull-request-actions .pull-request-page-tabs .menu-item [data-module-key] [data-pullrequestid]"
)

// unknownEverywhere are the kinds of which no era is known.
var unknownEverywhere = []string{"dashboard", "projects", "search", "project", "empty", "commits", "compare", "branches", "tags", "pull-requests", "other"}

func eraCases() []eraCase {
	toolbars := []string{".aui-toolbar2.branch-selector-toolbar .aui-buttons button#repository-layout-revision-selector", ".branch-selector-toolbar .aui-buttons button#branch-actions"}
	stable := func(pull string) map[string]string {
		return map[string]string{"files": toolbar, "file": toolbar, "file-diff": toolbar, "pull-request": pull}
	}
	commitDetails := " #commit-details-container .commit-details-summary-panel"
	cases := []eraCase{
		{
			version: "4.14.3", every: ".aui-header-logo-bitbucket",
			pages: map[string]string{
				"files": ".repository-breadcrumbs .aui-page-header-actions", "commits": ".aui-page-header-actions", "branches": ".aui-page-header-actions",
				"tags": ".aui-page-header-actions", "pull-requests": ".aui-page-header-actions",
				"file":         ".repository-breadcrumbs .aui-page-header-actions .file-toolbar .secondary",
				"file-diff":    ".repository-breadcrumbs .aui-page-header-actions .file-toolbar .secondary",
				"pull-request": ".pull-request-actions", "pull-request diff": ".pull-request-actions .file-toolbar .secondary",
			},
			selectors: map[string][]string{
				"files": {".aui-page-header-inner .repository-breadcrumbs", ".aui-page-header-inner .aui-page-header-actions"},
				"file":  {".file-toolbar .secondary"}, "pull-request": {".pull-request-actions button"}, "pull-request diff": {".file-toolbar .secondary"},
			},
			unknown: []string{"file", "file-diff", "commit", "pull-request", "pull-request diff"},
		},
		{
			version: "5.15.1", every: ".bitbucket-header-logo #product-version [data-aui-version]", repo: "[data-projectkey] [data-reposlug]",
			pages: map[string]string{
				"files": toolbar + " .name [data-id] [data-revision-ref] .breadcrumbs .repository-breadcrumbs",
				"file":  fileOf5 + lineOf5 + " .source-view", "file-diff": fileOf5 + diffOf5,
				"pull-request":      tabsOf5,
				"pull-request diff": tabsOf5 + diffOf5 + " #commit-file-content .file-content .file-toolbar .primary .secondary .file-blame .source-view-link .breadcrumbs",
			},
			selectors: map[string][]string{
				"files":     append([]string{"#repository-layout-revision-selector span.name[data-id=refs/heads/main][data-revision-ref]", "section#content[data-projectkey][data-reposlug]"}, toolbars...),
				"file":      append([]string{"#file-content .file-toolbar .secondary a.raw-view-link", "#file-content .file-toolbar .primary a.mode-diff", "a.line-number[data-line-number=1]"}, toolbars...),
				"file-diff": {"#file-content .file-toolbar .primary a.mode-source", "#file-content .diff-view .line .line-number-to", ".line-number-marker[data-line-number=1]"},
				"pull-request": {
					"header#pull-request-header .pull-request-actions", ".pull-request-page-tabs li.menu-item[data-module-key=bitbucket.pull-request.nav.overview]",
					".pull-request-page-tabs li.menu-item[data-module-key=bitbucket.pull-request.nav.diff]",
					".pull-request-page-tabs li.menu-item[data-module-key=bitbucket.pull-request.nav.commits]", "section#content[data-pullrequestid=1]",
				},
				"pull-request diff": {"#commit-file-content .file-toolbar .secondary", "#commit-file-content .file-toolbar .primary .breadcrumbs"},
			},
			unknown: []string{"commit"},
		},
		{version: "6.10.0", pages: stable(".pull-request-actions"), unknown: []string{"file", "file-diff", "commit", "pull-request", "pull-request diff"}},
		{
			version: "7.21.3", pages: stable(""), unknown: []string{"file", "file-diff", "commit", "pull-request", "pull-request diff"},
			selectors: map[string][]string{"pull-request diff": {".change-view .change-header .diff-actions"}},
		},
		{version: "8.5.1", pages: stable(".pull-request-actions"), unknown: []string{"file", "file-diff", "commit", "pull-request", "pull-request diff"}},
		{version: "8.19.0", pages: stable(".pull-request-actions"), unknown: []string{"file", "file-diff", "pull-request", "pull-request diff"}},
		{
			version: "9.4.1", pages: stable("#pull-requests-container .pull-request-header-bar .pull-request-actions .pull-request-more-actions"),
			selectors: map[string][]string{"pull-request": {"#pull-requests-container header .pull-request-header-bar .pull-request-actions .pull-request-more-actions"}},
			unknown:   []string{"file", "file-diff", "pull-request", "pull-request diff"},
		},
	}
	for i := range cases {
		c := &cases[i]
		if i >= 2 {
			c.every = ".bitbucket-header-logo"
			c.pages["pull-request diff"] = c.pages["pull-request"]
			if c.selectors == nil {
				c.selectors = map[string][]string{}
			}
			c.selectors["files"], c.selectors["file"] = toolbars, toolbars
		}
		switch c.version {
		case "5.15.1":
			c.every += " meta"
		case "7.21.3":
			c.pages["pull-request diff"] = ".change-view .change-header .diff-actions"
		case "8.19.0", "9.4.1":
			c.pages["commit"] = commitDetails
			c.selectors["commit"] = []string{"#commit-details-container .commit-details-summary-panel"}
		}
	}
	return cases
}

func TestPagesHaveTheHooksThatAreKnownAndNoOthers(t *testing.T) {
	t.Parallel()
	for _, c := range eraCases() {
		for _, context := range []string{"", "/git/bitbucket"} {
			t.Run(c.version+context, func(t *testing.T) {
				t.Parallel()
				w, pages := eraWorld(t, c.version, context, context != "")
				for label, path := range pages {
					p := fetchPage(t, w.Server, path, "")
					kind, _, _ := strings.Cut(label, ":")
					name := fmt.Sprintf("%s (%s)", label, path)
					body := p.all("body")[0]
					if got, _, _ := strings.Cut(kind, " "); p.status != 200 || attribute(body, "data-double-page") != got {
						t.Errorf("%s: %d, kind %q", name, p.status, attribute(body, "data-double-page"))
					}
					want := strings.Fields(strings.Replace(c.every, "meta", "", 1) + " " + c.pages[kind])
					if len(p.all(".aui-sidebar")) > 0 {
						want = append(want, strings.Fields(c.repo)...)
					}
					if strings.Contains(c.every, "meta") {
						want = append(want, "meta application-name")
					}
					slices.Sort(want)
					if diff := cmp.Diff(want, p.hooks()); diff != "" {
						t.Errorf("%s: hooks (-want +got):\n%s", name, diff)
					}
					for _, selector := range c.selectors[kind] {
						if len(p.all(selector)) == 0 {
							t.Errorf("%s: nothing is %s", name, selector)
						}
					}
					wantComment := slices.Contains(c.unknown, kind) || slices.Contains(unknownEverywhere, kind)
					if got := strings.Contains(p.comments(), "is not known of"); got != wantComment {
						t.Errorf("%s: a comment about what is not known: %t, want %t: %s", name, got, wantComment, p.comments())
					}
					checkLinks(t, name, p, context)
				}
			})
		}
	}
}

// eraWorld starts a demo world and tells its pages by kind; what follows a colon tells pages of
// one kind apart. The repository is a normal one or a personal one.
func eraWorld(t *testing.T, version, context string, personal bool) (*bitbuckettest.DemoWorld, map[string]string) {
	t.Helper()
	w, err := bitbuckettest.StartDemoWorld(bitbuckettest.DemoWorldOptions{Version: version, ContextPath: context})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	repository := "/projects/WEB/repos/storefront"
	if personal {
		repository = "/users/ada/repos/storefront"
		if _, err := w.Server.AddPullRequest("~ADA/storefront", bitbuckettest.PullRequest{From: "feature/search", Title: "Mine"}); err != nil {
			t.Fatal(err)
		}
	}
	_, answer := get(t, w.Server, "/rest/api/1.0"+strings.Replace(repository, "users/ada", "projects/~ADA", 1)+"/commits", w.Account.Username+":"+w.Account.Password)
	newest := answer["values"].([]any)[0].(map[string]any)["id"].(string)
	pages := map[string]string{
		"dashboard": "/dashboard", "projects": "/projects", "search": "/plugins/servlet/search?q=x", "project": "/projects/WEB", "project:user": "/users/ada",
		"empty": "/projects/WEB/repos/ideas/browse", "empty:commits": "/projects/WEB/repos/ideas/commits", "empty:diff": "/projects/WEB/repos/ideas/diff/a",
		"branches:empty": "/projects/WEB/repos/ideas/branches", "pull-requests:empty": "/projects/WEB/repos/ideas/pull-requests",
	}
	for label, path := range map[string]string{
		"files": "", "files:slash": "/browse/", "files:directory": "/browse/cart", "files:branch": "/browse?at=refs%2Fheads%2Fmain",
		"file": "/browse/cart/cart.go", "file:tag": "/browse/README.md?at=v1.0", "file-diff": "/diff/cart/price.go?until=refs%2Fheads%2Fmain",
		"commits": "/commits", "commit": "/commits/" + newest, "compare": "/compare/diff?sourceBranch=feature%2Fsearch",
		"compare:commits": "/compare/commits?sourceBranch=feature/search", "branches": "/branches", "tags": "/tags",
		"pull-requests": "/pull-requests", "compare:create": "/pull-requests?create&sourceBranch=feature/search", "other": "/settings",
		"pull-request": "/pull-requests/1", "pull-request:overview": "/pull-requests/1/overview", "pull-request diff": "/pull-requests/1/diff",
		"pull-request:commits": "/pull-requests/1/commits", "commit:pull-request": "/pull-requests/1/commits/" + newest,
	} {
		pages[label] = repository + path
	}
	return w, pages
}

// checkLinks sees that the page stays on its server, below the context path, and runs nothing of its own.
func checkLinks(t *testing.T, name string, p page, context string) {
	t.Helper()
	for node := range p.root.Descendants() {
		for _, a := range node.Attr {
			switch a.Key {
			case "href", "src", "action":
				if !strings.HasPrefix(a.Val, context+"/") && !strings.HasPrefix(a.Val, "#") && a.Val != "data:," {
					t.Errorf("%s: %s leads to %q", name, node.Data, a.Val)
				}
			case "style":
				t.Errorf("%s: %s has a style", name, node.Data)
			}
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: %s has %s", name, node.Data, a.Key)
			}
		}
	}
	for _, script := range p.all("script") {
		if attribute(script, "src") == "" || script.FirstChild != nil {
			t.Errorf("%s: a script in the page", name)
		}
	}
	if policy := p.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("%s: the policy is %q", name, policy)
	}
}

// What the pages of 5.15.1 have of Bitbucket is in the saved ones.
func TestPagesOf5AreLikeTheSavedOnes(t *testing.T) {
	t.Parallel()
	whole := page{root: parsePage(t, recordings.ReadPage(t, "single-file.html"))}
	diff := page{root: parsePage(t, recordings.ReadPage(t, "code-views/pull-request/unified/modified.html"))}
	i := slices.IndexFunc(eraCases(), func(c eraCase) bool { return c.version == "5.15.1" })
	selectors := eraCases()[i].selectors
	saved := strings.NewReplacer("refs/heads/main", "refs/heads/master")
	for _, selector := range slices.Concat(selectors["files"], selectors["file"]) {
		if selector = saved.Replace(selector); len(whole.all(selector)) == 0 {
			t.Errorf("the saved page has no %s", selector)
		}
	}
	for _, selector := range selectors["pull-request diff"] {
		if len(diff.all(selector)) == 0 {
			t.Errorf("the saved diff has no %s", selector)
		}
	}
	w, pages := eraWorld(t, "5.15.1", "", false)
	known := slices.Concat(whole.hooks(), diff.hooks(), []string{
		// Seen on pages of pull requests, which nobody saved whole.
		"#pull-request-header", ".pull-request-actions", ".pull-request-page-tabs", ".menu-item", "[data-module-key]", "[data-pullrequestid]",
	})
	for label, path := range pages {
		for _, hook := range fetchPage(t, w.Server, path, "").hooks() {
			if !slices.Contains(known, hook) {
				t.Errorf("%s: %s is on no saved page", label, hook)
			}
		}
	}
	own := fetchPage(t, w.Server, pages["file"], "")
	if got := text(own.all("#product-version")[0]); got != " v5.15.1" {
		t.Errorf("#product-version holds %q", got)
	}
}
