package bitbuckettest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// run starts Main beside the test and returns what it printed first, and a function that
// commands it and returns the status and the answer.
func run(t *testing.T, args ...string) (bitbuckettest.Ready, func(method, path, body string) (int, string)) {
	t.Helper()
	out, in := io.Pipe()
	var stderr bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		code := bitbuckettest.Main(args, in, &stderr)
		_ = in.Close() // so that nobody waits for a line that never comes
		exit <- code
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("Main printed nothing: exit %d: %s", <-exit, stderr.String())
	}
	var ready bitbuckettest.Ready
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{}
	command := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, ready.Control+path, strings.NewReader(body)) //nolint:noctx // also used when the test's context has ended
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(answer)
	}
	t.Cleanup(func() {
		command(http.MethodPost, "/control/stop", "")
		if code := <-exit; code != 0 {
			t.Errorf("Main returned %d: %s", code, stderr.String())
		}
		client.CloseIdleConnections()
	})
	return ready, command
}

func TestMainIsCommandedByAnotherProcess(t *testing.T) {
	t.Parallel()
	ready, command := run(t, "-world", "empty", "-version", "6.10", "-context-path", "/bitbucket", "-options", `{"PageLimits": {"all": 1}}`)
	if ready.Version != "6.10.0" || !ready.Tokens || len(ready.Servers) != 1 || ready.Accounts["admin"].Token == "" {
		t.Fatalf("ready: %+v", ready)
	}
	admin := ready.Accounts["admin"]
	ask := func(path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ready.Servers[0].URL+"/rest/api/1.0"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(admin.Username, admin.Password)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	for _, step := range []struct {
		name, method, path, body string
		status                   int
		ask                      string // afterwards
		want                     string // part of the answer
	}{
		{"a project", "POST", "/control/project", `{"key": "NEW", "name": "New"}`, 200, "/projects/new", `"key":"NEW"`},
		{"a repository", "POST", "/control/repository", `{"project": "NEW", "slug": "one"}`, 200, "/repos", `"slug":"one"`},
		{"a push", "POST", "/control/push", `{"repository": "NEW/one", "history": {"commits": [{"label": "c", "message": "Hello", "files": {"a.txt": {"content": "x\n"}}}]}}`, 200, "/projects/NEW/repos/one/browse/a.txt", `"text":"x"`},
		{"another branch", "POST", "/control/branch", `{"repository": "NEW/one", "branch": "topic", "action": "set", "to": "main"}`, 204, "/projects/NEW/repos/one/branches?start=1", `"size":1,"limit":1,"isLastPage":true`},
		{"a pull request", "POST", "/control/pull-request", `{"repository": "NEW/one", "pullRequest": {"from": "topic", "title": "A topic"}}`, 200, "/projects/NEW/repos/one/pull-requests/1", `"title":"A topic"`},
		{"a default branch", "POST", "/control/branch", `{"repository": "NEW/one", "branch": "topic", "action": "default"}`, 204, "/projects/NEW/repos/one/branches/default", `"displayId":"topic"`},
		{"a branch less", "POST", "/control/branch", `{"repository": "NEW/one", "branch": "main", "action": "delete"}`, 204, "/projects/NEW/repos/one/branches?start=1", `"size":0`},
		{"a branch renamed", "POST", "/control/branch", `{"repository": "NEW/one", "branch": "topic", "action": "rename", "to": "topic/a"}`, 204, "/projects/NEW/repos/one/branches", `"displayId":"topic/a"`},
		{"a rename", "POST", "/control/rename", `{"from": "NEW/one", "to": "NEW/two"}`, 204, "/projects/NEW/repos/one", `"slug":"two"`},
		{"a project's rename", "POST", "/control/rename-project", `{"from": "NEW", "to": "NEWER"}`, 204, "/projects/NEW/repos/two", `"key":"NEWER"`},
		{"labels", "POST", "/control/change", `{"repository": "NEWER/two", "labels": ["archived"], "state": "OFFLINE"}`, 204, "/labels/archived/labeled", `"state":"OFFLINE"`},
		{"an account", "POST", "/control/user", `{"name": "eve", "password": "e"}`, 200, "/users/eve", `"name":"eve"`},
		{"tokens", "POST", "/control/tokens", `{"user": "eve", "tokens": ["t"]}`, 204, "/users/eve", `"name":"eve"`},
		{"a password", "POST", "/control/password", `{"user": "eve", "password": "f"}`, 204, "/users/eve", `"name":"eve"`},
		{"a CAPTCHA solved", "POST", "/control/captcha", `{"user": "eve"}`, 204, "/users/eve", `"name":"eve"`},
		{"readers", "POST", "/control/readers", `{"of": "NEWER", "readers": ["eve"]}`, 204, "/projects/NEWER", `"key":"NEWER"`},
		{"a fault", "POST", "/control/fault", `{"kind": "rest", "path": "/rest/api/1.0/repos", "status": 503, "body": "busy", "count": 1, "delay": "1ms"}`, 204, "/repos", `busy`},
		{"no faults", "DELETE", "/control/fault", ``, 204, "/repos", `"slug":"two"`},
		{"a repository less", "DELETE", "/control/repository", `{"repository": "NEWER/two"}`, 204, "/repos", `"size":0`},
		{"an unknown key", "POST", "/control/fault", `{"pat": "/"}`, 400, "/repos", `"size":0`},
		{"an unknown server", "POST", "/control/fault?server=third", `{}`, 400, "/repos", `"size":0`},
		{"nothing to move", "POST", "/control/move", ``, 400, "/repos", `"size":0`},
	} {
		if status, answer := command(step.method, step.path, step.body); status != step.status {
			t.Fatalf("%s: %d %s, want %d", step.name, status, answer, step.status)
		}
		if _, answer := ask(step.ask); !strings.Contains(answer, step.want) {
			t.Errorf("after %s, GET %s: %s, want %s", step.name, step.ask, answer, step.want)
		}
	}
	_, requests := command(http.MethodGet, "/control/requests", "")
	if !strings.Contains(requests, `"user":"admin"`) || strings.Contains(requests, admin.Password) {
		t.Errorf("requests: %s", requests)
	}
	if status, _ := command(http.MethodDelete, "/control/requests", ""); status != http.StatusNoContent {
		t.Error("the requests cannot be cleared")
	}
}

func TestMainServesTheLinkWorld(t *testing.T) {
	t.Parallel()
	ready, command := run(t, "-world", "link", "-version", "4.14", "-before-move")
	if len(ready.Servers) != 2 || ready.Proxy == "" || len(ready.Hashes) != 8 || ready.Accounts["bot"].Password == "" || ready.Tokens {
		t.Fatalf("ready: %+v", ready)
	}
	if status, answer := command(http.MethodPost, "/control/move", ""); status != http.StatusNoContent {
		t.Errorf("move: %d %s", status, answer)
	}
	if status, answer := command(http.MethodPost, "/control/captcha?server=second", `{"user": "bob"}`); status != http.StatusNoContent {
		t.Errorf("bob of the second server: %d %s", status, answer)
	}
}

func TestMainRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"an unknown flag":      {[]string{"-frobnicate"}, 2, "frobnicate"},
		"an argument":          {[]string{"now"}, 2, "now"},
		"an unknown world":     {[]string{"-world", "upside-down"}, 1, "upside-down"},
		"a version of Stash":   {[]string{"-world", "empty", "-version", "3.11"}, 1, "oldest is 4.0"},
		"no version":           {[]string{"-world", "empty", "-version", "new"}, 1, "new"},
		"an address in use":    {[]string{"-world", "empty", "-listen", "127.0.0.1:99999"}, 1, "99999"},
		"options that are not": {[]string{"-world", "empty", "-options", "{"}, 1, "-options"},
		"help":                 {[]string{"-help"}, 0, "-until-stdin-closes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := bitbuckettest.Main(c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("exit %d, want %d; %q lacks %q", code, c.code, stderr.String(), c.want)
			}
		})
	}
}
