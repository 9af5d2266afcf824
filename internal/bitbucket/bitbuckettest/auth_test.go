package bitbuckettest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// exception is the last part of the exception that an answer names.
func exception(answer map[string]any) string {
	errs, _ := answer["errors"].([]any)
	if len(errs) == 0 {
		return ""
	}
	name, _ := errs[0].(map[string]any)["exceptionName"].(string)
	return name[strings.LastIndex(name, ".")+1:]
}

const probe = "/rest/api/1.0/users?limit=1"

func TestCredentialsByVersion(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, bitbuckettest.Options{Version: version})
			tokens := http.StatusUnauthorized
			if s.HasTokens() {
				tokens = http.StatusOK
			}
			for _, c := range []struct {
				name, credential string
				want             int
				exception        string
			}{
				{"a password", asReader, 200, ""},
				{"a wrong password", "reader:wrong", 401, "IncorrectPasswordAuthenticationException"},
				{"an unknown account", "nobody:wrong", 401, "IncorrectPasswordAuthenticationException"},
				{"nobody", "", 401, "AuthorisationException"},
				{"a token", "Bearer " + adminToken, tokens, ""},
				{"a token as the password", "admin:" + adminToken, tokens, ""},
				{"somebody else's token as the password", "reader:" + adminToken, 401, "IncorrectPasswordAuthenticationException"},
			} {
				status, answer := get(t, s, probe, c.credential)
				if status != c.want || c.exception != "" && exception(answer) != c.exception {
					t.Errorf("%s: %d %v, want %d %s", c.name, status, answer, c.want, c.exception)
				}
			}
			if _, answer := get(t, s, probe, "Bearer wrong"); s.HasTokens() != (exception(answer) == "IncorrectPasswordAuthenticationException") {
				t.Errorf("a wrong token: %v", answer)
			}
		})
	}
}

func TestCaptchaLocksTheAccount(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for i := range 4 {
		if status, _ := get(t, s, probe, "reader:wrong"); status != http.StatusUnauthorized {
			t.Fatalf("failure %d: %d", i+1, status)
		}
	}
	if status, _ := get(t, s, probe, asReader); status != http.StatusOK {
		t.Fatalf("after four failures: %d", status)
	}
	// The good login began a new run; git counts too.
	for i := range 5 {
		path := probe
		if i%2 == 1 {
			path = "/scm/prj/app.git/info/refs?service=git-upload-pack"
		}
		if res := request(t, s, path, "reader:wrong"); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("failure %d of the second run: %d", i+1, res.StatusCode)
		}
	}
	status, answer := get(t, s, probe, asReader)
	if status != http.StatusForbidden || exception(answer) != "CaptchaRequiredAuthenticationException" {
		t.Errorf("the right password of a locked account: %d %v", status, answer)
	}
	out, err := git(t, "/", "ls-remote", strings.Replace(s.URL(), "://", "://reader:reader%20secret@", 1)+"/scm/prj/app.git")
	if err == nil || !strings.Contains(out, "remote error: CAPTCHA required") {
		t.Errorf("git with a locked account: %v %s", err, out)
	}
	if status, _ := get(t, s, probe, "Bearer "+readerToken); status != http.StatusOK {
		t.Errorf("the token of a locked account: %d", status)
	}
	if err := s.ClearCaptcha("reader"); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, s, probe, asReader); status != http.StatusOK {
		t.Errorf("after the CAPTCHA: %d", status)
	}
}

func TestWrongTokensLockNobody(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for range 7 {
		get(t, s, probe, "Bearer wrong")
	}
	if status, _ := get(t, s, probe, asReader); status != http.StatusOK {
		t.Errorf("after wrong tokens: %d", status)
	}
}

func TestCaptchaCanBeOff(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{CaptchaAfter: -1})
	for range 7 {
		get(t, s, probe, "reader:wrong")
	}
	if status, _ := get(t, s, probe, asReader); status != http.StatusOK {
		t.Errorf("after failures: %d", status)
	}
}

