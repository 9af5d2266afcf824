package rest

import (
	"net/http"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
)

func TestAdvertisesRefs(t *testing.T) {
	t.Parallel()
	git := func(status int, header, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		wantErr []error
		says    string
	}{
		{"git's own answer", git(200, "Content-Type: "+advertisement, "001e# service=git-upload-pack\n0000"), nil, ""},
		{"a login page", file(t, 200, "login.html"), []error{bitbucket.ErrNotBitbucket}, "Log in — Bitbucket"},
		{"a redirect", git(302, "Location: https://sso.example.com/", ""), []error{bitbucket.ErrNotBitbucket}, "302"},
		{"a refused login", git(401, "", ""), []error{bitbucket.ErrUnauthorized}, "401"},
		{"a permission that is missing", git(401, "X-AUSERNAME: bot", ""), []error{bitbucket.ErrNotFound}, "401"},
		{"basic authentication that is off", git(403, "", ""), []error{bitbucket.ErrForbidden}, "basic authentication"},
		{"a repository that is not there", git(404, "", ""), []error{bitbucket.ErrNotFound}, "404"},
		{"too many requests", git(429, "", ""), []error{bitbucket.ErrRateLimited}, "429"},
		{"a failure", git(500, "", "echo of "+botPassword), []error{bitbucket.ErrUnavailable}, "500"},
		{"a page that repeats the password", git(200, "Content-Type: text/html", "<title>"+botPassword+"</title>"), []error{bitbucket.ErrNotBitbucket}, "[redacted]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, _ := offline(t, "4.14.0", nil)
			client.git = served(c.answer)
			err := client.AdvertisesRefs(t.Context(), "https://bitbucket.example.com/ctx/scm/web/app.git")
			wantError(t, err, c.wantErr, c.says)
			if c.wantErr != nil && err == nil {
				t.Error("no error")
			}
		})
	}
}

// A token of a project belongs to nobody; what the double says to it is what a Bitbucket can say.
func TestAProjectTokenIsAcceptedAndAnExpiredOneIsNot(t *testing.T) {
	t.Parallel()
	s, err := bitbuckettest.Start(bitbuckettest.Options{Version: "8.19", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.AddProject(bitbuckettest.Project{Key: "WEB", Name: "Web", Readers: []string{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddRepository(bitbuckettest.Repository{Project: "WEB", Slug: "app"}); err != nil {
		t.Fatal(err)
	}
	if err := s.AddProjectToken("WEB", botToken); err != nil {
		t.Fatal(err)
	}
	// As a Bitbucket that lets only persons ask who there is.
	for _, path := range []string{"/rest/api/1.0/users", "/rest/api/1.0/profile"} {
		s.Fault(bitbuckettest.Fault{Path: path, Status: 401, Body: readFile(t, "error-401-permission.json"), Header: map[string]string{"Content-Type": "application/json"}})
	}
	accepted := newClient(t, s.BaseURL(), withToken)
	if account, err := accepted.Account(t.Context()); err != nil || account != "" {
		t.Errorf("a token of a project: %q, %v", account, err)
	}
	if err := accepted.AdvertisesRefs(t.Context(), s.BaseURL()+"/scm/web/app.git"); err != nil {
		t.Errorf("git with a token of a project: %v", err)
	}
	other := newClient(t, s.BaseURL(), func(o *Options) {
		o.Token, o.Username, o.Password = siteconfig.NewSecret("expired"), "", siteconfig.Secret{}
	})
	_, err = other.Account(t.Context())
	wantError(t, err, []error{bitbucket.ErrUnauthorized})
}
