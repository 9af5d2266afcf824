package trial

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// TestFullDisk fills the disk of a server while it clones, while it fetches, and when a
// configuration is to be saved. It says what is wrong, its links go on, nothing is damaged,
// and when there is space again it goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			testFullDisk(t, engine)
		})
	}
}

// saysFull is how a log tells of a full disk.
var saysFull = regexp.MustCompile(`no space left on device|disk .* full|disk is full`)

func testFullDisk(t *testing.T, engine string) {
	t.Helper()
	place := newPlace(t)
	random := seeded(t, 10)
	disk := &disk{folder: filepath.Join(place.Dir, "disk")}
	mountDisk(t, disk.folder, 40)
	data := filepath.Join(disk.folder, "data")
	double, estate := startDouble(t, place)
	for _, address := range []string{"TRIAL/first", "TRIAL/second"} {
		_, err := estate.Add(address, "", random, 1<<20)
		must(t, err)
	}
	server := startServer(t, place, data)
	config := ConfigFor(double, engine)
	must(t, server.PutConfig(config))
	waitUntilCurrent(t, estate, data, server)
	page := double.URL() + "/projects/TRIAL/repos/first/browse/README.md"
	links := func(when string) {
		t.Helper()
		if link, err := server.Resolve(page); err != nil || link.Commit == "" {
			t.Errorf("%s: the link of %s: %+v, %v", when, page, link, err)
		}
	}
	links("before")

	// A clone that does not fit.
	disk.leave(t, 4<<20)
	_, err := estate.Add("TRIAL/large", "", random, 12<<20)
	must(t, err)
	config.BitbucketServer[0].Exclude = []map[string]string{{"name": "TRIAL/never"}} // so that it is listed at once
	must(t, server.PutConfig(config))
	says(t, server, `TRIAL/large`)
	links("while the clone does not fit")

	// Nothing fits.
	disk.leave(t, 0)
	config.PrimaryURL = "https://sourcegraph.elsewhere.example.com"
	problem := (*Problem)(nil)
	if err := server.PutConfig(config); !errors.As(err, &problem) || problem.Status != http.StatusInsufficientStorage {
		t.Errorf("a configuration that cannot be stored: %v, want status 507", err)
	}
	must(t, estate.push("TRIAL/second", Noise(random, 1<<20)))
	links("on a full disk")
	if response, body, err := Call(http.MethodGet, server.URL+"/healthz", "", nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("on a full disk: healthz: %v %s", err, body)
	}
	must(t, server.Stop(syscall.SIGTERM))
	checkMirrors(t, data)

	// A pass on a full disk says what it could not do, and takes nothing away.
	disk.leave(t, 300<<10)
	before, err := Mirrors(data)
	must(t, err)
	out, err := place.run("sync", "--data", data)
	if err == nil || !saysFull.MatchString(out) {
		t.Errorf("a pass on a full disk: %v\n%s", err, out)
	}
	after, err := Mirrors(data)
	must(t, err)
	for number, folder := range before {
		if after[number] == "" {
			t.Errorf("the mirror %s is gone", folder)
		}
	}
	checkMirrors(t, data)
	must(t, checkDatabase(t, filepath.Join(data, "signpost.db")))

	// A start on a full disk gives links as before, and goes on when there is space.
	disk.leave(t, 300<<10)
	server = startServer(t, place, data)
	links("after a start on a full disk")
	disk.leave(t, 1<<30)
	if err := Eventually(func() error { return server.PutConfig(config) }); err != nil {
		t.Errorf("with space again, the configuration cannot be stored: %v", err)
	}
	waitUntilCurrent(t, estate, data, server)
	links("with space again")
	must(t, server.Stop(syscall.SIGTERM))
	checkMirrors(t, data)
	must(t, checkDatabase(t, filepath.Join(data, "signpost.db")))
}

// disk is a small disk, and the file that fills it.
type disk struct{ folder string }

// leave makes so many bytes, or a little more, the free space of the disk; as much as there
// is if that is less.
func (d *disk) leave(t *testing.T, bytes int64) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(d.folder, "filler")))
	var stat syscall.Statfs_t
	must(t, syscall.Statfs(d.folder, &stat))
	fill := int64(stat.Bavail)*stat.Bsize - bytes
	if fill <= 0 {
		return
	}
	file, err := os.OpenFile(filepath.Join(d.folder, "filler"), os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	if _, err := io.CopyN(file, zeros{}, fill); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must(t, file.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// push adds a file to the default branch of a repository.
func (e *Estate) push(address, content string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	history := bitbuckettest.History{Commits: []bitbuckettest.Commit{{Files: map[string]bitbuckettest.File{"new.txt": bitbuckettest.Text(content)}}}}
	if err := e.double.Control(http.MethodPost, "push", map[string]any{"repository": address, "history": history}, nil); err != nil {
		return err
	}
	for _, h := range e.living() {
		if h.Address == address {
			return e.note(h)
		}
	}
	return fmt.Errorf("there is no %s", address)
}

// says waits until the server's log tells that the disk is full, and of what.
func says(t *testing.T, server *Server, of string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^.*(` + saysFull.String() + `).*$`)
	if err := Eventually(func() error {
		for _, text := range line.FindAllString(server.Log.String(), -1) {
			if regexp.MustCompile(of).MatchString(text) {
				return nil
			}
		}
		return fmt.Errorf("the log does not say that the disk is full for %s:\n%s", of, server.Log)
	}); err != nil {
		t.Fatal(err)
	}
}

// waitUntilCurrent waits until every mirror has what Bitbucket has.
func waitUntilCurrent(t *testing.T, estate *Estate, data string, server *Server) {
	t.Helper()
	if err := Eventually(func() error {
		behind, err := estate.Behind(data)
		if err == nil && len(behind) > 0 {
			err = fmt.Errorf("not up to date: %v\n%s", behind, server.Log)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// checkMirrors checks that every mirror is whole.
func checkMirrors(t *testing.T, data string) {
	t.Helper()
	mirrors, err := Mirrors(data)
	must(t, err)
	for _, folder := range mirrors {
		if err := Fsck(t.Context(), folder); err != nil {
			t.Error(err)
		}
	}
}
