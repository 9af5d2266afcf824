package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/signpost/internal/trial"
)

func TestAURLOfAMegabyteInTheRequestLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := startServer(dir, ownEnvironment(dir), "--data", "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(interrupt) })
	for size, want := range map[int]int{20 << 10: http.StatusBadRequest, 1 << 20: http.StatusRequestHeaderFieldsTooLarge} {
		// The greater one is refused before the API sees it, so the contract has no word on it. The
		// server does not read all of it: a client that gets no time meanwhile finds the connection
		// reset, and asks again.
		err := eventually(func() error {
			response, err := testClient.Get(s.url + "/api/v1/resolve?url=https://bitbucket.example.com/" + strings.Repeat("a", size)) //nolint:noctx // the client has a timeout
			if err != nil {
				return err
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				return trial.GiveUp(fmt.Errorf("status %d, want %d", response.StatusCode, want))
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if response, body, err := call(http.MethodGet, s.url+"/healthz", "", nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %v %s", err, body)
	}
}

func TestAServerSaysWhatIsIgnoredInItsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "signpost.jsonc")
	if err := os.WriteFile(file, []byte(`{"appURL": "https://signpost.example.com"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startServer(dir, ownEnvironment(dir), "--data", "data", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(interrupt) })
	waitForLog(t, s.process, "1:2 warning appURL: is ignored: use externalURL")
}

// The configuration file is changed while the server runs: from good to bad, gone, and to
// good again. Only what is good counts, and no secret of a bad one is in the log.
func TestABrokenConfigurationFileNeverTakesEffect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := ownEnvironment(dir)
	double, ready, err := startBitbucket(dir, env, "-world", "demo", "-version", "6.10")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = double.stop(interrupt) })
	file := filepath.Join(dir, "signpost.jsonc")
	good := func(primary string) {
		t.Helper()
		if err := writeConfig(file, configJSON{
			PrimaryURL:      primary,
			BitbucketServer: []connectionJSON{connectionJSON{URL: ready.Servers[0].URL}.As(ready.Accounts["admin"])},
		}); err != nil {
			t.Fatal(err)
		}
	}
	good("https://first.example.com")
	s, err := startServer(dir, env, "--data", "data", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(interrupt) })
	waitForMirrors(t, s, ready.Samples)
	page := ready.Samples[0].URL
	linksTo := func(primary string) error {
		response, body, err := call(http.MethodGet, s.url+"/api/v1/resolve?url="+url.QueryEscape(page), "", nil)
		if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(body, primary)) {
			err = fmt.Errorf("status %d, no link to %s: %s", response.StatusCode, primary, body)
		}
		return err
	}
	logs := func(text string) {
		t.Helper()
		if err := eventually(func() error {
			if !strings.Contains(s.stderr.String(), text) {
				return fmt.Errorf("the log does not have %q:\n%s", text, s.stderr)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := linksTo("https://first.example.com/"); err != nil {
			t.Error(err)
		}
	}
	for text, says := range map[string]string{
		`{"primaryURL": "https://sourcegraph.com", "pasword": "canary-of-a-bad-file"}`:                                                               "must be your own Sourcegraph instance",
		`{"primaryURL": "https://second.example.com", "bitbucketServer": [{"url": "https://b.example", "token": "env:SIGNPOST_TEST_IS_NOT_SET"}]`:    "is missing",
		`{"primaryURL": "https://second.example.com", "bitbucketServer": [{"url": "https://b.example", "token": "env:SIGNPOST_TEST_IS_NOT_SET"}]}  `: "SIGNPOST_TEST_IS_NOT_SET",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		logs(says)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	logs("no such file")
	good("https://third.example.com")
	if err := eventually(func() error { return linksTo("https://third.example.com/") }); err != nil {
		t.Fatal(err)
	}
	account := ready.Accounts["admin"]
	checkDataFolder(t, filepath.Join(dir, "data"), s.stderr.String(), account.Token, account.Password, "canary-of-a-bad-file")
}

// What the account may not write is said, and nothing else goes wrong. Root may write
// everywhere, so it runs the program as nobody.
func TestADataFolderThatMayNotBeWritten(t *testing.T) {
	t.Parallel()
	path, err := program("signpost")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "signpost-test-") // not t.TempDir, whose parent is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied, data := filepath.Join(dir, "signpost"), filepath.Join(dir, "data")
	for _, err := range []error{os.Chmod(dir, 0o755), os.WriteFile(copied, binary, 0o755), os.Chmod(copied, 0o755), os.Mkdir(data, 0o500)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(copied, "serve", "--data", data, "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env = dir, ownEnvironment(dir)
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := os.Chown(data, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Fatalf("the account nobody cannot run a program below %s: set TMPDIR to a folder that it may enter, or run the tests as another account than root: %v", os.TempDir(), err)
	}
	if exitCode(err) != 1 || !strings.Contains(string(out), "the data folder cannot be used") || !strings.Contains(string(out), "must be able to write there") {
		t.Errorf("%v\n%s", err, out)
	}
}
