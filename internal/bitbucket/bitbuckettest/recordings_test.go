package bitbuckettest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/bitbucket/bitbuckettest/recordings"
)

// What differs between a recording and the double without meaning anything.
var incidental = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`"hierarchyId":"[0-9a-f]{20}"`), `"hierarchyId":"H"`},
	{regexp.MustCompile(`"[0-9a-f]{40}"`), `"HASH"`},
	{regexp.MustCompile(`"displayId":"[0-9a-f]{11}"`), `"displayId":"SHORT"`},
	{regexp.MustCompile(`"buildDate":"[0-9]{13}"`), `"buildDate":"TIME"`},
	{regexp.MustCompile(`(Timestamp|Date)":[0-9]{13}`), `$1":TIME`},
	{regexp.MustCompile(`"version":[0-9]+,"title"`), `"version":N,"title"`},
	{regexp.MustCompile(`"outcome":"[A-Z]+","current":(?:true|false)`), `"outcome":"O","current":B`},
	{regexp.MustCompile(`"reviewers":\[.*?\],"participants"`), `"reviewers":[],"participants"`},
	{regexp.MustCompile(`"id":"[0-9]{12}"`), `"id":"TOKEN"`},
	{regexp.MustCompile(`"permissions":\[[^]]*\]`), `"permissions":[]`},
}

// comparable makes two answers comparable: without white space, one key a line, keys in
// their order.
func comparable(t *testing.T, answer string) string {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(answer)); err != nil {
		t.Fatalf("no JSON: %v: %s", err, answer)
	}
	text := compact.String()
	for _, i := range incidental {
		text = i.pattern.ReplaceAllString(text, i.replacement)
	}
	return strings.ReplaceAll(text, `,"`, ",\n\"")
}

// sortedLinks puts the clone links of each repository into one order.
func sortedLinks(answer string) string {
	return regexp.MustCompile(`"clone":\[(\{[^}]*\}),\s*(\{[^}]*\})\]`).ReplaceAllStringFunc(answer, func(clone string) string {
		links := regexp.MustCompile(`\{[^}]*\}`).FindAllString(clone, -1)
		slices.Sort(links)
		return `"clone":[` + strings.Join(links, ",") + `]`
	})
}

// world is a server that says of itself what a recorded one said.
type world struct {
	version     string
	base        string
	sshOff      bool
	links       string // which clone link comes first
	users       []bitbuckettest.User
	projects    []bitbuckettest.Project
	repos       []bitbuckettest.Repository
	pulls       map[string]bitbuckettest.PullRequest
	contextPath string
}

