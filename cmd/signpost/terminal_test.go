package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"

	"example.com/signpost/internal/app/screentest"
	"example.com/signpost/internal/trial"
)

// startOnTerminal starts signpost with a terminal of its own, on which it writes everything. The
// process's stderr is all that it ever wrote there; the screen is what a person sees of it.
func startOnTerminal(t *testing.T, dir string, env []string, args ...string) (*process, *screentest.Terminal) {
	t.Helper()
	path, err := program("signpost")
	if err != nil {
		t.Fatal(err)
	}
	written, screen := new(output), screentest.New(120, 40)
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, append([]string{"TERM=xterm"}, env...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	p := newProcess(trial.Watch(cmd, written, func() {
		_, _ = io.Copy(io.MultiWriter(written, screen), terminal) // ends with an error when the program does (EIO)
	}))
	t.Cleanup(func() { _ = p.stop(os.Kill) })
	return p, screen
}

// moved is what the lines of the display look like.
var moved = regexp.MustCompile(`^mirrors [\[\d]|^[-|/\\] (listing|asking)| [-|/\\]\n?$|^\S+:\S+/\S+ +(counting|compressing|receiving|resolving)`)

// wantScreen checks what is left on a terminal when signpost has ended: nothing of what moved, and these texts.
func wantScreen(t *testing.T, screen *screentest.Terminal, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(screen.Text(), want) {
			t.Errorf("the terminal does not show %q:\n%s", want, screen.Text())
		}
	}
	for line := range strings.Lines(screen.Text()) {
		if moved.MatchString(line) {
			t.Errorf("this was left on the terminal: %q", line)
		}
	}
	if unknown := screen.Unknown(); len(unknown) > 0 {
		t.Errorf("sequences that not every terminal knows: %q", unknown)
	}
}

// What is drawn ends with the work, and the report is the same as elsewhere.
func TestSyncOnATerminal(t *testing.T) {
	t.Parallel()
	dir, env, ready := startDoubleWithConfig(t)
	for _, step := range []struct {
		name, fault string
		args        []string
		exit        int
		want        []string
	}{
		{name: "all are cloned", want: []string{"7 repositories: 7 cloned, 0 changed, 0 unchanged, 0 failed"}},
		{
			name: "one fails", fault: `{"kind":"git","path":"/scm/web/theme","effect":"status","status":503}`, exit: 1,
			want: []string{"WEB/theme", "7 repositories: 0 cloned, 0 changed, 6 unchanged, 1 failed"},
		},
		{
			name: "the listing fails", fault: `{"kind":"rest","path":"/rest/api/1.0/repos","effect":"status","status":500}`, exit: 1,
			want: []string{"(listing)", "7 repositories: 0 cloned, 0 changed, 7 unchanged, 0 failed"},
		},
		{name: "one of all is asked for", args: []string{"web/ideas"}, want: []string{"1 repository: 0 cloned, 0 changed, 1 unchanged"}},
	} {
		// One after the other: each goes on where the one before ended.
		t.Run(step.name, func(t *testing.T) {
			if step.fault != "" {
				if _, text, err := control(ready, http.MethodPost, "fault", step.fault); err != nil {
					t.Fatal(err, text)
				}
			}
			p, screen := startOnTerminal(t, dir, env, append([]string{"sync", "--config", "signpost.jsonc", "--data", "data"}, step.args...)...)
			if err := p.Wait(); exitCode(err) != step.exit {
				t.Errorf("ended with %v, want exit code %d\n%s", err, step.exit, screen.Text())
			}
			wantScreen(t, screen, step.want...)
			if _, text, err := control(ready, http.MethodDelete, "fault", ""); err != nil {
				t.Fatal(err, text)
			}
		})
	}
}

// Ctrl+C ends a sync with bars on the screen, and says what was done until then. A line of the log
// does not break what is drawn.
func TestASyncOnATerminalIsStopped(t *testing.T) {
	t.Parallel()
	dir, env, ready := startDoubleWithConfig(t)
	if _, text, err := control(ready, http.MethodPost, "fault", `{"kind":"git","effect":"hang"}`); err != nil {
		t.Fatal(err, text)
	}
	p, screen := startOnTerminal(t, dir, env, "sync", "--config", "signpost.jsonc", "--data", "data")
	waitForLog(t, p, "0 of 7")
	shown := screen.Text()
	if strings.Count(shown, "mirrors [") != 1 || !strings.Contains(shown, "msg=listed") {
		t.Errorf("in the middle the terminal shows\n%s", shown)
	}
	if err := p.stop(os.Interrupt); exitCode(err) != 1 {
		t.Errorf("ended with %v\n%s", err, screen.Text())
	}
	if !moved.MatchString(shown[strings.LastIndex(shown, "mirrors ["):]) {
		t.Errorf("what is left of the display would not be found:\n%s", shown)
	}
	wantScreen(t, screen, "7 repositories: 0 cloned, 0 changed, 0 unchanged, 0 failed, 7 not done", "stopped before the work was done")
}

// Who cannot see bars, or does not want them, gets plain lines.
func TestPlainLinesOnATerminal(t *testing.T) {
	t.Parallel()
	dir, env, _ := startDoubleWithConfig(t)
	for _, variable := range []string{"TERM=dumb", "NO_COLOR=1"} {
		p, screen := startOnTerminal(t, dir, append(env, variable), "sync", "--config", "signpost.jsonc", "--data", "data")
		if err := p.Wait(); err != nil {
			t.Errorf("%s: ended with %v\n%s", variable, err, screen.Text())
		}
		if written := p.stderr.String(); strings.Contains(written, "\x1b") || !strings.Contains(written, "[7/7] ") {
			t.Errorf("%s: wrote %q", variable, written)
		}
	}
}

func TestDemoOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, screen := startOnTerminal(t, dir, append(ownEnvironment(dir), "TMPDIR="+dir), "demo", "--once", "--bitbucket-version", "4.14")
	if err := p.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, screen.Text())
	}
	wantScreen(t, screen, "7 repositories: 7 cloned", "Bitbucket 4.14.0 at ", "clone over ssh")
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
