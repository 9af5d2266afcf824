package rest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest/recordings"
	"example.com/signpost/syncer"
)

// cassette is a recording of several questions with their answers, headers included.
type cassette struct {
	Interactions []struct {
		Request struct {
			URL string `yaml:"url"`
		} `yaml:"request"`
		Response struct {
			Body    string              `yaml:"body"`
			Headers map[string][]string `yaml:"headers"`
			Code    int                 `yaml:"code"`
		} `yaml:"response"`
	} `yaml:"interactions"`
}

// replay serves a cassette, as the server that it was recorded of, in a version that it
// does not always tell. At its end every recorded question must have been asked.
func replay(t *testing.T, version, name string) *Client {
	t.Helper()
	var tape cassette
	if err := yaml.Unmarshal([]byte(recordings.Read(t, name)), &tape); err != nil {
		t.Fatal(err)
	}
	if len(tape.Interactions) == 0 {
		t.Fatalf("%s holds nothing", name)
	}
	// What the recording client wrote differently, and how many rows it wanted.
	same := func(u *url.URL) string {
		q := u.Query()
		for _, key := range []string{"limit", "type", "REPOSITORY"} {
			q.Del(key)
		}
		return u.EscapedPath() + "?" + q.Encode()
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	known := (&fakeServer{}).handler(version, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, i := range tape.Interactions {
			u, err := url.Parse(i.Request.URL)
			if err != nil {
				t.Error(err)
				return
			}
			if same(u) != same(r.URL) {
				continue
			}
			mu.Lock()
			asked[i.Request.URL] = true
			mu.Unlock()
			for key, values := range i.Response.Headers {
				for _, value := range values {
					w.Header().Add(key, value)
				}
			}
			w.WriteHeader(i.Response.Code)
			_, _ = w.Write([]byte(i.Response.Body))
			return
		}
		if strings.HasSuffix(r.URL.Path, "/application-properties") || strings.HasSuffix(r.URL.Path, "/users") {
			r.URL.Path = "/ctx" + r.URL.Path
			known.ServeHTTP(w, r)
			return
		}
		if strings.Contains(r.URL.Path, "/labels/") {
			body(404, recordings.Read(t, "rec-error-404-label-7.x.json"))(w, r)
			return
		}
		t.Errorf("not recorded: %s", r.URL)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(func() {
		s.Close()
		for _, i := range tape.Interactions {
			if !asked[i.Request.URL] {
				t.Errorf("recorded, but not asked: %s", i.Request.URL)
			}
		}
	})
	return newClient(t, s.URL)
}

// repo returns a repository of a recording, as a client of the replaying server sees it.
func repo(c *Client, id int64, key, slug, name, project, ssh string) bitbucket.Repository {
	return bitbucket.Repository{
		ID: bitbucket.RepoID{Connection: "bb", Number: id}, Address: bitbucket.Address{Key: key, Slug: slug},
		Name: name, ProjectName: project, State: bitbucket.StateAvailable,
		CloneHTTP: c.opts.BaseURL.String() + "/scm/" + strings.ToLower(key) + "/" + slug + ".git", CloneSSH: ssh,
	}
}

func listed(t *testing.T, c *Client, q syncer.ListQuery) []bitbucket.Repository {
	t.Helper()
	var got []bitbucket.Repository
	if err := c.ListRepositories(t.Context(), q, func(page []bitbucket.Repository) error {
		got = append(got, page...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func asked(t *testing.T, c *Client, key, slug string) bitbucket.Repository {
	t.Helper()
	r, err := c.Repository(t.Context(), bitbucket.Address{Key: key, Slug: slug})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantSame(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRecordedConversations(t *testing.T) {
	t.Parallel()
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
	run("the version of a 7.11.2", func(t *testing.T) {
		c := replay(t, "", "vcr/GetVersion.yaml")
		v, err := c.Version(t.Context())
		wantError(t, err, nil)
		wantSame(t, bitbucket.Version{Major: 7, Minor: 11, Patch: 2}, v)
	})
	run("a project of a 7.x, its links in either order", func(t *testing.T) {
		c := replay(t, "7.21.0", "vcr/ProjectRepos.yaml")
		var want []bitbucket.Repository
		for _, r := range []struct {
			id   int64
			slug string
		}{{10060, "go"}, {10056, "jenkins"}, {10061, "mux"}, {10058, "sentry"}, {10059, "sinatra"}, {10072, "sourcegraph"}} {
			want = append(want, repo(c, r.id, "SGDEMO", r.slug, r.slug, "Sourcegraph Demo", "ssh://git@bitbucket.sgdev.org:7999/sgdemo/"+r.slug+".git"))
		}
		wantSame(t, want, listed(t, c, syncer.ListQuery{ProjectKey: "SGDEMO"}))
	})
	run("the labels of a 6.x", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/LabeledRepos.yaml")
		got, err := c.labeled(t.Context(), "archived")
		wantError(t, err, nil)
		wantSame(t, map[int64]bool{10073: true}, got)
		_, err = c.labeled(t.Context(), "doesnotexist")
		wantError(t, err, []error{bitbucket.ErrNotFound}, "Label not found.")
	})
	run("a merged pull request of a 6.x", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/PullRequests-success.yaml")
		got, err := c.PullRequest(t.Context(), bitbucket.Address{Key: "SOUR", Slug: "vegeta"}, 2)
		wantError(t, err, nil)
		wantSame(t, bitbucket.PullRequest{
			Number: 2,
			From:   bitbucket.PullRequestRef{Ref: "refs/heads/release-testing-pr", Commit: "1f63e719a65cad47a0a272d3d6eef05f4da427bb", Repository: bitbucket.Address{Key: "SOUR", Slug: "vegeta"}, Number: 2},
			To:     bitbucket.PullRequestRef{Ref: "refs/heads/master", Commit: "13613ac741e0f14f179e552ca428401ca83fe28a", Repository: bitbucket.Address{Key: "SOUR", Slug: "vegeta"}, Number: 2},
		}, got)
	})
	run("a pull request that is not there", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/PullRequests-non-existing-pr.yaml")
		_, err := c.PullRequest(t.Context(), bitbucket.Address{Key: "SOUR", Slug: "vegeta"}, 9999)
		wantError(t, err, []error{bitbucket.ErrNotFound}, "Pull request 9999 does not exist in SOUR/vegeta.")
	})
	run("a pull request of no repository", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/PullRequests-non-existing-repo.yaml")
		_, err := c.PullRequest(t.Context(), bitbucket.Address{Key: "SOUR", Slug: "invalidslug"}, 9999)
		wantError(t, err, []error{bitbucket.ErrNotFound}, "Repository SOUR/invalidslug does not exist.")
	})
	run("a list whose limit was lowered", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/PullRequestActivities.yaml")
		rows := 0
		wantError(t, c.eachPage(t.Context(), "activities", "projects/SOUR/repos/vegeta/pull-requests/2/activities", nil, func(page []json.RawMessage) error {
			rows += len(page)
			return nil
		}), nil)
		wantSame(t, 9, rows)
	})
	run("an archived and an active repository of a 6.x", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/BITBUCKETSERVER/bitbucketserver-archived.yaml")
		want := repo(c, 10073, "PUBLIC", "archived-repo", "archived-repo", "Public", "")
		want.Archived = true
		wantSame(t, want, asked(t, c, "PUBLIC", "archived-repo"))
		wantSame(t, repo(c, 2, "SOUR", "vegeta", "vegeta", "sourcegraph", ""), asked(t, c, "sour", "vegeta"))
	})
	run("a query by name of a 6.x", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/BITBUCKETSERVER/yielded-repos-are-always-enabled.yaml")
		wantSame(t, []bitbucket.Repository{repo(c, 2, "SOUR", "vegeta", "vegeta", "sourcegraph", "")}, listed(t, c, syncer.ListQuery{Query: "?name=vegeta"}))
	})
	run("one repository of a 6.x", func(t *testing.T) {
		c := replay(t, "6.10.0", "vcr/BITBUCKETSERVER/repositoryPathPattern-determines-the-repo-name.yaml")
		wantSame(t, repo(c, 2, "SOUR", "vegeta", "vegeta", "sourcegraph", ""), asked(t, c, "sour", "vegeta"))
	})
	run("private repositories in odd case of a 6.2", func(t *testing.T) {
		c := replay(t, "6.2.0", "vcr/BITBUCKETSERVER/excluded-repos-are-never-yielded.2019-06.yaml")
		org := func(id int64, slug string) bitbucket.Repository {
			return repo(c, id, "ORG", slug, slug, "Org", "ssh://git@127.0.0.1:7999/org/"+slug+".git")
		}
		wantSame(t, org(1, "foo"), asked(t, c, "ORG", "foo"))
		wantSame(t, org(3, "baz"), asked(t, c, "org", "BAZ"))
		got := listed(t, c, syncer.ListQuery{Query: "?visibility=private"})
		if len(got) != 3 {
			t.Fatalf("%d repositories, want 3", len(got))
		}
		for _, r := range got {
			if !slices.Contains([]string{"ORG/foo", "ORG/bar", "ORG/baz"}, r.String()) && !r.Personal {
				t.Errorf("repository %+v", r)
			}
		}
		wantSame(t, []bitbucket.Repository{org(2, "bar"), org(3, "baz")}, got[:2])
	})
}

func TestRecordedVersions(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bitbucket.Version{
		"application-properties-4.6.0.json":      {Major: 4, Minor: 6},
		"application-properties-8.7.0.json":      {Major: 8, Minor: 7},
		"rec-application-properties-7.11.2.json": {Major: 7, Minor: 11, Patch: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeVersion([]byte(recordings.Read(t, name)))
			wantError(t, err, nil)
			wantSame(t, want, got)
		})
	}
}

