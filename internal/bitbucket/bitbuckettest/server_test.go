package bitbuckettest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// versions are the ones that the double must know at least.
var versions = []string{"4.0", "4.14", "5.4", "5.5", "5.16", "6.10", "7.21", "8.19", "9.4"}

const (
	adminToken  = "BBDC-admin/token+1"
	readerToken = "BBDC-reader"
)

// startWithGit is start with commits in PRJ/app and in its fork.
func startWithGit(t *testing.T, o bitbuckettest.Options) *bitbuckettest.Server {
	t.Helper()
	return startWith(t, o, history())
}

// start starts a Bitbucket with accounts, projects and empty repositories. "reader" may not see PRJ/hidden.
func start(t *testing.T, o bitbuckettest.Options) *bitbuckettest.Server {
	t.Helper()
	return startWith(t, o, nil)
}

func startWith(t *testing.T, o bitbuckettest.Options, app *bitbuckettest.History) *bitbuckettest.Server {
	t.Helper()
	s, err := bitbuckettest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	for _, u := range []bitbuckettest.User{
		{Name: "admin", Password: "admin secret", Email: "admin@example.com", DisplayName: "Administrator", Admin: true, Tokens: []string{adminToken}},
		{Name: "reader", Password: "reader secret", Email: "reader@example.com", Tokens: []string{readerToken}},
		{Name: "First.Last", Password: "p", Email: "first.last@example.com", DisplayName: "First Last"},
	} {
		if _, err := s.AddUser(u); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []bitbuckettest.Project{
		{Key: "PRJ", Name: "A project", Description: "What the tests read."},
		{Key: "OLD", Name: "Old things"},
		{Owner: "First.Last"},
	} {
		if _, err := s.AddProject(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []bitbuckettest.Repository{
		{Project: "PRJ", Slug: "app", History: app, Labels: []string{"team-a"}},
		{Project: "PRJ", Slug: "hidden", Readers: []string{}},
		{Project: "PRJ", Name: "My.Dotted-Repo", Slug: "My.Dotted-repo"},
		{Project: "PRJ", Slug: "attic", Archived: true, Labels: []string{"archived"}},
		{Project: "~FIRST.LAST", Slug: "notes"},
		{Project: "~FIRST.LAST", Slug: "app", Origin: "PRJ/app"},
	} {
		if _, err := s.AddRepository(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func history() *bitbuckettest.History {
	return &bitbuckettest.History{
		Commits: []bitbuckettest.Commit{
			{Label: "first", Message: "Begin", Author: "Administrator <admin@example.com>", Files: map[string]bitbuckettest.File{
				"README.md":             bitbuckettest.Text("# App\n\nHello.\n"),
				"cmd/a.go":              bitbuckettest.Text("package main\n"),
				"run.sh":                bitbuckettest.Executable("#!/bin/sh\n"),
				"link":                  bitbuckettest.Symlink("README.md"),
				"third_party/lib":       bitbuckettest.Submodule("1111111111111111111111111111111111111111"),
				"docs/ünïcode \"x\".md": bitbuckettest.Text("unicode\n"),
			}},
			{Label: "second", Message: "Go on", Files: map[string]bitbuckettest.File{"cmd/a.go": bitbuckettest.Text("package main\n\nfunc main() {}\n")}},
			{Label: "feature", Branch: "feature/x", From: "first", Files: map[string]bitbuckettest.File{"cmd/b.go": bitbuckettest.Text("package main\n")}},
			{Label: "merge", Merge: []string{"feature"}, Message: "Merge"},
		},
		Tags: []bitbuckettest.Tag{
			{Name: "v1.0", Target: "first"},
			{Name: "release/1.1", Target: "second", Message: "Release 1.1"},
		},
	}
}

// request sends a GET for a path below the base URL. credential is "", "user:password" or "Bearer token".
func request(t *testing.T, s *bitbuckettest.Server, path, credential string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token, ok := strings.CutPrefix(credential, "Bearer "); ok {
		req.Header.Set("Authorization", "Bearer "+token)
	} else if name, password, ok := strings.Cut(credential, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	client := &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() }) //nolint:errcheck // read to its end
	return res
}

// get is request for a JSON answer.
func get(t *testing.T, s *bitbuckettest.Server, path, credential string) (status int, answer map[string]any) {
	t.Helper()
	res := request(t, s, path, credential)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatalf("GET %s: %d, no JSON: %s", path, res.StatusCode, body)
		}
	}
	return res.StatusCode, answer
}

const (
	asAdmin  = "admin:admin secret"
	asReader = "reader:reader secret"
)

// git runs the program git without the machine's configuration and returns what it printed.
func git(t *testing.T, dir string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "LC_ALL=C",
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func TestGitClonesEveryVersion(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := startWithGit(t, bitbuckettest.Options{Version: version, ContextPath: "/git/bitbucket"})
			address := strings.Replace(s.URL(), "://", "://admin:admin%20secret@", 1) + "/scm/prj/app.git"
			dir := filepath.Join(t.TempDir(), "clone")
			if out, err := git(t, "/", "clone", "--quiet", address, dir); err != nil {
				t.Fatalf("clone with Basic: %v\n%s", err, out)
			}
			out, err := git(t, dir, "log", "--format=%H %s", "-1")
			if err != nil {
				t.Fatal(out)
			}
			if want := "ce4f9fe64c9bbade17b9a5ae683c35aed6bccd01 Merge\n"; out != want {
				t.Errorf("HEAD is %q, want %q: hashes must not depend on the machine", out, want)
			}
			bearer := filepath.Join(t.TempDir(), "bearer")
			out, err = git(t, "/", "-c", "http.extraHeader=Authorization: Bearer "+adminToken, "clone", "--quiet", s.URL()+"/scm/PRJ/app.git", bearer)
			if (err == nil) != s.HasTokens() {
				t.Errorf("clone with Bearer on %s: %v\n%s", version, err, out)
			}
		})
	}
}
