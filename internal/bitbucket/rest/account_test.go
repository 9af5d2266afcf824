package rest

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		want    bitbucket.Version
		wantErr []error
		says    []string
	}{
		{"comes as strings", file(t, 200, "application-properties-strings.json"), bitbucket.Version{Major: 5, Minor: 16, Patch: 2}, nil, nil},
		{"comes beside numbers", file(t, 200, "application-properties-numbers.json"), bitbucket.Version{Major: 8, Minor: 19, Patch: 3}, nil, nil},
		{"is a number itself", body(200, `{"version":4.14}`), bitbucket.Version{Major: 4, Minor: 14}, nil, nil},
		{"has a suffix", body(200, `{"version":"10.0.1-rc1"}`), bitbucket.Version{Major: 10, Patch: 1}, nil, nil},
		{"is missing", body(200, `{"displayName":"Jira"}`), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"names no version"}},
		{"is no version", body(200, `{"version":"latest"}`), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"names no version"}},
		{"is another document", body(200, `["a"]`), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"another form"}},
		{"is an empty answer", body(204, ``), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"names no version"}},
		{"is a login page", file(t, 200, "login.html"), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"this is a login page (Log in — Bitbucket)", "Check that the url"}},
		{"is a page of something else", file(t, 200, "product.html"), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"this is a web page (Wiki of Example)"}},
		{"is not found", body(404, `nothing here`), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"application-properties, which every Bitbucket does", "context path"}},
		{"wants a login", file(t, 401, "login.html"), bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"single sign-on"}},
		{"is at a login page", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://u:hidden@sso.example.com/saml/login?next=hidden", http.StatusFound)
		}, bitbucket.Version{}, []error{bitbucket.ErrNotBitbucket}, []string{"this is a login page: it is redirected to https://sso.example.com/saml/login"}},
		{"is down", file(t, 503, "product.html"), bitbucket.Version{}, []error{bitbucket.ErrUnavailable}, []string{"503", "Wiki of Example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "", routes{"application-properties": c.answer})
			got, err := newClient(t, s.base()).Version(t.Context())
			wantError(t, err, c.wantErr, c.says...)
			if got != c.want {
				t.Errorf("Version: %v, want %v", got, c.want)
			}
			if strings.Contains(errorText(err), "hidden") {
				t.Errorf("error %q quotes a query or user info", err)
			}
			for _, r := range s.requests() {
				if r.Header.Get("Authorization") != "" {
					t.Error("the credential was sent where it is not needed")
				}
			}
		})
	}
}

func TestVersionIsBelievedForAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := offline(t, "", routes{"application-properties": inTurn(
			body(200, `{"version":"7.21.0"}`), body(200, `{"version":"8.9.1"}`), body(404, ``),
		)})
		for _, step := range []struct {
			wait time.Duration
			want string
			asks int
		}{
			{0, "7.21.0", 1},
			{59 * time.Minute, "7.21.0", 1},
			{2 * time.Minute, "8.9.1", 2},
		} {
			time.Sleep(step.wait)
			got, err := c.Version(t.Context())
			if err != nil || got.String() != step.want || s.count("application-properties") != step.asks {
				t.Errorf("Version: %v, %v after %d questions, want %s after %d", got, err, s.count("application-properties"), step.want, step.asks)
			}
		}
		time.Sleep(2 * time.Hour)
		if _, err := c.Version(t.Context()); !errors.Is(err, bitbucket.ErrNotBitbucket) {
			t.Errorf("Version that is no longer told: error %v", err)
		}
		if got, err := c.knownVersion(t.Context()); err != nil || got.String() != "8.9.1" {
			t.Errorf("knownVersion: %v, %v, want the old one", got, err)
		}
	})
}

func TestBitbucketCloudIsSaidByName(t *testing.T) {
	t.Parallel()
	c := newClient(t, "https://bitbucket.org")
	c.base = served((&fakeServer{}).handler("", nil))
	_, err := c.Version(t.Context())
	wantError(t, err, []error{bitbucket.ErrNotBitbucket}, "this is Bitbucket Cloud")
}

