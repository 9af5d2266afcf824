package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/resolver"
)

// An odd path is not there. It is not redirected to what somebody might take it for.
func TestOddPathsAreNotRedirected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "//api/v1/resolve"},
		{http.MethodPost, "/api/v1//resolve"},
		{http.MethodGet, "/api/v1/resolve/../site-config"},
		{http.MethodGet, "/api/v1/./resolve"},
		{http.MethodGet, "/api/v1/resolve//"},
		{http.MethodGet, "//evil.test/%2e%2e"},
		{http.MethodGet, "/api/v1%2Fresolve"},
		{http.MethodGet, "/api/v1/res%6Flve"},
		{http.MethodConnect, ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, "/", nil)
			r.URL.Path, r.URL.RawPath = c.path, ""
			if decoded := strings.NewReplacer("%2F", "/", "%6F", "o", "%2e", ".").Replace(c.path); decoded != c.path {
				r.URL.Path, r.URL.RawPath = decoded, c.path
			}
			a := ask(t, w.handler, r)
			wantProblem(t, a, 404, api.NotFound)
			if location := a.Header.Get("Location"); location != "" {
				t.Errorf("redirected to %q", location)
			}
		})
	}
}

// Browsers close connections whenever somebody leaves a page: that must not look like a
// failure of the server, neither in the log nor to who counts 500s.
func TestAClientThatWentAwayIsNoFailureOfTheServer(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]*http.Request{
		"one":   get(resolvePath(fileURL)),
		"go":    get("/go?url=" + fileURL),
		"batch": send(http.MethodPost, "/api/v1/resolve", `{"urls":["x","y"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, leave := context.WithCancel(t.Context())
			w := newWorld(t, func(ctx context.Context, _ string) (resolver.Result, error) {
				leave()
				<-ctx.Done()
				return resolver.Result{}, ctx.Err()
			})
			recorder := httptest.NewRecorder()
			w.handler.ServeHTTP(recorder, request.WithContext(ctx))
			metrics := string(ask(t, w.handler, get("/metrics")).body)
			if strings.Contains(metrics, `status="500"`) || !strings.Contains(metrics, `status="499"} 1`) {
				t.Errorf("counted as a failure: the status was %d", recorder.Code)
			}
			if log := w.log.String(); strings.Contains(log, `"ERROR"`) || strings.Contains(log, `"WARN"`) {
				t.Errorf("logged as a failure:\n%s", log)
			}
		})
	}
}

// The page of an internal error names a request id; the log must have it.
func TestTheLogHasTheRequestIDOfWhatFailed(t *testing.T) {
	t.Parallel()
	panics := func(context.Context, string) (resolver.Result, error) { panic("in the middle") }
	late := func(ctx context.Context, _ string) (resolver.Result, error) {
		<-ctx.Done()
		return resolver.Result{}, ctx.Err()
	}
	soon := func(o *api.Options) { o.Timeout = time.Millisecond }
	for name, c := range map[string]struct {
		resolve func(context.Context, string) (resolver.Result, error)
		request *http.Request
		says    string
	}{
		"a panic":             {panics, get(resolvePath(fileURL)), "panic while answering a request"},
		"a panic in a batch":  {panics, send(http.MethodPost, "/api/v1/resolve", `{"urls":["x"]}`), "panic while answering a request"},
		"too slow":            {late, get(resolvePath(fileURL)), "request failed"},
		"too slow in a batch": {late, send(http.MethodPost, "/api/v1/resolve", `{"urls":["x"]}`), "resolving some of a batch failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.resolve, soon)
			c.request.Header.Set("X-Request-Id", "the-one-at-fault")
			ask(t, w.handler, c.request)
			found := false
			for line := range strings.Lines(w.log.String()) {
				found = found || strings.Contains(line, c.says) && strings.Contains(line, `"request_id":"the-one-at-fault"`)
			}
			if !found {
				t.Errorf("no line with %q and the request id:\n%s", c.says, w.log)
			}
		})
	}
}

func TestACompressedBodyIsRefusedInWords(t *testing.T) {
	t.Parallel()
	compress := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text)) // a buffer takes everything
		_ = z.Close()
		return b.String()
	}
	for name, r := range map[string]*http.Request{
		"resolve":     send(http.MethodPost, "/api/v1/resolve", compress(`{"urls":["x"]}`), "Content-Encoding", "gzip"),
		"primary-url": asAdmin(send(http.MethodPut, "/api/v1/primary-url", compress(`{"primaryURL":"https://x.example"}`), "Content-Encoding", "gzip")),
		"site-config": asAdmin(send(http.MethodPut, "/api/v1/site-config", compress("{}"), "Content-Encoding", "gzip", "If-Match", `"1"`)),
		"check":       asAdmin(send(http.MethodPost, "/api/v1/site-config/check", compress("{}"), "Content-Encoding", "br")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := wantProblem(t, ask(t, newWorld(t, nil).handler, r), 415, api.UnsupportedMediaType)
			if !strings.Contains(p.Detail, "Content-Encoding") {
				t.Errorf("detail %q", p.Detail)
			}
		})
	}
}

// A request id goes into the log and the answer only if it can do no harm there.
func TestARequestIDCannotForgeTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for sent, kept := range map[string]bool{
		"from-the-proxy_1.2":             true,
		"":                               false,
		`a","level":"ERROR","msg":"b`:    false,
		"a\nb":                           false,
		"<script>":                       false,
		strings.Repeat("a", 65):          false,
		"id\u00a0with-something-unusual": false,
	} {
		r := get("/healthz")
		r.Header["X-Request-Id"] = []string{sent}
		got := ask(t, w.handler, r).Header.Get("X-Request-Id")
		if got == "" || (got == sent) != kept {
			t.Errorf("%q became %q", sent, got)
		}
	}
}

// A Bitbucket that is down takes one line of the log for a batch, not a hundred; and a defect
// behind it is not lost.
func TestABatchThatFailsIsLoggedOnceForEachCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ context.Context, raw string) (resolver.Result, error) {
		if raw == "defect" {
			return resolver.Result{}, errors.New("a defect")
		}
		return resolver.Result{}, resolver.ErrBitbucketUnavailable
	})
	body := `{"urls":["defect"` + strings.Repeat(`,"x"`, 99) + `]}`
	ask(t, w.handler, send(http.MethodPost, "/api/v1/resolve", body))
	log := w.log.String()
	if n := strings.Count(log, "resolving some of a batch failed"); n != 2 || !strings.Contains(log, `"failed":99`) || !strings.Contains(log, "a defect") {
		t.Errorf("%d lines, want one for each of two codes:\n%s", n, log)
	}
}
