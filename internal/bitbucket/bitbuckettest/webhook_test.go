package bitbuckettest_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/bitbucket/bitbuckettest/recordings"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/webhook"
)

// received is a delivery that a sink got.
type received struct {
	header http.Header
	body   string
}

// sink is a server that takes deliveries.
type sink struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, received{r.Header, string(body)})
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	return s
}

// take returns what came since, by event, the last of each.
func (s *sink) take(b *bitbuckettest.Server) map[string]received {
	b.WaitForDeliveries()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]received{}
	for _, r := range s.got {
		all[r.header.Get("X-Event-Key")] = r
	}
	s.got = nil
	return all
}

const hookSecret = "secret of the hook"

var allEvents = []string{"repo:refs_changed", "repo:modified", "repo:push", "pr:opened", "pr:from_ref_updated", "pr:merged", "pr:declined"}

// hookedDouble is a double of a version with a repository whose hook leads to a sink.
func hookedDouble(t *testing.T, version string) (*bitbuckettest.Server, *sink) {
	t.Helper()
	s, err := bitbuckettest.Start(bitbuckettest.Options{Version: version, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	to := newSink(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, s, bitbuckettest.User{Name: "admin", Password: "p", Email: "admin@example.com", Admin: true}, "PRJ", "app")
	if _, err := s.AddWebhook("PRJ/app", bitbuckettest.Webhook{Name: "x", URL: to.URL, Events: allEvents, Secret: hookSecret}); err != nil {
		t.Fatal(err)
	}
	return s, to
}

func must(t *testing.T, s *bitbuckettest.Server, u bitbuckettest.User, key, slug string) {
	t.Helper()
	_, err := s.AddUser(u)
	if err == nil {
		_, err = s.AddProject(bitbuckettest.Project{Key: key})
	}
	if err == nil {
		_, err = s.AddRepository(bitbuckettest.Repository{Project: key, Slug: slug, History: commit("main", "a.txt")})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func commit(branch, file string) *bitbuckettest.History {
	return &bitbuckettest.History{Commits: []bitbuckettest.Commit{{Branch: branch, Files: map[string]bitbuckettest.File{file: bitbuckettest.Text("x\n")}}}}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.4", "6.10", "7.21", "8.19", "9.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s, to := hookedDouble(t, version)
			fine := func(_ any, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			steps := []struct {
				what   string
				do     func() error
				events []string
			}{
				{"a branch", func() error { _, err := s.Push("PRJ/app", *commit("topic", "b.txt")); return err }, []string{"repo:refs_changed"}},
				{"a pull request", func() error {
					_, err := s.AddPullRequest("PRJ/app", bitbuckettest.PullRequest{Number: 3, From: "topic"})
					return err
				}, []string{"pr:opened"}},
				{"a push to it", func() error { _, err := s.Push("PRJ/app", *commit("topic", "c.txt")); return err }, []string{"pr:from_ref_updated", "repo:refs_changed"}},
				{"its merge", func() error { return s.ClosePullRequest("PRJ/app", 3, true) }, []string{"pr:merged"}},
				{"a branch less", func() error { return s.DeleteBranch("PRJ/app", "topic") }, []string{"repo:refs_changed"}},
				{"a push of nothing new", func() error { return s.SetBranch("PRJ/app", "main", "main") }, nil},
				{"a rename", func() error { return s.Rename("PRJ/app", "PRJ/renamed") }, []string{"repo:modified"}},
			}
			for _, step := range steps {
				fine(nil, step.do())
				got := to.take(s)
				want := slices.DeleteFunc(slices.Clone(step.events), func(event string) bool {
					return event == "pr:from_ref_updated" && (version == "5.4" || version == "6.10")
				})
				if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got)), equateEmpty); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step.what, diff)
				}
				for event, r := range got {
					checkDelivery(t, event, r, version)
				}
			}
			if deliveries := s.Deliveries(); len(deliveries) < 6 || deliveries[0].Status != http.StatusAccepted {
				t.Errorf("the double remembers %+v", deliveries)
			}
		})
	}
}

var equateEmpty = cmp.Transformer("nil", func(s []string) string { return strings.Join(s, " ") })

