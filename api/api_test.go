package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/api"
	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/sourcegraph"
	"example.com/signpost/resolver"
)

const (
	adminToken = "correct-horse-battery-staple"
	primary    = "https://sourcegraph.example.com"
	fileURL    = "https://bitbucket.example.com/projects/PRJ/repos/app/browse/a.go#10-15"
)

// fakeResolver answers with a function.
type fakeResolver struct {
	resolve func(ctx context.Context, raw string) (resolver.Result, error)
}

func (f fakeResolver) Resolve(ctx context.Context, raw string) (resolver.Result, error) {
	return f.resolve(ctx, raw)
}

// fakeConfiguration keeps versions in memory and checks them as the real one does.
type fakeConfiguration struct {
	mu       sync.Mutex
	text     string
	version  int64
	config   *siteconfig.Config
	readOnly bool
	overtake func(f *fakeConfiguration) // somebody else's change, just before a Put
	slow     bool                       // reading a text takes longer than anybody waits
	full     bool                       // nothing more can be stored
}

func newFakeConfiguration(t *testing.T, text string) *fakeConfiguration {
	t.Helper()
	config, problems := siteconfig.Check(text, siteconfig.CheckOptions{})
	if config == nil {
		t.Fatal(problems)
	}
	config.Version = 1
	return &fakeConfiguration{text: text, version: 1, config: config}
}

func (f *fakeConfiguration) Current() *siteconfig.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.config
}

func (f *fakeConfiguration) Text(ctx context.Context) (siteconfig.StoredVersion, error) {
	if f.slow {
		<-ctx.Done()
		return siteconfig.StoredVersion{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return siteconfig.StoredVersion{Version: f.version, Text: f.text}, nil
}

func (f *fakeConfiguration) Check(ctx context.Context, text string) (siteconfig.Problems, error) {
	if _, err := f.Text(ctx); err != nil {
		return nil, err
	}
	_, problems := siteconfig.Check(text, siteconfig.CheckOptions{})
	return problems, nil
}

func (f *fakeConfiguration) Put(ctx context.Context, text string, expected int64, _ string) (*siteconfig.Config, siteconfig.Problems, error) {
	if _, err := f.Text(ctx); err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readOnly {
		return nil, nil, siteconfig.ErrReadOnly
	}
	if f.overtake != nil {
		f.overtake(f)
		f.overtake = nil
	}
	if expected != f.version {
		return nil, nil, siteconfig.ErrConflict
	}
	text, err := siteconfig.Unmask(text, f.text)
	if err != nil {
		return nil, nil, err
	}
	config, problems := siteconfig.Check(text, siteconfig.CheckOptions{})
	if config == nil {
		return nil, problems, siteconfig.ErrInvalid
	}
	if f.full {
		return nil, nil, siteconfig.ErrStorageFull
	}
	f.version++
	config.Version = f.version
	f.text, f.config = text, config
	return config, problems, nil
}

const siteConfig = `{
  // the instance of the tests
  "primaryURL": "https://sourcegraph.example.com",
  "bitbucketServer": [{
    "url": "https://bitbucket.example.com",
    "username": "bot",
    "password": "canary-password-7c1f", // of the bot
  }],
}
`

// world is a server under test.
type world struct {
	handler      http.Handler
	config       *fakeConfiguration
	repositories *fakeRepositories
	log          *bytes.Buffer
}

func newWorld(t *testing.T, resolve func(ctx context.Context, raw string) (resolver.Result, error), change ...func(*api.Options)) *world {
	t.Helper()
	if resolve == nil {
		resolve = func(context.Context, string) (resolver.Result, error) { return linkTo("/x"), nil }
	}
	w := &world{config: newFakeConfiguration(t, siteConfig), repositories: newFakeRepositories(), log: new(bytes.Buffer)}
	options := api.Options{
		Resolver:      fakeResolver{resolve},
		Configuration: w.config,
		Repositories:  w.repositories,
		Webhooks:      new(fakeWebhooks),
		Metrics:       prometheus.NewRegistry(),
		AdminToken:    siteconfig.NewSecret(adminToken),
		Logger:        slog.New(slog.NewJSONHandler(&lockedWriter{w: w.log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&options)
	}
	server, err := api.New(options)
	if err != nil {
		t.Fatal(err)
	}
	w.handler = server.Handler()
	return w
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// linkTo is a result as package resolver makes them.
func linkTo(path string) resolver.Result {
	link := &resolver.Link{
		URL: primary + path, Kind: "blob", Exact: true, Path: "a.go",
		Repository: &resolver.LinkRepository{Name: "bitbucket.example.com/PRJ/app", ProjectKey: "PRJ", Slug: "app", ID: 42},
		Lines:      []bitbucket.LineRange{{Start: 10, End: 15}},
		Links:      map[string]string{"blob": primary + path},
	}
	body, err := json.Marshal(link)
	if err != nil {
		panic(err)
	}
	return resolver.Result{Link: link, JSON: append(body, '\n'), MaxAge: 30 * time.Second}
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

func send(method, path, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func asAdmin(r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer "+adminToken)
	return r
}

// wantProblem checks the status and code of a problem.
func wantProblem(t *testing.T, a answer, status int, code api.ProblemCode) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("status %d, and no problem: %v\n%s", a.StatusCode, err, a.body)
	}
	if a.StatusCode != status || p.Status != status || p.Code != code {
		t.Errorf("got %d %s, want %d %s\n%s", a.StatusCode, p.Code, status, code, a.body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if p.Detail == "" || p.Title == "" {
		t.Errorf("a problem must say what to do: %s", a.body)
	}
	return p
}

func mustInstance(t *testing.T, raw string) sourcegraph.Instance {
	t.Helper()
	instance, err := sourcegraph.ParseInstance(raw)
	if err != nil {
		t.Fatal(err)
	}
	return instance
}