func TestTokensOfProjectsAndRepositories(t *testing.T) {
	t.Parallel()
	for version, accepted := range map[string]bool{"7.8": false, "7.21": true} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, bitbuckettest.Options{Version: version})
			if err := s.AddProjectToken("PRJ", "project-token"); err != nil {
				t.Fatal(err)
			}
			if err := s.AddRepositoryToken("PRJ/app", "repository-token"); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string][2]int{ // by the token of the project, of the repository
				"/rest/api/1.0/projects/PRJ/repos/app":               {200, 200},
				"/rest/api/1.0/projects/PRJ/repos/hidden":            {200, 401},
				"/rest/api/1.0/projects/~first.last/repos/notes":     {401, 401},
				"/rest/api/1.0/projects/PRJ/repos/app/branches":      {200, 200},
				"/scm/prj/app.git/info/refs?service=git-upload-pack": {200, 200},
			} {
				for i, token := range []string{"project-token", "repository-token"} {
					res := request(t, s, path, "Bearer "+token)
					wanted := want[i]
					if !accepted {
						wanted = http.StatusUnauthorized
					}
					if res.StatusCode != wanted || res.Header.Get("X-AUSERNAME") != "" {
						t.Errorf("%s with the %s: %s as %q, want %d", path, token, res.Status, res.Header.Get("X-AUSERNAME"), wanted)
					}
				}
			}
			_, err := git(t, "/", "ls-remote", strings.Replace(s.URL(), "://", "://x-token-auth:repository-token@", 1)+"/scm/prj/app.git")
			if (err == nil) != accepted {
				t.Errorf("git with x-token-auth: %v", err)
			}
		})
	}
}

func TestTokensAreRefusedOutsideTheAPIByReleaseLine(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{
		"8.9.21": 200, "8.9.22": 302, "8.19.11": 200, "8.19.12": 302, "9.0": 200, "9.3.1": 200, "9.3.2": 302, "9.4": 302, "8.12": 200,
	} {
		s := start(t, bitbuckettest.Options{Version: version})
		res := request(t, s, "/projects/PRJ/repos/app/browse", "Bearer "+readerToken)
		if res.StatusCode != want {
			t.Errorf("a web page of %s with a token: %s, want %d", version, res.Status, want)
		}
		if status, _ := get(t, s, probe, "Bearer "+readerToken); status != http.StatusOK {
			t.Errorf("REST of %s with a token: %d", version, status)
		}
	}
}

func TestBasicAuthenticationCanBeOff(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{BasicAuthOff: true})
	for _, path := range []string{probe, "/scm/prj/app.git/info/refs?service=git-upload-pack"} {
		if res := request(t, s, path, asReader); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s, want 403", path, res.Status)
		}
	}
	if status, _ := get(t, s, probe, "Bearer "+readerToken); status != http.StatusOK {
		t.Errorf("a token: %d", status)
	}
}

func TestWhatOneMayNotSee(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	hiding := start(t, bitbuckettest.Options{HideInvisible: true})
	const hidden = "/rest/api/1.0/projects/PRJ/repos/hidden"
	for _, c := range []struct {
		server           *bitbuckettest.Server
		credential, path string
		want             int
	}{
		{s, asAdmin, hidden, 200},
		{s, asReader, hidden, 401},
		{s, "", hidden, 401},
		{s, "", "/rest/api/1.0/projects/PRJ", 401},
		{s, asReader, "/rest/api/1.0/projects/PRJ/repos/none", 404},
		{hiding, asReader, hidden, 404},
	} {
		if status, answer := get(t, c.server, c.path, c.credential); status != c.want {
			t.Errorf("%s as %q: %d %v, want %d", c.path, c.credential, status, answer, c.want)
		}
	}
	if err := s.SetReaders("PRJ/hidden", []string{"READER"}); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, s, hidden, asReader); status != http.StatusOK {
		t.Errorf("after the reader was let in: %d", status)
	}
	if err := s.SetReaders("PRJ", []string{}); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, s, "/rest/api/1.0/projects/PRJ/repos/app", asReader); status != http.StatusUnauthorized {
		t.Errorf("after the project was closed: %d", status)
	}
	if _, answer := get(t, s, "/rest/api/1.0/projects/PRJ/repos?limit=100", asReader); answer["size"] != 1.0 {
		t.Errorf("the project's repositories: %v", answer["size"])
	}
}