func TestAccount(t *testing.T) {
	t.Parallel()
	visitor := file(t, 401, "error-401-permission.json")
	named := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-AUSERNAME", "user%40example.com")
		body(200, `{"size":0,"limit":1,"isLastPage":true,"values":[],"start":0}`)(w, r)
	}
	for _, c := range []struct {
		name    string
		version string
		change  func(*Options)
		r       routes
		want    string
		wantErr []error
		says    []string
	}{
		{"is decoded from the header", "4.14.0", nil, routes{"users": named}, "user@example.com", nil, nil},
		{"is not told", "8.0.0", withToken, routes{"users": body(200, `{}`)}, "", nil, nil},
		{"is nobody without a credential", "8.0.0", anonymous, nil, "", nil, nil},
		{"may not list users", "8.0.0", withToken, routes{"users": visitor, "profile/recent/repos": named}, "user@example.com", nil, nil},
		{"may not list users, with 403", "8.0.0", withToken, routes{"users": file(t, 403, "error-401-permission.json"), "profile/recent/repos": named}, "user@example.com", nil, nil},
		{
			"may ask neither, and is named all the same", "8.0.0", withToken,
			routes{"users": visitor, "profile/recent/repos": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-AUSERNAME", "user%40example.com")
				visitor(w, r)
			}},
			"user@example.com", nil, nil,
		},
		{
			"is a visitor, since the token expired", "8.0.0", withToken,
			routes{"users": visitor, "profile/recent/repos": visitor, "repos": body(200, `{"size":0,"limit":100,"isLastPage":true,"values":[],"start":0}`)},
			"",
			[]error{bitbucket.ErrUnauthorized},
			[]string{"takes the account for a visitor", "expired"},
		},
		{
			"is a visitor, who may not even list", "8.0.0", withToken,
			routes{"users": visitor, "profile/recent/repos": visitor, "repos": visitor},
			"",
			[]error{bitbucket.ErrUnauthorized},
			[]string{"takes the account for a visitor", "expired"},
		},
		{
			"is a token of a project, which is nobody's", "8.0.0", withToken,
			routes{"users": visitor, "profile/recent/repos": visitor, "repos": func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("permission") != "REPO_READ" {
					visitor(w, r) // anybody may list what is public: that would prove nothing
					return
				}
				body(200, `{"size":1,"limit":100,"isLastPage":true,"values":[{"id":1}],"start":0}`)(w, r)
			}},
			"", nil, nil,
		},
		{
			"has a wrong password", "4.0.0", nil,
			routes{"users": file(t, 401, "error-401-password.json")},
			"",
			[]error{bitbucket.ErrUnauthorized},
			[]string{"Authentication failed.", "save the site configuration again"},
		},
		{
			"is refused by something unknown", "4.0.0", nil,
			routes{"users": file(t, 401, "product.html")},
			"",
			[]error{bitbucket.ErrUnauthorized},
			[]string{"Wiki of Example"},
		},
		{
			"is locked", "4.0.0", nil,
			routes{"users": file(t, 403, "error-403-captcha.json")},
			"",
			[]error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden},
			[]string{"CAPTCHA", "Log in to Bitbucket with a browser"},
		},
		{
			"is locked, as a header tells", "4.0.0", nil,
			routes{"users": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE; login-url=https://bitbucket.example.com/login")
				body(403, ``)(w, r)
			}},
			"",
			[]error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden},
			nil,
		},
		{
			"is not let in by password", "8.0.0", nil,
			routes{"users": body(403, `basic authentication is off`), "profile/recent/repos": body(403, `basic authentication is off`)},
			"",
			[]error{bitbucket.ErrForbidden},
			[]string{"basic authentication is off"},
		},
		{
			"has a token on a Bitbucket without them", "5.4.1", withToken, nil,
			"",
			[]error{bitbucket.ErrTokensUnsupported},
			[]string{"Bitbucket 5.4.1 has no access tokens; use username and password"},
		},
		{"has a token on the first Bitbucket with them", "5.5.0", withToken, routes{"users": named}, "user@example.com", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.version, c.r)
			change := c.change
			if change == nil {
				change = func(*Options) {}
			}
			got, err := newClient(t, s.base(), change).Account(t.Context())
			wantError(t, err, c.wantErr, c.says...)
			if got != c.want {
				t.Errorf("Account: %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheCredentialInREST(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"is Basic for a password", func(*Options) {}, "Basic " + base64Of(botName+":"+botPassword)},
		{"is Bearer for a token", withToken, "Bearer " + botToken},
		{"is Bearer for a token of a named user", func(o *Options) { o.Token, o.Password = siteconfig.NewSecret(botToken), siteconfig.Secret{} }, "Bearer " + botToken},
		{"is the token, not the password", func(o *Options) { o.Token = siteconfig.NewSecret(botToken) }, "Bearer " + botToken},
		{"is nothing for visitors", anonymous, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "8.0.0", routes{"projects/WEB/repos/app": file(t, 200, "repository-8.x-archived.json")})
			if _, err := newClient(t, s.base(), c.change).Repository(t.Context(), bitbucket.Address{Key: "WEB", Slug: "app"}); err != nil {
				t.Fatal(err)
			}
			last := s.last("projects/WEB/repos/app")
			if got := last.Header.Get("Authorization"); got != c.want {
				t.Errorf("Authorization: %q, want %q", got, c.want)
			}
			if last.Header.Get("Accept") != "application/json" || last.Header.Get("User-Agent") != "signpost" || last.Header.Get("Cookie") != "" {
				t.Errorf("headers: %v", last.Header)
			}
		})
	}
}

