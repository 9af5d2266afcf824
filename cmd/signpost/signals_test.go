package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The first Ctrl+C waits for the requests that are being answered; a second one does not.
func TestASecondInterruptDoesNotWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := startServer(dir, ownEnvironment(dir), "--data", "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(os.Kill) })
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")) //nolint:noctx // a local server, and the test has a deadline
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	// A body that never comes keeps the request open. The server says with 100 that it reads.
	if _, err := io.WriteString(connection, "POST /api/v1/resolve HTTP/1.1\r\nHost: signpost\r\n"+
		"Content-Type: application/json\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(connection).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := eventually(func() error {
		if !strings.Contains(s.stderr.String(), `"stopping"`) {
			return errors.New("the server does not say that it stops")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	err = s.stop(os.Interrupt)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, not by the second interrupt\n%s", err, s.stderr)
	}
}

func TestASyncThatIsStoppedSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := ownEnvironment(dir)
	double, ready, err := startBitbucket(dir, env, "-world", "demo", "-version", "8.19")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = double.stop(interrupt) })
	config := filepath.Join(dir, "signpost.jsonc")
	if err := writeConfig(config, configJSON{
		PrimaryURL:      "https://sourcegraph.example.com",
		BitbucketServer: []connectionJSON{connectionJSON{URL: ready.Servers[0].URL}.as(ready.Accounts["admin"])},
	}); err != nil {
		t.Fatal(err)
	}
	if _, text, err := control(ready, http.MethodPost, "fault", `{"kind":"git","effect":"hang"}`); err != nil {
		t.Fatal(err, text)
	}
	p, err := start(dir, env, io.Discard, "signpost", "sync", "--config", config, "--data", "data", "--log-format", "json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop(os.Kill) })
	if err := eventually(func() error {
		if !strings.Contains(p.stderr.String(), `"listed"`) {
			return errors.New("no connection is listed")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*exec.ExitError](p.stop(interrupt))
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", exit)
	}
	if log := p.stderr.String(); !strings.Contains(log, "signpost: stopped before the work was done") || strings.Contains(log, "context canceled") {
		t.Errorf("does not say in words that it was stopped:\n%s", log)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "data", "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left half-written: %v %v", left, err)
	}
}
