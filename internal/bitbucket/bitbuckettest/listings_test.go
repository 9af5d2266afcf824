package bitbuckettest_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// all pages through a listing as a client should and returns the field of each value, and
// the sizes of the pages.
func all(t *testing.T, s *bitbuckettest.Server, path, credential, field string) (values []string, sizes []int) {
	t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	start := "0"
	for range 100 {
		status, page := get(t, s, "/rest/api/1.0"+path+separator+"start="+start, credential)
		if status != http.StatusOK {
			t.Fatalf("GET %s: %d %v", path, status, page)
		}
		for _, value := range page["values"].([]any) {
			values = append(values, fmt.Sprint(value.(map[string]any)[field]))
		}
		sizes = append(sizes, len(page["values"].([]any)))
		if page["isLastPage"] == true {
			if _, ok := page["nextPageStart"]; ok {
				t.Errorf("the last page of %s has a next one", path)
			}
			return values, sizes
		}
		start = strconv.Itoa(int(page["nextPageStart"].(float64)))
	}
	t.Fatalf("%s has no end", path)
	return nil, nil
}

// withHoles has ten repositories; "reader" does not see 0, 3, 4, 5 and 9.
func withHoles(t *testing.T, o bitbuckettest.Options) *bitbuckettest.Server {
	t.Helper()
	s := startWithGit(t, o)
	if _, err := s.AddProject(bitbuckettest.Project{Key: "HOLES"}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		r := bitbuckettest.Repository{Project: "HOLES", Slug: fmt.Sprintf("r%d", i)}
		if slices.Contains([]int{0, 3, 4, 5, 9}, i) {
			r.Readers = []string{}
		}
		if _, err := s.AddRepository(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestPagesCountRowsBeforeThePermissionFilter(t *testing.T) {
	t.Parallel()
	want := []string{"r1", "r2", "r6", "r7", "r8"}
	for _, c := range []struct {
		name  string
		short bool
		limit int
		sizes []int
		next  float64 // after the first page
	}{
		{"full pages", false, 1, []int{1, 1, 1, 1, 1}, 2},
		{"full pages of three", false, 3, []int{3, 2}, 7},
		{"short pages", true, 1, []int{0, 1, 1, 0, 0, 0, 1, 1, 1, 0}, 1},
		{"short pages of three", true, 3, []int{2, 0, 3, 0}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := withHoles(t, bitbuckettest.Options{ShortPages: c.short})
			path := fmt.Sprintf("/projects/HOLES/repos?limit=%d", c.limit)
			got, sizes := all(t, s, path, asReader, "slug")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("repositories (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.sizes, sizes); diff != "" {
				t.Errorf("sizes of pages (-want +got):\n%s", diff)
			}
			if _, page := get(t, s, "/rest/api/1.0"+path, asReader); page["nextPageStart"] != c.next {
				t.Errorf("the second page starts at %v, want %v", page["nextPageStart"], c.next)
			}
			if _, page := get(t, s, "/rest/api/1.0"+path+"&start=99", asReader); page["isLastPage"] != true || page["size"] != 0.0 {
				t.Errorf("behind the end: %v", page)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := withHoles(t, bitbuckettest.Options{PageLimits: map[string]int{"repositories": 4}})
	for path, want := range map[string]any{
		"/rest/api/1.0/repos?limit=1000":                  4.0,
		"/rest/api/1.0/repos?limit=3":                     3.0,
		"/rest/api/1.0/repos":                             4.0,
		"/rest/api/1.0/projects":                          25.0,
		"/rest/api/1.0/projects?limit=5000":               1000.0,
		"/rest/api/1.0/projects/PRJ/repos/app/commits":    25.0,
		"/rest/api/1.0/projects/PRJ/repos/app/tags":       25.0,
		"/rest/api/1.0/projects/PRJ/repos/app/branches":   25.0,
		"/rest/api/latest/projects/PRJ/repos?limit=1":     1.0,
		"/rest/api/1.0/users/first.last/repos?limit=2":    2.0,
		"/rest/api/1.0/projects/~first.last/repos":        4.0,
		"/rest/api/1.0/profile/recent/repos?limit=1":      1.0,
		"/rest/api/1.0/projects/PRJ/repos/app/files":      25.0,
		"/rest/api/1.0/projects/PRJ/repos/hidden/tags":    25.0,
		"/rest/api/1.0/projects/prj/repos/APP/branches/?": 25.0,
	} {
		if status, answer := get(t, s, path, asAdmin); status != http.StatusOK || answer["limit"] != want {
			t.Errorf("%s: %d, limit %v, want %v", path, status, answer["limit"], want)
		}
	}
	for _, path := range []string{
		"/rest/api/1.0/repos?limit=x", "/rest/api/1.0/repos?start=-1", "/rest/api/1.0/repos?permission=REPO_EAT", "/rest/api/1.0/projects?permission=REPO_READ",
		"/rest/api/1.0/repos?archived=maybe", "/rest/api/1.0/repos?state=ILL", "/rest/api/1.0/repos?visibility=dim",
	} {
		if status, answer := get(t, s, path, asAdmin); status != http.StatusBadRequest || answer["errors"] == nil {
			t.Errorf("%s: %d %v, want 400", path, status, answer)
		}
	}
}

func TestFiltersByVersion(t *testing.T) {
	t.Parallel()
	everything := []string{"app", "attic", "hidden", "My.Dotted-repo", "app", "notes"}
	cases := []struct {
		path string
		from string // from this version on
		want []string
		old  []string // before
	}{
		{"/repos?name=APP+", "4.0", []string{"app", "app"}, nil},
		{"/repos?projectname=a+proj", "8.0", []string{"app", "hidden", "My.Dotted-repo"}, []string{"app", "attic", "hidden", "My.Dotted-repo"}},
		{"/repos?archived=ALL", "8.0", everything, everything},
		{"/repos?archived=ARCHIVED", "8.0", []string{"attic"}, everything},
		{"/repos?archived=ALL&projectkey=prj", "8.0", []string{"app", "attic", "hidden", "My.Dotted-repo"}, everything},
		{"/repos?archived=ALL&state=OFFLINE", "5.13", nil, everything},
		{"/repos?permission=REPO_WRITE&archived=ALL", "4.0", everything, nil},
		{"/projects/PRJ/repos", "4.0", []string{"app", "attic", "hidden", "My.Dotted-repo"}, nil},
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, bitbuckettest.Options{Version: version})
			for _, c := range cases {
				want := c.want
				if older(version, c.from) {
					want = c.old
				}
				got, _ := all(t, s, c.path, asAdmin, "slug")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.path, diff)
				}
			}
		})
	}
}

// older tells whether version a is older than b.
func older(a, b string) bool {
	number := func(s string) int {
		major, minor, _ := strings.Cut(s, ".")
		m, _ := strconv.Atoi(major)
		n, _ := strconv.Atoi(minor)
		return m*1000 + n
	}
	return number(a) < number(b)
}

func TestResourcesByVersion(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := startWithGit(t, bitbuckettest.Options{Version: version})
			for path, from := range map[string]string{
				"/labels/archived/labeled":                 "5.13",
				"/projects/PRJ/repos/app/labels":           "5.13",
				"/projects/PRJ/repos/app/default-branch":   "7.5",
				"/projects/PRJ/repos/app/raw/README.md":    "7.0",
				"/projects/PRJ/repos/app/branches/default": "4.0",
			} {
				want := http.StatusOK
				if older(version, from) {
					want = http.StatusNotFound
				}
				if res := request(t, s, "/rest/api/1.0"+path, asAdmin); res.StatusCode != want {
					t.Errorf("%s: %s, want %d", path, res.Status, want)
				}
			}
		})
	}
}

