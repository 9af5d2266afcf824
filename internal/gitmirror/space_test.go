package gitmirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// TestAFloorOfFreeSpace: below it nothing new begins, what is mirrored is updated, and nothing is evicted.
func TestAFloorOfFreeSpace(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, Options{RepackPacks: 2})
	if free, total, err := f.Space(); err != nil || free == 0 || total < free {
		t.Errorf("Space: %d of %d, %v", free, total, err)
	}
	free := uint64(3100 << 20)
	f.space = func() (uint64, uint64, error) { return free, 50 << 30, nil }
	f.Configure(Settings{MinFreePercent: 10})
	f.origin.history()
	_, err := f.Fetch(t.Context(), f.request())
	wantErr(t, err, syncer.ErrNoSpace)
	for _, word := range []string{"3.0 GiB", "50.0 GiB", "6 %", "minFreeDiskPercent is 10", "free another 2.0 GiB"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q lacks %q", err, word)
		}
	}
	f.checkTmpEmpty(t)

	free = 6 << 30
	f.fetch(t)
	free = 1 << 30
	commit := f.origin.commit("refs/heads/main", map[string]string{"new": "1"})
	f.fetch(t)
	if got, err := f.ResolveRef(t.Context(), f.id, "main"); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v", got, err)
	}
	if n := len(packsOf(t, f.mirror())); n != 2 {
		t.Errorf("%d packs, want the two that came", n)
	}
	f.checkSame(t)

	// A damaged mirror stays until there is room for another.
	remove(t, newest(t, f.mirror(), ".pack"))
	damaged := treeState(t, f.mirror())
	f.writers[f.id].health = health{swept: true}
	_, err = f.Fetch(t.Context(), f.request())
	wantErr(t, err, syncer.ErrNoSpace)
	if now := treeState(t, f.mirror()); now != damaged {
		t.Errorf("the damaged mirror was touched:\n%s\nbefore:\n%s", now, damaged)
	}
	free = 6 << 30
	if result := f.fetch(t); !result.Cloned {
		t.Errorf("result %+v", result)
	}
	f.checkSame(t)
}

// diskEnv names the variable that makes the test binary a process with a small disk of its own.
const diskEnv = childEnv + "_DISK"

// runWithSmallDisk is the child of TestAFullDisk. It has a mount namespace of its own.
func runWithSmallDisk(data, cloneURL, engine string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts from the machine: %w", err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=6m,mode=700"); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	m, err := New(Options{Root: filepath.Join(data, "mirrors"), Tmp: filepath.Join(data, "tmp")})
	if err != nil {
		return err
	}
	m.Configure(Settings{Engine: engine})
	id := bitbucket.RepoID{Connection: "bitbucket", Number: 42}
	filler := filepath.Join(data, "filler")
	fetch := func() error { _, err := m.Fetch(context.Background(), requestFor(id, cloneURL)); return err }
	fill := func() error { // but for what a file or two need
		file, err := os.Create(filler)
		if err != nil {
			return err
		}
		for {
			free, _, err := m.Space()
			if err != nil || free < 64<<10 {
				return errors.Join(err, file.Close())
			}
			if _, err := file.Write(make([]byte, 16<<10)); err != nil {
				return errors.Join(err, file.Close())
			}
		}
	}
	full := func(what string, err error) error {
		if !errors.Is(err, syncer.ErrNoSpace) {
			return fmt.Errorf("%s on a full disk: %w", what, errors.Join(err, errors.New("want syncer.ErrNoSpace")))
		}
		if left, err := os.ReadDir(filepath.Join(data, "tmp")); err != nil || len(left) > 0 {
			return fmt.Errorf("%s on a full disk left %v, %w", what, left, err)
		}
		return nil
	}
	dir, err := m.folder(id)
	if err != nil {
		return err
	}
	steps := []func() error{
		fill,
		func() error { return full("a clone", fetch()) },
		func() error {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("half a mirror: %w", err)
			}
			return os.Remove(filler)
		},
		fetch, // goes on by itself
		fill,
		func() error { // news, and no room for them
			fmt.Println("fetched")
			_, err := fmt.Scanln(new(string))
			return err
		},
		func() error { return full("a fetch", fetch()) },
		func() error { return checkMirrorWhole(context.Background(), dir) },
		func() error {
			_, err := m.ResolveRef(context.Background(), id, "refs/tags/before")
			return err
		},
		func() error { return os.Remove(filler) },
		fetch,
		func() error { return checkMirrorWhole(context.Background(), dir) },
		func() error {
			_, err := m.ResolveRef(context.Background(), id, "refs/tags/after")
			return err
		},
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return m.Close()
}

// TestAFullDisk clones and fetches on a disk of 6 MiB that is full, and again when it is not.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{siteconfig.EngineGoGit, siteconfig.EngineGit} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.commit("refs/heads/main", map[string]string{"a": noise(1<<20, 1)})
			f.origin.git("tag", "before", "main")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(gitEnv(f.data), childEnv+"="+filepath.Join(f.data, "small"), childEnv+"_URL="+f.origin.server.URL+originPath, diskEnv+"="+engine)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			if os.Geteuid() != 0 { // who is not root is root in a namespace of users
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
			}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			news, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatalf("a process with a disk of its own: %v; the test needs root, or namespaces of users", err)
			}
			if _, err := fmt.Fscanln(out, new(string)); err == nil {
				f.origin.commit("refs/heads/main", map[string]string{"b": noise(1<<20, 2)})
				f.origin.git("tag", "after", "main")
				_, err = fmt.Fprintln(news, "go")
				if err != nil {
					t.Error(err)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v: %s", err, errs.String())
			}
		})
	}
}
