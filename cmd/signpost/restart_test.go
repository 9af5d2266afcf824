package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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

// A request that is being answered when SIGTERM arrives gets its answer.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := startDemoWorld(t, "8.19", "https://sourcegraph.example.com", 1)
	const slow = `{"path":"/rest/api/1.0/projects/WEB/repos/storefront/pull-requests","effect":"slow","delay":"2s"}`
	if response, text, err := control(w.ready, http.MethodPost, "fault", slow); err != nil || response.StatusCode >= 300 {
		t.Fatalf("fault: %v %s", err, text)
	}
	page := w.ready.Servers[0].URL + "/projects/WEB/repos/storefront/pull-requests/1/overview"
	type answered struct {
		status int
		body   string
		err    error
	}
	answer := make(chan answered, 1)
	go func() {
		response, body, err := call(http.MethodGet, w.url+"/api/v1/resolve?url="+url.QueryEscape(page), "", nil)
		if err != nil {
			answer <- answered{err: err}
			return
		}
		answer <- answered{response.StatusCode, body, nil}
	}()
	err := eventually(func() error { // until the question has reached Bitbucket
		_, body, err := call(http.MethodGet, w.url+"/metrics", "", nil)
		if err != nil {
			return final{err}
		}
		if !strings.Contains(body, "signpost_http_requests_in_flight 2") { // it, and this one
			return fmt.Errorf("the request is not in flight")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := w.stop(interrupt); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, w.stderr)
	}
	got := <-answer
	if got.err != nil || got.status != http.StatusOK || !strings.Contains(got.body, "/-/compare/") {
		t.Errorf("the request was cut off after %v: %+v", time.Since(begin), got)
	}
}
