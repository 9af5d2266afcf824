package main

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// offered is what updates.xml offers to browsers.
type offered struct {
	id, version string
}

func updates(s *server) (offered, error) {
	response, text, err := call(http.MethodGet, s.url+"/extension/updates.xml", "", http.Header{})
	if err != nil || response.StatusCode != http.StatusOK {
		return offered{}, fmt.Errorf("updates.xml: %w %s", err, text)
	}
	var found struct {
		App struct {
			ID    string `xml:"appid,attr"`
			Check struct {
				Version string `xml:"version,attr"`
			} `xml:"updatecheck"`
		} `xml:"app"`
	}
	if err := xml.Unmarshal([]byte(text), &found); err != nil {
		return offered{}, err
	}
	return offered{found.App.ID, found.App.Check.Version}, nil
}

// The configuration of a running server changes, and what browsers are offered follows it; the id and the
// version outlive a server that is killed.
func TestTheExtensionFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := ownEnvironment(t.TempDir())
	startServing := func() *server {
		t.Helper()
		s, err := startServer(dir, env, "--data", "data")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.stop(os.Kill) })
		return s
	}
	put := func(s *server, version int, config string) {
		t.Helper()
		header := admin()
		header.Set("If-Match", fmt.Sprintf(`"%d"`, version))
		response, text, err := call(http.MethodPut, s.url+"/api/v1/site-config", config, header)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("PUT: %v %s", err, text)
		}
	}
	const config = `{"externalURL": %q, "primaryURL": %q, "bitbucketServer": [{"url": "http://127.0.0.1:9", "aliases": [%s], "username": "u", "password": "p"}]}`
	wantVersion := func(s *server, want string) (got offered) {
		t.Helper()
		err := eventually(func() (err error) {
			if got, err = updates(s); err == nil && got.version != want {
				err = fmt.Errorf("version %s is offered, want %s", got.version, want)
			}
			return err
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, s.stderr)
		}
		return got
	}

	s := startServing()
	put(s, 0, fmt.Sprintf(config, "https://signpost.example.com", "https://sourcegraph.example.com", ""))
	first := wantVersion(s, "1.0.1")
	put(s, 1, fmt.Sprintf(config, "https://signpost.example.com", "https://sourcegraph.example.com", `"https://stash.example.com"`))
	wantVersion(s, "1.0.2")
	if _, text, err := call(http.MethodGet, s.url+"/extension/signpost.user.js", "", http.Header{}); err != nil || !strings.Contains(text, "// @match        https://stash.example.com/*\n") {
		t.Errorf("the userscript does not know the alias; %v\n%.600s", err, text)
	}
	// The primary URL is in no package: the extension asks for it.
	put(s, 2, fmt.Sprintf(config, "https://signpost.example.com", "https://other.example.com", `"https://stash.example.com"`))
	put(s, 3, fmt.Sprintf(config, "https://new.example.com", "https://other.example.com", `"https://stash.example.com"`))
	wantVersion(s, "1.0.3")
	_ = s.stop(os.Kill)

	s = startServing()
	if last := wantVersion(s, "1.0.3"); last.id != first.id || first.id == "" {
		t.Errorf("the extension was %s, and is %s after a restart", first.id, last.id)
	}
	if _, text, err := call(http.MethodGet, s.url+"/api/v1/extension/config", "", http.Header{}); err != nil ||
		text != `{"bitbucketURLs":["http://127.0.0.1:9","https://stash.example.com"],"primaryURL":"https://other.example.com","serverURL":"https://new.example.com","version":"1.0.3"}`+"\n" {
		t.Errorf("extension/config: %v %s", err, text)
	}
}
