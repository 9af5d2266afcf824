package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/trial"
	"example.com/signpost/resolver"
)

// linkCase is a row of link-cases.tsv.
type linkCase struct{ id, url, wantURL, wantKind, exact string }

// readLinkCases reads the file; an empty one is an error. Hashes become those of the world.
func readLinkCases(t *testing.T, hashes map[string]string) []linkCase {
	t.Helper()
	text, err := os.ReadFile("../../resolver/testdata/link-cases.tsv")
	if err != nil {
		t.Fatal(err)
	}
	placeholder := regexp.MustCompile(`\b(?:[0-9a-f]{40}|12345678)\b`)
	var column map[string]int
	var cases []linkCase
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if column == nil {
			column = make(map[string]int)
			for i, name := range fields {
				column[name] = i
			}
			continue
		}
		real := func(name string) string {
			return placeholder.ReplaceAllStringFunc(fields[column[name]], func(hash string) string {
				if known := hashes[hash]; known != "" {
					return known
				}
				return hash
			})
		}
		cases = append(cases, linkCase{fields[column["id"]], real("url"), real("want_url"), fields[column["want_kind"]], fields[column["exact"]]})
	}
	if len(cases) < 100 {
		t.Fatalf("only %d link cases", len(cases))
	}
	return cases
}

// check compares an answer with the row: a link, or an error's code.
func (c linkCase) check(link *resolver.Link, code string) error {
	if want, isError := strings.CutPrefix(c.wantURL, "!"); isError {
		if code != want {
			return fmt.Errorf("got code %q and link %v, want code %q", code, link, want)
		}
		return nil
	}
	switch {
	case code != "":
		return fmt.Errorf("got code %q, want %q", code, c.wantURL)
	case link.URL != c.wantURL || link.Kind != c.wantKind:
		return fmt.Errorf("got  %s %s\nwant %s %s", link.Kind, link.URL, c.wantKind, c.wantURL)
	case c.exact != "*" && fmt.Sprint(link.Exact) != c.exact:
		return fmt.Errorf("exact %v, want %s; notes %q", link.Exact, c.exact, link.Notes)
	}
	return nil
}

// Every link case against the real program and a double of Bitbucket that is a process of
// its own: real listings, real git over TLS and a proxy, asked by GET, by POST and by the
// command line.
func TestLinkCases(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.14", "5.16", "7.21", "9.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			testLinkCases(t, version)
		})
	}
}

