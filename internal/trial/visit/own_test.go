package visit

import (
	"context"
	"slices"
	"strings"
	"testing"

	"example.com/signpost/internal/browser"
)

// plainExtension is the extension as it lies in this project: it has no configuration.
const plainExtension = "../../../extension-assets/extension"

// options says what the options page shows.
const options = `(() => {
  const element = (id) => document.getElementById(id);
  return { address: element("server").value, locked: element("server").readOnly, save: !element("save").hidden, help: element("help").textContent,
    result: element("result").textContent, withheld: element("withheld").hidden ? [] : [...document.querySelectorAll("#hosts li")].map((e) => e.textContent),
    primary: element("primary").textContent, bitbucket: element("bitbucket").textContent };
})()`

// optionsPage is what options finds.
type optionsPage struct {
	Address   string
	Locked    bool
	Save      bool // the address can be saved
	Help      string
	Result    string
	Withheld  []string
	Primary   string
	Bitbucket string
}

// TestPopup clicks the extension's button in the toolbar of the browser.
func TestPopup(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	base := plainSites()[5].URL()
	for _, c := range []struct{ page, title, why string }{
		{base + "/projects/WEB/repos/storefront/browse/cart/cart.go#5-9", "WEB/storefront", ""},
		{base + "/projects/WEB/repos/none/browse", "", "none"},
		{wide.Server.URL + "/extension/", "", ""},
	} {
		tab := g.tab(t)
		must(t, tab.Open(soon(t), c.page))
		want, _, err := wide.Resolve(c.page)
		must(t, err)
		must(t, g.ClickAction(soon(t), tab))
		popup, err := g.Popup(soon(t), "popup/popup.html")
		must(t, err)
		must(t, browser.Wait(soon(t), popup, `document.querySelector("main").ariaBusy === "false"`, nil))
		var shows struct {
			Open, Title, Why, Permalink string
			Links                       []string
		}
		must(t, popup.Evaluate(soon(t), `({ open: document.querySelector("#open:not([hidden])")?.href ?? "", title: document.querySelector("#title").textContent,
			why: document.querySelector("#why:not([hidden])")?.textContent ?? "", permalink: document.querySelector("#permalink:not([hidden])")?.textContent ?? "",
			links: [...document.querySelectorAll("#links a")].map((a) => a.href) })`, &shows))
		if shows.Open != want || !strings.Contains(shows.Title, c.title) || shows.Title == "" {
			t.Errorf("the popup of %s shows %+v, want a link to %s", c.page, shows, want)
		}
		if want != "" {
			answer, err := wide.Server.Resolve(c.page)
			must(t, err)
			if len(shows.Links) != len(answer.Links) || shows.Permalink == "" {
				t.Errorf("the popup of %s shows %+v, want the links %v", c.page, shows, answer.Links)
			}
			must(t, popup.Evaluate(soon(t), `document.querySelector("#copy").click()`, nil))
			must(t, browser.Wait(soon(t), popup, `document.querySelector("#copied").textContent`, nil))
		} else if shows.Why == "" {
			t.Errorf("the popup of %s does not say why: %+v", c.page, shows)
		}
		_ = popup.Close() // it may have closed itself
		must(t, tab.Close())
	}
}

// TestBadge looks at the sign on the extension's button in the toolbar of the browser.
func TestBadge(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	base := plainSites()[5].URL() + "/projects/WEB/repos/"
	for path, want := range map[string]string{"storefront/browse": "", "none/browse": "–"} {
		tab := g.tab(t)
		must(t, tab.Open(soon(t), base+path))
		_, err := Settled(soon(t), tab)
		must(t, err)
		var badge string
		must(t, g.Worker(soon(t), `(async () => {
			const [tab] = await chrome.tabs.query({ url: "`+base+path+`" });
			for (let tries = 0; ; tries++) { // it is set after the answer has been sent
				const badge = await chrome.action.getBadgeText({ tabId: tab.id });
				if (badge === "`+want+`" || tries === 500) return badge;
				await new Promise((resolve) => setTimeout(resolve, 20));
			}
		})()`, &badge))
		if badge != want {
			t.Errorf("the badge of %s is %q, want %q", path, badge, want)
		}
		must(t, tab.Close())
	}
}

