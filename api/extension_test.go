package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/api"
	extension "example.com/signpost/extension-assets"
)

// packed are packages of the real extension, for all tests.
var packed = sync.OnceValues(func() (*extension.Packages, error) {
	secret, err := extension.NewKey()
	if err != nil {
		return nil, err
	}
	key, err := extension.ParseKey(secret)
	if err != nil {
		return nil, err
	}
	return extension.Build(extension.Input{
		Configuration: extension.Configuration{ServerURL: "https://signpost.example.com", BitbucketURLs: []string{"https://bitbucket.example.com"}},
		Version:       "1.0.7", Key: key, Source: extension.Files,
	})
})

// fakeExtension has packages, or says why not.
type fakeExtension struct {
	packages *extension.Packages
	err      error
}

func (f fakeExtension) Packages(context.Context) (*extension.Packages, error) {
	return f.packages, f.err
}
func (f fakeExtension) Current() *extension.Packages { return f.packages }

func newExtensionWorld(t *testing.T) (*world, *extension.Packages) {
	t.Helper()
	packages, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, nil, func(o *api.Options) { o.Extension = fakeExtension{packages: packages} }), packages
}

func TestExtensionFilesAreHandedOut(t *testing.T) {
	t.Parallel()
	w, packages := newExtensionWorld(t)
	types := map[string]string{
		"signpost-chrome.zip": "application/zip", "signpost-edge.zip": "application/zip", "signpost-firefox.zip": "application/zip",
		"signpost.crx": "application/x-chrome-extension", "updates.xml": "application/xml",
		"signpost.xpi": "application/x-xpinstall", "updates.json": "application/json",
		"signpost.user.js": "text/javascript; charset=utf-8", "bookmarklet": "text/plain; charset=utf-8",
		"policies/chrome.json": "application/json", "policies/edge.json": "application/json", "policies/firefox.json": "application/json",
		"policies/chrome.reg": "text/plain; charset=utf-8", "policies/edge.reg": "text/plain; charset=utf-8",
		"policies/chrome.mobileconfig": "application/x-apple-aspen-config", "policies/edge.mobileconfig": "application/x-apple-aspen-config",
	}
	got := map[string]string{}
	for _, file := range packages.Files() {
		got[file.Name] = file.ContentType
	}
	if diff := cmp.Diff(types, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for name, contentType := range types {
		file, _ := packages.File(name)
		// Browsers ask without cookies and with parameters of their own.
		for _, query := range []string{"", "?os=linux&x=id%3Dabc%26v%3D0.0.0.0%26uc", "?v=1.0.7", "?v=1.0.7-00000000", "?v=", "?;&=%zz"} {
			a := ask(t, w.handler, get("/extension/"+name+query))
			if a.StatusCode != 200 || a.Header.Get("Content-Type") != contentType || !bytes.Equal(a.body, file.Content) {
				t.Errorf("%s%s: %d %s, %d bytes; want %d", name, query, a.StatusCode, a.Header.Get("Content-Type"), len(a.body), len(file.Content))
			}
			if got := a.Header.Get("Cache-Control"); got != "no-cache" {
				t.Errorf("%s%s: Cache-Control %q", name, query, got)
			}
			if a.Header.Get("ETag") != file.ETag || a.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: headers %v", name, a.Header)
			}
		}
		r := get("/extension/" + name)
		r.Header.Set("If-None-Match", `W/"x", `+file.ETag)
		if a := ask(t, w.handler, r); a.StatusCode != http.StatusNotModified || len(a.body) != 0 || a.Header.Get("ETag") != file.ETag {
			t.Errorf("%s: asked again: %d with %d bytes", name, a.StatusCode, len(a.body))
		}
		if a := ask(t, w.handler, httptest.NewRequest(http.MethodHead, "/extension/"+name, nil)); a.StatusCode != 200 || len(a.body) != 0 || a.ContentLength != int64(len(file.Content)) {
			t.Errorf("%s: HEAD: %d, length %d", name, a.StatusCode, a.ContentLength)
		}
	}
	for _, name := range []string{"signpost.crx", "signpost.xpi"} {
		file, _ := packages.File(name)
		if got := ask(t, w.handler, get("/extension/"+name+"?v="+file.Edition)).Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s by its edition: Cache-Control %q", name, got)
		}
	}
	if got := ask(t, w.handler, get("/extension/updates.xml?v=1.0.7")).Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("updates.xml: Cache-Control %q", got)
	}
	r := get("/extension/signpost.crx")
	r.Header.Set("Range", "bytes=0-3")
	if a := ask(t, w.handler, r); a.StatusCode != http.StatusPartialContent || string(a.body) != "Cr24" {
		t.Errorf("a part: %d %q", a.StatusCode, a.body)
	}
}

