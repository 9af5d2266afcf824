package browser

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func startFirefox(t *testing.T, o FirefoxOptions) *Firefox {
	t.Helper()
	f, err := StartFirefox(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestFirefoxRunsAnExtension(t *testing.T) {
	t.Parallel()
	site, network := newSite(t), newNetwork(t)
	f := startFirefox(t, FirefoxOptions{Network: network})
	id, err := f.Install(soon(t), "testdata/extension")
	if err != nil || id != "marks-pages@example.com" {
		t.Fatalf("installed %q, %v", id, err)
	}
	if err := f.Open(soon(t), site.URL+"/page"); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(site.URL, "http://")
	var mark string
	if err := Wait(soon(t), f, markText, &mark); err != nil || mark != "marked by "+host {
		t.Fatalf("the page says %q, %v", mark, err)
	}
	if err := network.Elsewhere(host); err != nil {
		t.Error(err)
	}
	if err := f.Open(soon(t), site.URL+"/asks"); err != nil {
		t.Fatal(err)
	}
	if err := network.Elsewhere(host); err == nil || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("the log says %v, want elsewhere.example in it", err)
	}

	popup, err := f.ExtensionURL(soon(t), id, "popup.html")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Open(soon(t), popup); err != nil {
		t.Fatal(err)
	}
	var title string
	if err := f.Evaluate(soon(t), `document.title`, &title); err != nil || title != "Marks pages" {
		t.Errorf("the popup is called %q, %v", title, err)
	}
	png, err := f.Screenshot(soon(t))
	if err != nil || http.DetectContentType(png) != "image/png" {
		t.Errorf("a screenshot of %d bytes, %v", len(png), err)
	}
	if err := f.Evaluate(soon(t), `throwsSomething()`, nil); err == nil {
		t.Error("a script that fails has no error")
	}
}
