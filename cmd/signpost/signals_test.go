package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openRequest sends the head of a request whose body has so many bytes, and returns when the
// server waits for them: it says so with 100.
func openRequest(t *testing.T, s *server, bytes int) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")) //nolint:noctx // a local server, and the test has a deadline
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(connection, "POST /api/v1/resolve HTTP/1.1\r\nHost: signpost\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", bytes); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := reader.ReadString('\n'); err != nil || line != want {
			t.Fatalf("%q, %v", line, err)
		}
	}
	return connection, reader
}

// waitForLog waits until a process has logged a text.
func waitForLog(t *testing.T, p *process, text string) {
	t.Helper()
	if err := eventually(func() error {
		if !strings.Contains(p.stderr.String(), text) {
			return fmt.Errorf("the log does not have %q:\n%s", text, p.stderr)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A request that is being answered when SIGTERM arrives gets its answer, also where that
// needs Bitbucket.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := startDemoWorld(t, "8.19", "https://sourcegraph.example.com", 1)
	page := w.ready.Servers[0].URL + "/projects/WEB/repos/storefront/pull-requests/1/overview"
	body := fmt.Sprintf(`{"urls": [%q]}`, page)
	connection, reader := openRequest(t, w.server, len(body))
	if err := w.Signal(interrupt); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, w.process, `"stopping"`)
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("the request was cut off: %v\n%s", err, w.stderr)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(answer), "/-/compare/") {
		t.Errorf("the answer: %v, %d %s", err, response.StatusCode, answer)
	}
	if err := w.stop(interrupt); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, w.stderr)
	}
}

// The first Ctrl+C waits for the requests that are being answered; a second one does not.
func TestASecondInterruptDoesNotWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := startServer(dir, ownEnvironment(dir), "--data", "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(os.Kill) })
	openRequest(t, s, 10) // the body never comes
	if err := s.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, s.process, `"stopping"`)
	// The log can be ahead of the signal's new meaning: press again, as a person would.
	_ = eventually(func() error {
		_ = s.Signal(os.Interrupt) // it may have ended already
		select {
		case <-s.ended:
			return nil
		default:
			return errors.New("still there")
		}
	})
	err = s.stop(os.Kill)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, not by the second interrupt\n%s", err, s.stderr)
	}
}

func TestASyncThatIsStoppedSaysSo(t *testing.T) {
	t.Parallel()
	dir, env, ready := startDoubleWithConfig(t)
	if _, text, err := control(ready, http.MethodPost, "fault", `{"kind":"git","effect":"hang"}`); err != nil {
		t.Fatal(err, text)
	}
	p, err := start(dir, env, io.Discard, "signpost", "sync", "--config", "signpost.jsonc", "--data", "data", "--log-format", "json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop(os.Kill) })
	waitForLog(t, p, `"listed"`)
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