func TestKeysOfRepositoriesByVersion(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		s := start(t, bitbuckettest.Options{Version: version, BaseURL: "https://bitbucket.example.com"})
		_, r := get(t, s, "/rest/api/1.0/projects/prj/repos/ATTIC", asReader)
		for key, from := range map[string]string{"archived": "8.0", "hierarchyId": "7.0"} {
			if _, ok := r[key]; ok == older(version, from) {
				t.Errorf("%s has the key %s: %v", version, key, ok)
			}
		}
		want := "https://bitbucket.example.com/scm/prj/attic.git"
		if older(version, "6.0") {
			want = "https://reader@bitbucket.example.com/scm/prj/attic.git"
		}
		if got := cloneLinks(r); got["http"] != want || got["ssh"] != "ssh://git@bitbucket.example.com:7999/prj/attic.git" {
			t.Errorf("clone links of %s: %v, want %s", version, got, want)
		}
		if r["slug"] != "attic" || r["project"].(map[string]any)["key"] != "PRJ" {
			t.Errorf("%s: the spelling is not canonical: %v", version, r)
		}
	}
}

func cloneLinks(repository map[string]any) map[string]string {
	links := map[string]string{}
	clone, _ := repository["links"].(map[string]any)["clone"].([]any)
	for _, link := range clone {
		l := link.(map[string]any)
		links[l["name"].(string)] = l["href"].(string)
	}
	return links
}

