package visit

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/signpost/internal/browser"
)

// firefox starts a Firefox with the add-on that a server hands out. When the test ends nobody
// else than the world, and these hosts, may have been asked.
func firefox(t *testing.T, w *World, others ...string) (f *browser.Firefox, id string) {
	t.Helper()
	network := watchedNetwork(t, w, others...)
	f, err := browser.StartFirefox(context.WithoutCancel(t.Context()), browser.FirefoxOptions{Network: network})
	must(t, err)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	package_, err := w.Download(soon(t), "signpost.xpi")
	must(t, err)
	file := filepath.Join(t.TempDir(), "signpost.xpi")
	must(t, os.WriteFile(file, package_, 0o600))
	id, err = f.Install(soon(t), file)
	must(t, err)
	return f, id
}

// firefoxLook is what the page of a Firefox, which has no witness, says of its button.
const firefoxLook = `(() => {
  const buttons = document.querySelectorAll('[data-signpost="view"]');
  const data = buttons[0]?.dataset;
  return { address: location.href, count: buttons.length, state: data?.signpostState ?? "", link: data?.signpostHref ?? "",
    href: buttons[0]?.getAttribute("href") ?? "", place: data?.signpostPlace ?? "", title: buttons[0]?.title ?? "" };
})()`

// linked waits until the button has its link, and holds it against the server's.
func linked(t *testing.T, f *browser.Firefox, w *World) {
	t.Helper()
	var now Look
	if err := browser.Wait(soon(t), f, `(() => { const look = `+firefoxLook+`; return look.state !== "" && look.state !== "looking" && look; })()`, &now); err != nil {
		t.Error(err)
		return
	}
	want, code, err := w.Resolve(now.Address)
	must(t, err)
	state := StateLink
	if want == "" {
		state = StateMissing
	}
	if now.State != state || now.Link != want || now.Count != 1 || now.Place == "" && now.Href != want {
		t.Errorf("%s: %+v, want state %s and %s%s", now.Address, now, state, want, code)
	}
}

// TestFirefox opens a page of each type in Firefox, with the add-on as the server hands it out,
// and goes on in the page.
func TestFirefox(t *testing.T) {
	t.Parallel()
	f, _ := firefox(t, wide)
	for i, site := range plainSites() {
		for j, page := range site.Pages() {
			if i > 0 && j%len(Versions) != i { // every type of one version, and some of the others
				continue
			}
			must(t, f.Open(soon(t), page.URL))
			linked(t, f, wide)
		}
	}
	for _, site := range wide.Sites {
		if site.ContextPath != "" {
			must(t, f.Open(soon(t), site.URL()+"/users/ada/repos/storefront/browse/README.md#2"))
			linked(t, f, wide)
			for _, next := range []string{`location.hash = "4"`, `history.pushState(null, "", "cart")`, `history.back()`} {
				var before, now string
				must(t, f.Evaluate(soon(t), `location.href`, &before))
				must(t, f.Evaluate(soon(t), `void (`+next+`)`, nil))
				must(t, browser.Wait(soon(t), f, `location.href !== "`+before+`" && location.href`, &now))
				linked(t, f, wide)
			}
		}
	}
}

// TestFirefoxKeyboardShortcut runs the command of the shortcut, which opens the link of the page.
func TestFirefoxKeyboardShortcut(t *testing.T) {
	t.Parallel()
	f, _ := firefox(t, wide, sourcegraph)
	page := plainSites()[0].URL() + "/projects/WEB/repos/storefront/browse/README.md#2"
	must(t, f.Open(soon(t), page))
	linked(t, f, wide)
	want, _, err := wide.Resolve(page)
	must(t, err)
	must(t, f.EvaluateInBrowser(soon(t), `document.querySelector("keyset[id^='ext-keyset'] key").doCommand();`, nil))
	opens(t, f, want)
}

// opens waits until a tab has an address, whether or not anybody answers there.
func opens(t *testing.T, f *browser.Firefox, want string) {
	t.Helper()
	eventually(t, f, `return gBrowser.tabs.some((tab) => tab.linkedBrowser.currentURI.spec === `+quoted(want)+`);`)
}

// eventually runs a script in the window of the browser until it returns true.
func eventually(t *testing.T, f *browser.Firefox, script string) {
	t.Helper()
	ctx := soon(t)
	for {
		var done bool
		if err := f.EvaluateInBrowser(ctx, script, &done); err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		if done {
			return
		}
	}
}

// quoted writes a text as JavaScript.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // it is a string
	}
	return string(out)
}

// sourcegraph is the host of the primary, which a click on a link asks.
var sourcegraph = strings.TrimPrefix(Primary, "https://") + ":443"

// TestFirefoxContextMenu clicks a link to a file with the right button.
func TestFirefoxContextMenu(t *testing.T) {
	t.Parallel()
	f, _ := firefox(t, wide, sourcegraph)
	base := plainSites()[4].URL() + "/projects/WEB/repos/storefront/browse/"
	must(t, f.Open(soon(t), base+"cart"))
	linked(t, f, wide)
	want, _, err := wide.Resolve(base + "cart/price.go")
	must(t, err)
	const entry = `a[data-double-entry][href*="price.go"]`
	must(t, browser.Wait(soon(t), f, `document.querySelector(`+quoted(entry)+`) !== null`, nil))
	must(t, f.RightClick(soon(t), entry))
	eventually(t, f, `
		const item = [...document.querySelectorAll("#contentAreaContextMenu menuitem")].find((item) => item.label === "Open in Sourcegraph" && !item.hidden);
		item?.doCommand();
		return Boolean(item);`)
	opens(t, f, want)
}

// TestFirefoxKeyword types the keyword and a word into the address bar.
func TestFirefoxKeyword(t *testing.T) {
	t.Parallel()
	f, _ := firefox(t, wide, sourcegraph)
	must(t, f.Open(soon(t), plainSites()[4].URL()+"/projects/WEB/repos/storefront/browse"))
	linked(t, f, wide)
	must(t, f.EvaluateInBrowser(soon(t), `gURLBar.focus(); gURLBar.search("sg func Price");`, nil))
	eventually(t, f, `
		const first = gURLBar.view.visibleResults?.[0];
		if (first?.payload.keyword !== "sg") return false;
		gURLBar.handleNavigation({});
		return true;`)
	opens(t, f, Primary+"/search?q=func%20Price")
}
