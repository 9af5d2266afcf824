package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"example.com/signpost/internal/siteconfig"
)

// gitEngine is the git program. Only "git index-pack" runs, which is where a clone spends its time and
// memory: it reads the pack from a pipe and talks to nobody, so that there is no credential, no address
// and no redirect in its process that could get out.
type gitEngine struct {
	program *gitProgram
	memory  *memory
}

func (gitEngine) name() string { return siteconfig.EngineGit }

func (gitEngine) completes() bool { return true }

func (e gitEngine) reserve(ctx context.Context) (func(), error) { return e.memory.acquireProgram(ctx) }

func (e gitEngine) store(ctx context.Context, pack io.Reader, into stage) error {
	run := gitRun{
		dir:    into.dir,
		args:   []string{"index-pack", "--stdin", "--fix-thin"},
		config: receiveConfig(),
		input:  pack,
	}
	if into.mirror != "" {
		// A line of objects/info/alternates would have to be quoted, and to be removed again.
		run.env = append(run.env, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+quoteAlternate(filepath.Join(into.mirror, "objects")))
	}
	if into.report != nil {
		run.args = append(run.args, "-v")
		progress := &progressWriter{report: into.report}
		defer progress.flush()
		run.stderr = func(p []byte) { _, _ = progress.Write(p) } // never fails
	}
	_, err := e.program.run(ctx, run)
	if failed, ok := errors.AsType[*gitError](err); ok {
		return failed.judge()
	}
	return err
}

func (e gitEngine) join(ctx context.Context, into stage, small, large []string) (string, error) {
	release, err := e.memory.acquireProgram(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	var list strings.Builder
	for _, pack := range small {
		list.WriteString(filepath.Base(pack) + "\n")
	}
	for _, pack := range large {
		list.WriteString("^" + filepath.Base(pack) + "\n")
	}
	_, err = e.program.run(ctx, gitRun{
		dir: into.dir,
		args: []string{
			"pack-objects", "--stdin-packs", "--delta-base-offset", "--non-empty", "--quiet", "--threads=1",
			"--window-memory=64m", filepath.Join(into.dir, "objects", "pack", "pack"),
		},
		config: receiveConfig(),
		// The program makes its temporary files beside its own objects, so these are not the mirror's.
		env:   []string{"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + quoteAlternate(filepath.Join(into.mirror, "objects"))},
		input: strings.NewReader(list.String()),
	})
	if err != nil {
		return "", localFault(err)
	}
	made, err := packFiles(into.dir, ".pack")
	if err != nil {
		return "", err
	}
	if len(made) != 1 {
		return "", fmt.Errorf("git pack-objects made %d packs", len(made))
	}
	_, err = e.program.run(ctx, gitRun{dir: into.dir, args: []string{"verify-pack", indexOf(made[0])}, config: receiveConfig()})
	return made[0], localFault(err)
}

// localFault returns what a run of the program ended with, so that a full disk can be told.
func localFault(err error) error {
	if failed, ok := errors.AsType[*gitError](err); ok {
		return failed.judge()
	}
	return err
}

// maxReceiveThreads bounds the threads that resolve the deltas of one pack: several fetches run at a time.
const maxReceiveThreads = 2

// receiveConfig returns the settings that bound what a run takes of memory and keep it from doing more
// than it is asked to.
func receiveConfig() map[string]string {
	return map[string]string{
		"pack.threads":             strconv.Itoa(min(maxReceiveThreads, runtime.NumCPU())),
		"pack.writeReverseIndex":   "false", // a mirror has packs and their indexes
		"core.bigFileThreshold":    "32m",   // larger blobs are not taken into memory whole
		"core.deltaBaseCacheLimit": "64m",
		"core.packedGitLimit":      "256m",
		"core.packedGitWindowSize": "16m",
		"core.fsync":               "none", // syncTree does it, and the rename waits for that
		"core.hooksPath":           os.DevNull,
		"gc.auto":                  "0",
		"maintenance.auto":         "false",
		"transfer.unpackLimit":     "1",
		"protocol.allow":           "never",
		"credential.helper":        "",
	}
}

// quoteAlternate writes a path as the variable wants it: a list, separated by colons.
func quoteAlternate(path string) string {
	if !strings.ContainsAny(path, ":\"\\\n") {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}

// localErrors are what git says when this machine failed, and not the pack. The runs speak English
// (LC_ALL=C).
var localErrors = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EROFS, syscall.EIO, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE,
	syscall.ENOMEM, syscall.EAGAIN, syscall.ENOENT,
}

// programError is a run of git that failed for a reason of this machine's.
type programError struct {
	run   *gitError
	errno syscall.Errno // 0 when git did not say one
}

func (e *programError) Error() string { return e.run.Error() }

func (e *programError) Unwrap() []error {
	if e.errno != 0 {
		return []error{e.run, e.errno}
	}
	return []error{e.run}
}

// errNoBase means that the mirror lacks what Bitbucket was told that it has: the deltas of a thin pack stay
// unresolved.
var errNoBase = errors.New("an object is missing from the mirror")

// judge tells whose fault a run is: an error of this machine's is a *programError, any other is what git
// says of the pack.
func (e *gitError) judge() error {
	said := strings.ToLower(e.stderr)
	for _, errno := range localErrors {
		if strings.Contains(said, errno.Error()) {
			return &programError{run: e, errno: errno}
		}
	}
	if strings.Contains(said, "unresolved delta") {
		return fmt.Errorf("%w: git %s: %s", errNoBase, e.verb, lastLine(e.stderr))
	}
	if exit, ok := errors.AsType[*exec.ExitError](e.cause); ok && exit.Exited() && !strings.Contains(said, "out of memory") {
		return fmt.Errorf("git %s: %s", e.verb, lastLine(e.stderr))
	}
	return &programError{run: e} // did not start, or was killed by somebody
}