func TestCloneLinksComeInBothOrders(t *testing.T) {
	t.Parallel()
	first := func(o bitbuckettest.Options) []string {
		s := start(t, o)
		seen := map[string]bool{}
		_, answer := get(t, s, "/rest/api/1.0/repos?archived=ALL", asAdmin)
		for _, value := range answer["values"].([]any) {
			clone, ok := value.(map[string]any)["links"].(map[string]any)["clone"].([]any)
			if !ok {
				seen["none"] = true
				continue
			}
			seen[clone[0].(map[string]any)["name"].(string)] = true
		}
		return slices.Sorted(maps.Keys(seen))
	}
	for name, c := range map[string]struct {
		o    bitbuckettest.Options
		want []string
	}{
		"as they come": {bitbuckettest.Options{}, []string{"http", "ssh"}},
		"http first":   {bitbuckettest.Options{CloneLinkOrder: "http"}, []string{"http"}},
		"ssh first":    {bitbuckettest.Options{CloneLinkOrder: "ssh"}, []string{"ssh"}},
		"no ssh":       {bitbuckettest.Options{SSHOff: true}, []string{"http"}},
		"no http":      {bitbuckettest.Options{HTTPOff: true}, []string{"ssh"}},
		"neither":      {bitbuckettest.Options{SSHOff: true, HTTPOff: true}, []string{"none"}},
	} {
		if diff := cmp.Diff(c.want, first(c.o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPersonalProjects(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	var bodies []string
	for _, path := range []string{"/projects/~first.last/repos/notes", "/projects/~FIRST.LAST/repos/notes", "/users/first.last/repos/NOTES"} {
		res := request(t, s, "/rest/api/1.0"+path, asReader)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	if bodies[0] != bodies[1] || bodies[0] != bodies[2] {
		t.Errorf("the spellings answer differently: %q", bodies)
	}
	for _, want := range []string{
		`"key":"~FIRST.LAST"`, `"type":"PERSONAL","owner":{"name":"First.Last"`, `/users/first.last/repos/notes/browse"`, `/scm/~first.last/notes.git"`,
	} {
		if !strings.Contains(bodies[0], want) {
			t.Errorf("%s lacks %s", bodies[0], want)
		}
	}
	if keys, _ := all(t, s, "/projects", asAdmin, "key"); slices.ContainsFunc(keys, func(key string) bool { return key[0] == '~' }) {
		t.Errorf("projects lists personal ones: %v", keys)
	}
}

func TestMovedRepositoriesByVersion(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := startWithGit(t, bitbuckettest.Options{Version: version, ContextPath: "/ctx"})
			if err := s.Rename("PRJ/app", "OLD/application"); err != nil {
				t.Fatal(err)
			}
			res := request(t, s, "/rest/api/1.0/projects/prj/repos/APP/browse/docs/%C3%BC%20x?type=true", asReader)
			gitOut, gitErr := git(t, "/", "ls-remote", strings.Replace(s.URL(), "://", "://reader:reader%20secret@", 1)+"/scm/prj/app.git", "refs/heads/main")
			if older(version, "5.0") {
				if res.StatusCode != http.StatusNotFound || gitErr == nil {
					t.Errorf("the old address: %s; git: %s", res.Status, gitOut)
				}
				return
			}
			want := s.URL() + "/rest/api/1.0/projects/OLD/repos/application/browse/docs/%C3%BC%20x?type=true"
			if res.StatusCode != http.StatusMovedPermanently || res.Header.Get("Location") != want {
				t.Errorf("the old address: %s to %q, want %q", res.Status, res.Header.Get("Location"), want)
			}
			if gitErr != nil || !strings.Contains(gitOut, "ce4f9fe64c9bbade17b9a5ae683c35aed6bccd01\trefs/heads/main") {
				t.Errorf("git at the old address: %v %s", gitErr, gitOut)
			}
			clone, err := git(t, "/", "clone", "--progress", strings.Replace(s.URL(), "://", "://reader:reader%20secret@", 1)+"/scm/prj/app.git", t.TempDir())
			if err != nil || !strings.Contains(clone, "remote: The repository has moved, please update your configuration:") || !strings.Contains(clone, "/scm/old/application.git") {
				t.Errorf("clone from the old address: %v %s", err, clone)
			}
			if res := request(t, s, "/projects/PRJ/repos/app/browse", asReader); res.Header.Get("Location") != s.URL()+"/projects/OLD/repos/application/browse" {
				t.Errorf("the old page: %s to %q", res.Status, res.Header.Get("Location"))
			}
			// Whoever takes the address has it.
			if _, err := s.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "app"}); err != nil {
				t.Fatal(err)
			}
			if status, r := get(t, s, "/rest/api/1.0/projects/PRJ/repos/app", asReader); status != http.StatusOK || r["id"] == 1.0 {
				t.Errorf("the new owner of the address: %d %v", status, r["id"])
			}
			if err := s.RenameProject("OLD", "NEWER"); err != nil {
				t.Fatal(err)
			}
			for old, want := range map[string]string{
				"/rest/api/1.0/projects/old":                   "/rest/api/1.0/projects/NEWER",
				"/rest/api/1.0/projects/OLD/repos?limit=2":     "/rest/api/1.0/projects/NEWER/repos?limit=2",
				"/rest/api/1.0/projects/OLD/repos/application": "/rest/api/1.0/projects/NEWER/repos/application",
			} {
				if res := request(t, s, old, asReader); res.Header.Get("Location") != s.URL()+want {
					t.Errorf("%s: %s to %q, want %s", old, res.Status, res.Header.Get("Location"), want)
				}
			}
		})
	}
}

