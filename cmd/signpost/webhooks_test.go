package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/trial"
	"example.com/signpost/resolver"
)

const hookCanary = "canary-of-the-webhook-secret-5e1b"

// hookedWorld is a server whose mirrors change by webhooks only: its schedule is off.
type hookedWorld struct {
	*demoWorld
	base string // of the double
	name string // of the connection
	hook string // address of the webhook
}

func startHookedWorld(t *testing.T, version string) *hookedWorld {
	t.Helper()
	w := &hookedWorld{demoWorld: startDemoWorld(t, version, "https://sourcegraph.example.com", 100)}
	w.base = w.ready.Servers[0].URL
	base, err := url.Parse(w.base)
	if err != nil {
		t.Fatal(err)
	}
	w.name = base.Hostname() + "-" + base.Port()
	connection := connectionJSON{URL: w.base, Webhooks: &webhooksJSON{Secret: hookCanary}}.As(w.ready.Accounts["admin"])
	replaceConfig(t, w.server, configJSON{
		PrimaryURL: "https://sourcegraph.example.com", DisableAutoGitUpdates: true,
		BitbucketServer: []connectionJSON{connection, {Name: "open", URL: "http://127.0.0.1:1/other", Username: "u", Password: "p"}},
	})
	w.hook = w.url + "/api/v1/webhooks/bitbucket-server/" + w.name
	return w
}

// checkSecret ends the server and looks for the secret in what it leaves.
func (w *hookedWorld) checkSecret(t *testing.T) {
	t.Helper()
	if err := w.stop(interrupt); err != nil { // before the look: a fetch makes and removes files
		t.Errorf("SIGTERM: %v\n%s", err, w.stderr)
	}
	checkDataFolder(t, w.data, w.stderr.String(), hookCanary)
}

// replaceConfig puts a configuration in the place of the one that runs.
func replaceConfig(t *testing.T, s *server, config configJSON) {
	t.Helper()
	response, _, err := call(http.MethodGet, s.url+"/api/v1/site-config", "", admin())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	header := admin()
	header.Set("If-Match", response.Header.Get("ETag"))
	response, body, err := call(http.MethodPut, s.url+"/api/v1/site-config", string(text), header)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("PUT site-config: %v %s", err, body)
	}
}

// command tells the double to do something.
func (w *hookedWorld) command(t *testing.T, method, what string, in, out any) {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	response, body, err := control(w.ready, method, what, string(text))
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s: %v %s", what, err, body)
	}
	if out != nil {
		_, answer, _ := strings.Cut(body, "\n")
		if err := json.Unmarshal([]byte(answer), out); err != nil {
			t.Fatalf("%s: %v: %s", what, err, body)
		}
	}
}

func (w *hookedWorld) register(t *testing.T) {
	t.Helper()
	w.command(t, http.MethodPost, "webhook", map[string]any{"of": "WEB/storefront", "webhook": map[string]any{
		"name": "Signpost", "url": w.hook, "secret": hookCanary,
		"events": []string{"repo:refs_changed", "repo:push", "repo:modified", "pr:opened", "pr:from_ref_updated", "pr:merged"},
	}}, nil)
}

func (w *hookedWorld) push(t *testing.T, commit map[string]any) {
	t.Helper()
	w.command(t, http.MethodPost, "push", map[string]any{"repository": "WEB/storefront", "history": map[string]any{"commits": []any{commit}}}, nil)
}

func (w *hookedWorld) link(page string) (resolver.Link, error) {
	var link resolver.Link
	response, text, err := call(http.MethodGet, w.url+"/api/v1/resolve?url="+url.QueryEscape(w.base+page), "", nil)
	if err != nil {
		return link, trial.GiveUp(err)
	}
	if response.StatusCode != http.StatusOK {
		return link, fmt.Errorf("%s: %d %s", page, response.StatusCode, text)
	}
	return link, json.Unmarshal([]byte(text), &link)
}

// metric returns the value of a sample of /metrics, 0 when it is not there.
func (w *hookedWorld) metric(t *testing.T, sample string) (value float64) {
	t.Helper()
	_, text, err := call(http.MethodGet, w.url+"/metrics", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				t.Fatal(err)
			}
		}
	}
	return value
}

