package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// startOnTerminal starts signpost with a terminal of its own, on which it writes everything.
func startOnTerminal(t *testing.T, dir string, env []string, args ...string) (*process, *output) {
	t.Helper()
	path, err := program("signpost")
	if err != nil {
		t.Fatal(err)
	}
	screen := new(output)
	p := &process{cmd: exec.Command(path, args...), stderr: screen, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(env, "TERM=xterm")
	terminal, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(screen, terminal) // ends with an error when the program does (EIO)
		p.err = p.cmd.Wait()
		_ = terminal.Close()
		close(p.ended)
	}()
	t.Cleanup(func() { _ = p.stop(os.Kill) })
	return p, screen
}

// Progress is drawn on a terminal. What is drawn ends with the work, and the report is the
// same as elsewhere.
func TestSyncOnATerminal(t *testing.T) {
	t.Parallel()
	dir, env, ready := startDoubleWithConfig(t)
	for _, step := range []struct {
		name, fault string
		args        []string
		exit        int
		want        []string
	}{
		{name: "all are cloned", want: []string{"7 of 7", "7 repositories: 7 cloned, 0 changed, 0 unchanged, 0 failed"}},
		{
			name: "one fails", fault: `{"kind":"git","path":"/scm/web/theme","effect":"status","status":503}`, exit: 1,
			want: []string{"7 of 7", "WEB/theme", "7 repositories: 0 cloned, 0 changed, 6 unchanged, 1 failed"},
		},
		{
			name: "the listing fails", fault: `{"kind":"rest","path":"/rest/api/1.0/repos","effect":"status","status":500}`, exit: 1,
			want: []string{"(listing)", "7 repositories: 0 cloned, 0 changed, 7 unchanged, 0 failed"},
		},
		{name: "one of all is asked for", args: []string{"web/ideas"}, want: []string{"1 of 1"}},
	} {
		// One after the other: each goes on where the one before ended.
		t.Run(step.name, func(t *testing.T) {
			if step.fault != "" {
				if _, text, err := control(ready, http.MethodPost, "fault", step.fault); err != nil {
					t.Fatal(err, text)
				}
			}
			p, screen := startOnTerminal(t, dir, env, append([]string{"sync", "--config", "signpost.jsonc", "--data", "data"}, step.args...)...)
			if err := p.wait(); exitCode(err) != step.exit {
				t.Errorf("ended with %v, want exit code %d\n%s", err, step.exit, screen)
			}
			for _, want := range step.want {
				if !strings.Contains(screen.String(), want) {
					t.Errorf("the terminal does not show %q:\n%s", want, screen)
				}
			}
			if _, text, err := control(ready, http.MethodDelete, "fault", ""); err != nil {
				t.Fatal(err, text)
			}
		})
	}
}

// Ctrl+C ends a sync with bars on the screen.
func TestASyncOnATerminalIsStopped(t *testing.T) {
	t.Parallel()
	dir, env, ready := startDoubleWithConfig(t)
	if _, text, err := control(ready, http.MethodPost, "fault", `{"kind":"git","effect":"hang"}`); err != nil {
		t.Fatal(err, text)
	}
	p, screen := startOnTerminal(t, dir, env, "sync", "--config", "signpost.jsonc", "--data", "data")
	waitForLog(t, p, "0 of 7")
	if err := p.stop(os.Interrupt); exitCode(err) != 1 || !strings.Contains(screen.String(), "stopped before the work was done") {
		t.Errorf("ended with %v\n%s", err, screen)
	}
}

func TestDemoOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, screen := startOnTerminal(t, dir, append(ownEnvironment(dir), "TMPDIR="+dir), "demo", "--once", "--bitbucket-version", "4.14")
	if err := p.wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, screen)
	}
	for _, want := range []string{"7 of 7", "Bitbucket 4.14.0 at ", "clone over ssh"} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("the terminal does not show %q:\n%s", want, screen)
		}
	}
}

// exitCode returns the code of a program that ended by itself, -1 of one that did not.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}