func (w world) start(t *testing.T) *bitbuckettest.Server {
	t.Helper()
	s, err := bitbuckettest.Start(bitbuckettest.Options{
		Version: w.version, BaseURL: w.base, ContextPath: w.contextPath, SSHOff: w.sshOff, CloneLinkOrder: w.links,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // reported by the server's own test
	users := append([]bitbuckettest.User{{Name: "boss", Password: "b", ID: 9999, Admin: true, DisplayName: "AAA"}}, w.users...)
	for _, u := range users {
		if _, err := s.AddUser(u); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range w.projects {
		if _, err := s.AddProject(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range w.repos {
		if _, err := s.AddRepository(r); err != nil {
			t.Fatal(err)
		}
	}
	for address, p := range w.pulls {
		if _, err := s.AddPullRequest(address, p); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const asBoss = "boss:b"

// Worlds of several recordings.
var (
	jane  = bitbuckettest.User{ID: 1, Name: "jcitizen", Email: "jane@example.com", DisplayName: "Jane Citizen", Password: "j"}
	local = world{
		version: "6.3.0", base: "http://localhost:7990/bitbucket", contextPath: "/bitbucket", links: "http",
		projects: []bitbuckettest.Project{{ID: 2, Key: "QA", Name: "QA", Description: "QA"}, {ID: 1, Key: "PROJECT_1", Name: "Project 1", Description: "PROJECT_1"}},
		repos:    []bitbuckettest.Repository{{ID: 2, Project: "QA", Slug: "qa-resources"}, {ID: 1, Project: "PROJECT_1", Slug: "rep_1"}},
	}
	sgdev = world{
		version: "6.10.0", base: "https://bitbucket.sgdev.org", sshOff: true,
		users:    []bitbuckettest.User{{ID: 1, Name: "carol", Email: "carol@example.com", DisplayName: "Carol Example"}},
		projects: []bitbuckettest.Project{{ID: 1, Key: "SOUR", Name: "sourcegraph"}, {ID: 4, Key: "PUBLIC", Name: "Public"}},
		repos: []bitbuckettest.Repository{
			{ID: 2, Project: "SOUR", Slug: "vegeta", DefaultBranch: "master", History: releaseTesting},
			{ID: 10067, Project: "SOUR", Slug: "sourcegraph"},
			{ID: 10073, Project: "PUBLIC", Slug: "archived-repo", Labels: []string{"archived"}},
		},
		pulls: map[string]bitbuckettest.PullRequest{"SOUR/vegeta": {
			Number: 2, Title: "Release testing pr", Description: "* Remove dump.go\n* make make make", State: "MERGED", From: "release-testing-pr", Author: "carol",
		}},
	}
	releaseTesting = &bitbuckettest.History{Commits: []bitbuckettest.Commit{{Label: "a"}, {Branch: "release-testing-pr", From: "a"}}}
	twoUpdates     = &bitbuckettest.History{
		Commits: []bitbuckettest.Commit{
			{Branch: "master", Message: "add"},
			{Branch: "master", Message: "update files"},
			{Branch: "master", Message: "update files", Label: "tip"},
		},
		Tags: []bitbuckettest.Tag{{Name: "v1.0.0", Target: "tip"}},
	}
	janes = world{
		version: "5.12.0", base: "http://example.com:7990", users: []bitbuckettest.User{jane},
		projects: []bitbuckettest.Project{{ID: 2, Key: "PRJ"}}, links: "ssh",
		repos: []bitbuckettest.Repository{{ID: 1, Project: "PRJ", Slug: "my-repo", DefaultBranch: "master", History: twoUpdates}},
	}
)

func with(w world, change func(*world)) world {
	change(&w)
	return w
}

func TestAnswersAreTheRecordedOnes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		recording  string
		world      world
		path       string // below /rest/api/1.0
		credential string
		status     int
		prepare    func(*bitbuckettest.Server) (path string, err error) // instead of path
	}{
		{recording: "application-properties-4.6.0.json", world: world{version: "4.6.0"}, path: "/application-properties"},
		{recording: "rec-application-properties-7.11.2.json", world: world{version: "7.11.2"}, path: "/application-properties"},
		{recording: "project-6.x.json", world: with(local, func(w *world) {
			w.projects = []bitbuckettest.Project{{ID: 2, Key: "QA", Name: "QA project", Description: "QA description", Public: true}}
			w.repos = nil
		}), path: "/projects/qa"},
		{recording: "projects-page-all.json", world: with(local, func(w *world) {
			w.projects, w.repos = nil, nil
			for id, key := range map[int64]string{382: "PROJECT_1", 383: "QA", 384: "PR", 385: "MERGE"} {
				w.projects = append(w.projects, bitbuckettest.Project{ID: id, Key: key, Description: key})
			}
		}), path: "/projects"},
		{recording: "projects-page-filtered.json", world: with(local, func(w *world) {
			w.projects, w.repos = []bitbuckettest.Project{{ID: 383, Key: "QA", Description: "QA"}, {Key: "OTHER"}}, nil
		}), path: "/projects?name=qa"},
		{recording: "repo-6.x.json", world: local, path: "/projects/QA/repos/qa-resources"},
		{recording: "repo-6.x-no-ssh.json", world: with(local, func(w *world) { w.sshOff = true }), path: "/projects/QA/repos/qa-resources"},
		{recording: "repos-search-6.x.json", world: local, path: "/repos?name=rep_1&projectname=Project+1"},
		{recording: "rec-repo-6.x-lowercase-url.json", world: sgdev, path: "/projects/sour/repos/sourcegraph"},
		{recording: "rec-labeled-page-6.x.json", world: sgdev, path: "/labels/archived/labeled?REPOSITORY=&limit=1000"},
		{recording: "rec-labeled-page-7.x.json", world: with(sgdev, func(w *world) { w.version, w.sshOff, w.links = "7.21", false, "ssh" }), path: "/labels/archived/labeled?REPOSITORY="},
		{recording: "rec-error-404-label-7.x.json", world: with(sgdev, func(w *world) { w.version = "7.21" }), path: "/labels/doesnotexist/labeled?REPOSITORY=", status: 404},
		{recording: "rec-error-404-repo-6.x.json", world: sgdev, path: "/projects/SOUR/repos/invalidslug/pull-requests/9999", status: 404},
		{recording: "rec-error-404-pull-request-6.x.json", world: sgdev, path: "/projects/SOUR/repos/vegeta/pull-requests/9999", status: 404},
		{recording: "error-404-commit.json", world: local, path: "/projects/PROJECT_1/repos/rep_1/commits/doesnotexist", status: 404},
		{recording: "error-404-project-5.x.json", world: janes, path: "/projects/dev", status: 404},
		{recording: "error-401-anonymous-admin.json", world: sgdev, path: "/profile/recent/repos", credential: "nobody", status: 401},
		{recording: "error-401-bad-password.json", world: sgdev, path: "/repos", credential: "boss:wrong", status: 401},
		{recording: "user.json", world: janes, path: "/users/jcitizen"},
		{recording: "user-email-slug.json", world: world{version: "7.10", base: "https://bitbucket.example.com", users: func() []bitbuckettest.User {
			users := []bitbuckettest.User{{ID: 58, Name: "user@example.com", Email: "user@example.com", DisplayName: "user"}}
			for i := range 8 {
				users = append(users, bitbuckettest.User{Name: fmt.Sprintf("a%d", i)})
			}
			return users
		}()}, path: "/users?limit=3&start=9"},
		{recording: "branches-default-4-9.json", world: janes, prepare: func(s *bitbuckettest.Server) (string, error) {
			if err := s.SetBranch("PRJ/my-repo", "feature_branch", "master"); err != nil {
				return "", err
			}
			return "/projects/PRJ/repos/my-repo/branches/default", s.SetDefaultBranch("PRJ/my-repo", "feature_branch")
		}},
		{recording: "branches-page.json", world: janes, path: "/projects/PRJ/repos/my-repo/branches"},
		{recording: "tags-page-lightweight.json", world: janes, path: "/projects/PRJ/repos/my-repo/tags"},
		{recording: "tag.json", world: janes, prepare: func(s *bitbuckettest.Server) (string, error) {
			_, err := s.Push("PRJ/my-repo", bitbuckettest.History{Tags: []bitbuckettest.Tag{{Name: "release-2.0.0", Target: "master", Message: "2.0.0"}}})
			return "/projects/PRJ/repos/my-repo/tags/release-2.0.0", err
		}},
		{recording: "commit.json", world: janes, prepare: func(s *bitbuckettest.Server) (string, error) {
			hashes, err := s.Push("PRJ/my-repo", bitbuckettest.History{})
			return "/projects/PRJ/repos/my-repo/commits/" + hashes["refs/heads/master"], err
		}},
		{recording: "commits-page.json", world: janes, prepare: func(s *bitbuckettest.Server) (string, error) {
			_, err := s.Push("PRJ/my-repo", bitbuckettest.History{Commits: []bitbuckettest.Commit{{Branch: "master", Message: "update files"}}})
			return "/projects/PRJ/repos/my-repo/commits?withCounts=true&since=v1.0.0", err
		}},
		{recording: "browse-type-file.json", world: janes, prepare: withFile, path: "?type=true"},
		{recording: "browse-lines-page.json", world: janes, prepare: withFile},
		{recording: "pull-request-5.x.json", world: janes, prepare: func(s *bitbuckettest.Server) (string, error) {
			return "/projects/PRJ/repos/my-repo/pull-requests/1", withPullRequest(s, "PRJ/my-repo", bitbuckettest.PullRequest{
				Number: 1, Title: "Updated Files", Description: "* added LICENSE\n* update files\n* update files", From: "feature/x", Author: "jcitizen",
			})
		}, credential: "jcitizen:j"},
		{recording: "pull-request-4.8-raw.http", world: world{
			version: "4.8.0", base: "https://stash.example.com", links: "http", projects: []bitbuckettest.Project{{ID: 7, Key: "IOS", Name: "ios"}},
			users: []bitbuckettest.User{{ID: 101, Name: "a.user", DisplayName: "A User", Email: "a.user@example.com", Password: "p"}},
			repos: []bitbuckettest.Repository{{ID: 38, Project: "IOS", Slug: "fancyapp", DefaultBranch: "develop", History: &bitbuckettest.History{Commits: []bitbuckettest.Commit{{}}}}},
		}, prepare: func(s *bitbuckettest.Server) (string, error) {
			return "/projects/IOS/repos/fancyapp/pull-requests/2080", withPullRequest(s, "IOS/fancyapp", bitbuckettest.PullRequest{
				Number: 2080, Title: "This is a danger test", From: "feature/Danger", Author: "a.user", State: "DECLINED",
				Description: "This PR will be used for [Danger](http://danger.systems) tests.\n![Danger](https://raw.githubusercontent.com/danger/design/master/images/danger_hero_shot%402x.png)",
			})
		}, credential: "a.user:p"},
	} {
		t.Run(c.recording, func(t *testing.T) {
			t.Parallel()
			want := recordings.Read(t, c.recording)
			if _, body, ok := strings.Cut(want, "\n\n"); ok && strings.HasPrefix(want, "HTTP/") {
				want = body
			}
			s := c.world.start(t)
			path := c.path
			if c.prepare != nil {
				prepared, err := c.prepare(s)
				if err != nil {
					t.Fatal(err)
				}
				path = prepared + path
			}
			credential := asBoss
			switch c.credential {
			case "nobody":
				credential = ""
			case "":
			default:
				credential = c.credential
			}
			res := request(t, s, "/rest/api/1.0"+path, credential)
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if wantStatus := max(c.status, http.StatusOK); res.StatusCode != wantStatus {
				t.Errorf("GET %s: %s, want %d", path, res.Status, wantStatus)
			}
			if diff := cmp.Diff(comparable(t, want), comparable(t, string(body))); diff != "" {
				t.Errorf("GET %s (-recorded +double):\n%s", path, diff)
			}
		})
	}
}

func withFile(s *bitbuckettest.Server) (string, error) {
	_, err := s.Push("PRJ/my-repo", bitbuckettest.History{Commits: []bitbuckettest.Commit{
		{Branch: "master", Files: map[string]bitbuckettest.File{"zoo/a.txt": bitbuckettest.Text("BEARS\n")}},
	}})
	return "/projects/PRJ/repos/my-repo/browse/zoo/a.txt", err
}

func withPullRequest(s *bitbuckettest.Server, address string, p bitbuckettest.PullRequest) error {
	if _, err := s.Push(address, bitbuckettest.History{Commits: []bitbuckettest.Commit{{Branch: p.From}}}); err != nil {
		return err
	}
	_, err := s.AddPullRequest(address, p)
	return err
}

// cassette is one call of a recording with headers.
type cassette struct {
	url, body string
	status    string
	headers   []string // names, sorted
}

// cassettes reads a recording of go-vcr as far as these tests need it.
func cassettes(t *testing.T, name string) []cassette {
	t.Helper()
	var all []cassette
	for _, text := range strings.Split(recordings.Read(t, name), "\n- request:")[1:] {
		request, response, ok := strings.Cut(text, "\n  response:")
		url := regexp.MustCompile(`(?m)^    url: (.*)$`).FindStringSubmatch(request)
		body := regexp.MustCompile(`(?s)\n    body: '(.*?)'\n    headers:`).FindStringSubmatch(response)
		status := regexp.MustCompile(`(?m)^    code: (\d+)$`).FindStringSubmatch(response)
		if !ok || url == nil || body == nil || status == nil {
			t.Fatalf("%s: cannot be read", name)
		}
		c := cassette{url: url[1], status: status[1]}
		// A folded scalar in single quotes: a line break is a space, two quotes are one.
		c.body = strings.ReplaceAll(regexp.MustCompile(`\n +`).ReplaceAllString(body[1], " "), "''", "'")
		for _, header := range regexp.MustCompile(`(?m)^      ([A-Z][A-Za-z-]+):$`).FindAllStringSubmatch(response, -1) {
			switch header[1] {
			case "Server", "Cf-Cache-Status", "Cf-Ray", "Expect-Ct", "Strict-Transport-Security": // of proxies
			default:
				c.headers = append(c.headers, header[1])
			}
		}
		slices.Sort(c.headers)
		all = append(all, c)
	}
	if len(all) == 0 {
		t.Fatalf("%s: no call in it", name)
	}
	return all
}

func TestCallsAreTheRecordedOnes(t *testing.T) {
	t.Parallel()
	demo := world{
		version: "7.21", base: "https://bitbucket.sgdev.org", users: sgdev.users, projects: []bitbuckettest.Project{{ID: 26, Key: "SGDEMO", Name: "Sourcegraph Demo"}},
	}
	for slug, id := range map[string]int64{"go": 10060, "jenkins": 10056, "mux": 10061, "sentry": 10058, "sinatra": 10059, "sourcegraph": 10072} {
		demo.repos = append(demo.repos, bitbuckettest.Repository{ID: id, Project: "SGDEMO", Slug: slug})
	}
	org := world{
		version: "6.2", base: "http://127.0.0.1:7990", links: "http", projects: []bitbuckettest.Project{{ID: 1, Key: "ORG", Name: "Org"}},
		repos: []bitbuckettest.Repository{{ID: 1, Project: "ORG", Slug: "foo"}, {ID: 2, Project: "ORG", Slug: "bar"}, {ID: 3, Project: "ORG", Slug: "baz"}},
	}
	for name, w := range map[string]world{
		"ProjectRepos.yaml":                                                   demo,
		"LabeledRepos.yaml":                                                   sgdev,
		"PullRequests-success.yaml":                                           sgdev,
		"PullRequests-non-existing-pr.yaml":                                   sgdev,
		"PullRequests-non-existing-repo.yaml":                                 sgdev,
		"GetVersion.yaml":                                                     {version: "7.11.2"},
		"BITBUCKETSERVER/bitbucketserver-archived.yaml":                       sgdev,
		"BITBUCKETSERVER/yielded-repos-are-always-enabled.yaml":               sgdev,
		"BITBUCKETSERVER/repositoryPathPattern-determines-the-repo-name.yaml": sgdev,
		"BITBUCKETSERVER/excluded-repos-are-never-yielded.2019-06.yaml":       org,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := cassettes(t, "vcr/"+name)
			s := w.start(t)
			for _, call := range calls {
				_, path, _ := strings.Cut(call.url, "/rest/")
				if strings.Contains(path, "visibility=private") {
					path = strings.Replace(path, "limit=1000", "limit=100", 1) // edited after it was recorded
				}
				res := request(t, s, "/rest/"+path, asBoss)
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(res.StatusCode); got != call.status {
					t.Errorf("GET %s: %s, want %s", path, got, call.status)
				}
				if diff := cmp.Diff(comparable(t, sortedLinks(call.body)), comparable(t, sortedLinks(string(body)))); diff != "" {
					t.Errorf("GET %s (-recorded +double):\n%s", path, diff)
				}
				var headers []string
				for header := range res.Header {
					if header != "Content-Length" { // the proxies of the recordings took it out
						headers = append(headers, header)
					}
				}
				slices.Sort(headers)
				if diff := cmp.Diff(call.headers, headers); diff != "" {
					t.Errorf("headers of GET %s (-recorded +double):\n%s", path, diff)
				}
				if got := res.Header["Cache-Control"]; !slices.Equal(got, []string{"private, no-cache", "no-cache, no-transform"}) {
					t.Errorf("Cache-Control of GET %s: %q", path, got)
				}
			}
		})
	}
}
