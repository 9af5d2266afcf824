package rest

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// double starts a Bitbucket of a version with repositories of every sort, of which the bot
// may see a part. Its pages are short and have holes.
func double(t *testing.T, o bitbuckettest.Options) *bitbuckettest.Server {
	t.Helper()
	o.ContextPath, o.ShortPages, o.Dir = "/git/bitbucket", true, t.TempDir()
	o.PageLimits = map[string]int{"repositories": 2, "all": 2}
	s, err := bitbuckettest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.AddUser(bitbuckettest.User{Name: botName, Password: botPassword, Tokens: []string{botToken}}))
	must(s.AddUser(bitbuckettest.User{Name: "First.Last", Password: "x"}))
	must(s.AddProject(bitbuckettest.Project{Key: "WEB", Name: "Web shop"}))
	must(s.AddProject(bitbuckettest.Project{Key: "OPS", Readers: []string{"First.Last"}}))
	must(s.AddProject(bitbuckettest.Project{Owner: "First.Last", Readers: []string{botName}}))
	history := &bitbuckettest.History{Commits: []bitbuckettest.Commit{
		{Label: "a", Files: map[string]bitbuckettest.File{
			"cmd/a b.go": bitbuckettest.Text("package a\n"), "#50%?.txt": bitbuckettest.Text("x\n"),
			"vendor": bitbuckettest.Submodule(strings.Repeat("1", 40)),
		}},
		{Branch: "feature/x", From: "a", Files: map[string]bitbuckettest.File{"b": bitbuckettest.Text("b\n")}},
	}}
	for _, slug := range []string{"one", "two", "three"} { // holes in front of the others
		must(s.AddRepository(bitbuckettest.Repository{Project: "OPS", Slug: slug}))
	}
	must(s.AddRepository(bitbuckettest.Repository{ID: 7, Project: "WEB", Slug: "app", Name: "The App", History: history}))
	must(s.AddRepository(bitbuckettest.Repository{ID: 8, Project: "WEB", Slug: "empty"}))
	must(s.AddRepository(bitbuckettest.Repository{ID: 9, Project: "WEB", Slug: "old", Archived: true, Labels: []string{"archived"}}))
	must(s.AddRepository(bitbuckettest.Repository{ID: 10, Project: "WEB", Slug: "broken", State: "OFFLINE"}))
	must(s.AddRepository(bitbuckettest.Repository{ID: 11, Project: "~FIRST.LAST", Slug: "app", Origin: "WEB/app"}))
	must(s.AddPullRequest("WEB/app", bitbuckettest.PullRequest{Number: 3, From: "feature/x", To: "main"}))
	return s
}

func TestAgainstTheDouble(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"4.0", "4.14", "5.4", "5.5", "5.16", "6.10", "7.21", "8.19", "9.4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := double(t, bitbuckettest.Options{Version: name})
			v, err := newClient(t, s.URL(), anonymous).Version(t.Context())
			if err != nil || !strings.HasPrefix(v.String(), name+".") {
				t.Fatalf("Version: %v, %v", v, err)
			}
			credentials := map[string]func(*Options){"a password": func(*Options) {}}
			if v.AtLeast(5, 5) {
				credentials["a token"] = withToken
				credentials["a token with a name"] = func(o *Options) { o.Token = siteconfig.NewSecret(botToken) }
			} else {
				_, err := newClient(t, s.URL(), withToken).Account(t.Context())
				wantError(t, err, []error{bitbucket.ErrTokensUnsupported}, "Bitbucket "+v.String()+" has no access tokens; use username and password")
			}
			for kind, change := range credentials {
				t.Run("with "+kind, func(t *testing.T) {
					c := newClient(t, s.URL(), change)
					account, err := c.Account(t.Context())
					if err != nil || account != botName {
						t.Errorf("Account: %q, %v", account, err)
					}
					checkListings(t, c, v)
					checkContent(t, c)
					checkGit(t, c)
				})
			}
			checkMoved(t, s, v)
		})
	}
}

func checkListings(t *testing.T, c *Client, v bitbucket.Version) {
	t.Helper()
	old := "WEB/old"
	if v.AtLeast(5, 13) {
		old += "!"
	}
	web := []string{"WEB/app", "WEB/broken", "WEB/empty", old}
	for _, l := range []struct {
		query syncer.ListQuery
		want  []string
	}{
		{syncer.ListQuery{}, append(slices.Clone(web), "~FIRST.LAST/app")},
		{syncer.ListQuery{ProjectKey: "web"}, web},
		{syncer.ListQuery{ProjectKey: "~first.last"}, []string{"~FIRST.LAST/app"}},
		{syncer.ListQuery{Query: "?projectkey=WEB"}, web},
		{syncer.ListQuery{Query: "?name=the app"}, []string{"WEB/app"}},
		{syncer.ListQuery{Query: "?state=OFFLINE"}, []string{"WEB/broken"}},
	} {
		got, err := list(c, t, l.query)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, l.want) {
			t.Errorf("listing %+v: %q, %v, want %q", l.query, got, err, l.want)
		}
	}
	for _, key := range []string{"GONE", "~nobody", "OPS"} {
		_, err := list(c, t, syncer.ListQuery{ProjectKey: key})
		wantError(t, err, []error{bitbucket.ErrNotFound})
		if errors.Is(err, bitbucket.ErrIncompleteListing) {
			t.Errorf("listing %s: %v", key, err)
		}
	}
}