func TestRecordedRepositories(t *testing.T) {
	t.Parallel()
	c := newClient(t, "https://bitbucket.example.com")
	qa := repo(c, 2, "QA", "qa-resources", "qa-resources", "QA", "")
	qaSSH := qa
	qaSSH.CloneSSH = "ssh://git@localhost:7999/qa/qa-resources.git"
	fork := repo(c, 2, "~JDOE", "hello-world", "hello world", "John Doe", "")
	fork.Personal, fork.Fork = true, true
	for name, want := range map[string]bitbucket.Repository{
		"repo-6.x.json":                   qaSSH,
		"repo-6.x-no-ssh.json":            qa,
		"rec-repo-6.x-lowercase-url.json": repo(c, 10067, "SOUR", "sourcegraph", "sourcegraph", "sourcegraph", ""),
		"repo-fork-personal.json":         fork,
		"repo-with-hierarchyId-7.x.json":  repo(c, 1, "PROJECT_1", "rep_1", "rep_1", "Project 1", "ssh://git@localhost:7999/project_1/rep_1.git"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := []byte(recordings.Read(t, name))
			if strings.Contains(name, "hierarchyId") { // a deployment around it
				var around struct{ Repository json.RawMessage }
				if err := json.Unmarshal(text, &around); err != nil {
					t.Fatal(err)
				}
				text = around.Repository
			}
			var raw repositoryJSON
			wantError(t, json.Unmarshal(text, &raw), nil)
			got, err := c.repository(raw)
			wantError(t, err, nil)
			wantSame(t, want, got)
		})
	}
}

