package visit

import (
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// savedPages is where pages of real Bitbuckets lie that were saved from a browser; what
// SIGNPOST_SAVED_PAGES names, or beside this project. They belong to Atlassian and are no part of it.
func savedPages() fs.FS {
	folder := os.Getenv("SIGNPOST_SAVED_PAGES")
	if folder == "" {
		folder = "../../../../shared/fixtures/dom"
	}
	return os.DirFS(folder)
}

// savedRepository is where links of saved pages lead.
var savedRepository = regexp.MustCompile(`/projects/[A-Z]+/repos/mux/browse/`)

// TestSavedPages serves pages of a real Bitbucket 5.15.1 at the address of a double, without their
// scripts. A whole page has the button in its toolbar; a part of one, in a page of no known place,
// has it at the edge, and a link for the file where it is the diff of one. Without such pages
// there is nothing to look at.
func TestSavedPages(t *testing.T) {
	t.Parallel()
	pages, err := fs.Glob(savedPages(), "*.html")
	must(t, err)
	var parts []string
	_ = fs.WalkDir(savedPages(), "code-views", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".html" {
			parts = append(parts, name)
		}
		return nil // the folder need not be there
	})
	if len(pages)+len(parts) == 0 {
		t.Log("no saved pages here")
		return
	}
	g := invite(t, wide)
	base := plainSites()[1].URL() + "/projects/WEB/repos/storefront"
	var content string
	g.network.Handle(func(w http.ResponseWriter, r *http.Request) bool {
		if !r.URL.Query().Has("saved") || r.Host != plainSites()[1].Host() {
			return false
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write([]byte(content))
		return true
	})
	for _, name := range append(pages, parts...) {
		t.Run(name, func(t *testing.T) {
			text, err := fs.ReadFile(savedPages(), name)
			must(t, err)
			// Its links to files lead to a repository that the server knows.
			content = savedRepository.ReplaceAllString(string(text), "/projects/WEB/repos/storefront/browse/")
			address, place := base+"/browse/README.md?saved#3", ""
			if strings.Contains(name, "/") {
				content = `<!DOCTYPE html><title>A part</title><body data-aui-version="7.6.3">` + content
				place = "edge"
			}
			diff := strings.Contains(name, "pull-request")
			if diff {
				address = base + "/pull-requests/1/diff?saved#cart/cart.go"
			}
			tab := g.tab(t)
			must(t, tab.Open(soon(t), address))
			r, err := Until(soon(t), tab, func(now Look) bool { return now.State == StateLink && (!diff || len(now.Files) == 1) })
			must(t, err)
			if err := wide.Check(r); err != nil {
				t.Error(err)
			}
			if r.Now.Place != place || diff && !strings.HasPrefix(r.Now.Files[0], Primary+"/") {
				t.Errorf("the button is at %q, want %q; the links of files are %s", r.Now.Place, place, r.Now.Files)
			}
			must(t, tab.Close())
		})
	}
}
