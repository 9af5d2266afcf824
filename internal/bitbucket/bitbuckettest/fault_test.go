package bitbuckettest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// try sends a GET as "reader" and returns the status, the headers, the body and what went wrong.
func try(ctx context.Context, t *testing.T, s *bitbuckettest.Server, path string) (status int, header http.Header, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("reader", "reader secret")
	transport := &http.Transport{DisableKeepAlives: true} // a lost connection must not be tried again
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	content, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(content), err
}

const repos = "/rest/api/1.0/repos?limit=2"

func TestFaultsHappen(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for _, c := range []struct {
		name   string
		fault  bitbuckettest.Fault
		path   string
		status int // 0: the connection was lost
		want   func(header http.Header, body string, err error) bool
	}{
		{"a status with headers", bitbuckettest.Fault{Status: 503, Header: map[string]string{"Retry-After": "7", "Content-Type": "text/html"}, Body: "<p>busy"}, repos, 503, func(h http.Header, body string, _ error) bool {
			return h.Get("Retry-After") == "7" && h.Get("Content-Type") == "text/html" && body == "<p>busy"
		}},
		{"a slow answer", bitbuckettest.Fault{Delay: time.Millisecond}, repos, 200, func(_ http.Header, body string, _ error) bool { return strings.Contains(body, `"size":2`) }},
		{"an answer cut in the middle", bitbuckettest.Fault{Effect: bitbuckettest.EffectCut}, repos, 200, func(_ http.Header, body string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && strings.HasPrefix(body, `{"size":2`) && !json.Valid([]byte(body))
		}},
		{"an answer cut after some bytes", bitbuckettest.Fault{Effect: bitbuckettest.EffectCut, After: 5}, repos, 200, func(_ http.Header, body string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && body == `{"siz`
		}},
		{"git cut in the middle", bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectCut, After: 20}, "/scm/prj/app.git/info/refs?service=git-upload-pack", 200, func(_ http.Header, body string, err error) bool {
			return err != nil && len(body) == 20
		}},
		{"a connection without an answer", bitbuckettest.Fault{Effect: bitbuckettest.EffectReset}, repos, 0, nil},
		{"a login page", bitbuckettest.Fault{Effect: bitbuckettest.EffectLoginPage}, repos, 200, func(h http.Header, body string, _ error) bool {
			return strings.HasPrefix(h.Get("Content-Type"), "text/html") && strings.Contains(body, "Log in")
		}},
		{"a login page that calls itself JSON", bitbuckettest.Fault{Effect: bitbuckettest.EffectWrongType}, repos, 200, func(h http.Header, body string, _ error) bool {
			return strings.HasPrefix(h.Get("Content-Type"), "application/json") && strings.Contains(body, "Log in")
		}},
		{"a redirect to the login page", bitbuckettest.Fault{Effect: bitbuckettest.EffectRedirect}, repos, 302, func(h http.Header, _ string, _ error) bool {
			return strings.HasPrefix(h.Get("Location"), s.URL()+"/login?next=%2Frest")
		}},
		{"a redirect elsewhere", bitbuckettest.Fault{Effect: bitbuckettest.EffectRedirect, Location: "https://elsewhere.example.com/"}, repos, 302, func(h http.Header, _ string, _ error) bool {
			return h.Get("Location") == "https://elsewhere.example.com/"
		}},
		{"a redirect to itself", bitbuckettest.Fault{Effect: bitbuckettest.EffectRedirectLoop}, repos, 302, func(h http.Header, _ string, _ error) bool { return h.Get("Location") == repos }},
		{"a rate limit", bitbuckettest.Fault{Effect: bitbuckettest.EffectRateLimited, RetryAfter: "3"}, repos, 429, func(h http.Header, body string, _ error) bool {
			return h.Get("Retry-After") == "3" && !json.Valid([]byte(body))
		}},
		{"a rate limit that says nothing", bitbuckettest.Fault{Effect: bitbuckettest.EffectRateLimited}, repos, 429, func(h http.Header, _ string, _ error) bool { return h.Get("Retry-After") == "" }},
		{"an answer that trickles", bitbuckettest.Fault{Effect: bitbuckettest.EffectTrickle, Delay: time.Millisecond}, repos, 200, func(_ http.Header, body string, err error) bool {
			return err == nil && json.Valid([]byte(body))
		}},
		{"a credential that counts as none", bitbuckettest.Fault{Effect: bitbuckettest.EffectAnonymous}, repos, 200, func(h http.Header, body string, _ error) bool {
			return strings.Contains(body, `"size":0`) && h.Get("X-AUSERNAME") == ""
		}},
		{"a repeated page", bitbuckettest.Fault{Effect: bitbuckettest.EffectRepeatPage}, repos + "&start=2", 200, func(_ http.Header, body string, _ error) bool {
			return strings.Contains(body, `"start":0,"nextPageStart":3}`)
		}},
		{"an empty page", bitbuckettest.Fault{Effect: bitbuckettest.EffectEmptyPage}, repos, 200, func(_ http.Header, body string, _ error) bool {
			return body == `{"size":0,"limit":2,"isLastPage":true,"values":[],"start":0}`
		}},
		{"a page without the next one", bitbuckettest.Fault{Effect: bitbuckettest.EffectNoNextPageStart}, repos, 200, func(_ http.Header, body string, _ error) bool {
			return strings.Contains(body, `"isLastPage":false`) && !strings.Contains(body, "nextPageStart")
		}},
		{"a page that does not say whether it is the last", bitbuckettest.Fault{Effect: bitbuckettest.EffectNoLastPage}, repos, 200, func(_ http.Header, body string, _ error) bool {
			return strings.Contains(body, `"nextPageStart":3`) && !strings.Contains(body, "isLastPage")
		}},
		{"unknown keys", bitbuckettest.Fault{Effect: bitbuckettest.EffectExtraKeys}, repos, 200, func(_ http.Header, body string, _ error) bool {
			return json.Valid([]byte(body)) && strings.Count(body, "aKeyOfANewerVersion") > 8
		}},
		{"null for what is absent", bitbuckettest.Fault{Effect: bitbuckettest.EffectNullForAbsent}, repos, 200, func(_ http.Header, body string, _ error) bool {
			return json.Valid([]byte(body)) && strings.Contains(body, `"description":null`) && strings.Contains(body, `"origin":null`)
		}},
	} {
		c.fault.Count = 1
		s.Fault(c.fault)
		status, header, body, err := try(t.Context(), t, s, c.path)
		if status != c.status || (status == 0) != (err != nil && body == "" && header == nil) || c.want != nil && !c.want(header, body, err) {
			t.Errorf("%s: %d %v %q %v", c.name, status, header, body, err)
		}
		if status, _, body, err := try(t.Context(), t, s, repos); status != http.StatusOK || err != nil || !strings.Contains(body, `"size":2`) {
			t.Errorf("%s: the next request: %d %s %v", c.name, status, body, err)
		}
	}
}

