package bitbuckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrGitMissing means that the program git is not installed, which the double runs.
var ErrGitMissing = errors.New("the program git was not found; install it (Debian: apt-get install git)")

// gitTimeout bounds a call of git that serves no client.
const gitTimeout = time.Minute

// gitProgram runs git in bare repositories, with nothing of the machine's configuration.
type gitProgram struct {
	path string
	home string // an empty folder
}

func newGitProgram(home string) (gitProgram, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return gitProgram{}, fmt.Errorf("bitbuckettest: %w", ErrGitMissing)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return gitProgram{}, fmt.Errorf("bitbuckettest: %w", err)
	}
	return gitProgram{path: path, home: home}, nil
}

// command prepares a call of git. It is killed when ctx ends.
func (g gitProgram) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + g.home,
		"XDG_CONFIG_HOME=" + g.home,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Bitbucket", "GIT_AUTHOR_EMAIL=bitbucket@example.com", "GIT_AUTHOR_DATE=1577836800 +0000",
		"GIT_COMMITTER_NAME=Bitbucket", "GIT_COMMITTER_EMAIL=bitbucket@example.com", "GIT_COMMITTER_DATE=1577836800 +0000",
		"GIT_LITERAL_PATHSPECS=1", // paths of requests are names, not patterns
		"LC_ALL=C",
		"TZ=UTC",
	}
	return cmd
}

// run calls git and returns what it printed.
func (g gitProgram) run(ctx context.Context, dir string, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := g.command(ctx, dir, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// ensure makes the bare repository of r unless it is there. Called with r.git held.
func (s *Server) ensure(r *repository) error {
	if r.made {
		return nil
	}
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(r.dir, folder), 0o700); err != nil {
			return fmt.Errorf("bitbuckettest: %w", err)
		}
	}
	// What git init writes (gitrepository-layout), without running git for each of many repositories.
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n" +
		"[uploadpack]\n\tallowFilter = " + strconv.FormatBool(s.switches.partialClone) + "\n"
	for name, content := range map[string]string{"HEAD": "ref: refs/heads/" + s.defaultBranchOf(r) + "\n", "config": config} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("bitbuckettest: %w", err)
		}
	}
	r.made = true
	return nil
}

// ensured is ensure for callers that do not hold r.git; it returns the folder.
func (s *Server) ensured(r *repository) (string, error) {
	r.git.Lock()
	defer r.git.Unlock()
	return r.dir, s.ensure(r)
}

func removeRepository(r *repository) error {
	r.git.Lock()
	defer r.git.Unlock()
	r.made = false
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("bitbuckettest: %w", err)
	}
	return nil
}

// Push writes commits and tags into a repository, with force, and returns the hashes of
// the labels, of the branches ("refs/heads/x") and of the tags ("refs/tags/x": the tag's
// object, "refs/tags/x^{}": its commit) that the repository has afterwards. Pull
// requests that are open follow their branches.
func (s *Server) Push(address string, h History) (map[string]string, error) {
	r, err := s.lockedRepositoryAt(address)
	if err != nil {
		return nil, err
	}
	return s.push(r, h)
}

func (s *Server) lockedRepositoryAt(address string) (*repository, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.repositoryAt(address)
}

func (s *Server) push(r *repository, h History) (map[string]string, error) {
	var hashes map[string]string
	err := s.changeRefsOf(r, func() (err error) {
		hashes, err = s.importHistory(r, h)
		return err
	})
	return hashes, err
}

// changeRefsOf runs do, which changes refs of a repository, and tells all who follow them.
func (s *Server) changeRefsOf(r *repository, do func() error) error {
	err := func() error {
		r.git.Lock()
		defer r.git.Unlock()
		if err := s.ensure(r); err != nil {
			return err
		}
		announce, err := s.refsAnnouncer(r)
		if err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
		return announce()
	}()
	if err != nil {
		return err
	}
	return s.refreshPullRequests(r)
}

// importHistory is called with r.git held.
func (s *Server) importHistory(r *repository, h History) (map[string]string, error) {
	if err := s.ensure(r); err != nil {
		return nil, err
	}
	ctx := context.Background()
	refs, err := s.refs(ctx, r.dir, "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	made, err := s.commitCount(ctx, r.dir, len(refs) > 0)
	if err != nil {
		return nil, err
	}
	f := fastImport{defaultBranch: s.defaultBranchOf(r), refs: map[string]string{}, made: made}
	for _, ref := range refs {
		f.refs[ref.name] = ref.commit()
	}
	script, err := f.script(h)
	if err != nil {
		return nil, err
	}
	marks := filepath.Join(r.dir, "bitbuckettest-marks")
	defer os.Remove(marks) //nolint:errcheck // the folder goes with the server
	if _, err := s.git.run(ctx, r.dir, strings.NewReader(script),
		"fast-import", "--quiet", "--done", "--force", "--export-marks="+marks); err != nil {
		return nil, err
	}
	hashes, err := labelHashes(marks, f.labels)
	if err != nil {
		return nil, err
	}
	refs, err = s.refs(ctx, r.dir, "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		hashes[ref.name] = ref.object
		if ref.peeled != "" {
			hashes[ref.name+"^{}"] = ref.peeled
		}
	}
	return hashes, nil
}

func (s *Server) commitCount(ctx context.Context, dir string, any bool) (int, error) {
	if !any {
		return 0, nil
	}
	out, err := s.git.run(ctx, dir, nil, "rev-list", "--count", "--branches", "--tags")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

func (s *Server) defaultBranchOf(r *repository) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return r.DefaultBranch
}

func labelHashes(marksFile string, labels map[string]int) (map[string]string, error) {
	hashes := map[string]string{}
	if len(labels) == 0 {
		return hashes, nil
	}
	text, err := os.ReadFile(marksFile)
	if err != nil {
		return nil, fmt.Errorf("bitbuckettest: %w", err)
	}
	byMark := map[string]string{}
	for line := range strings.Lines(string(text)) {
		mark, hash, _ := strings.Cut(strings.TrimSpace(line), " ")
		byMark[mark] = hash
	}
	for label, mark := range labels {
		hashes[label] = byMark[":"+strconv.Itoa(mark)]
	}
	return hashes, nil
}

// copyObjects makes target hold all branches and tags of source.
func (s *Server) copyObjects(target, source *repository) error {
	source.git.Lock()
	from, made := source.dir, source.made
	source.git.Unlock()
	if !made { // nothing to copy
		return nil
	}
	target.git.Lock()
	defer target.git.Unlock()
	if err := s.ensure(target); err != nil {
		return err
	}
	_, err := s.git.run(context.Background(), target.dir, nil, "fetch", "--quiet", "--no-write-fetch-head", from,
		"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return err
}
