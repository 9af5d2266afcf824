package browser

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// patience bounds what a browser does in a test.
const patience = 30 * time.Second

// newSite starts a server with a page, what the extension of testdata asks for, and a page
// that asks somebody else.
func newSite(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/mark", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("marked by " + r.Host)) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!DOCTYPE html><title>A page</title><link rel="icon" href="data:,"><h1>A page</h1>`))
	})
	mux.HandleFunc("/asks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!DOCTYPE html><title>Asks</title><link rel="icon" href="data:,"><img src="http://elsewhere.example/pixel.png">`))
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	return site
}

func newNetwork(t *testing.T) *Network {
	t.Helper()
	network, err := StartNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	return network
}

func startChromium(t *testing.T, o ChromiumOptions) *Chromium {
	t.Helper()
	b, err := StartChromium(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// within returns a context for what a browser does in a test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newTab(t *testing.T, b *Chromium) *ChromiumTab {
	t.Helper()
	tab, err := b.NewTab(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

const markText = `document.querySelector("#mark")?.textContent`

func TestChromiumRunsAnExtension(t *testing.T) {
	t.Parallel()
	site, network := newSite(t), newNetwork(t)
	b := startChromium(t, ChromiumOptions{Extension: "testdata/extension", Network: network})
	tab := newTab(t, b)
	if err := tab.Open(soon(t), site.URL+"/page"); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(site.URL, "http://")
	var mark string
	if err := Wait(soon(t), tab, markText, &mark); err != nil || mark != "marked by "+host {
		t.Fatalf("the page says %q, %v", mark, err)
	}
	// The page's request, and that of the extension's worker.
	var asked []string
	for _, r := range network.Requests() {
		asked = append(asked, r.Method+" "+r.URL)
	}
	if got := strings.Join(asked, "\n"); !strings.Contains(got, "GET "+site.URL+"/page") || !strings.Contains(got, "GET "+site.URL+"/mark") {
		t.Errorf("the log of the network has\n%s", got)
	}
	if err := network.Elsewhere(host); err != nil {
		t.Error(err)
	}
	// What asks somebody else is seen, though the name does not exist.
	if err := tab.Open(soon(t), site.URL+"/asks"); err != nil {
		t.Fatal(err)
	}
	if err := network.Elsewhere(host); err == nil || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("the log says %v, want elsewhere.example in it", err)
	}
}

func TestChromiumStopsAndStartsAWorker(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	b := startChromium(t, ChromiumOptions{Extension: "testdata/extension"})
	tab := newTab(t, b)
	for range 2 {
		if err := tab.Open(soon(t), site.URL); err != nil {
			t.Fatal(err)
		}
		if err := Wait(soon(t), tab, markText, nil); err != nil {
			t.Fatal(err)
		}
		// The worker has forgotten the first page.
		var answered int
		if err := b.Worker(soon(t), `globalThis.answered`, &answered); err != nil || answered != 1 {
			t.Fatalf("the worker answered %d pages, %v; want 1", answered, err)
		}
		if err := b.StopWorker(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChromiumClicksTheAction(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	b := startChromium(t, ChromiumOptions{Extension: "testdata/extension"})
	tab := newTab(t, b)
	if err := tab.Open(soon(t), site.URL); err != nil {
		t.Fatal(err)
	}
	if err := b.ClickAction(soon(t), tab); err != nil {
		t.Fatal(err)
	}
	popup, err := b.Popup(soon(t), "popup.html")
	if err != nil {
		t.Fatal(err)
	}
	var title string
	if err := Wait(soon(t), popup, `document.querySelector("h1")?.textContent`, &title); err != nil || title != "Marks pages" {
		t.Errorf("the popup says %q, %v", title, err)
	}
}

func TestChromiumLooks(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	b := startChromium(t, ChromiumOptions{})
	tab := newTab(t, b)
	if err := tab.EachDocument(soon(t), `globalThis.early = document.readyState`); err != nil {
		t.Fatal(err)
	}
	for _, dark := range []bool{true, false} {
		if err := tab.PreferDark(soon(t), dark); err != nil {
			t.Fatal(err)
		}
		if err := tab.Open(soon(t), site.URL); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Dark  bool
			Early string
		}
		if err := tab.Evaluate(soon(t), `({dark: matchMedia("(prefers-color-scheme: dark)").matches, early: globalThis.early})`, &got); err != nil {
			t.Fatal(err)
		}
		if got.Dark != dark || got.Early != "loading" {
			t.Errorf("the page sees %+v, want dark %v and its script before all others", got, dark)
		}
	}
	png, err := tab.Screenshot(soon(t))
	if err != nil || http.DetectContentType(png) != "image/png" {
		t.Errorf("a screenshot of %d bytes, %v", len(png), err)
	}
	if err := tab.Evaluate(soon(t), `throwsSomething()`, nil); err == nil {
		t.Error("a script that fails has no error")
	}
}

func TestChromiumObeysPolicies(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	b := startChromium(t, ChromiumOptions{Policies: map[string]any{"URLBlocklist": []string{site.URL + "/forbidden"}}})
	tab := newTab(t, b)
	if err := tab.Open(soon(t), site.URL+"/page"); err != nil {
		t.Fatal(err)
	}
	if err := tab.Open(soon(t), site.URL+"/forbidden"); err == nil || !strings.Contains(err.Error(), "ERR_BLOCKED_BY_ADMINISTRATOR") {
		t.Errorf("a page that the policy forbids: %v", err)
	}
	// The policy is this browser's alone.
	other := newTab(t, startChromium(t, ChromiumOptions{}))
	if err := other.Open(soon(t), site.URL+"/forbidden"); err != nil {
		t.Errorf("another browser: %v", err)
	}
}