func checkContent(t *testing.T, c *Client) {
	t.Helper()
	r, err := c.Repository(t.Context(), bitbucket.Address{Key: "web", Slug: "APP"})
	if err != nil || r.ID.Number != 7 || r.Address != app || r.Name != "The App" || r.ProjectName != "Web shop" ||
		r.CloneHTTP != c.opts.BaseURL.String()+"/scm/web/app.git" || !strings.HasPrefix(r.CloneSSH, "ssh://git@") {
		t.Errorf("Repository: %+v, %v", r, err)
	}
	fork, err := c.Repository(t.Context(), bitbucket.Address{Key: "~first.last", Slug: "app"})
	if err != nil || !fork.Fork || !fork.Personal || fork.ID.Number != 11 || fork.Key != "~FIRST.LAST" {
		t.Errorf("Repository of a person: %+v, %v", fork, err)
	}
	for _, address := range []bitbucket.Address{{Key: "WEB", Slug: "gone"}, {Key: "GONE", Slug: "app"}, {Key: "OPS", Slug: "one"}, {Key: "~nobody", Slug: "x"}} {
		_, err := c.Repository(t.Context(), address)
		wantError(t, err, []error{bitbucket.ErrNotFound})
	}

	branch, err := c.DefaultBranch(t.Context(), app)
	if err != nil || branch != "main" {
		t.Errorf("DefaultBranch: %q, %v", branch, err)
	}
	branch, err = c.DefaultBranch(t.Context(), bitbucket.Address{Key: "WEB", Slug: "empty"})
	if !errors.Is(err, bitbucket.ErrEmptyRepository) && (err != nil || branch != "main") {
		t.Errorf("DefaultBranch of an empty repository: %q, %v", branch, err)
	}

	for path, want := range map[string]bitbucket.PathKind{
		"cmd/a b.go": bitbucket.PathFile, "#50%?.txt": bitbucket.PathFile, "cmd": bitbucket.PathDirectory, "": bitbucket.PathDirectory, "vendor": bitbucket.PathSubmodule,
	} {
		for _, rev := range []string{"", "feature/x", "refs/heads/main"} {
			got, err := c.PathKind(t.Context(), app, rev, path)
			if err != nil || got != want {
				t.Errorf("PathKind of %q at %q: %v, %v, want %v", path, rev, got, err, want)
			}
		}
	}
	for _, missing := range [][2]string{{"", "gone"}, {"gone", "cmd"}, {"main", "b"}} {
		_, err := c.PathKind(t.Context(), app, missing[0], missing[1])
		wantError(t, err, []error{bitbucket.ErrNotFound})
	}

	pr, err := c.PullRequest(t.Context(), app, 3)
	if err != nil || pr.Number != 3 || pr.From.Ref != "refs/heads/feature/x" || pr.To.Ref != "refs/heads/main" ||
		pr.From.Commit == pr.To.Commit || len(pr.To.Commit) != 40 || pr.From.Repository != app || pr.To.Number != 7 {
		t.Errorf("PullRequest: %+v, %v", pr, err)
	}
	_, err = c.PullRequest(t.Context(), app, 99)
	wantError(t, err, []error{bitbucket.ErrNotFound})
}