func TestRecordedPages(t *testing.T) {
	t.Parallel()
	c := newClient(t, "https://bitbucket.example.com")
	type facts struct {
		Start  int64
		Rows   int
		Limit  int
		Last   bool
		Next   int64
		Repos  []string // of those that are repositories
		Labels int
	}
	for name, want := range map[string]facts{
		"repos-page-empty.json":                {Limit: 25, Last: true},
		"repos-page-truncated.json":            {Rows: 2, Limit: 2, Next: 2, Repos: []string{"PRJ1/repo-1", "PRJ1/repo-2"}},
		"repos-search-6.x.json":                {Rows: 1, Limit: 25, Last: true, Repos: []string{"PROJECT_1/rep_1"}},
		"project-repos-page-8.x-archived.json": {Rows: 2, Limit: 200, Last: true, Repos: []string{"FOO/bar-active", "FOO/bar-archived!"}},
		"rec-labeled-page-6.x.json":            {Rows: 1, Limit: 1000, Last: true, Repos: []string{"PUBLIC/archived-repo"}, Labels: 1},
		"rec-labeled-page-7.x.json":            {Rows: 1, Limit: 25, Last: true, Repos: []string{"PUBLIC/archived-repo"}, Labels: 1},
		"projects-page-all.json":               {Rows: 4, Limit: 25, Last: true},
		"projects-page-filtered.json":          {Rows: 1, Limit: 25, Last: true},
		"projects-page-truncated.json":         {Rows: 2, Limit: 2, Next: 2},
		"branches-page.json":                   {Rows: 1, Limit: 25, Last: true},
		"tags-page-lightweight.json":           {Rows: 1, Limit: 25, Last: true},
		"files-page-notlast.json":              {Rows: 26, Limit: 25, Next: 25},
		"commits-page.json":                    {Rows: 1, Limit: 25, Last: true},
		"commits-compare-page.json":            {Rows: 4, Limit: 25, Last: true},
		"pull-request-changes.json":            {Rows: 4, Limit: 25, Last: true},
		"pull-requests-page.json":              {Rows: 2, Limit: 25, Last: true},
		"user-email-slug.json":                 {Start: 9, Rows: 1, Limit: 3, Last: true},
		"access-tokens-page.json":              {Rows: 2, Limit: 25, Last: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := decodePage([]byte(recordings.Read(t, name)), want.Start)
			wantError(t, err, nil)
			got := facts{Start: want.Start, Rows: len(p.rows), Limit: p.limit, Last: p.last, Next: p.next}
			for _, row := range p.rows {
				var raw repositoryJSON
				if json.Unmarshal(row, &raw) != nil {
					continue
				}
				if raw.LabelableType == "REPOSITORY" {
					got.Labels++
				}
				if r, err := c.repository(raw); err == nil {
					text := r.String()
					if r.Archived {
						text += "!"
					}
					got.Repos = append(got.Repos, text)
				}
			}
			wantSame(t, want, got)
		})
	}
	t.Run("a page of lines is no list of values", func(t *testing.T) {
		t.Parallel()
		_, err := decodePage([]byte(recordings.Read(t, "browse-lines-page.json")), 0)
		wantError(t, err, []error{bitbucket.ErrIncompleteListing})
	})
}

func TestRecordedErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		want   envelope
		is     error
	}{
		{"error-400-project-key.json", 400, envelope{"", "key: Project keys must start with a letter and may only consist of ASCII letters, numbers and underscores (A-Z, a-z, 0-9, _)"}, nil},
		{"error-400-repo-name.json", 400, envelope{"", "name: Repository names are limited to 128 characters. They must start with a letter or number and may contain spaces, hyphens, underscores and periods; slug: Please enter a non-empty value less than 128 characters"}, nil},
		{"error-401-anonymous-admin.json", 401, envelope{"AuthorisationException", "You are not permitted to access this resource"}, bitbucket.ErrNotFound},
		{"error-401-bad-password.json", 401, envelope{"IncorrectPasswordAuthenticationException", "Authentication failed. Please check your credentials and try again."}, bitbucket.ErrUnauthorized},
		{"error-404-project-5.x.json", 404, envelope{"NoSuchProjectException", "Project dev does not exist."}, bitbucket.ErrNotFound},
		{"rec-error-404-repo-6.x.json", 404, envelope{"NoSuchRepositoryException", "Repository SOUR/invalidslug does not exist."}, bitbucket.ErrNotFound},
		{"rec-error-404-pull-request-6.x.json", 404, envelope{"NoSuchPullRequestException", "Pull request 9999 does not exist in SOUR/vegeta."}, bitbucket.ErrNotFound},
		{"rec-error-404-label-7.x.json", 404, envelope{"NoSuchLabelException", "Label not found."}, bitbucket.ErrNotFound},
		{"error-404-commit.json", 404, envelope{"NoSuchCommitException", "Commit 'doesnotexist' does not exist in repository 'rep_1'."}, bitbucket.ErrNotFound},
		{"error-404-changeset-stash3.json", 404, envelope{"NoSuchChangesetException", "The changeset '1234567890' does not exist in repository 'prpc-platform'"}, bitbucket.ErrNotFound},
		{"error-with-vetoes-handmade.json", 404, envelope{"NoSuchChangesetException", "The repository 'hello' does not exist in project 'world'"}, bitbucket.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := recordings.Read(t, c.name)
			got, ok := parseEnvelope([]byte(text))
			if !ok || got != c.want {
				t.Errorf("parseEnvelope: %+v, %v, want %+v", got, ok, c.want)
			}
			s := newServer(t, "4.14.0", routes{"projects/WEB/repos/app": body(c.status, text)})
			_, err := newClient(t, s.base()).Repository(t.Context(), app)
			start, _, _ := strings.Cut(c.want.message, "(")
			if c.is == nil {
				wantSame(t, true, err != nil && strings.Contains(err.Error(), start[:40]))
				return
			}
			wantError(t, err, []error{c.is}, start)
		})
	}
}

