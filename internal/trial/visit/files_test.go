package visit

import (
	"slices"
	"testing"

	"example.com/signpost/internal/browser"
)

// fileSources are Bitbucket's own links to the source of each file of the diff that is shown.
const fileSources = `[...document.querySelectorAll("#commit-file-content, .change-view")].map((file) => file.querySelector('a[href*="/browse/"]').href)`

// TestLinksOfFiles opens diffs of pull requests of the versions whose files are known: each
// file has a link of its own, to the file at the revision that the diff shows, and keeps it when
// the page draws itself anew or another file is opened.
func TestLinksOfFiles(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	for _, site := range plainSites() {
		files := map[string]int{"5.15": 1, "7.21": 2}[site.Version]
		if files == 0 {
			continue
		}
		t.Run(site.Name(), func(t *testing.T) {
			tab := g.tab(t)
			must(t, tab.Open(soon(t), site.URL()+"/projects/WEB/repos/storefront/pull-requests/1/diff"))
			for _, then := range []step{
				{"at first", `true`},
				click("after another one was opened", `li:nth-child(2) > a[data-double-open]`),
				click("after the page was drawn anew", `[data-double-again]`),
			} {
				do(t, tab, then)
				want := linksOfFiles(t, tab)
				if len(want) != files {
					t.Fatalf("%s: the page shows the files %s, want %d", then.name, want, files)
				}
				if r, err := Until(soon(t), tab, func(now Look) bool { return slices.Equal(now.Files, want) }); err != nil {
					t.Errorf("%s: the links of files are %s, want %s", then.name, r.Now.Files, want)
				}
			}
			must(t, tab.Close())
		})
	}
}

// linksOfFiles returns what the server says of the files that the page shows.
func linksOfFiles(t *testing.T, tab browser.Tab) (links []string) {
	t.Helper()
	var sources []string
	must(t, browser.Wait(soon(t), tab, fileSources+`.length > 0 && `+fileSources, &sources))
	for _, source := range sources {
		link, err := wide.Server.Resolve(source)
		must(t, err)
		links = append(links, link.Links["blob"])
	}
	return links
}