// checkGit asks git's first question by the clone address, with and without the credential.
func checkGit(t *testing.T, c *Client) {
	t.Helper()
	r, err := c.Repository(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	for authorized, want := range map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.CloneHTTP+"/info/refs?service=git-upload-pack", nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorized {
			c.AuthorizeGit(request)
		}
		resp, err := c.Transport().RoundTrip(request)
		if err != nil {
			t.Fatalf("git: %v", err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || authorized != strings.Contains(string(text), "git-upload-pack") {
			t.Errorf("git, authorized %v: status %d, %.80q", authorized, resp.StatusCode, text)
		}
	}
}

func checkMoved(t *testing.T, s *bitbuckettest.Server, v bitbucket.Version) {
	t.Helper()
	c := newClient(t, s.URL())
	if err := s.Rename("WEB/app", "WEB/renamed"); err != nil {
		t.Fatal(err)
	}
	r, err := c.Repository(t.Context(), app)
	if !v.AtLeast(5, 0) {
		wantError(t, err, []error{bitbucket.ErrNotFound})
		return
	}
	if err != nil || r.ID.Number != 7 || r.Slug != "renamed" {
		t.Errorf("Repository at its former address: %+v, %v", r, err)
	}
}

func TestAgainstTheDoubleWhenThingsGoWrong(t *testing.T) {
	t.Parallel()
	const repos = "/rest/api/1.0/repos"
	s := double(t, bitbuckettest.Options{Version: "8.19"})
	for _, c := range []struct {
		name  string
		fault bitbuckettest.Fault
		want  []error // of a listing; none: it is whole
	}{
		{"a slow answer", bitbuckettest.Fault{Path: repos, Delay: 10 * time.Millisecond, Count: 1}, nil},
		{"one cut answer", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectCut, Count: 1}, nil},
		{"one reset", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectReset, Count: 1}, nil},
		{"one 429", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectRateLimited, Count: 1}, nil},
		{"one 503 with Retry-After", bitbuckettest.Fault{Path: repos, Status: 503, Header: map[string]string{"Retry-After": "0"}, Count: 1}, nil},
		{"extra keys", bitbuckettest.Fault{Effect: bitbuckettest.EffectExtraKeys}, nil},
		{"null for absent", bitbuckettest.Fault{Effect: bitbuckettest.EffectNullForAbsent}, nil},
		{"cut answers in the middle", bitbuckettest.Fault{Path: repos, Skip: 1, Effect: bitbuckettest.EffectCut}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrUnavailable}},
		{"resets for ever", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectReset}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrUnavailable}},
		{"429 for hours", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectRateLimited, RetryAfter: "7200"}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrRateLimited}},
		{"500 in the middle", bitbuckettest.Fault{Path: repos, Skip: 2, Status: 500}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrUnavailable}},
		{"a login page", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectLoginPage}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotBitbucket}},
		{"a login page in the middle", bitbuckettest.Fault{Path: repos, Skip: 1, Effect: bitbuckettest.EffectLoginPage}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotBitbucket}},
		{"a page that calls itself JSON", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectWrongType}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotBitbucket}},
		{"a redirect to a login", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectRedirect}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotBitbucket}},
		{"a redirect loop", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectRedirectLoop}, []error{bitbucket.ErrIncompleteListing, bitbucket.ErrNotBitbucket}},
		{"a repeated page", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectRepeatPage}, []error{bitbucket.ErrIncompleteListing}},
		{"no nextPageStart", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectNoNextPageStart}, []error{bitbucket.ErrIncompleteListing}},
		{"no isLastPage", bitbuckettest.Fault{Path: repos, Effect: bitbuckettest.EffectNoLastPage}, []error{bitbucket.ErrIncompleteListing}},
	} {
		t.Run(c.name, func(t *testing.T) { // one after the other: the double has one fault at a time
			defer s.Fault(c.fault)()
			got, err := list(newClient(t, s.URL()), t, syncer.ListQuery{})
			wantError(t, err, c.want)
			slices.Sort(got)
			if want := []string{"WEB/app", "WEB/broken", "WEB/empty", "WEB/old!", "~FIRST.LAST/app"}; len(c.want) == 0 && !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}

func TestAgainstTheDoubleAWrongPasswordLocksNothing(t *testing.T) {
	t.Parallel()
	s := double(t, bitbuckettest.Options{Version: "4.14"})
	wrong := newClient(t, s.URL(), func(o *Options) { o.Password = siteconfig.NewSecret("wrong") })
	for range 10 {
		_, err := wrong.Account(t.Context())
		wantError(t, err, []error{bitbucket.ErrUnauthorized})
		_, err = list(wrong, t, syncer.ListQuery{})
		wantError(t, err, []error{bitbucket.ErrUnauthorized, bitbucket.ErrIncompleteListing})
	}
	if _, err := newClient(t, s.URL()).Account(t.Context()); err != nil {
		t.Errorf("the right password after wrong ones: %v", err)
	}
}

func TestAgainstTheDoubleWithACAPTCHADue(t *testing.T) {
	t.Parallel()
	s := double(t, bitbuckettest.Options{Version: "7.21", CaptchaAfter: 1})
	_, err := newClient(t, s.URL(), func(o *Options) { o.Password = siteconfig.NewSecret("wrong") }).Account(t.Context())
	wantError(t, err, []error{bitbucket.ErrUnauthorized})
	_, err = newClient(t, s.URL()).Account(t.Context())
	wantError(t, err, []error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden})
}

func TestAgainstTheDoubleOverTLS(t *testing.T) {
	t.Parallel()
	s := double(t, bitbuckettest.Options{Version: "9.4", TLS: true})
	_, err := newClient(t, s.URL()).Account(t.Context())
	wantError(t, err, []error{bitbucket.ErrUnavailable}, "put the certificate")
	c := newClient(t, s.URL(), func(o *Options) { o.CertificatePEM = s.CertificatePEM() })
	if account, err := c.Account(t.Context()); err != nil || account != botName {
		t.Errorf("Account: %q, %v", account, err)
	}
	checkGit(t, c)
}
