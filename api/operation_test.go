package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/signpost/api"
	"example.com/signpost/resolver"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
		code         api.ProblemCode
		allow        string
	}{
		{http.MethodGet, "/", 404, api.NotFound, ""},
		{http.MethodGet, "/api/v2/resolve", 404, api.NotFound, ""},
		{http.MethodGet, "/api/v1/resolve/", 404, api.NotFound, ""},
		{http.MethodGet, "/api/v1/%2e%2e/metrics", 404, api.NotFound, ""},
		{http.MethodDelete, "/api/v1/resolve", 405, api.MethodNotAllowed, "GET, HEAD, POST"},
		{http.MethodPost, "/api/v1/site-config", 405, api.MethodNotAllowed, "GET, HEAD, PUT"},
		{http.MethodPut, "/go", 405, api.MethodNotAllowed, "GET, HEAD"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			a := ask(t, w.handler, httptest.NewRequest(c.method, c.path, nil))
			wantProblem(t, a, c.status, c.code)
			if got := a.Header.Get("Allow"); got != c.allow {
				t.Errorf("Allow %q, want %q", got, c.allow)
			}
		})
	}
}

func TestHeadIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", resolvePath(fileURL)} {
		if a := ask(t, w.handler, httptest.NewRequest(http.MethodHead, path, nil)); a.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, a.StatusCode)
		}
	}
}

func TestWhatMayChangeAtOnceIsNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ context.Context, raw string) (resolver.Result, error) {
		if raw == "none" {
			return resolver.Result{}, resolver.ErrRepositoryNotFound
		}
		return linkTo("/x"), nil
	})
	for name, r := range map[string]*http.Request{
		"a problem":         get("/api/v1/resolve?url=none"),
		"a batch":           send(http.MethodPost, "/api/v1/resolve", `{"urls":["x"]}`),
		"a redirect":        get("/go?url=x"),
		"a page":            get("/go?url=none"),
		"the primary URL":   asAdmin(get("/api/v1/primary-url")),
		"the site config":   asAdmin(get("/api/v1/site-config")),
		"a refused admin":   get("/api/v1/site-config"),
		"a check":           asAdmin(send(http.MethodPost, "/api/v1/site-config/check", "{}")),
		"health":            get("/healthz"),
		"readiness":         get("/readyz"),
		"an unknown path":   get("/nothing"),
		"an unknown method": httptest.NewRequest(http.MethodDelete, "/go", nil),
	} {
		if got := ask(t, w.handler, r).Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, got)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var reasons []string
	w := newWorld(t, nil, func(o *api.Options) { o.NotReady = func() []string { return reasons } })
	if a := ask(t, w.handler, get("/healthz")); a.StatusCode != 200 {
		t.Errorf("healthz %d", a.StatusCode)
	}
	if a := ask(t, w.handler, get("/readyz")); a.StatusCode != 200 {
		t.Errorf("readyz %d %s", a.StatusCode, a.body)
	}
	reasons = []string{"the index is being loaded"}
	if a := ask(t, w.handler, get("/readyz")); a.StatusCode != 503 || !strings.Contains(string(a.body), "being loaded") {
		t.Errorf("readyz while loading: %d %s", a.StatusCode, a.body)
	}
	reasons = nil
	w.config = newFakeConfiguration(t, "{}")
	w2 := newWorld(t, nil, func(o *api.Options) { o.Configuration = w.config })
	if a := ask(t, w2.handler, get("/readyz")); a.StatusCode != 503 || !strings.Contains(string(a.body), "primary URL") {
		t.Errorf("readyz without a primary URL: %d %s", a.StatusCode, a.body)
	}
}

func TestMetricsNameNoRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ask(t, w.handler, get(resolvePath(fileURL)))
	body := string(ask(t, w.handler, get("/metrics")).body)
	if !strings.Contains(body, `signpost_http_request_duration_seconds_count{route="resolve",status="200"} 1`) {
		t.Errorf("the request is not counted:\n%s", body)
	}
	for _, private := range []string{"PRJ", "bitbucket.example.com", "a.go"} {
		if strings.Contains(body, private) {
			t.Errorf("the metrics name %q", private)
		}
	}
}

func TestCORSIsForTheConnectionsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct {
		origin string
		want   string
	}{
		{"https://bitbucket.example.com", "https://bitbucket.example.com"},
		{"https://bitbucket.example.com.evil.test", ""},
		{"http://bitbucket.example.com", ""},
		{"https://bitbucket.example.com:8443", ""},
		{"null", ""},
		{"*", ""},
	} {
		t.Run(c.origin, func(t *testing.T) {
			t.Parallel()
			r := get(resolvePath(fileURL))
			r.Header.Set("Origin", c.origin)
			a := ask(t, w.handler, r)
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != c.want {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, c.want)
			}
			if a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
			if !strings.Contains(a.Header.Get("Vary"), "Origin") {
				t.Error("Vary does not name Origin")
			}
			preflight := httptest.NewRequest(http.MethodOptions, "/api/v1/resolve", nil)
			preflight.Header.Set("Origin", c.origin)
			preflight.Header.Set("Access-Control-Request-Method", "POST")
			preflight.Header.Set("Access-Control-Request-Headers", "content-type")
			preflight.Header.Set("Access-Control-Request-Private-Network", "true")
			a = ask(t, w.handler, preflight)
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != c.want {
				t.Errorf("preflight: Access-Control-Allow-Origin %q, want %q", got, c.want)
			}
			if got := a.Header.Get("Access-Control-Allow-Private-Network"); (got == "true") != (c.want != "") {
				t.Errorf("preflight: Access-Control-Allow-Private-Network %q", got)
			}
		})
	}
	t.Run("the administrators' part is for no page", func(t *testing.T) {
		t.Parallel()
		r := asAdmin(get("/api/v1/site-config"))
		r.Header.Set("Origin", "https://bitbucket.example.com")
		if got := ask(t, w.handler, r).Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("Access-Control-Allow-Origin %q", got)
		}
	})
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(context.Context, string) (resolver.Result, error) { return resolver.Result{}, context.Canceled })
	for _, c := range []struct {
		name, sent string
		kept       bool
	}{
		{"one that a proxy sent is kept", "f3.A_-9", true},
		{"a long one is replaced", strings.Repeat("x", 65), false},
		{"one that a log could not hold is replaced", "a\"b", false},
		{"none becomes one", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := get(resolvePath(fileURL))
			r.Header.Set("X-Request-Id", c.sent)
			a := ask(t, w.handler, r)
			got := a.Header.Get("X-Request-Id")
			if got == "" || (got == c.sent) != c.kept {
				t.Errorf("sent %q, got %q", c.sent, got)
			}
			if p := wantProblem(t, a, 500, api.InternalError); p.RequestID != got {
				t.Errorf("the problem has request id %q, the header %q", p.RequestID, got)
			}
		})
	}
}

func TestTheLogHoldsNoAddressOfAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ask(t, w.handler, get(resolvePath("https://bitbucket.example.com/projects/SECRETPROJECT")))
	ask(t, w.handler, get("/go?url=SECRETPROJECT"))
	ask(t, w.handler, asAdmin(get("/api/v1/site-config")))
	for _, private := range []string{"SECRETPROJECT", adminToken, "canary-password"} {
		if strings.Contains(w.log.String(), private) {
			t.Errorf("the log holds %q:\n%s", private, w.log)
		}
	}
	if !strings.Contains(w.log.String(), `"route":"resolve"`) {
		t.Errorf("the request is not in the log:\n%s", w.log)
	}
}
