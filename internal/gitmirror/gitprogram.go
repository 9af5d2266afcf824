package gitmirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The oldest git that is used: it has --stdin for fetches, --no-write-fetch-head and configuration by
// environment (2.31), and the fixes of 2.32.
const minGitMajor, minGitMinor = 2, 32

// maxGitOutput bounds what is kept of what the program says.
const maxGitOutput = 64 << 10

// errNoGitProgram means that there is no git program that can be used.
var errNoGitProgram = errors.New("there is no git program of version 2.32 or newer on PATH")

// gitProgram runs the git program. Safe for concurrent use.
type gitProgram struct {
	path    string // absolute
	version string
	home    string // an empty folder
}

// findGit looks for the git program on PATH. home is an empty folder that no configuration is in.
// errNoGitProgram says what was found instead.
func findGit(ctx context.Context, home string) (*gitProgram, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, errNoGitProgram
	}
	g := &gitProgram{path: path, home: home}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := g.run(ctx, gitRun{args: []string{"version"}})
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not run: %w", errNoGitProgram, path, err)
	}
	var major, minor int
	if g.version, major, minor, err = parseGitVersion(string(out)); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoGitProgram, err)
	}
	if major < minGitMajor || major == minGitMajor && minor < minGitMinor {
		return nil, fmt.Errorf("%w: %s is %s", errNoGitProgram, path, g.version)
	}
	return g, nil
}

var gitVersion = regexp.MustCompile(`^git version ((\d+)\.(\d+)[^\s]*)`)

// parseGitVersion reads what "git version" prints.
func parseGitVersion(text string) (version string, major, minor int, err error) {
	m := gitVersion.FindStringSubmatch(text)
	if m == nil {
		return "", 0, 0, fmt.Errorf("what git says of its version makes no sense: %s", printable(text, 100))
	}
	major, _ = strconv.Atoi(m[2])
	minor, _ = strconv.Atoi(m[3])
	return m[1], major, minor, nil
}

// gitRun is one run of the program.
type gitRun struct {
	dir    string            // the repository; "" for none
	args   []string          // after --git-dir; nothing from outside may begin with "-"
	config map[string]string // settings for this run, by environment: they are on no disk and in no argument
	env    []string          // more of the environment
	input  io.Reader         // standard input; nil for none
	files  []*os.File        // descriptors 3 and on
	stderr func(p []byte)    // is given what goes to standard error as it comes; may be nil
}

// gitError is a run that failed.
type gitError struct {
	verb   string
	cause  error
	stderr string // the end of what it said, bounded; not for people before it is cleaned
}

func (e *gitError) Error() string {
	text := "git " + e.verb + ": " + e.cause.Error()
	if said := lastLine(e.stderr); said != "" {
		text += ": " + said
	}
	return text
}

func (e *gitError) Unwrap() error { return e.cause }

// run runs the program and returns its standard output. It and all that it starts are killed when ctx ends.
// The environment is made from nothing: no setting of this machine or account counts.
func (g *gitProgram) run(ctx context.Context, r gitRun) ([]byte, error) {
	args := r.args
	if r.dir != "" {
		args = append([]string{"--git-dir=" + r.dir}, args...)
	}
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir = g.home
	cmd.Env = append(g.environment(r.config), r.env...)
	cmd.ExtraFiles = r.files
	cmd.Stdin = r.input
	var stdout, stderr tail
	stderr.tee = r.stderr
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left running
	}
	if stop := stopped(ctx); stop != nil {
		return nil, stop
	}
	if err != nil {
		return nil, &gitError{verb: r.args[0], cause: err, stderr: stderr.String()}
	}
	return stdout.Bytes(), nil
}

// environment returns the whole environment of a run.
func (g *gitProgram) environment(config map[string]string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + g.home,
		"XDG_CONFIG_HOME=" + g.home,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=/bin/false",
		"LC_ALL=C",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(config)),
	}
	n := 0
	for key, value := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, value))
		n++
	}
	return env
}

// tail keeps the end of what is written to it.
type tail struct {
	bytes.Buffer
	tee func(p []byte)
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	if t.tee != nil {
		t.tee(p)
	}
	n := len(p)
	if len(p) > maxGitOutput {
		p = p[len(p)-maxGitOutput:]
	}
	if over := t.Len() + len(p) - maxGitOutput; over > 0 {
		t.Next(over)
	}
	_, _ = t.Buffer.Write(p) // never fails
	return n, nil
}

// lastLine returns the last line of what git said that tells something.
func lastLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimSpace(line); line != "" {
			return printable(line, 300)
		}
	}
	return ""
}