func TestMovedPersonalRepositoryFailsInOneSpelling(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	if err := s.Rename("~FIRST.LAST/notes", "PRJ/notes"); err != nil {
		t.Fatal(err)
	}
	if res := request(t, s, "/rest/api/1.0/users/first.last/repos/notes", asReader); res.Header.Get("Location") != s.URL()+"/rest/api/1.0/projects/PRJ/repos/notes" {
		t.Errorf("users/…: %s to %q", res.Status, res.Header.Get("Location"))
	}
	if status, _ := get(t, s, "/rest/api/1.0/projects/~first.last/repos/notes", asReader); status != http.StatusInternalServerError {
		t.Errorf("projects/~…: %d, want 500 (BSERV-11763)", status)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	for version, limited := range map[string]bool{"6.5": false, "6.6": true, "9.4": true} {
		clock := make(chan time.Time, 1)
		clock <- time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		now := func() time.Time { t := <-clock; clock <- t; return t }
		s := start(t, bitbuckettest.Options{Version: version, Now: now, RateLimit: bitbuckettest.RateLimit{Tokens: 2, PerSecond: 0.5}})
		want := []int{200, 200, 200, 200}
		if limited {
			want = []int{200, 200, 429, 429}
		}
		for i, path := range []string{probe, "/scm/prj/app.git/info/refs?service=git-upload-pack", probe, "/scm/prj/app.git/info/refs?service=git-upload-pack"} {
			res := request(t, s, path, asReader)
			if res.StatusCode != want[i] {
				t.Errorf("%s, request %d: %s, want %d", version, i+1, res.Status, want[i])
			}
			if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") != "2" {
				t.Errorf("%s: Retry-After is %q, want 2", version, res.Header.Get("Retry-After"))
			}
		}
		if status, _ := get(t, s, probe, asAdmin); status != http.StatusOK {
			t.Errorf("%s: another account has the same bucket", version)
		}
		clock <- (<-clock).Add(2 * time.Second)
		if status, _ := get(t, s, probe, asReader); status != http.StatusOK {
			t.Errorf("%s: after two seconds: %d", version, status)
		}
	}
}

