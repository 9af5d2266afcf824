package visit

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"example.com/signpost/internal/browser"
)

// plainSites are the doubles without a context path.
func plainSites() []*Site {
	return slices.DeleteFunc(slices.Clone(wide.Sites), func(s *Site) bool { return s.ContextPath != "" })
}

// step is something that a person does on a page, which stays loaded.
type step struct{ name, script string }

// click is a step that clicks what a selector finds.
func click(name, selector string) step {
	text, err := json.Marshal(selector)
	if err != nil {
		panic(err) // it is a string
	}
	return step{name, `(() => { const found = document.querySelector(` + string(text) + `); found?.click(); return Boolean(found); })()`}
}

var back = step{"back", `(history.back(), true)`}

// journeys begin on a page and go on without loading another.
var journeys = []struct {
	name, page string
	steps      []step
}{
	{"lines and branches of a file", "/projects/WEB/repos/storefront/browse/cart/cart.go", []step{
		click("a line", `a[data-double-line="5"]`),
		click("another line", `a[data-double-line="7"]`),
		{"a range of lines", `(location.hash = "5-9", true)`},
		{"several ranges", `(location.hash = "3,10-12", true)`},
		click("a branch", `a[data-double-ref="refs/heads/feature/search"]`),
		click("a line on the branch", `a[data-double-line="9"]`),
		click("a tag", `a[data-double-ref="refs/tags/v1.1"]`),
		click("the diff", `a[data-double-mode="diff"]`),
		click("the source again", `a[data-double-mode="source"]`),
		click("an old revision", `a[data-double-revision]:last-child`),
		back,
		{"a replaced address", `(history.replaceState(null, "", "?at=refs%2Fheads%2Frelease%2F1.x#2"), true)`},
	}},
	{"branches of a directory", "/projects/WEB/repos/storefront/browse/cart", []step{
		click("a branch", `a[data-double-ref="refs/heads/feature/search"]`),
		click("a tag", `a[data-double-ref="refs/tags/v1.0"]`),
		back, back,
	}},
	{"tabs and files of a pull request", "/projects/WEB/repos/storefront/pull-requests/1/overview", []step{
		click("its diff", `a[data-double-tab="diff"]`),
		click("its second file", `li:nth-child(2) > a[data-double-open]`),
		click("a line of it", `[data-double-diff-line]`),
		click("its first file", `li:nth-child(1) > a[data-double-open]`),
		click("its commits", `a[data-double-tab="commits"]`),
		click("its overview", `a[data-double-tab="overview"]`),
		back, back,
	}},
}

// TestNavigationInThePage goes on without loading pages, as Bitbucket's own script does: after
// each step the link is that of the new address, and at no moment was it another page's.
func TestNavigationInThePage(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	for _, site := range plainSites() {
		for _, journey := range journeys {
			t.Run(site.Name()+", "+journey.name, func(t *testing.T) {
				tab := g.tab(t)
				must(t, tab.Open(soon(t), site.URL()+journey.page))
				r, err := Settled(soon(t), tab)
				must(t, err)
				for _, step := range journey.steps {
					before := r.Now.Address
					do(t, tab, step)
					r, err = Until(soon(t), tab, func(now Look) bool {
						return now.Address != before && now.State != StateLooking && now.Count == 1
					})
					if err != nil {
						t.Fatalf("%s: %v", step.name, err)
					}
					if r.Now.State != StateLink {
						t.Errorf("%s: %s is %s: %s", step.name, r.Now.Address, r.Now.State, r.Now.Title)
					}
				}
				if err := wide.Check(r); err != nil {
					t.Error(err)
				}
				must(t, tab.Close())
			})
		}
	}
}

// do waits until a step can be done, and does it.
func do(t *testing.T, tab browser.Tab, s step) {
	t.Helper()
	if err := browser.Wait(soon(t), tab, s.script, nil); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
}

// TestThePageDrawsItselfAnew has pages throw the button away, move it and copy it, again and
// again: it comes back to its place, and is there once.
func TestThePageDrawsItselfAnew(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	const button = `document.querySelector('[data-signpost="view"]')`
	disturbances := []step{
		{"the button is thrown away", button + `.remove() ?? true`},
		{"its toolbar is drawn anew", `(() => { const old = ` + button + `.parentElement; const fresh = old.cloneNode(true);
			fresh.querySelector('[data-signpost="view"]')?.remove(); old.replaceWith(fresh); return true; })()`},
		{"its toolbar is copied with it", `(() => { const old = ` + button + `.parentElement; old.after(old.cloneNode(true)); old.remove(); return true; })()`},
		{"it is copied", `(() => { const old = ` + button + `; old.after(old.cloneNode(true)); return true; })()`},
		{"it is moved", `(document.querySelector("footer").append(` + button + `), true)`},
		{"the page is drawn anew", `(() => { const page = document.querySelector("#content"); page.replaceWith(page.cloneNode(true)); return true; })()`},
		{"the place goes", `(() => { for (const place of document.querySelectorAll(".pull-request-actions, .branch-selector-toolbar, .aui-page-header-actions")) place.remove(); return true; })()`},
		{"the place comes back", `(() => { const place = document.createElement("div"); place.className = "pull-request-actions"; place.textContent = "Actions: ";
			document.querySelector(".aui-page-panel-content").prepend(place); return true; })()`},
	}
	for _, site := range plainSites() {
		for _, path := range []string{"/browse/README.md", "/pull-requests/1/overview"} {
			t.Run(site.Name()+path, func(t *testing.T) {
				tab := g.tab(t)
				must(t, tab.Open(soon(t), site.URL()+"/projects/WEB/repos/storefront"+path))
				r, err := Settled(soon(t), tab)
				must(t, err)
				link := r.Now.Link
				for _, disturbance := range disturbances {
					do(t, tab, disturbance)
					place := inPlace(t, tab)
					if place.Link != link {
						t.Errorf("after %s: the link is %s, want %s", disturbance.name, place.Link, link)
					}
				}
				must(t, tab.Close())
			})
		}
	}
}

// inPlace waits until there is one button, at the place where the page has one.
func inPlace(t *testing.T, tab browser.Tab) (place struct{ Link string }) {
	t.Helper()
	const script = `(() => {
  const buttons = document.querySelectorAll('[data-signpost="view"]');
  const known = [...document.querySelectorAll(".pull-request-actions, .branch-selector-toolbar .aui-buttons, .aui-page-header-actions")].filter((e) => e.checkVisibility());
  const at = buttons[0]?.dataset.signpostPlace ?? "";
  const right = known.length > 0 ? at === "" && known.some((e) => e.contains(buttons[0])) : at === "edge";
  return buttons.length === 1 && right && { link: buttons[0].dataset.signpostHref ?? "" };
})()`
	if err := browser.Wait(soon(t), tab, script, &place); err != nil {
		var page string
		_ = tab.Evaluate(soon(t), `document.querySelector("#content")?.outerHTML`, &page)
		t.Fatal(fmt.Errorf("%w\n%.3000s", err, page))
	}
	return place
}
