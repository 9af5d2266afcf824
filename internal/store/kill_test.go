package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
)

// These tests kill a process that writes. The process is this test's program, started again
// with what it is to do in its environment.
const (
	childEnv     = "SIGNPOST_STORE_TEST_CHILD"
	childPathEnv = "SIGNPOST_STORE_TEST_PATH"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "append":
		log.Fatal(childAppends(os.Getenv(childPathEnv)))
	case "work":
		log.Fatal(childWorks(os.Getenv(childPathEnv)))
	}
}

// childText is long enough to fill pages, and tells which version it is of.
func childText(version int64) string { return strings.Repeat(fmt.Sprintf("version %d ", version), 300) }

// childAppends appends versions and saves repositories until it is killed. It prints each
// version that is stored.
func childAppends(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Path: path, Key: testKey})
	if err != nil {
		return err
	}
	newest, err := s.ListVersions(ctx, 1)
	if err != nil {
		return err
	}
	next := int64(1)
	if len(newest) > 0 {
		next = newest[0].Version + 1
	}
	for ; ; next++ {
		if _, err := s.AppendVersion(ctx, next-1, childText(next), "child"); err != nil {
			return err
		}
		fmt.Println(next)
		found := someFound(50)
		for i := range found {
			found[i].Slug = fmt.Sprintf("slug-%d", (int64(i)+next)%70)
		}
		if _, err := s.SaveFound(ctx, "c", 0, found); err != nil {
			return err
		}
	}
}

// startChild starts the test's program again. The returned function kills it.
func startChild(t *testing.T, what, path string) (stdout io.Reader, kill func()) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a child that hangs does not outlive the test
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), childEnv+"="+what, childPathEnv+"="+path)
	child.Stderr = os.Stderr
	stdout, err = child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return stdout, func() {
		t.Helper()
		if err := child.Process.Kill(); err != nil {
			t.Fatalf("the child ended by itself: %v", err)
		}
		var exit *exec.ExitError
		if err := child.Wait(); !errors.As(err, &exit) {
			t.Fatalf("the killed child: %v", err)
		}
	}
}

func TestWhatWasStoredOutlivesAKill(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	for round := range 4 {
		stdout, kill := startChild(t, "append", path)
		var told int64
		lines := bufio.NewScanner(stdout)
		for range 5 + 4*round {
			if !lines.Scan() {
				t.Fatalf("the child said nothing more: %v", lines.Err())
			}
			if _, err := fmt.Sscan(lines.Text(), &told); err != nil {
				t.Fatal(err)
			}
		}
		kill()

		s := open(t, path)
		versions, err := s.ListVersions(t.Context(), 1_000_000)
		if err != nil {
			t.Fatalf("round %d: ListVersions: %v", round, err)
		}
		if int64(len(versions)) < told {
			t.Errorf("round %d: %d versions are there, the child had stored %d", round, len(versions), told)
		}
		for i, version := range versions {
			if want := int64(len(versions) - i); version.Version != want || version.Text != childText(want) {
				t.Fatalf("round %d: version %d is %d, %.20q", round, want, version.Version, version.Text)
			}
		}
		var verdict string
		if err := s.db.readers.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("round %d: integrity_check: %s, %v", round, verdict, err)
		}
		closeStore(t, s)
	}
}

// childWorks inserts a job, begins to work it and never ends. It prints when it works.
func childWorks(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Path: path, Key: testKey})
	if err != nil {
		return err
	}
	working := make(chan struct{})
	queue, err := s.NewQueue(queueConfig(func(context.Context, int) error {
		close(working)
		select {} // until it is killed
	}))
	if err != nil {
		return err
	}
	if err := queue.Start(ctx); err != nil {
		return err
	}
	if _, err := queue.Insert(ctx, numberArgs{Number: 7}, unique); err != nil {
		return err
	}
	<-working
	fmt.Println("working")
	select {}
}

func TestAJobOfAKilledProcessRunsAgainAtOnce(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	stdout, kill := startChild(t, "work", path)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "working\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	kill()

	s := openUntilEnd(t, path)
	worked := make(chan int, 10)
	queue, err := s.NewQueue(queueConfig(func(_ context.Context, number int) error {
		worked <- number
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	completed, cancel := queue.Subscribe(river.EventKindJobCompleted)
	defer cancel()
	startQueue(t, queue)
	event := await(t, completed)
	if number := <-worked; number != 7 || event.Job.Attempt != 2 {
		t.Errorf("worked %d in attempt %d, want 7 in attempt 2", number, event.Job.Attempt)
	}
}
