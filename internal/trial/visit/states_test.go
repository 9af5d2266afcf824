package visit

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/signpost/internal/browser"
)

// small starts a world with one double, which ends with the test.
func small(t *testing.T, o Options) *World {
	t.Helper()
	o.Folder, o.Signpost = t.TempDir(), built
	o.Versions, o.ContextPaths = []string{"8.19"}, []string{""}
	w, err := Start(t.Context(), o)
	if w != nil {
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	must(t, err)
	return w
}

// resolving tells whether a request asks for a link.
func resolving(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/v1/resolve") }

// answer is a Handler that answers every question for a link.
func answer(status int, contentType, body string) browser.Handler {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !resolving(r) {
			return false
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// breakOff is a Handler that ends the connections of those who ask for a link.
func breakOff(_ http.ResponseWriter, r *http.Request) bool {
	if resolving(r) {
		panic(http.ErrAbortHandler)
	}
	return false
}

const problemJSON = "application/problem+json"

// TestStates has everything go wrong that can, and looks at what the button says. It never has a
// link that the server did not give.
func TestStates(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	site := plainSites()[4]
	file := site.URL() + "/projects/WEB/repos/storefront/browse/README.md"
	link, _, err := wide.Resolve(file)
	must(t, err)
	for i, c := range []struct {
		name  string
		front browser.Handler
		path  string
		state string
		title string // a part of it
	}{
		{"a repository that is not there", nil, "/projects/WEB/repos/none/browse", StateMissing, ""},
		{"a pull request that is not there", nil, "/projects/WEB/repos/storefront/pull-requests/99/overview", StateMissing, ""},
		{"no primary URL", answer(503, problemJSON, `{"status":503,"code":"primary_url_not_set","title":"x"}`), "", StateUnset, "administrator"},
		{"sign-in", answer(401, "text/html", "<html>Log in</html>"), "", StateSignIn, ""},
		{"a refusal", answer(403, "text/html", "<html>No</html>"), "", StateSignIn, ""},
		{"a server that fails", answer(500, problemJSON, `{"status":500,"code":"internal"}`), "", StateUnreachable, ""},
		{"a proxy that fails", answer(502, "text/html", "<html>Bad gateway</html>"), "", StateUnreachable, ""},
		{"too many questions", answer(429, problemJSON, `{"status":429,"code":"rate_limited"}`), "", StateUnreachable, ""},
		{"a server that is away", breakOff, "", StateUnreachable, ""},
		{"a page in place of the answer", answer(200, "text/html", "<html>Welcome</html>"), "", StateUnreachable, ""},
		{"an answer that is cut", answer(200, "application/json", `{"url": "https://sourcegraph.exam`), "", StateUnreachable, ""},
		{"a link to another Sourcegraph", answer(200, "application/json", `{"url":"https://sourcegraph.com/github.com/a/b","kind":"repository","links":{},"exact":true}`), "", StateUnreachable, ""},
		{"a link that only begins alike", answer(200, "application/json", `{"url":"https://sourcegraph.example.com.evil.example/a","kind":"repository","links":{},"exact":true}`), "", StateUnreachable, ""},
		{"a link that runs a script", answer(200, "application/json", `{"url":"javascript:alert(1)","kind":"repository","links":{},"exact":true}`), "", StateUnreachable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := g
			if c.state == StateSignIn {
				g = invite(t, wide) // the worker does not ask again at once, whatever the page
			}
			// Each has an address of its own, so that no answer before is of use.
			address := fmt.Sprintf("%s?case=%d", file, i)
			if c.path != "" {
				address = site.URL() + c.path
			}
			remove := func() {}
			if c.front != nil {
				remove = g.network.Handle(c.front)
			}
			defer remove()
			tab := g.tab(t)
			must(t, tab.Open(soon(t), address))
			r, err := Settled(soon(t), tab)
			must(t, err)
			words := r.Now.Place == "edge" || r.Now.Text != "" && r.Now.Title != "" // at the edge they are out of reach
			if r.Now.State != c.state || !words || !strings.Contains(r.Now.Title, c.title) {
				t.Errorf("state %q, text %q, title %q; want %q and %q in the title", r.Now.State, r.Now.Text, r.Now.Title, c.state, c.title)
			}
			for _, look := range r.Seen {
				if look.Link != "" || look.Href != "" {
					t.Errorf("it had a link: %+v", look)
				}
			}
			// Once the server is itself again, the button mends, at the latest on a click.
			if c.state == StateUnreachable {
				remove()
				must(t, tab.Evaluate(soon(t), `document.querySelector('[data-signpost="view"]').focus()`, nil))
				must(t, tab.Press(soon(t), "\r"))
				if r, err = Until(soon(t), tab, func(now Look) bool { return now.State == StateLink }); err != nil || r.Now.Link != link {
					t.Errorf("after a click: %+v, %v", r.Now, err)
				}
			}
			must(t, tab.Close())
		})
	}
}

// TestLateAnswers holds answers back while the page goes on: until they are there the button looks,
// and the answer for an address that the page has left is never shown.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	base := plainSites()[4].URL() + "/projects/WEB/repos/storefront/browse/"
	held := make(chan struct{})
	var first, second atomic.Int32
	g.network.Handle(func(_ http.ResponseWriter, r *http.Request) bool {
		switch page := r.URL.Query().Get("url"); {
		case strings.Contains(page, "README.md"):
			first.Add(1)
			wait(r.Context(), held)
		case strings.Contains(page, "price.go"):
			second.Add(1)
		}
		return false
	})
	tab := g.tab(t)
	must(t, tab.Open(soon(t), base+"README.md"))
	r, err := Until(soon(t), tab, func(now Look) bool { return now.State == StateLooking })
	if err != nil || r.Now.Href != "" || first.Load() == 0 {
		_, err = Until(soon(t), tab, func(Look) bool { return first.Load() > 0 })
		must(t, err)
	}
	must(t, tab.Evaluate(soon(t), `history.pushState(null, "", "cart/price.go")`, nil))
	r, err = Until(soon(t), tab, func(now Look) bool { return now.State == StateLink })
	must(t, err)
	close(held) // the first answer comes now
	must(t, tab.Evaluate(soon(t), `history.pushState(null, "", "cart.go#3")`, nil))
	r, err = Until(soon(t), tab, func(now Look) bool { return now.State == StateLink && strings.Contains(now.Address, "cart.go#3") })
	must(t, err)
	if err := wide.Check(r); err != nil || second.Load() == 0 {
		t.Error(err)
	}
	if slices.ContainsFunc(r.Seen, func(look SeenLook) bool { return strings.Contains(look.Link, "README") }) {
		t.Error("the answer for the page that was left was shown")
	}
}

// wait returns when something has happened, or nobody waits any more.
func wait(ctx context.Context, happened <-chan struct{}) {
	select {
	case <-happened:
	case <-ctx.Done():
	}
}

// TestTheAdministratorSetsThePrimary begins without a primary URL: the button says whom to ask,
// and has its link when that has been done.
func TestTheAdministratorSetsThePrimary(t *testing.T) {
	t.Parallel()
	w := small(t, Options{NoPrimary: true})
	g := invite(t, w)
	page := w.Sites[0].URL() + "/projects/WEB/repos/storefront/browse"
	tab := g.tab(t)
	must(t, tab.Open(soon(t), page))
	r, err := Settled(soon(t), tab)
	must(t, err)
	if r.Now.State != StateUnset || !strings.Contains(r.Now.Title, "administrator") {
		t.Errorf("without a primary URL: %+v", r.Now)
	}
	w.Config.PrimaryURL = Primary
	must(t, w.Server.PutConfig(w.Config))
	must(t, w.mirrored(t.Context(), page))
	for {
		must(t, tab.Open(soon(t), page))
		if r, err = Settled(soon(t), tab); err != nil || r.Now.State == StateLink {
			break
		}
	}
	must(t, err)
	if err := w.Check(r); err != nil {
		t.Error(err)
	}
}

// TestTheWorkerStops ends the service worker between pages, as browsers do every half minute.
func TestTheWorkerStops(t *testing.T) {
	t.Parallel()
	g := invite(t, wide)
	tab := g.tab(t)
	base := plainSites()[5].URL() + "/projects/WEB/repos/storefront"
	must(t, tab.Open(soon(t), base+"/browse"))
	for _, path := range []string{"/browse/cart", "/commits", "/browse/README.md#2"} {
		must(t, g.StopWorker(soon(t)))
		must(t, tab.Evaluate(soon(t), `history.pushState(null, "", "`+base+path+`")`, nil))
		r, err := Until(soon(t), tab, func(now Look) bool { return strings.HasSuffix(now.Address, path) && now.State == StateLink })
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if err := wide.Check(r); err != nil {
			t.Error(err)
		}
	}
}
