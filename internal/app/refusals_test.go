package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/syncer"
)

const canaryPassword = "canary-wrong-password-5d1e"

// startBitbucket starts a double with a repository PRJ/app and a user bot.
func startBitbucket(t *testing.T, o bitbuckettest.Options) *bitbuckettest.Server {
	t.Helper()
	o.Dir = t.TempDir()
	s, err := bitbuckettest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	bot := bitbuckettest.User{Name: "bot", Password: "right"}
	if _, err := s.AddUser(bot); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddProject(bitbuckettest.Project{Key: "PRJ", Name: "Project", Readers: []string{"bot"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "app", History: &bitbuckettest.History{
		Commits: []bitbuckettest.Commit{{Label: "first", Files: map[string]bitbuckettest.File{"README.md": bitbuckettest.Text("app")}}},
	}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// logins returns how many requests carried a credential, and how many of them were refused.
func logins(s *bitbuckettest.Server) (all, refused int) {
	for _, r := range s.Requests() {
		if r.Scheme == "" {
			continue
		}
		all++
		if !r.Authenticated {
			refused++
		}
	}
	return all, refused
}

// writeConfigFile writes a configuration file with one connection, and a comment.
func writeConfigFile(t *testing.T, path, url, password, comment string) {
	t.Helper()
	text := fmt.Sprintf(`{
  // %s
  "bitbucketServer": [{"name": "bitbucket", "url": %q, "username": "bot", "password": %q}],
}`, comment, url, password)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// live runs the program as a process does that lists and fetches all and ends.
func live(t *testing.T, o Options) syncer.Report {
	t.Helper()
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	report, err := a.syncer.RunOnce(t.Context(), syncer.RunOptions{})
	if err != nil {
		t.Error(err)
	}
	if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	return report
}

func TestAProcessThatIsRestartedAgainAndAgainLocksNoAccount(t *testing.T) {
	t.Parallel()
	s := startBitbucket(t, bitbuckettest.Options{Version: "8.19"})
	dir := t.TempDir()
	file := filepath.Join(dir, "signpost.jsonc")
	log := new(bytes.Buffer)
	o := Options{DataDir: filepath.Join(dir, "data"), ConfigFile: file, Logger: slog.New(slog.NewTextHandler(log, nil))}
	want := 0
	check := func(when string) {
		t.Helper()
		if _, refused := logins(s); refused != want {
			t.Fatalf("%s: %d refused logins, want %d", when, refused, want)
		}
	}

	writeConfigFile(t, file, s.BaseURL(), canaryPassword, "the first text")
	want++
	for n := range 8 {
		report := live(t, o)
		check(fmt.Sprint("start ", n))
		if len(report.Failures) == 0 || !strings.Contains(report.Failures[0].Error, "save the site configuration again") {
			t.Errorf("start %d does not say what to do: %+v", n, report.Failures)
		}
	}
	want++
	writeConfigFile(t, file, s.BaseURL(), canaryPassword, "another text")
	for range 3 {
		live(t, o)
		check("the text of the file has changed")
	}
	want++
	if err := Sync(t.Context(), o, nil, io.Discard); err == nil {
		t.Error("signpost sync succeeds with a wrong password")
	}
	check("signpost sync")
	live(t, o)
	check("after signpost sync")
	writeConfigFile(t, file, s.BaseURL(), "right", "another text")
	if report := live(t, o); len(report.Failures) != 0 || report.Cloned != 1 {
		t.Errorf("with the right password: %+v", report)
	}
	check("the password was corrected")

	err := filepath.WalkDir(o.DataDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(canaryPassword)) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil || strings.Contains(log.String(), canaryPassword) {
		t.Errorf("%v, or the log holds the password:\n%s", err, log)
	}
}

func TestACaptchaOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	s := startBitbucket(t, bitbuckettest.Options{Version: "8.19", CaptchaAfter: 1})
	dir := t.TempDir()
	file := filepath.Join(dir, "signpost.jsonc")
	o := Options{DataDir: filepath.Join(dir, "data"), ConfigFile: file}
	writeConfigFile(t, file, s.BaseURL(), "wrong", "locks the account")
	live(t, o)
	writeConfigFile(t, file, s.BaseURL(), "right", "and now the CAPTCHA is due")
	for range 4 {
		report := live(t, o)
		if len(report.Failures) == 0 || !strings.Contains(report.Failures[0].Error, "CAPTCHA") {
			t.Errorf("it does not tell of the CAPTCHA: %+v", report.Failures)
		}
	}
	if all, _ := logins(s); all != 2 {
		t.Errorf("%d logins, want 2: the wrong one and the first that met the CAPTCHA", all)
	}
}