// checkDelivery holds a delivery against what is known of all of them, and against the product's reader.
func checkDelivery(t *testing.T, event string, r received, version string) {
	t.Helper()
	if err := webhook.Verify(siteconfig.NewSecret(hookSecret), r.header.Get("X-Hub-Signature"), []byte(r.body)); err != nil {
		t.Errorf("%s: %v: %v", event, err, r.header)
	}
	if got := r.header.Get("Content-Type"); got != "application/json; charset=utf-8" || len(r.header.Get("X-Request-Id")) != 36 {
		t.Errorf("%s: headers %v", event, r.header)
	}
	d, err := webhook.Parse(event, []byte(r.body))
	if err != nil || d.Repository.Number != 1 || d.Kind == webhook.Other {
		t.Errorf("%s is read as %+v, %v", event, d, err)
	}
	var body struct {
		EventKey    string
		Repository  struct{ Links any }
		PullRequest struct{ Links any }
		Commits     []any
		ToCommit    any
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.EventKey != event {
		t.Errorf("%s: %v: %s", event, err, r.body)
	}
	if version == "5.4" && (body.Repository.Links != nil || strings.Count(r.body, `"links"`) > 1) {
		t.Errorf("%s of 5.4 has links: %s", event, r.body)
	}
	if event == "repo:refs_changed" {
		isDelete, late := strings.Contains(r.body, `"DELETE"`), version == "8.19" || version == "9.4"
		if (body.ToCommit != nil) != (late && !isDelete) || (len(body.Commits) > 0) != (late && !isDelete) {
			t.Errorf("%s of %s: %d commits, toCommit %v", event, version, len(body.Commits), body.ToCommit)
		}
	}
}

// keys lists the keys of a JSON document as paths, without those of lists' positions.
func keys(t *testing.T, text string) []string {
	t.Helper()
	var document any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				found[path+"."+key] = true
				walk(path+"."+key, value)
			}
		case []any:
			for _, value := range v {
				walk(path+"[]", value)
			}
		}
	}
	walk("", document)
	return slices.Sorted(maps.Keys(found))
}

// The deliveries of the double have the keys of recorded ones, no more and no fewer.
func TestDeliveriesAreLikeTheRecorded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, recording, event string
		do                        func(s *bitbuckettest.Server) error
		apart                     []string // keys that need not be the same
	}{
		{
			"5.12", "webhook-refs_changed-branch-create.json", "repo:refs_changed",
			func(s *bitbuckettest.Server) error { _, err := s.Push("PRJ/app", *commit("x", "y")); return err },
			nil,
		},
		{
			"8.13", "webhook-tag-deleted.json", "repo:refs_changed",
			func(s *bitbuckettest.Server) error {
				err := s.SetBranch("PRJ/app", "x", "main")
				if err == nil {
					s.WaitForDeliveries()
					err = s.DeleteBranch("PRJ/app", "x")
				}
				return err
			},
			nil,
		},
		{
			"9.4", "webhook-annotated-tag-created.json", "repo:refs_changed",
			func(s *bitbuckettest.Server) error {
				_, err := s.Push("PRJ/app", *commit("main", "y"))
				if err == nil {
					s.WaitForDeliveries()
					_, err = s.Push("PRJ/app", *commit("main", "z"))
				}
				return err
			},
			[]string{".commits[].properties"},
		},
		{
			"5.4", "webhook-pr-opened-5.4.json", "pr:opened",
			func(s *bitbuckettest.Server) error {
				err := s.SetBranch("PRJ/app", "x", "main")
				if err == nil {
					_, err = s.AddPullRequest("PRJ/app", bitbuckettest.PullRequest{From: "x"})
				}
				return err
			},
			nil,
		},
		{
			"4.14", "webhook-postreceive-plugin-branch-created.json", "repo:push",
			func(s *bitbuckettest.Server) error { return s.SetBranch("PRJ/app", "x", "main") },
			[]string{".push.changes[].new.target.commitMessage"},
		},
	} {
		t.Run(c.recording, func(t *testing.T) {
			t.Parallel()
			recorded := keys(t, recordings.Read(t, c.recording))
			s, to := hookedDouble(t, c.version)
			if err := c.do(s); err != nil {
				t.Fatal(err)
			}
			r, ok := to.take(s)[c.event]
			if !ok {
				t.Fatal("nothing was delivered")
			}
			apart := func(key string) bool {
				return slices.ContainsFunc(c.apart, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
			}
			if diff := cmp.Diff(slices.DeleteFunc(recorded, apart), slices.DeleteFunc(keys(t, r.body), apart)); diff != "" {
				t.Errorf("keys (-recorded +double):\n%s", diff)
			}
		})
	}
}

