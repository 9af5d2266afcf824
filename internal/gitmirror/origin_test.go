package gitmirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// canary is the credential of every test. It must be found nowhere.
const (
	canaryUser     = "canary-user"
	canaryPassword = "canary-PaSsWoRd-1f8ac10f"
)

// gitEnv shuts the machine's configuration out.
func gitEnv(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com", "GIT_COMMITTER_DATE=1577836800 +0000",
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_AUTHOR_DATE=1577836800 +0000",
	}
}

// runGit runs the real git in dir and returns what it printed, without the last line end.
func runGit(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(dir), strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// origin is a repository served by git's own http-backend, at a path such as Bitbucket's.
type origin struct {
	t      testing.TB
	dir    string // the bare repository
	server *httptest.Server
	clock  int // seconds of the next commit

	mu       sync.Mutex
	requests []string // method and path
	// fault answers a request instead of git when it returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
	// wrap replaces the writer that git answers to, when set.
	wrap func(w http.ResponseWriter, r *http.Request) http.ResponseWriter
}

const originPath = "/bitbucket/scm/prj/repo.git"

// newOrigin returns an origin with an empty repository whose HEAD names main.
func newOrigin(t testing.TB) *origin {
	t.Helper()
	root := t.TempDir()
	o := &origin{t: t, dir: filepath.Join(root, "prj", "repo.git"), clock: 1577836800}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	runGit(t, o.dir, "", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", ".")
	for _, setting := range []string{"gc.auto", "receive.autogc"} {
		runGit(t, o.dir, "", "config", setting, "0")
	}
	backend := strings.TrimSpace(runGit(t, o.dir, "", "--exec-path")) + "/git-http-backend"
	handler := &cgi.Handler{
		Path: backend, Root: "/bitbucket/scm", Dir: root, Logger: nil, Stderr: io.Discard,
		Env: append(gitEnv(root), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1"),
	}
	o.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.requests = append(o.requests, r.Method+" "+r.URL.Path)
		fault, wrap := o.fault, o.wrap
		o.mu.Unlock()
		if fault != nil && fault(w, r) {
			return
		}
		if user, password, _ := r.BasicAuth(); user != canaryUser || password != canaryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="Atlassian Bitbucket"`)
			http.Error(w, "Authentication failed", http.StatusUnauthorized)
			return
		}
		if wrap != nil {
			w = wrap(w, r)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(o.server.Close)
	return o
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	return runGit(o.t, o.dir, "", args...)
}

// setFault makes answers of the origin go through fault; nil heals it.
func (o *origin) setFault(fault func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = fault
}

func (o *origin) setWrap(wrap func(w http.ResponseWriter, r *http.Request) http.ResponseWriter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrap = wrap
}

// takeRequests returns the requests since the last call.
func (o *origin) takeRequests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	got := o.requests
	o.requests = nil
	return got
}

// commit adds a commit to a ref, which it makes when needed, and returns its hash. Contents by
// path; a path that ends in "@" is a symbolic link, one that ends in "!" a submodule.
func (o *origin) commit(ref string, files map[string]string) string {
	o.t.Helper()
	var s strings.Builder
	o.clock++
	fmt.Fprintf(&s, "commit %s\nmark :1\ncommitter T <t@example.com> %d +0000\ndata 2\nx\n", ref, o.clock)
	if runGit(o.t, o.dir, "", "for-each-ref", ref) != "" {
		fmt.Fprintf(&s, "from %s^0\n", ref)
	}
	for path, content := range files {
		switch path[len(path)-1] {
		case '!':
			fmt.Fprintf(&s, "M 160000 %s %s\n", content, path[:len(path)-1])
		case '@':
			fmt.Fprintf(&s, "M 120000 inline %s\ndata %d\n%s\n", path[:len(path)-1], len(content), content)
		default:
			fmt.Fprintf(&s, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
		}
	}
	runGit(o.t, o.dir, s.String(), "fast-import", "--quiet", "--force")
	return o.git("rev-parse", ref)
}

// refs returns what the origin's branches and tags point to, as ls-remote shows them.
func refsOf(t testing.TB, dir string) string {
	t.Helper()
	return runGit(t, dir, "", "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
}

// bench of one mirror under test.
type fixture struct {
	*Mirrors
	origin *origin
	data   string
	id     bitbucket.RepoID
	ask    func() syncer.FetchRequest // replaces what the syncer would ask; may be nil
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	return newFixtureWith(t, Options{})
}

func newFixtureWith(t testing.TB, o Options) *fixture {
	t.Helper()
	data := t.TempDir()
	o.Root, o.Tmp = filepath.Join(data, "mirrors"), filepath.Join(data, "tmp")
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return &fixture{Mirrors: m, origin: newOrigin(t), data: data, id: bitbucket.RepoID{Connection: "bitbucket", Number: 42}}
}

func (f *fixture) mirror() string {
	return filepath.Join(f.data, "mirrors", "bitbucket", "42.git")
}

// request is what the syncer would ask.
func (f *fixture) request() syncer.FetchRequest {
	if f.ask != nil {
		return f.ask()
	}
	return requestFor(f.id, f.origin.server.URL+originPath)
}

func requestFor(id bitbucket.RepoID, cloneURL string) syncer.FetchRequest {
	return syncer.FetchRequest{
		Repo:      id,
		CloneURL:  cloneURL,
		Transport: &http.Transport{},
		Authorize: func(r *http.Request) { r.SetBasicAuth(canaryUser, canaryPassword) },
	}
}

func (f *fixture) fetch(t testing.TB) syncer.FetchResult {
	t.Helper()
	result, err := f.Fetch(t.Context(), f.request())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// checkSame fails unless the mirror has the origin's branches, tags and HEAD, its objects
// are whole, and nothing is left over.
func (f *fixture) checkSame(t testing.TB) {
	t.Helper()
	if got, want := refsOf(t, f.mirror()), refsOf(t, f.origin.dir); got != want {
		t.Errorf("refs of the mirror:\n%s\nwant:\n%s", got, want)
	}
	if got, want := runGit(t, f.mirror(), "", "symbolic-ref", "HEAD"), f.origin.git("symbolic-ref", "HEAD"); got != want {
		t.Errorf("HEAD of the mirror is %s, want %s", got, want)
	}
	f.checkWhole(t)
}

// checkWhole fails unless git finds no fault with the mirror, and tmp is empty.
func (f *fixture) checkWhole(t testing.TB) {
	t.Helper()
	runGit(t, f.mirror(), "", "fsck", "--full", "--strict", "--no-dangling")
	f.checkTmpEmpty(t)
}

func (f *fixture) checkTmpEmpty(t testing.TB) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(f.data, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("%d leftovers in tmp, such as %s", len(left), left[0].Name())
	}
}

// wantErr fails unless err wraps every one of targets, and tells nothing that it must not.
func wantErr(t testing.TB, err error, targets ...error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", targets)
	}
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error %q is not %q", err, target)
		}
	}
	if strings.Contains(err.Error(), canaryPassword) || strings.Contains(err.Error(), canaryUser) {
		t.Errorf("the error tells the credential: %q", err)
	}
}

// cutWriter breaks the connection after so many bytes of a body.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		p = p[:w.left]
	}
	n, err := w.ResponseWriter.Write(p)
	w.left -= n
	if err == nil && w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// cutPacks makes the origin break every pack off after so many bytes.
func (o *origin) cutPacks(after int) {
	o.setWrap(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method == http.MethodPost {
			return &cutWriter{ResponseWriter: w, left: after}
		}
		return w
	})
}

// waitFor waits until done is closed, for a bounded time.
func waitFor(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("%s did not happen", what)
	}
}
