package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// An administrator sees that a mirror fails and why, asks for a fetch when that is mended, and
// sees it come.
func TestAnAdministratorAsksForAFetch(t *testing.T) {
	t.Parallel()
	dir, env, ready := startDoubleWithConfig(t)
	s, err := startServer(dir, env, "--config", "signpost.jsonc", "--data", "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(interrupt) })
	waitForMirrors(t, s, ready.Samples)

	ask := func(method, path string, want int) []byte {
		t.Helper()
		response, body, err := call(method, s.url+"/api/v1/repositories"+path, "", admin())
		if err != nil || response.StatusCode != want {
			t.Fatalf("%s %s: %v %v, want %d\n%s", method, path, response, err, want, body)
		}
		return []byte(body)
	}
	type mirror struct {
		State, LastFetch, Error string
		Failures                int
	}
	type repository struct {
		ID     string
		Mirror mirror
	}
	var page struct{ Repositories []repository }
	if err := json.Unmarshal(ask(http.MethodGet, "?q=web/theme", 200), &page); err != nil || len(page.Repositories) != 1 {
		t.Fatal(err, page)
	}
	theme := page.Repositories[0]
	becomes := func(want func(mirror) bool) mirror {
		t.Helper()
		var now repository
		err := eventually(func() error {
			now = repository{} // what is left out is not there any more
			if err := json.Unmarshal(ask(http.MethodGet, "/"+theme.ID, 200), &now); err != nil {
				return err
			}
			if !want(now.Mirror) {
				return fmt.Errorf("the mirror is %+v", now.Mirror)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return now.Mirror
	}
	if _, text, err := control(ready, http.MethodPost, "fault", `{"kind":"git","path":"/scm/web/theme","effect":"status","status":503}`); err != nil {
		t.Fatal(err, text)
	}
	ask(http.MethodPost, "/"+theme.ID+"/sync", http.StatusAccepted)
	failed := becomes(func(m mirror) bool { return m.State == "failing" && m.Failures > 0 })
	if !strings.Contains(failed.Error, "Signpost tries again by itself") {
		t.Errorf("the error does not say what to do: %q", failed.Error)
	}
	if err := json.Unmarshal(ask(http.MethodGet, "?state=failing", 200), &page); err != nil || len(page.Repositories) != 1 || page.Repositories[0].ID != theme.ID {
		t.Errorf("those that fail are %v %v", page, err)
	}
	if _, text, err := control(ready, http.MethodDelete, "fault", ""); err != nil {
		t.Fatal(err, text)
	}
	ask(http.MethodPost, "/"+theme.ID+"/sync", http.StatusAccepted)
	if mended := becomes(func(m mirror) bool { return m.State == "fresh" }); mended.Error != "" || mended.Failures != 0 {
		t.Errorf("what is mended still says %+v", mended)
	}
	if err := s.stop(interrupt); err != nil {
		t.Error(errors.Join(err, errors.New(s.stderr.String())))
	}
}
