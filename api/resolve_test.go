package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

func resolvePath(raw string) string { return "/api/v1/resolve?url=" + url.QueryEscape(raw) }

func TestResolve(t *testing.T) {
	t.Parallel()
	var asked string
	hit := false
	w := newWorld(t, func(_ context.Context, raw string) (resolver.Result, error) {
		asked = raw
		result := linkTo("/bitbucket.example.com/PRJ/app/-/blob/a.go?L10-15")
		result.Hit = hit
		return result, nil
	})
	a := ask(t, w.handler, get(resolvePath(fileURL)))
	if a.StatusCode != http.StatusOK || asked != fileURL {
		t.Fatalf("status %d, the resolver was asked for %q", a.StatusCode, asked)
	}
	var link resolver.Link
	if err := json.Unmarshal(a.body, &link); err != nil {
		t.Fatal(err)
	}
	if want := primary + "/bitbucket.example.com/PRJ/app/-/blob/a.go?L10-15"; link.URL != want {
		t.Errorf("got %q, want %q", link.URL, want)
	}
	for header, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "private, max-age=30",
		"Cache-Status": "signpost; fwd=miss", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	hit = true
	if got := ask(t, w.handler, get(resolvePath(fileURL))).Header.Get("Cache-Status"); got != "signpost; hit" {
		t.Errorf("Cache-Status of a hit: %q", got)
	}
}

// Every row of the status table of the contract.
func TestResolveErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   api.ProblemCode
	}{
		{fmt.Errorf("%w: a control character", bitbucket.ErrInvalidURL), 400, api.InvalidURL},
		{bitbucket.ErrUnknownHost, 404, api.UnknownHost},
		{bitbucket.ErrUnsupportedPage, 404, api.UnsupportedPage},
		{resolver.ErrRepositoryNotFound, 404, api.RepositoryNotFound},
		{&resolver.NotFoundError{Reason: "excluded by exclude[0]"}, 404, api.RepositoryNotFound},
		{resolver.ErrPullRequestNotFound, 404, api.PullRequestNotFound},
		{fmt.Errorf("%w: %w", resolver.ErrBitbucketUnavailable, bitbucket.ErrRateLimited), 429, api.RateLimited},
		{fmt.Errorf("%w: 10.0.0.7 said 500", resolver.ErrBitbucketUnavailable), 502, api.BitbucketUnavailable},
		{resolver.ErrBitbucketTimeout, 504, api.BitbucketUnavailable},
		{context.DeadlineExceeded, 504, api.Timeout},
		{resolver.ErrPrimaryURLNotSet, 503, api.PrimaryURLNotSet},
		{errors.New("disk on fire at /var/lib"), 500, api.InternalError},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(context.Context, string) (resolver.Result, error) { return resolver.Result{}, c.err })
			a := ask(t, w.handler, get(resolvePath(fileURL)))
			wantProblem(t, a, c.status, c.code)
			for _, inner := range []string{"on fire", "10.0.0.7", "control character", "exclude[0]", "sourcegraph.com"} {
				if strings.Contains(string(a.body), inner) {
					t.Errorf("internal text %q got out: %s", inner, a.body)
				}
			}
			if c.status == 429 && a.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		})
	}
}

func TestOnlyAdministratorsReadTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(context.Context, string) (resolver.Result, error) {
		return resolver.Result{}, &resolver.NotFoundError{Reason: "excluded by exclude[0]"}
	})
	if p := wantProblem(t, ask(t, w.handler, asAdmin(get(resolvePath(fileURL)))), 404, api.RepositoryNotFound); p.Reason != "excluded by exclude[0]" {
		t.Errorf("an administrator reads %q", p.Reason)
	}
	r := get(resolvePath(fileURL))
	r.Header.Set("Authorization", "Bearer wrong")
	if p := wantProblem(t, ask(t, w.handler, r), 404, api.RepositoryNotFound); p.Reason != "" {
		t.Errorf("somebody else reads %q", p.Reason)
	}
}

func TestResolveWithoutURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, path := range []string{"/api/v1/resolve", "/api/v1/resolve?url=", "/api/v1/resolve?uri=x", "/api/v1/resolve?url=%zz"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, ask(t, w.handler, get(path)), 400, api.InvalidURL)
		})
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ context.Context, raw string) (resolver.Result, error) {
		if strings.Contains(raw, "evil") {
			return resolver.Result{}, bitbucket.ErrUnknownHost
		}
		return linkTo("/" + raw), nil
	})
	urls := make([]string, 100)
	for i := range urls {
		urls[i] = fmt.Sprint(i)
	}
	urls[7], urls[8] = "https://evil.test/<script>&", ""
	body, err := json.Marshal(map[string]any{"urls": urls})
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, w.handler, send(http.MethodPost, "/api/v1/resolve", string(body)))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	var got struct {
		Results []struct {
			Input string
			Link  *resolver.Link
			Error *api.Problem
		}
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Results) != len(urls) {
		t.Fatalf("%d results for %d URLs", len(got.Results), len(urls))
	}
	for i, result := range got.Results {
		if result.Input != urls[i] {
			t.Errorf("result %d is for %q, want %q", i, result.Input, urls[i])
		}
		switch i {
		case 7:
			if result.Error == nil || result.Error.Code != api.UnknownHost {
				t.Errorf("result 7: %+v", result)
			}
		case 8:
			if result.Error == nil || result.Error.Code != api.InvalidURL {
				t.Errorf("result 8: %+v", result)
			}
		default:
			if result.Link == nil || result.Link.URL != primary+"/"+urls[i] {
				t.Errorf("result %d: %+v", i, result)
			}
		}
	}
}

func TestBadBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	hundredAndOne := `{"urls":["x"` + strings.Repeat(`,"x"`, 100) + `]}`
	for _, c := range []struct {
		name, body string
		status     int
		code       api.ProblemCode
	}{
		{"a batch of 101", hundredAndOne, 400, api.InvalidRequest},
		{"a batch of none", `{"urls":[]}`, 400, api.InvalidRequest},
		{"no urls", `{}`, 400, api.InvalidRequest},
		{"urls that is no list", `{"urls":"x"}`, 400, api.InvalidRequest},
		{"a number among the urls", `{"urls":["x",7]}`, 400, api.InvalidRequest},
		{"null among the urls", `{"urls":[null]}`, 400, api.InvalidRequest},
		{"a list as the body", `["x"]`, 400, api.InvalidRequest},
		{"broken JSON", `{"urls":["x"`, 400, api.InvalidRequest},
		{"two documents", `{"urls":["x"]}{}`, 400, api.InvalidRequest},
		{"nothing", ``, 400, api.InvalidRequest},
		{"10 MB", `{"urls":["` + strings.Repeat("x", 10<<20) + `"]}`, 413, api.PayloadTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, ask(t, w.handler, send(http.MethodPost, "/api/v1/resolve", c.body)), c.status, c.code)
		})
	}
	t.Run("a form", func(t *testing.T) {
		t.Parallel()
		r := send(http.MethodPost, "/api/v1/resolve", "urls=x", "Content-Type", "application/x-www-form-urlencoded")
		wantProblem(t, ask(t, w.handler, r), 415, api.UnsupportedMediaType)
	})
}

func TestPanicsBecomeProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(context.Context, string) (resolver.Result, error) { panic("secret of the house") })
	for name, r := range map[string]*http.Request{
		"one":   get(resolvePath(fileURL)),
		"go":    get("/go?url=" + url.QueryEscape(fileURL)),
		"batch": send(http.MethodPost, "/api/v1/resolve", `{"urls":["x"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, w.handler, r)
			if name != "batch" {
				wantProblem(t, a, 500, api.InternalError)
			} else if a.StatusCode != 200 || !strings.Contains(string(a.body), "internal_error") {
				t.Errorf("got %d %s", a.StatusCode, a.body)
			}
			if strings.Contains(string(a.body), "secret of the house") {
				t.Errorf("the cause got out: %s", a.body)
			}
		})
	}
	if !strings.Contains(w.log.String(), "secret of the house") {
		t.Error("the cause is not in the log")
	}
}

func TestRequestsHaveADeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(ctx context.Context, _ string) (resolver.Result, error) {
		<-ctx.Done()
		return resolver.Result{}, ctx.Err()
	}, func(o *api.Options) { o.Timeout = time.Millisecond })
	wantProblem(t, ask(t, w.handler, get(resolvePath(fileURL))), 504, api.Timeout)
}

func TestGoRedirects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := ask(t, w.handler, get("/go?url="+url.QueryEscape(fileURL)))
	if a.StatusCode != http.StatusFound || a.Header.Get("Location") != primary+"/x" {
		t.Errorf("got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	if got := a.Header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy %q", got)
	}
}

func TestGoExplains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ context.Context, _ string) (resolver.Result, error) {
		return resolver.Result{}, bitbucket.ErrUnknownHost
	})
	a := ask(t, w.handler, get("/go?url="+url.QueryEscape("https://evil.test/<script>alert(1)</script>")))
	if a.StatusCode != http.StatusNotFound || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("got %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
	page := string(a.body)
	if !strings.Contains(page, "unknown_host") || !strings.Contains(page, "No connection of the site configuration") {
		t.Errorf("the page does not say why:\n%s", page)
	}
	if strings.Contains(page, "script") || strings.Contains(page, "evil") || a.Header.Get("Location") != "" {
		t.Errorf("the page repeats what it was given:\n%s", page)
	}
	policy := a.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
	wantStatus := map[string]int{"/go": 400, "/go?url=": 400}
	for path, status := range wantStatus {
		if a := ask(t, w.handler, get(path)); a.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, a.StatusCode, status)
		}
	}
}