func TestRecordedPullRequests(t *testing.T) {
	t.Parallel()
	side := func(ref, commit, key, slug string, id int64) bitbucket.PullRequestRef {
		return bitbucket.PullRequestRef{Ref: ref, Commit: commit, Repository: bitbucket.Address{Key: key, Slug: slug}, Number: id}
	}
	for name, want := range map[string]bitbucket.PullRequest{
		"pull-request-4.8-raw.http": {
			Number: 2080,
			From:   side("refs/heads/feature/Danger", "c50b3f61e90dac6a00b7d0c92e415a4348bb280a", "IOS", "fancyapp", 38),
			To:     side("refs/heads/develop", "b366c9564ad57786f0e5c6b8333c7aa1e2e90b9a", "IOS", "fancyapp", 38),
		},
		"pull-request-5.x.json": {
			Number: 1,
			From:   side("refs/heads/feature/x", "131cb13f4aed12e725177bc4b7c28db67839bf9f", "PRJ", "my-repo", 1),
			To:     side("refs/heads/master", "5c64a07cd6c0f21b753bf261ef059c7e7633c50a", "PRJ", "my-repo", 1),
		},
		"pull-request-2018-ci-fixture.json": {
			Number: 1,
			From:   side("refs/heads/release/release-1", "bf0e8b7962c024026ad01ae09d3a11732e26c0d4", "ALICE", "test-repos", 1),
			To:     side("refs/heads/main", "bf4f4ce8a3a8d5c7dbfe7d609973a81a6c6664cf", "ALICE", "test-repos", 1),
		},
		"pull-requests-page.json": {
			Number: 97,
			From:   side("refs/heads/branchtest", "e48655db012cd6da02b2b2dbfea569335c7f3495", "PROJECT_1", "rep_1", 1),
			To:     side("refs/heads/master", "1c4c3f92b4f8078e04b7f5a64ce7476a2d4276e0", "PROJECT_1", "rep_1", 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := recordings.Read(t, name)
			if strings.HasSuffix(name, ".http") { // with its status line
				_, text, _ = strings.Cut(text, "\n\n")
			}
			if strings.HasSuffix(name, "-page.json") {
				p, err := decodePage([]byte(text), 0)
				wantError(t, err, nil)
				text = string(p.rows[0])
			}
			got, err := decodePullRequest([]byte(text))
			wantError(t, err, nil)
			wantSame(t, want, got)
		})
	}
}

func TestRecordedContent(t *testing.T) {
	t.Parallel()
	const at = "projects/WEB/repos/app/"
	t.Run("browse-type-file.json", func(t *testing.T) {
		t.Parallel()
		kind, err := decodePathKind([]byte(recordings.Read(t, "browse-type-file.json")))
		wantError(t, err, nil)
		wantSame(t, bitbucket.PathFile, kind)
	})
	t.Run("browse-lines-page.json", func(t *testing.T) {
		t.Parallel()
		kind, err := decodePathKind([]byte(recordings.Read(t, "browse-lines-page.json")))
		wantError(t, err, nil)
		wantSame(t, bitbucket.PathFile, kind)
	})
	t.Run("branches-default-4-9.json", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "5.12.0", routes{at + "branches/default": body(200, recordings.Read(t, "branches-default-4-9.json"))})
		branch, err := newClient(t, s.base()).DefaultBranch(t.Context(), app)
		wantError(t, err, nil)
		wantSame(t, "feature_branch", branch)
	})
	t.Run("rec-headers-7.11.2.txt", func(t *testing.T) {
		t.Parallel()
		headers, _, _ := strings.Cut(recordings.Read(t, "rec-headers-7.11.2.txt"), "\n\n")
		s := newServer(t, "7.11.2", routes{"users": func(w http.ResponseWriter, r *http.Request) {
			for line := range strings.SplitSeq(headers, "\n") {
				if key, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, "HTTP ") {
					w.Header().Add(key, value)
				}
			}
			_, _ = w.Write([]byte(recordings.Read(t, "user-email-slug.json")))
		}})
		account, err := newClient(t, s.base()).Account(t.Context())
		wantError(t, err, nil)
		wantSame(t, "erin", account)
	})
}
