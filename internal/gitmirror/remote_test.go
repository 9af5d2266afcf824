package gitmirror

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// pkt returns text as a pkt-line.
func pkt(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	answer := func(status int, header map[string]string, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	adv := map[string]string{"Content-Type": advertisementType}
	result := map[string]string{"Content-Type": packResultType}
	notFound := "ERR Repository not found\nThe requested repository does not exist, or you do not have permission to\naccess it.\n"
	captcha := "ERR CAPTCHA required\nYour Bitbucket account has been locked. To unlock it and log in again you must\nsolve a CAPTCHA.\n"
	for _, c := range []struct {
		name   string
		method string
		answer func(http.ResponseWriter)
		want   []error
		text   string // part of the error
	}{
		{"401", "GET", answer(401, nil, "secret page"), []error{bitbucket.ErrUnauthorized}, "token"},
		{"401 with a CAPTCHA in the header", "GET", answer(401, map[string]string{"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE; login-url=x"}, ""), []error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden}, "CAPTCHA"},
		{"403", "GET", answer(403, nil, "secret page"), []error{bitbucket.ErrForbidden}, "basic authentication"},
		{"403 with a CAPTCHA in the page", "GET", answer(403, nil, "CAPTCHA required. secret page"), []error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden}, "browser"},
		{"404", "GET", answer(404, nil, "secret page"), []error{bitbucket.ErrNotFound}, "404"},
		{"429", "GET", answer(429, map[string]string{"Retry-After": "7"}, "secret page"), []error{bitbucket.ErrRateLimited}, "429"},
		{"407", "GET", answer(407, nil, ""), []error{bitbucket.ErrUnavailable}, "proxy"},
		{"500", "GET", answer(500, nil, "secret page"), []error{bitbucket.ErrUnavailable}, "500"},
		{"503", "GET", answer(503, map[string]string{"Retry-After": "7"}, "<html>secret page"), []error{bitbucket.ErrUnavailable}, "503"},
		{"418", "GET", answer(418, nil, "secret page"), []error{bitbucket.ErrNotBitbucket}, "418"},
		{"204", "GET", answer(204, nil, ""), []error{bitbucket.ErrNotBitbucket}, "204"},
		{"a web page", "GET", answer(200, map[string]string{"Content-Type": "text/html; charset=UTF-8"}, "<html>secret page"), []error{bitbucket.ErrNotBitbucket}, "web page"},
		{"JSON", "GET", answer(200, map[string]string{"Content-Type": "application/json"}, "{}"), []error{bitbucket.ErrNotBitbucket}, "not git's"},
		{"a web page that says it were git's", "GET", answer(200, adv, "<html>secret page"), []error{bitbucket.ErrUnavailable}, "damaged"},
		{"an empty answer", "GET", answer(200, adv, ""), []error{bitbucket.ErrUnavailable}, "damaged"},
		{"a cut-off list", "GET", answer(200, adv, pkt("# service=git-upload-pack\n")+"0000"+pkt(strings.Repeat("1", 40)+" HEAD\x00symref=HEAD:refs/heads/main\n")), []error{bitbucket.ErrUnavailable}, "damaged"},
		{"no such repository", "GET", answer(200, adv, pkt("# service=git-upload-pack\n")+"0000"+pkt(notFound)), []error{bitbucket.ErrNotFound}, "may not read"},
		{"no such repository, at once", "GET", answer(200, adv, pkt(notFound)), []error{bitbucket.ErrNotFound}, "may not read"},
		{"CAPTCHA", "GET", answer(200, adv, pkt(captcha)), []error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden}, "browser"},
		{"another refusal", "GET", answer(200, adv, pkt("ERR upload queue\x1b[31m is full\n")), []error{bitbucket.ErrUnavailable}, "upload queue [31m is full"},

		{"401 for the pack", "POST", answer(401, nil, ""), []error{bitbucket.ErrUnauthorized}, "token"},
		{"429 for the pack", "POST", answer(429, map[string]string{"Retry-After": "7"}, ""), []error{bitbucket.ErrRateLimited}, "429"},
		{"503 for the pack", "POST", answer(503, nil, ""), []error{bitbucket.ErrUnavailable}, "503"},
		{"a web page for the pack", "POST", answer(200, map[string]string{"Content-Type": "text/html"}, "<html>"), []error{bitbucket.ErrNotBitbucket}, "web page"},
		{"no such repository for the pack", "POST", answer(200, result, pkt(notFound)), []error{bitbucket.ErrNotFound}, "may not read"},
		{"CAPTCHA for the pack", "POST", answer(200, result, pkt(captcha)), []error{bitbucket.ErrCaptcha}, "browser"},
		{"nothing for the pack", "POST", answer(200, result, ""), []error{bitbucket.ErrUnavailable}, ""},
		{"an empty pack", "POST", answer(200, result, pkt("NAK\n")+"0000"), []error{bitbucket.ErrUnavailable}, ""},
		{"a pack of nonsense", "POST", answer(200, result, pkt("NAK\n")+pkt("\x01PACKnonsense")+"0000"), []error{bitbucket.ErrUnavailable}, ""},
		{"a pack with nothing in it", "POST", answer(200, result, pkt("NAK\n")+pkt("\x01PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e")+"0000"), []error{bitbucket.ErrUnavailable}, ""},
		{"a failure in the middle", "POST", answer(200, result, pkt("NAK\n")+pkt("\x03upload-pack: not our ref")), []error{bitbucket.ErrUnavailable}, "not our ref"},
	} {
		bothEngines(t, c.name, func(t *testing.T, f *fixture) {
			f.origin.history()
			f.fetch(t)
			before := treeState(t, f.mirror())
			f.origin.commit("refs/heads/main", map[string]string{"new": "1"})
			f.origin.setFault(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != c.method {
					return false
				}
				c.answer(w)
				return true
			})
			_, err := f.Fetch(t.Context(), f.request())
			wantErr(t, err, c.want...)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q, want it to say %q", err, c.text)
			}
			if strings.Contains(err.Error(), "secret page") || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("the error repeats the page: %q", err)
			}
			var after interface{ RetryAfter() time.Duration }
			if errors.As(err, &after) && after.RetryAfter() != 0 && after.RetryAfter() != 7*time.Second {
				t.Errorf("Retry-After is %s", after.RetryAfter())
			}
			if strings.HasPrefix(c.name, "429") && (after == nil || after.RetryAfter() != 7*time.Second) {
				t.Error("Retry-After is lost")
			}
			f.checkTmpEmpty(t)
			if now := treeState(t, f.mirror()); now != before {
				t.Errorf("something was written:\n%s\nbefore:\n%s", now, before)
			}
			f.origin.setFault(nil)
			f.fetch(t)
			f.checkSame(t)
		})
	}
}