func TestWebhookREST(t *testing.T) {
	t.Parallel()
	for version, levels := range map[string]int{"5.3": 0, "5.4": 1, "7.21": 1, "8.0": 2, "9.4": 2} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s, to := hookedDouble(t, version)
			if _, err := s.AddUser(bitbuckettest.User{Name: "bot", Password: "b"}); err != nil {
				t.Fatal(err)
			}
			for i, path := range []string{"/projects/PRJ/repos/app/webhooks", "/projects/PRJ/webhooks"} {
				where := []string{"PRJ/app", "PRJ"}[i]
				hook := `{"name":"n","url":"` + to.URL + `/2","active":true,"events":["repo:refs_changed"],"configuration":{"secret":"s"}}`
				if i >= levels {
					if status, _ := askREST(t, s, "admin", "p", http.MethodPost, path, hook); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
						t.Errorf("%s of a version without it: %d", path, status)
					}
					continue
				}
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					if status, body := askREST(t, s, "bot", "b", method, path, hook); status != http.StatusUnauthorized || !strings.Contains(body, "AuthorisationException") {
						t.Errorf("%s without the permission: %d %s", method, status, body)
					}
				}
				if err := s.SetAdmins(where, "bot"); err != nil {
					t.Fatal(err)
				}
				status, body := askREST(t, s, "bot", "b", http.MethodPost, path, hook)
				var made struct {
					ID            int64
					Configuration struct{ Secret string }
					ScopeType     string
				}
				if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated || made.ID == 0 || made.Configuration.Secret != "s" {
					t.Fatalf("POST: %d %s", status, body)
				}
				one := path + "/" + jsonNumber(made.ID)
				if status, body := askREST(t, s, "bot", "b", http.MethodPut, one, strings.Replace(hook, `"n"`, `"m"`, 1)); status != http.StatusOK || !strings.Contains(body, `"name":"m"`) {
					t.Errorf("PUT: %d %s", status, body)
				}
				if status, body := askREST(t, s, "bot", "b", http.MethodGet, path, ""); status != http.StatusOK || !strings.Contains(body, `"name":"m"`) || strings.Contains(body, `"name":"n"`) {
					t.Errorf("GET: %d %s", status, body)
				}
				if status, _ := askREST(t, s, "bot", "b", http.MethodPost, path, strings.Replace(hook, `repo:refs`, `repo:nothing`, 1)); status != http.StatusBadRequest {
					t.Errorf("an unknown event: %d", status)
				}
				if status, body := askREST(t, s, "bot", "b", http.MethodPost, path+"/test?url="+to.URL, ""); status != http.StatusOK || !strings.Contains(body, `"statusCode":202`) {
					t.Errorf("the test: %d %s", status, body)
				}
				if got := to.take(s)["diagnostics:ping"]; got.body != `{"test": true}` || got.header.Get("X-Hub-Signature") != "" {
					t.Errorf("the ping: %+v", got)
				}
				if status, _ := askREST(t, s, "bot", "b", http.MethodDelete, one, ""); status != http.StatusNoContent {
					t.Errorf("DELETE: %d", status)
				}
				if status, _ := askREST(t, s, "bot", "b", http.MethodGet, one, ""); status != http.StatusNotFound {
					t.Errorf("GET after it: %d", status)
				}
			}
			if status, _ := askREST(t, s, "admin", "p", http.MethodPost, "/projects/PRJ/repos", "{}"); status != http.StatusMethodNotAllowed {
				t.Errorf("anything else can be changed: %d", status)
			}
		})
	}
}

func TestWebhookConfigurationIsLikeTheRecorded(t *testing.T) {
	t.Parallel()
	s, to := hookedDouble(t, "6.4")
	hook := `{"name":"n","url":"` + to.URL + `","active":true,"events":["repo:refs_changed"],"configuration":{"secret":"s"}}`
	_, body := askREST(t, s, "admin", "p", http.MethodPost, "/projects/PRJ/repos/app/webhooks", hook)
	if diff := cmp.Diff(keys(t, recordings.Read(t, "webhook-config-created.json")), keys(t, body)); diff != "" {
		t.Errorf("keys (-recorded +double):\n%s", diff)
	}
	late, _ := hookedDouble(t, "8.19")
	_, body = askREST(t, late, "admin", "p", http.MethodGet, "/projects/PRJ/repos/app/webhooks", "")
	recorded := strings.Replace(recordings.Read(t, "webhook-config-page-8.x.json"), `"createdBy"`, `"secret"`, 1)
	if diff := cmp.Diff(keys(t, recorded), keys(t, body)); diff != "" {
		t.Errorf("keys (-recorded +double):\n%s", diff)
	}
}

func jsonNumber(n int64) string {
	text, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func askREST(t *testing.T, s *bitbuckettest.Server, user, password, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/rest/api/1.0"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
