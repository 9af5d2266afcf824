package visit

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/browser"
)

// appID finds the id of the extension in its update manifest.
var appID = regexp.MustCompile(`appid=['"]([a-p]{32})['"]`)

// force is the policy that has Chromium install the extension from a server.
func force(t *testing.T, w *World) (id string, policies map[string]any) {
	t.Helper()
	manifest, err := w.Download(soon(t), "updates.xml")
	must(t, err)
	found := appID.FindSubmatch(manifest)
	if found == nil {
		t.Fatalf("the update manifest names no extension:\n%s", manifest)
	}
	id = string(found[1])
	return id, map[string]any{"ExtensionInstallForcelist": []string{id + ";" + w.Server.URL + "/extension/updates.xml"}}
}

// TestInstalledByPolicy has Chromium install the signed package that the update manifest leads
// to, as on a managed machine: nobody clicks anything, and the button is there. After a restart
// of the server, on another address, the package is another one and the extension the same.
func TestInstalledByPolicy(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	page := w.Sites[0].URL() + "/projects/WEB/repos/storefront/browse/README.md#3"
	var ids []string
	for range 2 {
		id, policies := force(t, w)
		ids = append(ids, id)
		network := watchedNetwork(t, w)
		chromium, err := browser.StartChromium(context.WithoutCancel(t.Context()), browser.ChromiumOptions{Network: network, Policies: policies})
		must(t, err)
		installed, err := chromium.ExtensionID(soon(t))
		if err != nil || installed != id {
			t.Errorf("Chromium installed %q, %v; want %s", installed, err, id)
		}
		g := &guest{chromium, network, w}
		tab := g.tab(t)
		must(t, tab.Open(soon(t), page))
		r, err := Settled(soon(t), tab)
		must(t, err)
		if err := w.Check(r); err != nil || r.Now.State != StateLink {
			t.Errorf("%+v, %v", r.Now, err)
		}
		must(t, chromium.Close())
		must(t, w.Restart(t.Context()))
	}
	if ids[0] != ids[1] {
		t.Errorf("the id was %s, and is %s", ids[0], ids[1])
	}
}

// TestChangedPackageIsRefused changes one bit of the signed package on its way to Chromium.
func TestChangedPackageIsRefused(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	id, policies := force(t, w)
	crx, err := w.Download(soon(t), "signpost.crx")
	must(t, err)
	crx[len(crx)*3/4] ^= 1
	network := watchedNetwork(t, w)
	fetched := make(chan struct{}, 16)
	network.Handle(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/signpost.crx") {
			return false
		}
		rw.Header().Set("Content-Type", "application/x-chrome-extension")
		_, _ = rw.Write(crx)
		fetched <- struct{}{}
		return true
	})
	chromium, err := browser.StartChromium(context.WithoutCancel(t.Context()), browser.ChromiumOptions{Network: network, Policies: policies})
	must(t, err)
	defer func() { must(t, chromium.Close()) }()
	select {
	case <-fetched:
	case <-time.After(patience):
		t.Fatal("Chromium did not fetch the package")
	}
	must(t, chromium.Says(soon(t), regexp.MustCompile(`CRX_SIGNATURE_VERIFICATION_FAILED`)))
	if there, err := chromium.HasExtension(soon(t), id, "popup/popup.html"); err != nil || there {
		t.Errorf("the changed package is installed: %v, %v", there, err)
	}
}