func testLinkCases(t *testing.T, version string) {
	dir := t.TempDir()
	env := ownEnvironment(dir)
	double, ready, err := startBitbucket(dir, env, "-world", "link", "-version", version, "-before-move", "-dir", filepath.Join(dir, "bitbucket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = double.stop(interrupt) })
	env = append(env, "HTTPS_PROXY="+ready.Proxy)
	config := filepath.Join(dir, "signpost.jsonc")
	if err := writeConfig(config, linkWorldConfig(ready)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")

	// The server lists and mirrors by itself.
	s, err := startServer(dir, env, "--config", config, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	mirrored := bitbuckettest.LinkWorldFirstURL + "/projects/OLD/repos/legacy/browse/README.md"
	err = eventually(func() error {
		response, body, err := call(http.MethodGet, s.url+"/api/v1/resolve?url="+url.QueryEscape(mirrored), "", nil)
		if err != nil {
			return trial.GiveUp(err)
		}
		var link resolver.Link
		if response.StatusCode != 200 || json.Unmarshal([]byte(body), &link) != nil || link.Commit == "" {
			return fmt.Errorf("not mirrored yet: %d %s\n%s", response.StatusCode, body, s.stderr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(interrupt); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, s.stderr)
	}

	// OLD/legacy moves to PRJ/repo; the next listing sees it.
	if response, body, err := control(ready, http.MethodPost, "move", "{}"); err != nil || response.StatusCode >= 300 {
		t.Fatalf("move: %v %s", err, body)
	}
	if out, err := runProgram(dir, env, "", "signpost", "sync", "--config", config, "--data", data); err != nil {
		t.Fatalf("sync: %v\n%s", err, out)
	}
	if s, err = startServer(dir, env, "--config", config, "--data", data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(interrupt) })

	cases := readLinkCases(t, ready.Hashes)
	for range 2 { // cold, then from the cache
		for _, c := range cases {
			link, code, err := getLink(s, c.url)
			if err == nil {
				err = c.check(link, code)
			}
			if err != nil {
				t.Errorf("GET %s: %v", c.id, err)
			}
		}
	}
	postLinks(t, s, cases)
	commandLinks(t, cases, dir, env, "--server", s.url)
	if err := s.stop(interrupt); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, s.stderr)
	}
	commandLinks(t, cases, dir, env, "--config", config, "--data", data)
}

func getLink(s *server, raw string) (*resolver.Link, string, error) {
	response, body, err := call(http.MethodGet, s.url+"/api/v1/resolve?url="+url.QueryEscape(raw), "", nil)
	if err != nil {
		return nil, "", err
	}
	if response.StatusCode == http.StatusOK {
		link := new(resolver.Link)
		return link, "", json.Unmarshal([]byte(body), link)
	}
	var problem struct{ Code string }
	err = json.Unmarshal([]byte(body), &problem)
	return nil, problem.Code, err
}

func postLinks(t *testing.T, s *server, cases []linkCase) {
	t.Helper()
	for len(cases) > 0 {
		batch := cases[:min(100, len(cases))]
		cases = cases[len(batch):]
		var urls []string
		for _, c := range batch {
			urls = append(urls, c.url)
		}
		request, err := json.Marshal(map[string][]string{"urls": urls})
		if err != nil {
			t.Fatal(err)
		}
		response, body, err := call(http.MethodPost, s.url+"/api/v1/resolve", string(request), http.Header{"Content-Type": {"application/json"}})
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("POST: %v %s", err, body)
		}
		var answer struct {
			Results []struct {
				Link  *resolver.Link
				Error *struct{ Code string }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Results) != len(batch) {
			t.Fatalf("POST: %v, %d results", err, len(answer.Results))
		}
		for i, c := range batch {
			code := ""
			if answer.Results[i].Error != nil {
				code = answer.Results[i].Error.Code
			}
			if err := c.check(answer.Results[i].Link, code); err != nil {
				t.Errorf("POST %s: %v", c.id, err)
			}
		}
	}
}

// commandLinks resolves the cases in one run of signpost resolve, from standard input.
func commandLinks(t *testing.T, cases []linkCase, dir string, env []string, flags ...string) {
	t.Helper()
	var in, want strings.Builder
	codes := make(map[string]int)
	for _, c := range cases {
		fmt.Fprintln(&in, c.url)
		if code, isError := strings.CutPrefix(c.wantURL, "!"); isError {
			codes[code]++
		} else {
			fmt.Fprintln(&want, c.wantURL)
		}
	}
	path, err := program("signpost")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"resolve", "-"}, flags...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(in.String())
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("signpost resolve %v: %v, want exit code 1\n%s", flags, err, &stderr)
	}
	if stdout.String() != want.String() {
		t.Errorf("signpost resolve %v printed\n%s\nwant\n%s", flags, &stdout, &want)
	}
	for code, n := range codes {
		if got := strings.Count(stderr.String(), "("+code+")"); got != n {
			t.Errorf("signpost resolve %v gave %d times the reason %s, want %d\n%s", flags, got, code, n, &stderr)
		}
	}
}

// runProgram runs a program to its end and returns all that it printed.
func runProgram(dir string, env []string, stdin, name string, args ...string) (string, error) {
	path, err := program(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// control commands the double.
func control(ready bitbuckettest.Ready, method, what, body string) (*http.Response, string, error) {
	address := strings.TrimSuffix(ready.Control, "/")
	if !strings.HasSuffix(address, "/control") {
		address += "/control"
	}
	request, err := http.NewRequest(method, address+"/"+what, strings.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return nil, "", err
	}
	response, err := testClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response, response.Status + "\n" + string(text), err
}
