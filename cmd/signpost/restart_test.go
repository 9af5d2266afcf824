package main

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/signpost/resolver"
)

// A killed server loses neither configuration nor index nor mirrors: started again, it
// answers from them at once, while Bitbucket is down.
func TestRestartAfterKill(t *testing.T) {
	t.Parallel()
	w := startDemoWorld(t, "5.16", "https://sourcegraph.example.com", 100)
	page := w.ready.Samples[2].URL // a file
	before, err := linksOf(w.server, page, false)
	if err != nil {
		t.Fatal(err)
	}
	if w.stop(syscall.SIGKILL) == nil {
		t.Fatal("a killed process ended without an error")
	}
	if err := w.double.stop(interrupt); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	response, body, err := call(http.MethodGet, w.url+"/api/v1/resolve?url="+url.QueryEscape(page), "", nil)
	var link resolver.Link
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal([]byte(body), &link) != nil {
		t.Fatalf("after the restart: %v %s\n%s", err, body, w.stderr)
	}
	if link.URL != before[0] || link.Commit == "" || !link.Exact {
		t.Errorf("after the restart: %s, want %s with its commit", body, before[0])
	}
	if err := w.stop(interrupt); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, w.stderr)
	}
	checkDataFolder(t, w.data, w.stderr.String(), w.ready.Accounts["admin"].Token, w.ready.Accounts["admin"].Password)
}

// checkDataFolder checks that a data folder is for its owner alone and holds no secret in
// the clear.
func checkDataFolder(t *testing.T, data, log string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if secret != "" && strings.Contains(log, secret) {
			t.Errorf("the log holds the secret %q", secret)
		}
	}
	files := 0
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			if secret != "" && strings.Contains(string(content), secret) {
				t.Errorf("%s holds the secret %q", path, secret)
			}
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Errorf("%d files in the data folder: %v", files, err)
	}
}