func TestUpdateManifestsLeadToWhatIsHandedOut(t *testing.T) {
	t.Parallel()
	w, packages := newExtensionWorld(t)
	for manifest, want := range map[string]string{"updates.xml": "signpost.crx", "updates.json": "signpost.xpi"} {
		text := string(ask(t, w.handler, get("/extension/"+manifest)).body)
		found := regexp.MustCompile(`https://signpost\.example\.com(/extension/[^'"]+)`).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("%s leads nowhere: %s", manifest, text)
		}
		file, _ := packages.File(want)
		if a := ask(t, w.handler, get(found[1])); !bytes.Equal(a.body, file.Content) || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s leads to %s: %d", manifest, found[1], a.StatusCode)
		}
	}
}

func TestWhatTheExtensionDoesNotHave(t *testing.T) {
	t.Parallel()
	w, _ := newExtensionWorld(t)
	for _, path := range []string{
		"/extension/nothing", "/extension/policies/", "/extension/policies/safari.json", "/extension//signpost.crx", "/extension/../go",
		"/extension/%2e%2e/signpost.crx", "/extension/policies%2Fchrome.json", "/extension/chrome/manifest.json",
	} {
		wantProblem(t, ask(t, w.handler, get(path)), 404, api.NotFound)
	}
	a := ask(t, w.handler, send(http.MethodPost, "/extension/signpost.crx", ""))
	wantProblem(t, a, 405, api.MethodNotAllowed)
	if got := a.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow %q", got)
	}
	without := newWorld(t, nil)
	wantProblem(t, ask(t, without.handler, get("/extension/signpost.crx")), 404, api.NotFound)
}

func TestWhyThereIsNoExtensionIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		code   api.ProblemCode
		says   string
		logged bool
	}{
		{extension.ErrNoServerURL, api.ExtensionNotConfigured, "externalURL", false},
		{extension.ErrNoBitbucket, api.ExtensionNotConfigured, "bitbucketServer", false},
		{extension.ErrAddress, api.ExtensionNotConfigured, "externalURL", false},
		{extension.ErrNotBuilt, api.ExtensionNotBuilt, "log", true},
	} {
		w := newWorld(t, nil, func(o *api.Options) { o.Extension = fakeExtension{err: c.err} })
		if p := wantProblem(t, ask(t, w.handler, get("/extension/updates.xml")), 503, c.code); !strings.Contains(p.Detail, c.says) {
			t.Errorf("%v: %s", c.err, p.Detail)
		}
		if got := strings.Contains(w.log.String(), "request failed"); got != c.logged {
			t.Errorf("%v: logged as a failure: %t", c.err, got)
		}
		a := ask(t, w.handler, get("/extension/"))
		if a.StatusCode != 503 || !strings.Contains(string(a.body), c.says) || a.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%v: the page is %d %v\n%s", c.err, a.StatusCode, a.Header, a.body)
		}
	}
}