// A push, a new branch, a deleted path and a push to a pull request are visible soon after Bitbucket
// has told of them, whatever its version. Nothing else could make them visible: the schedule is off.
func TestWebhooksMakePushesVisible(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.14", "5.4", "8.19"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := startHookedWorld(t, version)
			w.register(t)
			const file, fresh, topic = "/projects/WEB/repos/storefront/browse/README.md", "/projects/WEB/repos/storefront/browse/new/file.go",
				"/projects/WEB/repos/storefront/browse/new/topic.go?at=refs%2Fheads%2Ftopic%2Fone"
			const pull = "/projects/WEB/repos/storefront/pull-requests/1/overview"
			before, err := w.link(file)
			if err != nil || before.Commit == "" {
				t.Fatalf("%+v, %v", before, err)
			}
			pullBefore, err := w.link(pull)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				what   string
				commit map[string]any
				seen   func() error
			}{
				{"a commit", map[string]any{"files": map[string]any{"new/file.go": map[string]string{"content": "package new\n"}}}, func() error {
					link, err := w.link(fresh)
					if err == nil && (link.Commit == "" || link.Commit == before.Commit || !link.Exact) {
						err = fmt.Errorf("%+v", link)
					}
					return err
				}},
				{"a branch", map[string]any{"branch": "topic/one", "from": "main", "files": map[string]any{"new/topic.go": map[string]string{"content": "package new\n"}}}, func() error {
					link, err := w.link(topic)
					if err == nil && (link.Commit == "" || !link.Exact || link.Kind != "blob") {
						err = fmt.Errorf("%+v", link)
					}
					return err
				}},
				{"a path less", map[string]any{"delete": []string{"new/file.go"}}, func() error {
					link, err := w.link(fresh)
					if err == nil && link.Exact {
						err = fmt.Errorf("%+v", link)
					}
					return err
				}},
				{"a push to a pull request", map[string]any{"branch": "feature/search", "files": map[string]any{"x.go": map[string]string{"content": "package x\n"}}}, func() error {
					link, err := w.link(pull)
					if err == nil && link.URL == pullBefore.URL {
						err = fmt.Errorf("%+v", link)
					}
					return err
				}},
			} {
				w.push(t, step.commit)
				begun := time.Now() // the double delivers beside its answer
				if err := eventually(step.seen); err != nil {
					t.Fatalf("%s is not visible: %v\n%s", step.what, err, w.stderr)
				}
				t.Logf("%s is visible after %v", step.what, time.Since(begun).Round(time.Millisecond))
			}
			var deliveries []bitbuckettest.Delivery
			w.command(t, http.MethodGet, "deliveries", nil, &deliveries)
			for _, d := range deliveries {
				if d.Status != http.StatusAccepted {
					t.Errorf("%s: %d %s %s", d.Event, d.Status, d.Answer, d.Error)
				}
			}
			if len(deliveries) < 4 {
				t.Errorf("%d deliveries", len(deliveries))
			}
			w.checkSecret(t)
		})
	}
}