func TestRetryAfterCanBeADateOrMissing(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		limit bitbuckettest.RateLimit
		want  string
	}{
		{bitbuckettest.RateLimit{Tokens: 1, PerSecond: 1, RetryAsDate: true}, "Mon, 01 Jan 2024 00:00:01 GMT"},
		{bitbuckettest.RateLimit{Tokens: 1, PerSecond: 1, NoRetryAfter: true}, ""},
	} {
		s := start(t, bitbuckettest.Options{Now: now, RateLimit: c.limit})
		request(t, s, probe, asReader)
		if res := request(t, s, probe, asReader); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != c.want {
			t.Errorf("%s with Retry-After %q, want %q", res.Status, res.Header.Get("Retry-After"), c.want)
		}
	}
}

func TestEncodedSlashesAreTomcats(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{ContextPath: "/ctx"})
	for _, path := range []string{"/rest/api/1.0/projects/PRJ/repos/app/browse/cmd%2Fa.go", "/projects/PRJ%2frepos", "/scm/prj%2Fapp.git/info/refs"} {
		res := request(t, s, path, asReader)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "Invalid URI: [The encoded slash character is not allowed]") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(s.URL(), "/ctx")+"/rest/api/1.0/repos", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only the status counts
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("outside the context path: %s", res.Status)
	}
}

func TestWebPages(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for path, want := range map[string]map[string]int{
		"/":                              {"": 302, asReader: 302},
		"/dashboard":                     {"": 302, asReader: 200},
		"/projects":                      {"": 302, asReader: 200},
		"/projects/PRJ/repos/app/browse": {"": 302, asReader: 200},
		"/projects/PRJ/repos/hidden":     {"": 302, asReader: 404},
		"/users/first.last":              {"": 302, asReader: 200},
		"/login":                         {"": 200},
		"/no/such/page":                  {"": 302, asReader: 404},
		"/users/first.last/repos/x":      {asReader: 404},
		"/plugins/servlet/search?q=x":    {"": 302, asReader: 200},
	} {
		for credential, status := range want {
			res := request(t, s, path, credential)
			if res.StatusCode != status {
				t.Errorf("%s as %q: %s, want %d", path, credential, res.Status, status)
			}
			if location := res.Header.Get("Location"); credential == "" && path != "/" && status == 302 && !strings.HasPrefix(location, s.URL()+"/login?next=%2F") {
				t.Errorf("%s leads to %q", path, location)
			}
		}
	}
}