func TestAnswersThatNeverEnd(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	t.Run("one that never begins", func(t *testing.T) {
		remove := s.Fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectHang})
		defer remove()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if status, _, body, err := try(ctx, t, s, repos); status != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d %q %v", status, body, err)
		}
	})
	t.Run("one that stops in the middle", func(t *testing.T) {
		remove := s.Fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectStall})
		defer remove()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		rest := begin(ctx, t, s)
		time.AfterFunc(100*time.Millisecond, cancel) // nothing ends it before
		if body, err := io.ReadAll(rest); !errors.Is(err, context.Canceled) || json.Valid(append([]byte("{"), body...)) {
			t.Errorf("%q %v", body, err)
		}
	})
	t.Run("one that the server is closed over", func(t *testing.T) {
		s.Fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectStall})
		rest := begin(t.Context(), t, s)
		done := make(chan error, 1)
		go func() { _, err := io.ReadAll(rest); done <- err }()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-done:
			if err == nil {
				t.Error("the answer became whole")
			}
		case <-time.After(20 * time.Second):
			t.Error("an answer outlives the server")
		}
	})
}

// begin sends a GET and returns what follows the first byte of the answer, a brace, once that is there.
func begin(ctx context.Context, t *testing.T, s *bitbuckettest.Server) (rest io.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+repos, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("reader", "reader secret")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() }) //nolint:errcheck // it is cut off
	var first [1]byte
	if _, err := io.ReadFull(res.Body, first[:]); err != nil || first[0] != '{' {
		t.Fatalf("the first byte: %q %v", first, err)
	}
	return res.Body
}

func TestFaultsMatch(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{ContextPath: "/ctx"})
	statuses := func(paths ...string) (got []int) {
		for _, path := range paths {
			status, _, _, err := try(t.Context(), t, s, path)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, status)
		}
		return got
	}
	const refs = "/scm/prj/app.git/info/refs?service=git-upload-pack"
	for _, c := range []struct {
		name  string
		fault bitbuckettest.Fault
		want  [5]int // repos, projects, git, repos of the second page, repos
	}{
		{"everything", bitbuckettest.Fault{Status: 500}, [5]int{500, 500, 500, 500, 500}},
		{"git", bitbuckettest.Fault{Status: 500, Kind: bitbuckettest.KindGit}, [5]int{200, 200, 500, 200, 200}},
		{"a path below the context path", bitbuckettest.Fault{Status: 500, Path: "/rest/api/1.0/repos"}, [5]int{500, 200, 200, 500, 500}},
		{"another method", bitbuckettest.Fault{Status: 500, Method: http.MethodPost}, [5]int{200, 200, 200, 200, 200}},
		{"a query", bitbuckettest.Fault{Status: 500, Query: "start=2"}, [5]int{200, 200, 200, 500, 200}},
		{"the second and third", bitbuckettest.Fault{Status: 500, Skip: 1, Count: 2}, [5]int{200, 500, 500, 200, 200}},
	} {
		remove := s.Fault(c.fault)
		if got := statuses(repos, "/rest/api/1.0/projects", refs, repos+"&start=2", repos); [5]int(got) != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		remove()
	}
	s.Fault(bitbuckettest.Fault{Status: 500})
	s.Fault(bitbuckettest.Fault{Status: 502})
	if got := statuses(repos); got[0] != 502 {
		t.Errorf("of two faults: %v, want the last added", got)
	}
	s.ClearFaults()
	if got := statuses(repos); got[0] != 200 {
		t.Errorf("after ClearFaults: %v", got)
	}
}

func TestStylesOfTheWholeServer(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{ExtraKeys: true, NullForAbsent: true})
	_, _, body, err := try(t.Context(), t, s, repos)
	if err != nil || !json.Valid([]byte(body)) || !strings.Contains(body, "aKeyOfANewerVersion") || !strings.Contains(body, `"origin":null`) {
		t.Errorf("%s %v", body, err)
	}
}
