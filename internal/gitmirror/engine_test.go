package gitmirror

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/siteconfig"
)

func TestEngineIsChosen(t *testing.T) {
	for _, c := range []struct {
		engine, path, want string
	}{
		{"", "git", siteconfig.EngineGit},
		{siteconfig.EngineAuto, "git", siteconfig.EngineGit},
		{siteconfig.EngineAuto, "", siteconfig.EngineGoGit},
		{siteconfig.EngineAuto, "old git", siteconfig.EngineGoGit},
		{siteconfig.EngineAuto, "broken git", siteconfig.EngineGoGit},
		{siteconfig.EngineGoGit, "git", siteconfig.EngineGoGit},
		{siteconfig.EngineGit, "git", siteconfig.EngineGit},
		{siteconfig.EngineGit, "", ""},
		{siteconfig.EngineGit, "old git", ""},
	} {
		t.Run(c.engine+" with "+c.path, func(t *testing.T) {
			m := newFixture(t).Mirrors
			switch bin := t.TempDir(); c.path {
			case "git":
			case "":
				t.Setenv("PATH", bin)
			default:
				says := map[string]string{"old git": "git version 2.31.9", "broken git": "it broke"}[c.path]
				fakeGit(t, bin, "echo "+says)
				t.Setenv("PATH", bin+":/bin:/usr/bin")
			}
			m.Configure(Settings{Engine: c.engine})
			got, err := m.engine()
			switch {
			case c.want == "":
				if !errors.Is(err, errNoGitProgram) || !strings.Contains(err.Error(), `install git, or set gitEngine to "auto"`) {
					t.Errorf("engine: %v, %v; want what to do", got, err)
				}
			case err != nil:
				t.Error(err)
			case got.name() != c.want:
				t.Errorf("engine %s, want %s", got.name(), c.want)
			}
		})
	}
}