func TestAuthorizeGit(t *testing.T) {
	t.Parallel()
	basic := func(password string) string { return "Basic " + base64Of(botName+":"+password) }
	named := func(o *Options) { o.Token = siteconfig.NewSecret(botToken) }
	for _, c := range []struct {
		name, target, want string
		change             func(*Options)
	}{
		{"sends a password as Basic", "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs?service=git-upload-pack", basic(botPassword), func(*Options) {}},
		{"sends a token of a named user as its password", "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", basic(botToken), named},
		{"sends a token of nobody as Bearer", "https://BITBUCKET.example.com:443/ctx/scm/web/app.git/info/refs", "Bearer " + botToken, withToken},
		{"sends visitors nothing", "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", "", anonymous},
		{"leaves another host alone", "https://elsewhere.example.com/ctx/scm/web/app.git/info/refs", "", named},
		{"leaves another port alone", "https://bitbucket.example.com:8443/ctx/scm/web/app.git/info/refs", "", named},
		{"leaves plain http alone", "http://bitbucket.example.com/ctx/scm/web/app.git/info/refs", "", named},
		{"leaves another context path alone", "https://bitbucket.example.com/ctx2/scm/web/app.git/info/refs", "", named},
		{"leaves a way out of the context path alone", "https://bitbucket.example.com/ctx/../scm/web/app.git/info/refs", "", named},
		{"leaves an encoded way out alone", "https://bitbucket.example.com/ctx/%2e%2e/scm/web/app.git/info/refs", "", named},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://bitbucket.example.com/ctx", c.change)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			client.AuthorizeGit(r)
			if got := r.Header.Get("Authorization"); got != c.want {
				t.Errorf("Authorization: %q, want %q", got, c.want)
			}
		})
	}
}

func TestAWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, "4.14.0", routes{"*": file(t, 401, "error-401-password.json"), "users": file(t, 401, "error-401-password.json")})
	c := newClient(t, s.base())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := c.Repository(t.Context(), bitbucket.Address{Key: "WEB", Slug: "app"})
			wantError(t, err, []error{bitbucket.ErrUnauthorized})
		})
	}
	all.Wait()
	_, first := c.Account(t.Context())
	_, second := c.PathKind(t.Context(), bitbucket.Address{Key: "WEB", Slug: "app"}, "", "a")
	if first == nil || !errors.Is(second, first) {
		t.Errorf("later errors %v and %v, want the same", first, second)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base()+"/scm/web/app.git/info/refs", nil)
	c.AuthorizeGit(r)
	if _, err := c.Transport().RoundTrip(r); !errors.Is(err, bitbucket.ErrUnauthorized) {
		t.Errorf("git: error %v, want ErrUnauthorized", err)
	}
	logins := func() (n int) {
		for _, r := range s.requests() {
			if r.Header.Get("Authorization") != "" {
				n++
			}
		}
		return n
	}
	if n := logins(); n != 1 {
		t.Errorf("%d logins with a wrong password, want 1", n)
	}
	c.ConfigurationChanged()
	for range 5 {
		_, err := c.Repository(t.Context(), bitbucket.Address{Key: "WEB", Slug: "app"})
		wantError(t, err, []error{bitbucket.ErrUnauthorized})
	}
	if n := logins(); n != 2 {
		t.Errorf("%d logins after the configuration changed once, want 2", n)
	}
}

