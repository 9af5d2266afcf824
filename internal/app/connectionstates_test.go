package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"example.com/signpost/api"
	"example.com/signpost/api/apitest"
	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

const (
	rightToken = "BBDC-canary-right/token+1"
	wrongToken = "BBDC-canary-wrong/token+2"
)

// adminWorld is a server with its API, on a configuration in the database.
type adminWorld struct {
	*App
	t       *testing.T
	handler http.Handler
}

func newAdminWorld(t *testing.T, config string) *adminWorld {
	t.Helper()
	a, err := New(t.Context(), Options{DataDir: filepath.Join(t.TempDir(), "data"), AdminToken: siteconfig.NewSecret("admin")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if _, problems, err := a.publisher.Put(t.Context(), config, 0, "the test"); err != nil {
		t.Fatal(err, problems)
	}
	server, err := api.New(api.Options{
		Resolver: a.resolver, Configuration: a.publisher, Connections: a.states, Metrics: a.registry, AdminToken: a.opts.AdminToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &adminWorld{a, t, server.Handler()}
}

// call sends a request as the administrator, holds the answer against the contract, and sees to
// it that it has no secret.
func (w *adminWorld) call(method, path, body string, into any) int {
	w.t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer admin")
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, request)
	response := recorder.Result()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = apitest.Check(request, response, text)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		w.t.Errorf("%s %s: %v\n%s", method, path, err, text)
	}
	for _, secret := range []string{rightToken, wrongToken, canaryPassword} {
		if strings.Contains(string(text), secret) {
			w.t.Errorf("%s %s: the answer holds the secret: %s", method, path, text)
		}
	}
	return response.StatusCode
}

func (w *adminWorld) check(body string) (check api.ConnectionCheck) {
	w.t.Helper()
	if status := w.call(http.MethodPost, "/api/v1/connections/check", body, &check); status != http.StatusOK {
		w.t.Fatalf("check: %d", status)
	}
	return check
}

// addToken gives the bot an access token and the account a personal repository to read.
func addToken(t *testing.T, s *bitbuckettest.Server) {
	t.Helper()
	if _, err := s.AddUser(bitbuckettest.User{Name: "tokenbot", Password: "another", Tokens: []string{rightToken}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetReaders("PRJ", []string{"bot", "tokenbot"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddProject(bitbuckettest.Project{Owner: "tokenbot"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddRepository(bitbuckettest.Repository{Project: "~TOKENBOT", Slug: "dots"}); err != nil {
		t.Fatal(err)
	}
}

func configOf(connections ...string) string {
	return `{"bitbucketServer": [` + strings.Join(connections, ",") + `]}`
}

func TestCheckOfAConnectionThatWorks(t *testing.T) {
	t.Parallel()
	s := startBitbucket(t, bitbuckettest.Options{Version: "8.19"})
	addToken(t, s)
	entry := func(token string) string {
		return fmt.Sprintf(`{"name": "bb", "url": %q, "token": %q}`, s.BaseURL(), token)
	}
	w := newAdminWorld(t, configOf(entry(rightToken)))
	for name, body := range map[string]string{
		"by its name": `{"name": "bb"}`,
		"as an entry": `{"entry": ` + entry(rightToken) + `}`,
		"masked":      `{"entry": ` + strings.TrimSuffix(strings.TrimPrefix(siteconfig.Mask(configOf(entry(rightToken))), `{"bitbucketServer": [`), `]}`) + `}`,
	} {
		check := w.check(body)
		if !check.OK || check.Version != "8.19.0" || check.Account != "tokenbot" || check.Git.Repository == "" ||
			check.Repositories == nil || check.Repositories.Count != 2 || check.Repositories.Personal != 1 || check.Repositories.AtLeast {
			t.Errorf("%s: %+v %+v", name, check, check.Repositories)
		}
	}
	if _, refused := logins(s); refused != 0 {
		t.Errorf("%d refused logins", refused)
	}
}

func TestCheckSaysWhichPartFails(t *testing.T) {
	t.Parallel()
	const password = `"username": "bot", "password": "right"`
	for _, c := range []struct {
		name       string
		version    string
		credential string
		fault      bitbuckettest.Fault
		rest, git  api.CheckedPartState
		says       string
	}{
		{"a token on an old version", "5.4", `"token": "` + rightToken + `"`, bitbuckettest.Fault{Skip: 1 << 30}, api.PartFails, api.PartNotTried, "Bitbucket 5.4.0 has no access tokens; use username and password"},
		{"git behind a login page", "8.19", password, bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectLoginPage}, api.PartWorks, api.PartFails, "no login page or proxy stands before it"},
		{"git that is down", "4.14", password, bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Status: 503}, api.PartWorks, api.PartFails, "the status was 503"},
		{"REST that is down", "4.14", password, bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Status: 503}, api.PartFails, api.PartNotTried, "503"},
		{"REST behind a login page", "8.19", password, bitbuckettest.Fault{Kind: bitbuckettest.KindREST, Effect: bitbuckettest.EffectLoginPage}, api.PartFails, api.PartNotTried, "login page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startBitbucket(t, bitbuckettest.Options{Version: c.version})
			s.Fault(c.fault)
			w := newAdminWorld(t, `{}`)
			check := w.check(fmt.Sprintf(`{"entry": {"url": %q, %s}}`, s.BaseURL(), c.credential))
			if check.OK || check.REST.State != c.rest || check.Git.State != c.git || !strings.Contains(check.REST.Problem+check.Git.Problem, c.says) {
				t.Errorf("%+v", check)
			}
			if all, _ := logins(s); c.version == "5.4" && all != 0 {
				t.Errorf("%d logins with a token that an old Bitbucket takes for a wrong password", all)
			}
		})
	}
}

func TestChecksLockNoAccount(t *testing.T) {
	t.Parallel()
	s := startBitbucket(t, bitbuckettest.Options{Version: "8.19"})
	entry := func(password string) string {
		return fmt.Sprintf(`{"name": "bb", "url": %q, "username": "bot", "password": %q}`, s.BaseURL(), password)
	}
	w := newAdminWorld(t, configOf(entry(canaryPassword)))
	wantRefused := func(when string, want int) {
		t.Helper()
		if _, refused := logins(s); refused != want {
			t.Fatalf("%s: %d refused logins, want %d", when, refused, want)
		}
	}
	for range 3 {
		if check := w.check(`{"name": "bb"}`); check.OK || check.REST.State != api.PartFails || !strings.Contains(check.REST.Problem, "Correct the credential") {
			t.Errorf("%+v", check)
		}
	}
	wantRefused("by its name", 1)
	// The same credential beside another name or certificate is the same login.
	for range 3 {
		w.check(`{"entry": ` + strings.Replace(entry(canaryPassword), `"bb"`, `"other", "rateLimit": {"enabled": false}`, 1) + `}`)
	}
	wantRefused("the same credential in an entry", 1)
	for n := range 8 {
		for range 2 {
			check := w.check(`{"entry": ` + entry(fmt.Sprint("guess ", n)) + `}`)
			if check.OK || check.REST.State != api.PartFails {
				t.Errorf("guess %d: %+v", n, check)
			}
		}
	}
	wantRefused("guesses", 4) // one fewer than Bitbucket counts
	if check := w.check(`{"entry": ` + entry("right") + `}`); check.OK || !strings.Contains(check.REST.Problem, "save the site configuration") {
		t.Errorf("after too many guesses: %+v", check)
	}
	// Saving the configuration forgives.
	if _, _, err := w.publisher.Put(t.Context(), configOf(entry("right")), 1, "the test"); err != nil {
		t.Fatal(err)
	}
	if check := w.check(`{"name": "bb"}`); !check.OK {
		t.Errorf("with the right password: %+v", check)
	}
	wantRefused("the right password", 4)
}

func TestConnectionsTellTheirHealth(t *testing.T) {
	t.Parallel()
	up := startBitbucket(t, bitbuckettest.Options{Version: "8.19"})
	down := startBitbucket(t, bitbuckettest.Options{Version: "4.14"})
	refusing := startBitbucket(t, bitbuckettest.Options{Version: "8.19"})
	entry := func(name, url, password string) string {
		return fmt.Sprintf(`{"name": %q, "url": %q, "username": "bot", "password": %q, "rateLimit": {"enabled": true, "requestsPerHour": 7200}}`, name, url, password)
	}
	w := newAdminWorld(t, configOf(entry("up", up.BaseURL(), "right"), entry("down", down.BaseURL(), "right"), entry("refusing", refusing.BaseURL(), canaryPassword)))
	down.Fault(bitbuckettest.Fault{Status: 503})
	client, err := w.hosts.client("down")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; !client.Health().CircuitOpen; n++ {
		if _, err := client.Repository(t.Context(), bitbucket.Address{Key: "PRJ", Slug: fmt.Sprint("x", n)}); err == nil {
			t.Fatal("Bitbucket answers during its outage")
		}
	}
	if _, err := w.syncer.RunOnce(t.Context(), syncer.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	var list api.ConnectionList
	w.call(http.MethodGet, "/api/v1/connections", "", &list)
	if len(list.Connections) != 3 {
		t.Fatalf("%+v", list)
	}
	for i, want := range []api.ConnectionHealthState{api.ConnectionOK, api.ConnectionCircuitOpen, api.ConnectionCredentialRefused} {
		c := list.Connections[i]
		if c.Health.State != want || c.Health.RateLimit.RequestsPerHour != 7200 || c.Health.RateLimit.Left <= 0 {
			t.Errorf("%s: %+v, want %s", c.Name, c.Health, want)
		}
	}
	if c := list.Connections[0]; c.Version != "8.19.0" || c.Account != "bot" || c.Listed != 1 || c.Selected != 1 || c.LastComplete.IsZero() || c.Problem != "" {
		t.Errorf("the one that works: %+v", c)
	}
	if c := list.Connections[1]; c.Health.Until.IsZero() || c.Health.Since.IsZero() || !strings.Contains(c.Health.Problem, "503") {
		t.Errorf("the one that is down: %+v", c.Health)
	}
	if c := list.Connections[2]; c.Health.Since.IsZero() || !c.Health.Until.IsZero() || !strings.Contains(c.Health.Problem, "save the site configuration again") {
		t.Errorf("the one that refuses: %+v", c.Health)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`signpost_bitbucket_circuit_open{connection="down"} 1`,
		`signpost_bitbucket_circuit_open{connection="refusing"} 0`,
		`signpost_bitbucket_circuit_open{connection="up"} 0`,
		`signpost_bitbucket_credential_refused{connection="down"} 0`,
		`signpost_bitbucket_credential_refused{connection="refusing"} 1`,
		`signpost_bitbucket_credential_refused{connection="up"} 0`,
		`signpost_bitbucket_paused{connection="up"} 0`,
		`signpost_bitbucket_rate_tokens{connection="up"} 4`, // of 500
	} {
		if !strings.Contains(recorder.Body.String(), "\n"+line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestTheServerAnswersForItsConnections(t *testing.T) {
	t.Parallel()
	s := startBitbucket(t, bitbuckettest.Options{Version: "4.14"})
	dir := t.TempDir()
	file := filepath.Join(dir, "signpost.jsonc")
	writeConfigFile(t, file, s.BaseURL(), "right", "read-only")
	a, err := New(t.Context(), Options{
		DataDir: filepath.Join(dir, "data"), ConfigFile: file, Listen: "127.0.0.1:0", AdminToken: siteconfig.NewSecret("admin"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{"/api/v1/connections": "", "/api/v1/connections/check": `{"name": "bitbucket"}`} {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), method, a.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer admin")
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), s.BaseURL()) {
			t.Errorf("%s: %d %v\n%s", path, response.StatusCode, err, text)
		}
	}
}