func TestTheExtensionPage(t *testing.T) {
	t.Parallel()
	w, packages := newExtensionWorld(t)
	a := ask(t, w.handler, get("/extension/"))
	body := string(a.body)
	for _, want := range []string{packages.Version, packages.ChromeID, packages.FirefoxID, "https://bitbucket.example.com", `href="javascript:`, "signed"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	links := regexp.MustCompile(`href="([^":]+)"`).FindAllStringSubmatch(body, -1)
	if len(links) < 10 {
		t.Errorf("only %d links: %v", len(links), links)
	}
	for _, link := range links {
		if got := ask(t, w.handler, get("/extension/"+link[1])); got.StatusCode != 200 {
			t.Errorf("the link to %s: %d", link[1], got.StatusCode)
		}
	}
	if policy := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if a := ask(t, w.handler, get("/extension")); a.StatusCode != http.StatusPermanentRedirect || a.Header.Get("Location") != "extension/" {
		t.Errorf("without the slash: %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestExtensionConfig(t *testing.T) {
	t.Parallel()
	const path = "/api/v1/extension/config"
	w, _ := newExtensionWorld(t)
	config := func(w *world, text string) api.ExtensionConfig {
		t.Helper()
		if text != "" {
			if _, problems, err := w.config.Put(t.Context(), text, w.config.version, ""); err != nil {
				t.Fatal(err, problems)
			}
		}
		a := ask(t, w.handler, get(path))
		if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "public, max-age=60" || strings.Contains(string(a.body), "canary") {
			t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
		}
		var got api.ExtensionConfig
		if err := json.Unmarshal(a.body, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := api.ExtensionConfig{Version: "1.0.7", PrimaryURL: primary, BitbucketURLs: []string{"https://bitbucket.example.com"}}
	if diff := cmp.Diff(want, config(w, "")); diff != "" {
		t.Errorf("without externalURL (-want +got):\n%s", diff)
	}
	etag := ask(t, w.handler, get(path)).Header.Get("ETag")
	r := get(path)
	r.Header.Set("If-None-Match", etag)
	if a := ask(t, w.handler, r); etag == "" || a.StatusCode != http.StatusNotModified {
		t.Errorf("asked again with %s: %d", etag, a.StatusCode)
	}
	want = api.ExtensionConfig{
		Version: "1.0.7", ServerURL: "https://signpost.example.com/s", PrimaryURL: "https://other.example.com",
		BitbucketURLs: []string{"https://bitbucket.example.com/ctx", "http://stash.example.com:7990", "https://second.example.com"},
	}
	got := config(w, `{"externalURL": "https://signpost.example.com/s/", "primaryURL": "https://other.example.com", "bitbucketServer": [
		{"url": "https://bitbucket.example.com/ctx/", "aliases": ["http://stash.example.com:7990"], "username": "bot", "password": "canary-a"},
		{"url": "https://second.example.com", "token": "canary-b"}]}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all of it (-want +got):\n%s", diff)
	}
	if a := ask(t, w.handler, r); a.StatusCode != 200 || a.Header.Get("ETag") == etag {
		t.Errorf("after a change: %d %s", a.StatusCode, a.Header.Get("ETag"))
	}
	if a := ask(t, w.handler, httptest.NewRequest(http.MethodHead, path, nil)); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	if diff := cmp.Diff(api.ExtensionConfig{BitbucketURLs: []string{}}, config(newWorld(t, nil), "{}")); diff != "" {
		t.Errorf("before anything is set up (-want +got):\n%s", diff)
	}
}

func TestOriginsThatMayReadLinksAndTheExtensionsConfig(t *testing.T) {
	t.Parallel()
	w, packages := newExtensionWorld(t)
	unpacked := newWorld(t, nil, func(o *api.Options) { o.Extension = fakeExtension{err: extension.ErrNoServerURL} })
	own := "chrome-extension://" + packages.ChromeID
	other := "chrome-extension://" + strings.Repeat("a", 32)
	for _, c := range []struct {
		name, origin string
		handler      http.Handler
		allowed      bool
	}{
		{"a page of Bitbucket", "https://bitbucket.example.com", w.handler, true},
		{"our extension", own, w.handler, true},
		{"another extension", other, w.handler, false},
		{"our extension with more behind it", own + "a", w.handler, false},
		{"our extension in capitals", strings.ToUpper(own), w.handler, false},
		{"the id alone", packages.ChromeID, w.handler, false},
		{"our id in another scheme", "https://" + packages.ChromeID, w.handler, false},
		{"an add-on of Firefox", "moz-extension://" + packages.ChromeID, w.handler, false},
		{"an extension without an id", "chrome-extension://", unpacked.handler, false},
		{"our extension where none is handed out", own, unpacked.handler, false},
		{"a stranger", "https://evil.example.com", w.handler, false},
		{"no origin that could be named", "null", w.handler, false},
	} {
		for _, path := range []string{resolvePath(fileURL), "/api/v1/extension/config"} {
			r := get(path)
			r.Header.Set("Origin", c.origin)
			a := ask(t, c.handler, r)
			want := ""
			if c.allowed {
				want = c.origin
			}
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(a.Header.Get("Vary"), "Origin") {
				t.Errorf("%s, %s: allowed %q, Vary %q", c.name, path, got, a.Header.Get("Vary"))
			}
			preflight := httptest.NewRequest(http.MethodOptions, path, nil)
			preflight.Header.Set("Origin", c.origin)
			preflight.Header.Set("Access-Control-Request-Method", http.MethodGet)
			preflight.Header.Set("Access-Control-Request-Private-Network", "true")
			a = ask(t, c.handler, preflight)
			private := a.Header.Get("Access-Control-Allow-Private-Network")
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || (private == "true") != c.allowed {
				t.Errorf("%s, %s: preflight allowed %q, private network %q", c.name, path, got, private)
			}
			if a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: credentials are allowed", c.name)
			}
		}
		// The administrators' part is for neither.
		r := asAdmin(get("/api/v1/site-config"))
		r.Header.Set("Origin", c.origin)
		if got := ask(t, c.handler, r).Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s may read the site configuration: %q", c.name, got)
		}
	}
}

func TestTheExtensionPageTellsWhatMozillaSigned(t *testing.T) {
	t.Parallel()
	page := func(p extension.Packages) string {
		w := newWorld(t, nil, func(o *api.Options) { o.Extension = fakeExtension{packages: &p} })
		return string(ask(t, w.handler, get("/extension/")).body)
	}
	_, unsigned := newExtensionWorld(t)
	signed, older := *unsigned, *unsigned
	signed.XPISigned = true
	older.XPISigned, older.XPIVersion = true, "1.0.5"
	for _, c := range []struct {
		name              string
		page              string
		installs, waiting bool
	}{
		{"unsigned", page(*unsigned), false, false},
		{"signed", page(signed), true, false},
		{"an older one signed", page(older), true, true},
	} {
		if got := strings.Contains(c.page, `href="signpost.xpi"`); got != c.installs {
			t.Errorf("%s: offers to install it: %t", c.name, got)
		}
		if got := strings.Contains(c.page, "1.0.5") && strings.Contains(c.page, "1.0.7 is waiting"); got != c.waiting {
			t.Errorf("%s: says that a newer one waits: %t", c.name, got)
		}
	}
}