func TestAPasswordThatBecomesWrongStopsGit(t *testing.T) {
	t.Parallel()
	changed := false
	check := func(then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if changed {
				file(t, 401, "error-401-password.json")(w, r)
				return
			}
			then(w, r)
		}
	}
	c, s := offline(t, "4.14.0", routes{"users": check(body(200, `{}`))})
	git := 0
	c.git = transportFunc(func(r *http.Request) (*http.Response, error) {
		git++
		return served(body(401, ``))(r)
	})
	fetch := func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", nil)
		if err != nil {
			return err
		}
		c.AuthorizeGit(r)
		resp, err := c.Transport().RoundTrip(r)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	// One repository that the account may not read says 401 too, and stops nothing.
	for range 3 {
		wantError(t, fetch(), nil)
	}
	if git != 3 || s.count("users") != 3 {
		t.Errorf("%d requests of git and %d proofs, want 3 and 3", git, s.count("users"))
	}
	changed = true
	for range 3 {
		wantError(t, fetch(), []error{bitbucket.ErrUnauthorized})
	}
	if git != 3 || s.count("users") != 4 {
		t.Errorf("%d requests of git and %d proofs, want 3 and 4", git, s.count("users"))
	}
}

func TestACaptchaStopsAllUseUntilTheConfigurationIsSavedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := offline(t, "4.14.0", routes{"users": inTurn(file(t, 403, "error-403-captcha.json"), body(200, `{}`))})
		for range 3 {
			_, err := c.Account(t.Context())
			wantError(t, err, []error{bitbucket.ErrCaptcha}, "solve it, then save the site configuration again")
			time.Sleep(time.Hour)
		}
		if got := s.count("users"); got != 1 {
			t.Errorf("%d logins while a CAPTCHA is due, want 1", got)
		}
		c.ConfigurationChanged()
		if _, err := c.Account(t.Context()); err != nil {
			t.Errorf("Account after the CAPTCHA was solved: %v", err)
		}
	})
}

func TestARefusalOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for _, file := range []http.HandlerFunc{file(t, 401, "error-401-password.json"), file(t, 403, "error-403-captcha.json")} {
		var told []syncer.Refusal
		first, _ := offline(t, "4.14.0", routes{"users": file}, func(o *Options) {
			o.OnRefusal = func(r syncer.Refusal) { told = append(told, r) }
		})
		_, want := first.Account(t.Context())
		_, _ = first.Account(t.Context())
		if len(told) != 1 || told[0].Connection != "bb" || told[0].Said != want.Error() || told[0].At.IsZero() {
			t.Fatalf("told of %+v after %v", told, want)
		}
		second, s := offline(t, "4.14.0", routes{"users": body(200, `{}`)}, func(o *Options) { o.Refused = &told[0] })
		_, err := second.Account(t.Context())
		if errorText(err) != want.Error() || errors.Is(err, bitbucket.ErrCaptcha) != errors.Is(want, bitbucket.ErrCaptcha) ||
			errors.Is(err, bitbucket.ErrUnauthorized) != errors.Is(want, bitbucket.ErrUnauthorized) {
			t.Errorf("after a restart: %v, want %v", err, want)
		}
		if h := second.Health(); h.Refused == nil || !h.RefusedSince.Equal(told[0].At) {
			t.Errorf("health %+v", h)
		}
		if n := s.count("users"); n != 0 {
			t.Errorf("%d logins after a restart, want none", n)
		}
		second.ConfigurationChanged()
		if _, err := second.Account(t.Context()); err != nil {
			t.Errorf("after the configuration was saved again: %v", err)
		}
	}
}

func TestATokenIsNotSentToAnOldBitbucket(t *testing.T) {
	t.Parallel()
	s := newServer(t, "5.4.1", routes{"*": body(200, `{}`)})
	c := newClient(t, s.base(), func(o *Options) { o.Token = siteconfig.NewSecret(botToken) })
	address := bitbucket.Address{Key: "WEB", Slug: "app"}
	_, err := c.Repository(t.Context(), address)
	wantError(t, err, []error{bitbucket.ErrTokensUnsupported})
	_, err = c.PullRequest(t.Context(), address, 1)
	wantError(t, err, []error{bitbucket.ErrTokensUnsupported})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base()+"/scm/web/app.git/info/refs", nil)
	c.AuthorizeGit(r)
	_, err = c.Transport().RoundTrip(r)
	wantError(t, err, []error{bitbucket.ErrTokensUnsupported})
	for _, r := range s.requests() {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was sent")
		}
	}
}