// bothEngines runs a test on each engine.
func bothEngines(t *testing.T, name string, test func(t *testing.T, f *fixture)) {
	t.Helper()
	for _, engine := range []string{siteconfig.EngineGit, siteconfig.EngineGoGit} {
		t.Run(name+", "+engine, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.Configure(Settings{Engine: engine})
			test(t, f)
		})
	}
}

func TestFetchWithoutServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.server.Close()
	_, err := f.Fetch(t.Context(), f.request())
	wantErr(t, err, bitbucket.ErrUnavailable)
}

func TestFetchFromUntrustedCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the handshake
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := f.Fetch(t.Context(), requestFor(f.id, server.URL+originPath))
	wantErr(t, err, bitbucket.ErrUnavailable)
	if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %q", err)
	}
}

func TestFetchGivesUpOnSilence(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before the list", "in the list", "before the pack", "in the pack"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			f := newFixtureWith(t, Options{IdleTimeout: 300 * time.Millisecond})
			f.origin.setFault(func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
				flush := http.NewResponseController(w).Flush
				list := []string{pkt("# service=git-upload-pack\n"), "0000", pkt(strings.Repeat("1", 40) + " refs/heads/main\x00side-band-64k\n"), "0000"}
				w.Header().Set("Content-Type", advertisementType)
				switch {
				case r.Method == http.MethodPost:
					w.Header().Set("Content-Type", packResultType)
					if when == "in the pack" {
						_, _ = io.WriteString(w, pkt("NAK\n")+pkt("\x01PACK"))
						_ = flush()
					}
				case strings.HasSuffix(when, "pack"):
					_, _ = io.WriteString(w, strings.Join(list, ""))
					return true
				case when == "in the list":
					_, _ = io.WriteString(w, list[0])
					_ = flush()
				}
				<-r.Context().Done()
				return true
			})
			_, err := f.Fetch(t.Context(), f.request())
			wantErr(t, err, bitbucket.ErrUnavailable, errIdle)
			f.checkTmpEmpty(t)
		})
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var leaks atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaks.Add(1)
		}
		http.Error(w, "elsewhere", http.StatusTeapot)
	}))
	t.Cleanup(elsewhere.Close)

	for _, c := range []struct {
		name, method, location string
		ok                     bool
	}{
		{"to another repository of the Bitbucket", "GET", originPath + "/info/refs?service=git-upload-pack", true},
		{"to another host", "GET", elsewhere.URL + originPath + "/info/refs?service=git-upload-pack&token=tell-tale", false},
		{"to a login page of the same host", "GET", "/bitbucket/login?next=tell-tale", false},
		{"to another application of the same host", "GET", "/other/scm/prj/repo.git/info/refs?service=git-upload-pack", false},
		{"out by dots", "GET", "/bitbucket/scm/../../other/info/refs?service=git-upload-pack", false},
		{"out by encoded dots", "GET", "/bitbucket/scm/%2e%2e/%2e%2e/other/info/refs?service=git-upload-pack", false},
		{"to another scheme", "GET", "https://127.0.0.1:1/bitbucket/scm/prj/repo.git/info/refs", false},
		{"to a file", "GET", "file:///etc/passwd/info/refs", false},
		{"to itself", "GET", "/bitbucket/scm/old/name.git/info/refs?service=git-upload-pack", false},
		{"without a target", "GET", "", false},
		{"of the pack", "POST", originPath + "/git-upload-pack", false},
		{"of the pack to another host", "POST", elsewhere.URL + originPath + "/git-upload-pack", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.history()
			f.origin.setFault(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != c.method || (r.Method == http.MethodGet && r.URL.Path == originPath+"/info/refs") {
					return false
				}
				if c.location != "" {
					w.Header().Set("Location", c.location)
				}
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			})
			request := f.request()
			if c.method == http.MethodGet {
				request = requestFor(f.id, f.origin.server.URL+"/bitbucket/scm/old/name.git")
			}
			_, err := f.Fetch(t.Context(), request)
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				f.checkSame(t)
				return
			}
			wantErr(t, err, bitbucket.ErrNotBitbucket)
			if strings.Contains(err.Error(), "tell-tale") {
				t.Errorf("the error repeats the query: %q", err)
			}
		})
	}
	t.Cleanup(func() {
		if n := leaks.Load(); n > 0 {
			t.Errorf("the credential was sent elsewhere %d times", n)
		}
	})
}

func TestFetchAnonymously(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	request := f.request()
	request.Authorize = nil
	_, err := f.Fetch(t.Context(), request)
	wantErr(t, err, bitbucket.ErrUnauthorized)
	if !strings.Contains(err.Error(), "no credential") {
		t.Errorf("error %q", err)
	}
}

func TestFetchRefusesBadRequests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, cloneURL := range []string{
		"", "prj/repo.git", "/etc", "file:///etc", "ssh://git@127.0.0.1/x.git", "git@127.0.0.1:x.git",
		"http://", "http://" + canaryUser + ":" + canaryPassword + "@%zz/x.git",
	} {
		_, err := f.Fetch(t.Context(), requestFor(f.id, cloneURL))
		wantErr(t, err)
	}
	request := f.request()
	request.Transport = nil
	_, err := f.Fetch(t.Context(), request)
	wantErr(t, err)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, " 60 ": time.Minute, "-1": 0, "x": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", value, got, want)
		}
	}
}