// A thousand deliveries in about a second are all answered, cost a few fetches, and leave the server well.
func TestWebhooksFlood(t *testing.T) {
	t.Parallel()
	w := startHookedWorld(t, "8.19")
	w.command(t, http.MethodDelete, "requests", nil, nil)
	for _, flood := range []struct{ what, body string }{
		{"of one repository", `{"repository":{"slug":"storefront","project":{"key":"WEB"}}}`},
		{"of an unknown one", `{"repository":{"id":4711,"slug":"nowhere","project":{"key":"WEB"}}}`},
	} {
		var delivered struct {
			Statuses map[string]int
			Answer   string
		}
		begun := time.Now()
		w.command(t, http.MethodPost, "deliver", map[string]any{
			"url": w.hook, "event": "repo:refs_changed", "secret": hookCanary, "body": flood.body, "count": 1000, "atOnce": 64,
		}, &delivered)
		t.Logf("1,000 deliveries %s took %v", flood.what, time.Since(begun).Round(time.Millisecond))
		if delivered.Statuses["202"] != 1000 {
			t.Errorf("%s: %v %s\n%s", flood.what, delivered.Statuses, delivered.Answer, w.stderr)
		}
	}
	// The last fetch that was asked for has been made when a push that is told of afterwards is visible.
	w.register(t)
	w.push(t, map[string]any{"files": map[string]any{"after.go": map[string]string{"content": "package after\n"}}})
	if err := eventually(func() error {
		link, err := w.link("/projects/WEB/repos/storefront/browse/after.go")
		if err == nil && (link.Commit == "" || !link.Exact) {
			err = fmt.Errorf("%+v", link)
		}
		return err
	}); err != nil {
		t.Fatalf("after the flood: %v\n%s", err, w.stderr)
	}
	var requests []bitbuckettest.Request
	w.command(t, http.MethodGet, "requests", nil, &requests)
	fetches, others := 0, 0
	for _, r := range requests {
		switch {
		case r.Kind == bitbuckettest.KindGit && strings.Contains(r.Path, "/storefront.git/info/refs"):
			fetches++
		case r.Kind == bitbuckettest.KindREST:
			others++
		}
	}
	t.Logf("%d fetches and %d REST requests", fetches, others)
	// At four requests for a fetch in a second, a slow machine has some more of them.
	if fetches == 0 || fetches > 100 || others > 200 {
		t.Errorf("%d fetches and %d REST requests of 2,000 deliveries", fetches, others)
	}
	if got := w.metric(t, `signpost_webhook_deliveries_total{connection="`+w.name+`",event="push",outcome="fetching"}`); got < 1000 {
		t.Errorf("%v deliveries are counted", got)
	}
	if got := w.metric(t, `signpost_webhook_deliveries_total{connection="`+w.name+`",event="push",outcome="unknown"}`); got != 999 {
		t.Errorf("%v deliveries of the unknown repository are counted, want 999 after the first", got)
	}
	if response, body, err := call(http.MethodGet, w.url+"/readyz", "", nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("after the flood: %v %s", err, body)
	}
}

// What is not signed with the secret does nothing, and the secret is in no answer, log or file.
func TestWebhooksRefuse(t *testing.T) {
	t.Parallel()
	w := startHookedWorld(t, "8.19")
	w.command(t, http.MethodDelete, "requests", nil, nil)
	body := `{"repository":{"slug":"storefront","project":{"key":"WEB"}}}`
	open := strings.TrimSuffix(w.hook, w.name) + "open"
	for _, c := range []struct {
		what, url, event, secret string
		status                   string
		code                     string
	}{
		{"unsigned", w.hook, "repo:refs_changed", "", "401", "invalid_signature"},
		{"signed with another secret", w.hook, "repo:refs_changed", "other", "401", "invalid_signature"},
		{"to a connection without a secret", open, "repo:refs_changed", hookCanary, "403", "webhooks_not_configured"},
		{"to an unknown connection", w.hook + "x", "repo:refs_changed", hookCanary, "404", "unknown_connection"},
		{"an unsigned ping", w.hook, "diagnostics:ping", "", "200", "pinged"},
		{"a ping of a connection without a secret", open, "diagnostics:ping", "", "200", "pinged"},
		{"an event of no concern", w.hook, "repo:of_tomorrow", hookCanary, "202", "ignored"},
	} {
		var delivered struct {
			Statuses map[string]int
			Answer   string
		}
		w.command(t, http.MethodPost, "deliver", map[string]any{"url": c.url, "event": c.event, "secret": c.secret, "body": body}, &delivered)
		if delivered.Statuses[c.status] != 1 || !strings.Contains(delivered.Answer, c.code) || strings.Contains(delivered.Answer, hookCanary) {
			t.Errorf("%s: %v %s, want %s %s", c.what, delivered.Statuses, delivered.Answer, c.status, c.code)
		}
	}
	var requests []bitbuckettest.Request
	w.command(t, http.MethodGet, "requests", nil, &requests)
	for _, r := range requests {
		if r.Kind == bitbuckettest.KindGit && strings.Contains(r.Path, "/storefront.git") {
			t.Errorf("a delivery that was refused made a request: %+v", r)
		}
	}
	_, config, err := call(http.MethodGet, w.url+"/api/v1/site-config", "", admin())
	if err != nil || strings.Contains(config, hookCanary) {
		t.Errorf("the site configuration shows the secret: %v\n%s", err, config)
	}
	w.checkSecret(t)
}
