package rest

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
)

func TestRepository(t *testing.T) {
	t.Parallel()
	app := bitbucket.Repository{
		ID: bitbucket.RepoID{Connection: "bb", Number: 7}, Address: bitbucket.Address{Key: "WEB", Slug: "app"},
		Name: "The App", ProjectName: "Web shop", State: bitbucket.StateAvailable,
		CloneHTTP: "BASE/scm/web/app.git", CloneSSH: "ssh://git@stash.example.com:7999/web/app.git",
	}
	with := func(change func(*bitbucket.Repository)) bitbucket.Repository {
		r := app
		change(&r)
		return r
	}
	for _, c := range []struct {
		name, version, file string
		want                bitbucket.Repository
	}{
		{"of 4.x, with the caller in its link", "4.14.0", "repository-4.x.json", app},
		{"of 8.x, archived, with ssh on another host", "8.0.0", "repository-8.x-archived.json", with(func(r *bitbucket.Repository) {
			r.Archived, r.CloneSSH = true, "ssh://git@ssh.example.com:7999/web/app.git"
		})},
		{"of a person, a fork, without ssh", "5.0.0", "repository-personal-fork.json", bitbucket.Repository{
			ID: bitbucket.RepoID{Connection: "bb", Number: 9}, Address: bitbucket.Address{Key: "~FIRST.LAST", Slug: "app"},
			Name: "app", ProjectName: "First Last", State: bitbucket.StateAvailable, Personal: true, Fork: true,
			CloneHTTP: "BASE/scm/~first.last/app.git",
		}},
		{"that is offline, without http", "5.0.0", "repository-http-off.json", with(func(r *bitbucket.Repository) {
			r.State, r.CloneHTTP = bitbucket.StateOffline, ""
		})},
		{"that begins, without any clone link", "5.0.0", "repository-clone-off.json", with(func(r *bitbucket.Repository) {
			r.State, r.CloneHTTP, r.CloneSSH = bitbucket.StateInitialising, "", ""
		})},
		{"of which next to nothing is told", "4.0.0", "repository-bare.json", with(func(r *bitbucket.Repository) {
			r.Name, r.ProjectName, r.CloneSSH = "", "", ""
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.version, routes{"projects/web/repos/App": file(t, 200, c.file)})
			got, err := newClient(t, s.base()).Repository(t.Context(), bitbucket.Address{Key: "web", Slug: "App"})
			if err != nil {
				t.Fatal(err)
			}
			if c.want.CloneHTTP != "" {
				c.want.CloneHTTP = s.base() + c.want.CloneHTTP[len("BASE"):]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRepositoryErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		address bitbucket.Address
		answer  http.HandlerFunc
		want    []error
		says    string
	}{
		{"that is not there", bitbucket.Address{Key: "WEB", Slug: "app"}, file(t, 404, "error-404-repository.json"), []error{bitbucket.ErrNotFound}, "Repository WEB/app does not exist."},
		{"that is not there, without a word", bitbucket.Address{Key: "WEB", Slug: "app"}, body(404, ``), []error{bitbucket.ErrNotFound}, "404"},
		{"that is not visible", bitbucket.Address{Key: "WEB", Slug: "app"}, file(t, 401, "error-401-permission.json"), []error{bitbucket.ErrNotFound}, "not permitted"},
		{"with a slash in its slug", bitbucket.Address{Key: "WEB", Slug: "a/b"}, nil, []error{bitbucket.ErrNotFound}, ""},
		{"that climbs", bitbucket.Address{Key: "..", Slug: "app"}, nil, []error{bitbucket.ErrNotFound}, ""},
		{"without a slug", bitbucket.Address{Key: "WEB"}, nil, []error{bitbucket.ErrNotFound}, ""},
		{"that is nothing", bitbucket.Address{Key: "WEB", Slug: "app"}, body(204, ``), []error{bitbucket.ErrUnavailable}, "empty"},
		{"that lacks its id", bitbucket.Address{Key: "WEB", Slug: "app"}, body(200, `{"slug":"app"}`), []error{bitbucket.ErrUnavailable, errNoRepository}, ""},
		{"that is something else", bitbucket.Address{Key: "WEB", Slug: "app"}, body(200, `{"id":1,"slug":5}`), []error{bitbucket.ErrNotBitbucket}, "another form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "4.14.0", routes{"projects/WEB/repos/app": c.answer})
			_, err := newClient(t, s.base()).Repository(t.Context(), c.address)
			wantError(t, err, c.want, c.says)
			if c.answer == nil && len(s.asked()) != 0 {
				t.Errorf("asked %q", s.asked())
			}
		})
	}
}

func TestAPersonsRepositoryHasASecondAddress(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]http.HandlerFunc{
		"after a 404":                      file(t, 404, "error-404-repository.json"),
		"after the 500 of a moved one":     body(500, ``),
		"after a permission that lacks it": file(t, 401, "error-401-permission.json"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "4.14.0", routes{
				"projects/~first.last/repos/app": first,
				"users/first.last/repos/app":     file(t, 200, "repository-personal-fork.json"),
			})
			got, err := newClient(t, s.base()).Repository(t.Context(), bitbucket.Address{Key: "~first.last", Slug: "app"})
			if err != nil || got.ID.Number != 9 {
				t.Errorf("Repository: %+v, %v", got, err)
			}
		})
	}
	t.Run("and keeps the first error when both fail", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "4.14.0", routes{"users/first.last/repos/app": body(500, ``)})
		_, err := newClient(t, s.base()).Repository(t.Context(), bitbucket.Address{Key: "~first.last", Slug: "app"})
		wantError(t, err, []error{bitbucket.ErrNotFound}, "projects/~first.last/repos/app")
	})
}

