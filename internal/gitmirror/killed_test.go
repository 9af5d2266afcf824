package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// childEnv names the variable that makes the test binary a process to be killed: it holds the
// data folder, and the variable with "_URL" the clone address.
const childEnv = "SIGNPOST_GITMIRROR_TEST_CHILD"

func TestMain(m *testing.M) {
	if data := os.Getenv(childEnv); data != "" {
		if err := child(data, os.Getenv(childEnv+"_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child fetches one repository, once.
func child(data, cloneURL string) error {
	if pack := os.Getenv(childEnv + "_PACK"); pack != "" {
		return indexPack(data, pack)
	}
	if engine := os.Getenv(diskEnv); engine != "" {
		return runWithSmallDisk(data, cloneURL, engine)
	}
	repackAt, _ := strconv.Atoi(os.Getenv(childEnv + "_REPACK")) // 0: as usual
	m, err := New(Options{Root: filepath.Join(data, "mirrors"), Tmp: filepath.Join(data, "tmp"), RepackPacks: repackAt})
	if err != nil {
		return err
	}
	m.Configure(Settings{Engine: os.Getenv(childEnv + "_ENGINE")})
	_, err = m.Fetch(context.Background(), requestFor(bitbucket.RepoID{Connection: "bitbucket", Number: 42}, cloneURL))
	return errors.Join(err, m.Close())
}

// startChild starts a process that fetches into the fixture's data folder.
func (f *fixture) startChild(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(gitEnv(f.data), childEnv+"="+f.data, childEnv+"_URL="+f.origin.server.URL+originPath,
		"GORACE=atexit_sleep_ms=0") // else the race detector lets it live for another second
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// reopen is a restart after a crash.
func (f *fixture) reopen(t *testing.T) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{Root: filepath.Join(f.data, "mirrors"), Tmp: filepath.Join(f.data, "tmp")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	f.Mirrors = m
}

func TestKilledInTheMiddleOfAClone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{2}).Read(noise)
	f.origin.commit("refs/heads/main", map[string]string{"big": string(noise)})
	stuck := make(chan struct{})
	f.origin.setWrap(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method == http.MethodPost {
			return &stuckWriter{ResponseWriter: w, left: 500_000, stuck: stuck, ctx: r.Context()}
		}
		return w
	})
	cmd := f.startChild(t)
	waitFor(t, "the middle of the clone", stuck)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed

	if left, err := os.ReadDir(filepath.Join(f.data, "tmp")); err != nil || len(left) == 0 {
		t.Errorf("the killed process left nothing to sweep: %v", err)
	}
	if err := os.WriteFile(filepath.Join(f.data, "tmp", "of-somebody-else"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.reopen(t)
	left, err := os.ReadDir(filepath.Join(f.data, "tmp"))
	if err != nil || len(left) != 1 || left[0].Name() != "of-somebody-else" {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
	if err := os.Remove(filepath.Join(f.data, "tmp", "of-somebody-else")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.mirror()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a mirror: %v", err)
	}
	f.origin.setWrap(nil)
	f.fetch(t)
	f.checkSame(t)
}

// stuckWriter stops after so many bytes of a body, until the client has gone.
type stuckWriter struct {
	http.ResponseWriter
	left  int
	stuck chan struct{}
	ctx   context.Context
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	close(w.stuck)
	<-w.ctx.Done()
	panic(http.ErrAbortHandler)
}

// TestKilledAtAnyMoment kills fetches after random times. Whenever it strikes, the mirror is
// whole, has the refs from before the fetch or those from after it, and the next fetch succeeds.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	random := rand.New(rand.NewPCG(1, 2))
	var whole time.Duration // from the first request to the end of a process that nobody kills
	for round := range 13 {
		before := refsOf(t, f.mirror())
		noise := make([]byte, 1<<18)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		f.origin.commit("refs/heads/main", map[string]string{fmt.Sprint(round): string(noise)})
		f.origin.commit(fmt.Sprintf("refs/heads/b%d", round), map[string]string{"x": "1"})
		if round > 0 {
			f.origin.git("update-ref", "-d", fmt.Sprintf("refs/heads/b%d", round-1))
		}
		// The time runs from the first request: how long a process takes to start says nothing.
		asked := make(chan struct{})
		first := sync.OnceFunc(func() { close(asked) })
		f.origin.setFault(func(http.ResponseWriter, *http.Request) bool { first(); return false })
		cmd := f.startChild(t)
		waitFor(t, "the first request", asked)
		start, ended := time.Now(), make(chan struct{})
		if round > 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(whole))), func() { _ = cmd.Process.Kill() })
		}
		go func() { _ = cmd.Wait(); close(ended) }()
		waitFor(t, "the end of the process", ended)
		if round == 0 {
			whole = time.Since(start)
		}
		f.origin.setFault(nil)

		f.reopen(t)
		if refs := refsOf(t, f.mirror()); refs != before && refs != refsOf(t, f.origin.dir) {
			t.Errorf("round %d: refs\n%s\nwant those from before\n%s\nor after\n%s", round, refs, before, refsOf(t, f.origin.dir))
		}
		f.checkWhole(t)
		if round%3 == 2 { // else two interruptions in a row
			f.fetch(t)
			f.checkSame(t)
		}
	}
	f.fetch(t)
	f.checkSame(t)
}
