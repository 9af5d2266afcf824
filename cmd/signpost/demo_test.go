package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/trial"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The table of the demo, on an old and a new version. The commits are the same on every
// machine; the ports are not.
func TestDemoTable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, err := program("signpost")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "demo", "--once")
	cmd.Dir, cmd.Env = dir, append(ownEnvironment(dir), "TMPDIR="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo --once: %v\n%s\n%s", err, &stdout, &stderr)
	}
	_, table, found := strings.Cut(stdout.String(), "\n\n")
	if !found {
		t.Fatalf("no table:\n%s", &stdout)
	}
	table = regexp.MustCompile(`127\.0\.0\.\d+:\d+`).ReplaceAllString(table, "HOST:PORT")
	table = regexp.MustCompile(`git@HOST:PORT`).ReplaceAllString(table, "git@HOST:7999")
	for part := range strings.SplitSeq(strings.TrimSpace(table), "\n\n") {
		if n := strings.Count(part, "→ https://sourcegraph.example.com/"); n < 15 {
			t.Errorf("%d links, want at least 15:\n%s", n, part)
		}
	}
	const golden = "testdata/demo.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

func TestADemoWhoseOutputIsCutShortLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := runProgram(dir, append(ownEnvironment(dir), "TMPDIR="+dir), "", "sh", "-c", "signpost demo --once --bitbucket-version 7.21 | head -n 1")
	if err != nil || !strings.HasPrefix(out, "[1/7]") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// The demo stays up until it is told to stop, and then leaves nothing behind.
func TestDemoStaysUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stdout := new(output)
	p, err := start(dir, append(ownEnvironment(dir), "TMPDIR="+dir), stdout, "signpost", "demo", "--listen", "127.0.0.1:0", "--bitbucket-version", "7.21")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop(interrupt) //nolint:errcheck // asked below
	err = eventually(func() error {
		select {
		case <-p.ended:
			return trial.GiveUp(fmt.Errorf("the demo ended: %w\n%s", p.Wait(), p.stderr))
		default:
		}
		if !strings.Contains(stdout.String(), "Stop with Ctrl+C") {
			return fmt.Errorf("the demo does not say how to stop it:\n%s\n%s", stdout, p.stderr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text := stdout.String()
	address := regexp.MustCompile(`Signpost +(http://\S+)`).FindStringSubmatch(text)
	token := regexp.MustCompile(`admin token +(\S+)`).FindStringSubmatch(text)
	if address == nil || token == nil {
		t.Fatalf("no address or no token:\n%s", text)
	}
	response, body, err := call(http.MethodGet, address[1]+"/api/v1/site-config", "", http.Header{"Authorization": {"Bearer " + token[1]}})
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(body, "bitbucket-7.21") {
		t.Errorf("the configuration: %v %s", err, body)
	}
	if strings.Contains(body, "BBDC-demo-token") {
		t.Errorf("the configuration shows its token:\n%s", body)
	}
	if response, body, err := call(http.MethodGet, address[1]+"/readyz", "", nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("readyz: %v %s", err, body)
	}
	checkDemoPages(t, text, address[1])
	if err := p.stop(interrupt); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// checkDemoPages sees that the pages that the demo names can be looked at, and that the extension which
// it names is for them and for its server.
func checkDemoPages(t *testing.T, printed, server string) {
	t.Helper()
	pages := regexp.MustCompile(`(?m)^  \S.* (http://\S+/repos/\S+)$`).FindAllStringSubmatch(printed, -1)
	if len(pages) < 6 {
		t.Errorf("%d pages are named, want 6 or more:\n%s", len(pages), printed)
	}
	for _, page := range pages {
		if status, body, err := readPage(page[1]); err != nil || status != http.StatusOK || !strings.Contains(body, "data-double-page") {
			t.Errorf("%s: %d %v", page[1], status, err)
		}
	}
	command := regexp.MustCompile(`chromium --load-extension='([^']+)' --user-data-dir="\$\(mktemp -d\)" '(http://[^/]+)/\S+'`).FindStringSubmatch(printed)
	if command == nil {
		t.Fatalf("no line that loads the extension:\n%s", printed)
	}
	for _, name := range []string{"builtin.js", "manifest.json"} {
		text, err := os.ReadFile(filepath.Join(command[1], name))
		if err != nil || !strings.Contains(string(text), server) || !strings.Contains(string(text), command[2]) {
			t.Errorf("%s of the extension is not for %s and %s: %v\n%s", name, server, command[2], err, text)
		}
	}
}

// readPage reads a page of the double, without a login.
func readPage(address string) (status int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, address, http.NoBody) //nolint:noctx // the client has a deadline
	if err != nil {
		return 0, "", err
	}
	res, err := trial.Client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}
