package rest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

const (
	botName     = "signpost-bot"
	botPassword = "pass/word+1"
	botToken    = "MDE1/token+value"
)

// baseURL reads an address for Options.
func baseURL(t *testing.T, raw string) bitbucket.BaseURL {
	t.Helper()
	b, err := bitbucket.ParseBaseURL(raw)
	if err != nil {
		t.Fatalf("ParseBaseURL(%q): %v", raw, err)
	}
	return b
}

// newClient returns a client with a user's password and waits too short to notice.
func newClient(t *testing.T, address string, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{
		Connection:    "bb",
		BaseURL:       baseURL(t, address),
		Username:      botName,
		Password:      siteconfig.NewSecret(botPassword),
		Timeout:       10 * time.Second,
		RetryMax:      2,
		RetryWaitMin:  time.Microsecond,
		RetryWaitMax:  time.Millisecond,
		RateLimitWait: time.Microsecond,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func withToken(o *Options) {
	o.Token, o.Username, o.Password = siteconfig.NewSecret(botToken), "", siteconfig.Secret{}
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func anonymous(o *Options) { o.Username, o.Password = "", siteconfig.Secret{} }

// routes says what answers which path below rest/api/1.0/.
type routes map[string]http.HandlerFunc

// fakeServer is a Bitbucket of one version below /ctx that answers its routes. It tells its
// version to all and its account to whoever logs in.
type fakeServer struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newServer(t *testing.T, version string, r routes) *fakeServer {
	t.Helper()
	s := &fakeServer{}
	s.Server = httptest.NewServer(s.handler(version, r))
	t.Cleanup(s.Close)
	return s
}

func (s *fakeServer) handler(version string, r routes) http.Handler {
	defaults := routes{
		"application-properties": body(http.StatusOK, fmt.Sprintf(`{"version":%q}`, version)),
		"users": func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-AUSERNAME", "signpost%2Dbot")
			body(http.StatusOK, `{"size":0,"limit":1,"isLastPage":true,"values":[],"start":0}`)(w, req)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, req.Clone(req.Context()))
		s.mu.Unlock()
		path, ok := strings.CutPrefix(req.URL.EscapedPath(), "/ctx/rest/api/1.0/")
		handle := r[path]
		if handle == nil {
			handle = defaults[path]
		}
		if handle == nil {
			handle = r["*"]
		}
		if !ok || handle == nil {
			body(http.StatusNotFound, `{"errors":[{"context":null,"message":"null for uri","exceptionName":null}]}`)(w, req)
			return
		}
		handle(w, req)
	})
}

func (s *fakeServer) base() string { return s.URL + "/ctx" }

// asked returns path and query of the requests so far, without those about version and account.
func (s *fakeServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, r := range s.seen {
		uri := strings.TrimPrefix(r.URL.RequestURI(), "/ctx/rest/api/1.0/")
		if uri != "application-properties" && uri != "users?limit=1" {
			got = append(got, uri)
		}
	}
	return got
}

// requests returns everything that was asked.
func (s *fakeServer) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.seen...)
}

// last returns the last request with the path below rest/api/1.0/.
func (s *fakeServer) last(path string) *http.Request {
	var last *http.Request
	for _, r := range s.requests() {
		if r.URL.EscapedPath() == "/ctx/rest/api/1.0/"+path {
			last = r
		}
	}
	return last
}

// count returns how many requests there were with the path below rest/api/1.0/.
func (s *fakeServer) count(path string) int {
	n := 0
	for _, r := range s.requests() {
		if r.URL.EscapedPath() == "/ctx/rest/api/1.0/"+path {
			n++
		}
	}
	return n
}

// body answers a status and a JSON text.
func body(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// file answers a status and a file of testdata.
func file(t *testing.T, status int, name string) http.HandlerFunc {
	t.Helper()
	text := readFile(t, name)
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(name, ".html") {
			w.Header().Set("Content-Type", "text/html;charset=UTF-8")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
			return
		}
		body(status, text)(w, r)
	}
}

// inTurn answers each request with the next handler, and the last one for ever.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		handle := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		handle(w, r)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantError fails unless err is all of want and its text holds each of texts; want nothing
// means no error.
func wantError(t *testing.T, err error, want []error, texts ...string) {
	t.Helper()
	if len(want) == 0 && err != nil {
		t.Fatalf("error %v, want none", err)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("error %q, want it to be %q", errorText(err), w)
		}
	}
	for _, text := range texts {
		if !strings.Contains(errorText(err), text) {
			t.Errorf("error %q does not say %q", errorText(err), text)
		}
	}
	for _, secret := range []string{botPassword, botToken, url.QueryEscape(botPassword), url.QueryEscape(botToken)} {
		if strings.Contains(errorText(err), secret) {
			t.Errorf("error %q holds the secret", errorText(err))
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}

// transportFunc is a network in memory: with it, time can be that of synctest.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// served returns a network in which handler answers every request.
func served(handler http.Handler) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		w := httptest.NewRecorder()
		request := r.Clone(r.Context())
		request.RequestURI = r.URL.RequestURI()
		handler.ServeHTTP(w, request)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	}
}

// offline returns a client whose network is handler, and what it was asked.
func offline(t *testing.T, version string, r routes, change ...func(*Options)) (*Client, *fakeServer) {
	t.Helper()
	s := &fakeServer{}
	c := newClient(t, "https://bitbucket.example.com/ctx", append([]func(*Options){func(o *Options) {
		o.RetryWaitMin, o.RetryWaitMax, o.RateLimitWait, o.RetryMax = 0, 0, 0, 0
	}}, change...)...)
	network := served(s.handler(version, r))
	c.base, c.git = network, network
	return c, s
}