// TestOptionsOfAPackage opens the options page of the packed extension: the address is there,
// cannot be changed, and is explained; the test button asks.
func TestOptionsOfAPackage(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	id, err := g.ExtensionID(soon(t))
	must(t, err)
	tab, err := g.NewTab(soon(t))
	must(t, err)
	must(t, tab.Open(soon(t), "chrome-extension://"+id+"/options/options.html"))
	must(t, browser.Wait(soon(t), tab, `(`+options+`).locked`, nil))
	must(t, tab.Evaluate(soon(t), `document.querySelector("#test").click()`, nil))
	must(t, browser.Wait(soon(t), tab, `(`+options+`).result.includes("answers")`, nil))
	var shows optionsPage
	must(t, tab.Evaluate(soon(t), options, &shows))
	if shows.Address != wide.Server.URL || shows.Save || !strings.Contains(shows.Help, "cannot be changed") || shows.Primary != Primary || !strings.Contains(shows.Bitbucket, wide.Sites[0].URL()) {
		t.Errorf("the options page shows %+v", shows)
	}
}

// TestManagedAddress sets the server's address by policy, for an extension without configuration.
func TestManagedAddress(t *testing.T) {
	t.Parallel()
	id, err := browser.UnpackedID(plainExtension)
	must(t, err)
	chromium, err := browser.StartChromium(context.WithoutCancel(t.Context()), browser.ChromiumOptions{
		Extension: plainExtension,
		Network:   watchedNetwork(t, wide),
		Policies:  map[string]any{"3rdparty": map[string]any{"extensions": map[string]any{id: map[string]any{"serverURL": wide.Server.URL}}}},
	})
	must(t, err)
	defer func() { must(t, chromium.Close()) }()
	tab, err := chromium.NewTab(soon(t))
	must(t, err)
	must(t, tab.Open(soon(t), "chrome-extension://"+id+"/options/options.html"))
	must(t, browser.Wait(soon(t), tab, `(`+options+`).locked`, nil))
	var shows optionsPage
	must(t, tab.Evaluate(soon(t), options, &shows))
	if shows.Address != wide.Server.URL || shows.Save || !strings.Contains(shows.Help, "policy") {
		t.Errorf("the options page shows %+v", shows)
	}
	// So that the network's log has something in it.
	must(t, tab.Open(soon(t), wide.Server.URL+"/extension/"))
}

// TestPlainExtension gives the address to an extension without configuration, once, in Firefox,
// which can be told to grant what a person would be asked for: it asks for exactly the hosts
// that the server names.
func TestPlainExtension(t *testing.T) {
	t.Parallel()
	w := small(t, Options{Listen: "127.0.0.2:0"})
	f, err := browser.StartFirefox(context.WithoutCancel(t.Context()), browser.FirefoxOptions{
		Network:     watchedNetwork(t, w),
		Preferences: map[string]any{"extensions.webextOptionalPermissionPrompts": false},
	})
	must(t, err)
	defer func() { must(t, f.Close()) }()
	id, err := f.Install(soon(t), plainExtension)
	must(t, err)
	granted := func() (origins []string) {
		must(t, f.EvaluateInBrowser(soon(t), `return WebExtensionPolicy.getByID("`+id+`").extension.activePermissions.origins;`, &origins))
		slices.Sort(origins)
		return origins
	}
	if got := granted(); len(got) > 0 {
		t.Errorf("it begins with the hosts %s", got)
	}
	page, err := f.ExtensionURL(soon(t), id, "options/options.html")
	must(t, err)
	must(t, f.Open(soon(t), page))
	must(t, browser.Wait(soon(t), f, `(`+options+`).save`, nil))
	must(t, f.Evaluate(soon(t), `document.querySelector("#server").value = "`+w.Server.URL+`"`, nil))
	must(t, f.Click(soon(t), "#save"))
	must(t, browser.Wait(soon(t), f, `(`+options+`).primary === "`+Primary+`" && (`+options+`).withheld.length === 1`, nil))
	if got := granted(); !slices.Equal(got, []string{"http://127.0.0.1/*"}) {
		t.Errorf("with the server's address it has the hosts %s", got)
	}
	must(t, f.Click(soon(t), "#allow"))
	must(t, browser.Wait(soon(t), f, `(`+options+`).withheld.length === 0`, nil))
	if got := granted(); !slices.Equal(got, []string{"http://127.0.0.1/*", "http://127.0.0.2/*"}) {
		t.Errorf("at the end it has the hosts %s", got)
	}
	must(t, f.Open(soon(t), w.Sites[0].URL()+"/projects/WEB/repos/storefront/browse"))
	linked(t, f, w)
}