func TestNobodySeesPublicRepositoriesAlone(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	if err := s.Change("PRJ/app", func(r *bitbuckettest.Repository) { r.Public = true }); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]float64{
		"/rest/api/1.0/repos":                       1,
		"/rest/api/1.0/repos?permission=REPO_READ":  0, // by design
		"/rest/api/1.0/repos?visibility=private":    0,
		"/rest/api/1.0/projects":                    1,
		"/rest/api/1.0/projects/PRJ/repos?limit=10": 1,
	} {
		if status, answer := get(t, s, path, ""); status != http.StatusOK || answer["size"] != want {
			t.Errorf("%s: %d %v, want %v", path, status, answer["size"], want)
		}
	}
	if out, err := git(t, "/", "ls-remote", s.URL()+"/scm/prj/app.git"); err != nil {
		t.Errorf("git: %v %s", err, out)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		s := start(t, bitbuckettest.Options{Version: version})
		if _, err := s.AddUser(bitbuckettest.User{Name: "user@example.com", Password: "p"}); err != nil {
			t.Fatal(err)
		}
		res := request(t, s, "/rest/api/1.0/application-properties", "user@example.com:p")
		if got := res.Header.Get("X-AUSERNAME"); got != "user%40example.com" {
			t.Errorf("%s: X-AUSERNAME is %q", version, got)
		}
		if _, support := res.Header["X-Asen"]; support != strings.HasPrefix(version, "4.") && support != (version[0] < '7') {
			t.Errorf("%s: X-ASEN: %v", version, support)
		}
		res = request(t, s, "/rest/api/1.0/application-properties", "")
		if res.StatusCode != http.StatusOK || res.Header.Get("X-AUSERNAME") != "" || res.Header.Get("X-AREQUESTID") == "" {
			t.Errorf("%s: anonymous: %s %v", version, res.Status, res.Header)
		}
	}
}

func TestRequestsAreRemembered(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{KeepRequests: 3, ContextPath: "/ctx"})
	for i := range 4 {
		request(t, s, fmt.Sprintf("/rest/api/1.0/repos?start=%d", i), asReader)
	}
	request(t, s, probe, "Bearer wrong")
	got := s.Requests()
	if len(got) != 3 || s.RequestCount() != 5 {
		t.Fatalf("%d requests of %d", len(got), s.RequestCount())
	}
	first, last := got[0], got[2]
	if first.Query != "start=2" || first.Path != "/ctx/rest/api/1.0/repos" || first.User != "reader" || !first.Authenticated || first.Scheme != "Basic" || first.Kind != bitbuckettest.KindREST {
		t.Errorf("the first: %+v", first)
	}
	if last.Authenticated || last.User != "" || last.Scheme != "Bearer" || last.Status != http.StatusUnauthorized || last.Bytes == 0 {
		t.Errorf("the last: %+v", last)
	}
	s.ClearRequests()
	if s.RequestCount() != 0 || len(s.Requests()) != 0 {
		t.Error("the requests are still there")
	}
}

// TestWhoHasTheAnswerFindsTheRequest reads answers that are too long for the server's buffers.
func TestWhoHasTheAnswerFindsTheRequest(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for i := range 50 {
		if _, err := s.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: fmt.Sprintf("r%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		res := request(t, s, "/rest/api/1.0/repos?limit=100", asReader)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		requests := s.Requests()
		if len(requests) != i+1 || requests[i].Status != http.StatusOK || requests[i].Bytes != int64(len(body)) {
			t.Fatalf("after answer %d of %d bytes, %d requests are remembered", i+1, len(body), len(requests))
		}
	}
}