func TestCloneLinks(t *testing.T) {
	t.Parallel()
	const (
		base  = "https://bitbucket.example.com/ctx"
		built = base + "/scm/~jane/my%20app.git"
	)
	for _, c := range []struct{ name, links, http, ssh string }{
		{"as they are", `{"clone":[{"href":"https://bitbucket.example.com/ctx/scm/web/app.git","name":"http"},{"href":"ssh://git@bitbucket.example.com:7999/web/app.git","name":"ssh"}]}`, base + "/scm/web/app.git", "ssh://git@bitbucket.example.com:7999/web/app.git"},
		{"in the other order", `{"clone":[{"href":"ssh://git@bitbucket.example.com:7999/web/app.git","name":"ssh"},{"href":"https://bitbucket.example.com/ctx/scm/web/app.git","name":"http"}]}`, base + "/scm/web/app.git", "ssh://git@bitbucket.example.com:7999/web/app.git"},
		{"called https", `{"clone":[{"href":"https://bitbucket.example.com/ctx/scm/WEB/app.git","name":"https"}]}`, base + "/scm/WEB/app.git", ""},
		{"without user info", `{"clone":[{"href":"https://jane:pw@bitbucket.example.com/ctx/scm/web/app.git?x=1#y","name":"http"},{"href":"ssh://git:pw@bitbucket.example.com:7999/web/app.git","name":"ssh"}]}`, base + "/scm/web/app.git", "ssh://git@bitbucket.example.com:7999/web/app.git"},
		{"of another host, below the configured address", `{"clone":[{"href":"https://evil.example.com/ctx/scm/web/app.git","name":"http"}]}`, base + "/scm/web/app.git", ""},
		{"of another context path, below the configured one", `{"clone":[{"href":"http://bitbucket.example.com:7990/stash/scm/web/app.git","name":"http"}]}`, base + "/scm/web/app.git", ""},
		{"that climb", `{"clone":[{"href":"https://bitbucket.example.com/ctx/scm/../x.git","name":"http"}]}`, built, ""},
		{"of another form", `{"clone":[{"href":"https://bitbucket.example.com/ctx/git/web/app.git","name":"http"}]}`, built, ""},
		{"that are too long", `{"clone":[{"href":"https://bitbucket.example.com/ctx/scm/a/b/c.git","name":"http"}]}`, built, ""},
		{"that are placeholders", `{"clone":[{"href":"https://<baseURL>/scm/web/app.git","name":"http"},{"href":"ssh://git@<baseURL>/web/app.git","name":"ssh"}]}`, built, ""},
		{"that are no addresses", `{"clone":[{"href":"javascript:alert(1)","name":"http"},{"href":"http://x/y","name":"ssh"}]}`, built, ""},
		{"that are null", `{"clone":[null],"self":[null]}`, "", ""},
		{"when all are off", `{"self":[{"href":"x"}]}`, "", ""},
		{"when there are no links", `null`, built, ""},
		{"when links are something else", `[1]`, built, ""},
		{"when nothing is said", ``, built, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			http, ssh := cloneLinks(bitbucket.BaseURL{Scheme: "https", Host: "bitbucket.example.com", Path: "/ctx"},
				bitbucket.Address{Key: "~JANE", Slug: "my app"}, json.RawMessage(c.links))
			if http != c.http || ssh != c.ssh {
				t.Errorf("got %q and %q, want %q and %q", http, ssh, c.http, c.ssh)
			}
		})
	}
}