// fakeGit makes a program called git. Another process writes it: while a file is open for writing in this
// one, which starts others, it cannot be run (golang/go#22315).
func fakeGit(t *testing.T, bin, does string) (path string) {
	t.Helper()
	path = filepath.Join(bin, "git")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod 700 "$2"`, "sh", does, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestConformanceCanceledInTheMiddle cancels a fetch whose pack has begun to come: the engine's process is
// gone, tmp is empty and the mirror whole. While it runs, no secret is in its arguments or environment.
func TestConformanceCanceledInTheMiddle(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		w.origin.history()
		w.fetch(t)
		before := treeState(t, w.mirror())
		w.origin.commit("refs/heads/main", map[string]string{"big": noise(1<<20, 3)})
		heal := w.fault(bitbuckettest.Fault{Method: http.MethodPost, Effect: bitbuckettest.EffectStall, After: 300_000})

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := make(chan struct{})
		request := w.request()
		request.Progress = func() func(string) {
			once := sync.OnceFunc(func() { close(begun) })
			return func(string) { once() } // the server says something before it sends the pack to the engine
		}()
		ended := make(chan error)
		go func() {
			_, err := w.Fetch(ctx, request)
			ended <- err
		}()
		waitFor(t, "the beginning of the pack", begun)
		processes := processesAbout(t, w.data)
		if (len(processes) > 0) != (w.way.engine == siteconfig.EngineGit) {
			t.Errorf("processes of the engine: %q", processes)
		}
		for _, seen := range processes {
			w.wantNoCanary(t, "a process", seen)
		}
		cancel()
		var err error
		done := make(chan struct{})
		go func() { err = <-ended; close(done) }()
		waitFor(t, "the end of the fetch", done)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		if left := processesAbout(t, w.data); len(left) > 0 {
			t.Errorf("processes that are left: %q", left)
		}
		w.checkTmpEmpty(t)
		if after := treeState(t, w.mirror()); after != before {
			t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
		}
		heal()
		w.fetch(t)
		w.checkSame(t)
		err = filepath.WalkDir(w.data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			w.wantNoCanary(t, path, string(content))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// wantNoCanary fails when a text holds a secret in any of its forms.
func (w *world) wantNoCanary(t *testing.T, place, text string) {
	t.Helper()
	for _, secret := range []string{
		canaryPassword, canaryPhrase, base64.StdEncoding.EncodeToString([]byte(canaryUser + ":" + canaryPassword)), w.key,
		strings.Split(w.key, "\n")[1],
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a secret", place)
		}
	}
}

// processesAbout returns arguments and environment of the processes that this one started and that
// name a folder in their arguments.
func processesAbout(t *testing.T, folder string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		t.Fatalf("no processes to look at: %v", err)
	}
	var found []string
	for _, path := range all {
		arguments, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(arguments, []byte(folder)) { // it ended
			continue
		}
		if stat, err := os.ReadFile(filepath.Join(filepath.Dir(path), "stat")); err != nil || !isOurs(string(stat)) {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil {
			continue
		}
		found = append(found, string(arguments)+"\n"+string(environment))
	}
	return found
}

// isOurs tells from /proc/PID/stat whether this process is the parent of a living one.
func isOurs(stat string) bool {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	return len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(os.Getpid())
}

// TestConformanceInFrontOfGit puts what is not git before the list and before the pack.
func TestConformanceInFrontOfGit(t *testing.T) {
	t.Parallel()
	var leaks atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			leaks.Add(1)
		}
		w.Header().Set("Content-Type", packResultType)
		_, _ = fmt.Fprint(w, "0008NAK\n0000")
	}))
	t.Cleanup(func() {
		elsewhere.Close()
		if n := leaks.Load(); n > 0 {
			t.Errorf("the credential was sent elsewhere %d times", n)
		}
	})
	page := map[string]string{"Content-Type": "text/html"}
	for _, engine := range []string{siteconfig.EngineGit, siteconfig.EngineGoGit} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, c := range []struct {
				name  string
				fault bitbuckettest.Fault
				want  error
			}{
				{"a login page", bitbuckettest.Fault{Effect: bitbuckettest.EffectLoginPage}, bitbucket.ErrNotBitbucket},
				{"a redirect to a login page", bitbuckettest.Fault{Effect: bitbuckettest.EffectRedirect}, bitbucket.ErrNotBitbucket},
				{"a redirect elsewhere", bitbuckettest.Fault{Effect: bitbuckettest.EffectRedirect, Location: elsewhere.URL + "/scm/prj/repo.git/info/refs"}, bitbucket.ErrNotBitbucket},
				{"a redirect that keeps the method", bitbuckettest.Fault{Status: http.StatusTemporaryRedirect, Header: map[string]string{"Location": elsewhere.URL + "/scm/prj/repo.git/git-upload-pack"}}, bitbucket.ErrNotBitbucket},
				{"a proxy's error page", bitbuckettest.Fault{Status: http.StatusBadGateway, Header: page, Body: "<html>secret page"}, bitbucket.ErrUnavailable},
				{"a proxy's page that says 200", bitbuckettest.Fault{Status: http.StatusOK, Header: page, Body: "<html>secret page"}, bitbucket.ErrNotBitbucket},
				{"nothing at all", bitbuckettest.Fault{Status: http.StatusOK, Header: map[string]string{"Content-Type": advertisementType}}, nil},
				{"a rate limit", bitbuckettest.Fault{Effect: bitbuckettest.EffectRateLimited, RetryAfter: "7"}, bitbucket.ErrRateLimited},
				{"a connection that is cut", bitbuckettest.Fault{Effect: bitbuckettest.EffectCut, After: 100}, bitbucket.ErrUnavailable},
			} {
				t.Run(c.name+" for "+method+", "+engine, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, way{engine, "http"}, Options{})
					w.origin.history()
					w.fetch(t)
					before := treeState(t, w.mirror())
					w.origin.commit("refs/heads/main", map[string]string{"new": noise(1000, 3)})
					c.fault.Method = method
					heal := w.fault(c.fault)
					_, err := w.Fetch(t.Context(), w.request())
					if c.want == nil {
						wantErr(t, err)
					} else {
						wantErr(t, err, c.want)
					}
					if strings.Contains(err.Error(), "secret page") {
						t.Errorf("the error repeats the page: %v", err)
					}
					w.checkTmpEmpty(t)
					if after := treeState(t, w.mirror()); after != before {
						t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
					}
					heal()
					w.fetch(t)
					w.checkSame(t)
				})
			}
		}
	}
}

// TestConformanceCertificateAndProxy fetches by a name that only an HTTP proxy knows, with a certificate that
// only the connection trusts.
func TestConformanceCertificateAndProxy(t *testing.T) {
	t.Parallel()
	b, err := bitbuckettest.Start(bitbuckettest.Options{
		TLS: true, TLSHosts: []string{"bitbucket.example.com"}, BaseURL: "https://bitbucket.example.com/bitbucket", ContextPath: "/bitbucket",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	proxy, err := bitbuckettest.StartProxy(map[string]string{"bitbucket.example.com:443": b.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	if _, err := b.AddUser(bitbuckettest.User{Name: canaryUser, Password: canaryPassword}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddProject(bitbuckettest.Project{Key: "PRJ"}); err != nil {
		t.Fatal(err)
	}
	history := &bitbuckettest.History{Commits: []bitbuckettest.Commit{{Files: map[string]bitbuckettest.File{"a.go": bitbuckettest.Text("x")}}}}
	if _, err := b.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "app", History: history}); err != nil {
		t.Fatal(err)
	}
	base, err := bitbucket.ParseBaseURL(b.BaseURL())
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(proxy.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, certificate := range []string{b.CertificatePEM(), ""} {
		client, err := rest.New(rest.Options{
			Connection: "bitbucket", BaseURL: base, Username: canaryUser, Password: siteconfig.NewSecret(canaryPassword), CertificatePEM: certificate,
			Proxy: http.ProxyURL(address),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		for _, engine := range []string{siteconfig.EngineGit, siteconfig.EngineGoGit} {
			f := newFixture(t)
			f.Configure(Settings{Engine: engine})
			request := requestFor(f.id, b.BaseURL()+"/scm/prj/app.git")
			request.Transport, request.Authorize = client.Transport(), client.AuthorizeGit
			result, err := f.Fetch(t.Context(), request)
			switch {
			case certificate == "":
				wantErr(t, err, bitbucket.ErrUnavailable)
			case err != nil:
				t.Errorf("%s: %v", engine, err)
			case !result.Cloned || result.Engine != engine:
				t.Errorf("%s: %+v", engine, result)
			}
		}
	}
}

// TestWhatGitSaysIsJudged tells a fault of this machine from one of the pack.
func TestWhatGitSaysIsJudged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, program, err := f.current()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.data, "tmp", "stage")
	if err := initBare(dir); err != nil {
		t.Fatal(err)
	}
	store := func(ctx context.Context, e gitEngine, pack string) error {
		return e.store(ctx, strings.NewReader(pack), stage{dir: dir})
	}
	if err := store(t.Context(), gitEngine{program, &memory{}}, "PACK nonsense"); err == nil || isLocal(err) || !strings.Contains(err.Error(), "pack") {
		t.Errorf("nonsense: %v, want what git says of it", err)
	}
	for _, c := range []struct{ does, want string }{
		{`echo "fatal: write error: No space left on device" >&2; exit 128`, "No space left"},
		{`echo "fatal: Out of memory, malloc failed" >&2; exit 128`, "Out of memory"},
		{"kill -9 $$", "killed"},
		{"exit 0", ""},
	} {
		fake := &gitProgram{path: fakeGit(t, t.TempDir(), c.does), home: f.root}
		err := store(t.Context(), gitEngine{fake, &memory{}}, "PACK")
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.does, err)
			}
			continue
		}
		if !isLocal(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a fault of this machine", c.does, err)
		}
	}
	err = store(t.Context(), gitEngine{&gitProgram{path: filepath.Join(f.data, "none"), home: f.root}, &memory{}}, "PACK")
	if !isLocal(err) {
		t.Errorf("a program that is gone: %v, want a fault of this machine", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}
