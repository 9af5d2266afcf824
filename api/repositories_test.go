package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"example.com/signpost/api"
	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// fakeRepositories keeps repositories in memory, in order.
type fakeRepositories struct {
	all    []syncer.RepositoryStatus
	asked  []syncer.RepositoryQuery
	synced []bitbucket.RepoID
	refuse error // what SyncRepository says of a repository that is there
	slow   bool  // the database takes longer than anybody waits
}

func newFakeRepositories() *fakeRepositories {
	return &fakeRepositories{all: []syncer.RepositoryStatus{statusOf("bitbucket", 42)}}
}

// statusOf is a repository that everything is known of.
func statusOf(connection string, number int64) syncer.RepositoryStatus {
	at := time.Date(2026, 3, 1, 12, 0, 0, 999, time.UTC)
	return syncer.RepositoryStatus{
		Record: syncer.Record{
			Repository: bitbucket.Repository{
				ID: bitbucket.RepoID{Connection: connection, Number: number}, Address: bitbucket.Address{Key: "PRJ", Slug: fmt.Sprintf("app-%d", number)},
				Name: "The App", ProjectName: "Project", State: bitbucket.StateAvailable, Fork: true,
			},
			Former:   []bitbucket.Address{{Key: "OLD", Slug: "app"}},
			Selected: true, Reason: "selected by projectKeys PRJ",
			Mirror: syncer.MirrorStatus{
				LastFetch: at, LastChange: at.Add(-time.Hour), NextFetch: at.Add(time.Minute), Failures: 2, Error: "Bitbucket does not answer",
				RefsDigest: "secret of the house", DefaultBranch: "main", SizeBytes: 1 << 33,
			},
		},
		MirrorState: syncer.MirrorFailing, SourcegraphName: "bitbucket.example.com/PRJ/app",
	}
}

func (f *fakeRepositories) Repositories(ctx context.Context, q syncer.RepositoryQuery) (syncer.RepositoryPage, error) {
	if f.slow {
		<-ctx.Done()
		return syncer.RepositoryPage{}, ctx.Err()
	}
	f.asked = append(f.asked, q)
	rest := f.all
	if q.After.Connection != "" {
		i := slices.IndexFunc(f.all, func(r syncer.RepositoryStatus) bool { return r.ID == q.After })
		rest = f.all[i+1:]
	}
	return syncer.RepositoryPage{Repositories: rest[:min(q.Limit, len(rest))], More: len(rest) > q.Limit}, nil
}

func (f *fakeRepositories) Repository(ctx context.Context, id bitbucket.RepoID) (syncer.RepositoryStatus, error) {
	if f.slow {
		<-ctx.Done()
		return syncer.RepositoryStatus{}, ctx.Err()
	}
	for _, r := range f.all {
		if r.ID == id {
			return r, nil
		}
	}
	return syncer.RepositoryStatus{}, fmt.Errorf("read it: %w", syncer.ErrNoRecord)
}

func (f *fakeRepositories) SyncRepository(ctx context.Context, id bitbucket.RepoID) error {
	if _, err := f.Repository(ctx, id); err != nil {
		return err
	}
	if f.refuse == nil {
		f.synced = append(f.synced, id)
	}
	return f.refuse
}

func TestARepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := ask(t, w.handler, asAdmin(get("/api/v1/repositories/bitbucket:42")))
	want := `{"id":"bitbucket:42","connection":"bitbucket","number":42,"projectKey":"PRJ","slug":"app-42","name":"The App","projectName":"Project",
		"formerAddresses":["OLD/app"],"sourcegraphName":"bitbucket.example.com/PRJ/app","personal":false,"archived":false,"fork":true,
		"state":"AVAILABLE","selected":true,"reason":"selected by projectKeys PRJ","mirror":{"state":"failing","lastFetch":"2026-03-01T12:00:00Z",
		"lastChange":"2026-03-01T11:00:00Z","nextFetch":"2026-03-01T12:01:00Z","failures":2,"error":"Bitbucket does not answer",
		"sizeBytes":8589934592,"defaultBranch":"main"}}`
	if diff := gocmp.Diff(decode(t, []byte(want)), decode(t, a.body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	r := statusOf("bitbucket", 42)
	r.Former, r.Mirror, r.MirrorState, r.SourcegraphName = nil, syncer.MirrorStatus{}, syncer.MirrorNone, ""
	r.Selected, r.Reason, r.MissingSince = false, "missing", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	w.repositories.all[0] = r
	a = ask(t, w.handler, asAdmin(get("/api/v1/repositories/bitbucket:42")))
	want = `{"id":"bitbucket:42","connection":"bitbucket","number":42,"projectKey":"PRJ","slug":"app-42","name":"The App","projectName":"Project",
		"personal":false,"archived":false,"fork":true,"state":"AVAILABLE","selected":false,"reason":"missing","missingSince":"2026-03-01T00:00:00Z",
		"mirror":{"state":"none","failures":0,"sizeBytes":0}}`
	if diff := gocmp.Diff(decode(t, []byte(want)), decode(t, a.body)); diff != "" {
		t.Errorf("what is not known is left out (-want +got):\n%s", diff)
	}
}

func decode(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func TestIDsThatNoRepositoryHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, id := range []string{
		"bitbucket:43", "other:42", "bitbucket:", ":42", "bitbucket", "42", "bitbucket:042", "bitbucket:+42", "bitbucket:-42", "bitbucket:4 2",
		"bitbucket:9223372036854775808", "bitbucket:42:1", "bitbucket/42", "..", "bit\x00bucket:42", "bücket:42", "\xff:42", "%", "bitbucket:0x2a",
		"bitbucket:42\n", strings.Repeat("a", 5000) + ":1",
	} {
		for _, path := range []string{"/api/v1/repositories/" + url.PathEscape(id), "/api/v1/repositories/" + url.PathEscape(id) + "/sync"} {
			method := http.MethodGet
			if strings.HasSuffix(path, "/sync") {
				method = http.MethodPost
			}
			wantProblem(t, ask(t, w.handler, asAdmin(httptest.NewRequest(method, path, nil))), 404, api.RepositoryNotFound)
		}
	}
	if len(w.repositories.synced) > 0 {
		t.Errorf("fetches of %v", w.repositories.synced)
	}
	for path, code := range map[string]api.ProblemCode{
		"/api/v1/repositories/":                api.NotFound,
		"/api/v1/repositories/bitbucket/42":    api.NotFound,
		"/api/v1/repositories/bitbucket:42/":   api.NotFound,
		"/api/v1/repositories/bitbucket%2F42":  api.RepositoryNotFound,
		"/api/v1/repositories/bitbucket:42%2F": api.RepositoryNotFound,
	} {
		wantProblem(t, ask(t, w.handler, asAdmin(get(path))), 404, code)
	}
	for _, path := range []string{"/api/v1/repositories/bitbucket%3A42", "/api/v1/repositories/%62itbucket:42"} {
		if a := ask(t, w.handler, asAdmin(get(path))); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}

func TestRepositoriesComeInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.repositories.all = nil
	var want []string
	for i := range 120 {
		w.repositories.all = append(w.repositories.all, statusOf("bit.bucket_1-x", int64(i)))
		want = append(want, fmt.Sprintf("bit.bucket_1-x:%d", i))
	}
	for _, limit := range []int{0, 1, 7, 119, 120, 121, 200} {
		var got []string
		cursor := ""
		for {
			query := url.Values{"q": {"app"}, "cursor": {cursor}}
			if limit > 0 {
				query.Set("limit", fmt.Sprint(limit))
			}
			a := ask(t, w.handler, asAdmin(get("/api/v1/repositories?"+query.Encode())))
			var page api.RepositoryPage
			if err := json.Unmarshal(a.body, &page); err != nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%d %v %s", a.StatusCode, err, a.body)
			}
			if most := cmp.Or(limit, 50); len(page.Repositories) > most {
				t.Fatalf("a page of %d has %d repositories", most, len(page.Repositories))
			}
			for _, r := range page.Repositories {
				got = append(got, r.ID)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
}

func TestAnEmptyIndexIsAnEmptyList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.repositories.all = nil
	if got := strings.TrimSpace(string(ask(t, w.handler, asAdmin(get("/api/v1/repositories"))).body)); got != `{"repositories":[]}` {
		t.Errorf("got %s", got)
	}
}

func TestWhatAListIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.repositories.all = append(w.repositories.all, statusOf("bitbucket", 43))
	var first api.RepositoryPage
	if err := json.Unmarshal(ask(t, w.handler, asAdmin(get("/api/v1/repositories?limit=1"))).body, &first); err != nil || first.NextCursor == "" {
		t.Fatal(err, first)
	}
	for query, want := range map[string]syncer.RepositoryQuery{
		"":                           {Limit: 50},
		"q=&state=&cursor=&limit=":   {Limit: 50},
		"q=PRJ%2Fa+b&limit=200":      {Text: "PRJ/a b", Limit: 200},
		"state=failing":              {States: []syncer.MirrorState{syncer.MirrorFailing}, Limit: 50},
		"state=none":                 {States: []syncer.MirrorState{syncer.MirrorNone}, Limit: 50},
		"state=missing":              {Missing: true, Limit: 50},
		"unknown=1&q=%00":            {Text: "\x00", Limit: 50},
		"cursor=" + first.NextCursor: {After: bitbucket.RepoID{Connection: "bitbucket", Number: 42}, Limit: 50},
		"state=selected": {
			States: []syncer.MirrorState{syncer.MirrorFailing, syncer.MirrorBehind, syncer.MirrorWaiting, syncer.MirrorFresh, syncer.MirrorEmpty}, Limit: 50,
		},
	} {
		w.repositories.asked = nil
		if a := ask(t, w.handler, asAdmin(get("/api/v1/repositories?"+query))); a.StatusCode != http.StatusOK {
			t.Errorf("%q: %d %s", query, a.StatusCode, a.body)
		}
		if diff := gocmp.Diff([]syncer.RepositoryQuery{want}, w.repositories.asked); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	cut := first.NextCursor[:len(first.NextCursor)-1]
	swapped := []byte(first.NextCursor)
	swapped[8] ^= 1
	for query, says := range map[string]string{
		"limit=0":                          "from 1 to 200",
		"limit=201":                        "from 1 to 200",
		"limit=-1":                         "from 1 to 200",
		"limit=1e2":                        "from 1 to 200",
		"limit=99999999999999999999":       "from 1 to 200",
		"state=broken":                     "selected, missing, failing",
		"state=FRESH":                      "selected, missing, failing",
		"cursor=x":                         "nextCursor",
		"cursor=" + cut:                    "nextCursor",
		"cursor=" + string(swapped):        "nextCursor",
		"cursor=" + first.NextCursor + "=": "nextCursor",
		"cursor=YmI6MQ":                    "nextCursor",
		"cursor=%FF%00":                    "nextCursor",
		"q=%zz":                            "percent-encode",
		"q=a;b":                            "percent-encode",
	} {
		p := wantProblem(t, ask(t, w.handler, asAdmin(get("/api/v1/repositories?"+query))), 400, api.InvalidRequest)
		if !strings.Contains(p.Detail, says) {
			t.Errorf("%q: does not say %q: %s", query, says, p.Detail)
		}
	}
}

func TestASyncOfARepository(t *testing.T) {
	t.Parallel()
	const path = "/api/v1/repositories/bitbucket:42/sync"
	for name, c := range map[string]struct {
		refuse error
		status int
		code   api.ProblemCode
		reason string
	}{
		"it is queued":              {status: 202},
		"it is not selected":        {&syncer.NotSelectedError{Reason: "excluded by exclude[0]"}, 409, api.NotSelected, "excluded by exclude[0]"},
		"the syncer is not started": {fmt.Errorf("store a job: %w", syncer.ErrNotStarted), 503, api.NotSyncing, ""},
		"the database fails":        {errors.New("disk I/O error"), 500, api.InternalError, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.repositories.refuse = c.refuse
			a := ask(t, w.handler, asAdmin(send(http.MethodPost, path, "")))
			if c.status == http.StatusAccepted {
				if a.StatusCode != c.status || len(a.body) > 0 || len(w.repositories.synced) != 1 {
					t.Errorf("%d %s, fetches of %v", a.StatusCode, a.body, w.repositories.synced)
				}
				return
			}
			if p := wantProblem(t, a, c.status, c.code); p.Reason != c.reason || strings.Contains(string(a.body), "disk I/O") {
				t.Errorf("%s", a.body)
			}
		})
	}
	t.Run("a GET asks for nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		a := ask(t, w.handler, asAdmin(get(path)))
		wantProblem(t, a, 405, api.MethodNotAllowed)
		if got := a.Header.Get("Allow"); got != "POST" || len(w.repositories.synced) > 0 {
			t.Errorf("Allow %q, fetches of %v", got, w.repositories.synced)
		}
	})
	t.Run("no page of a browser may ask", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		r := send(http.MethodPost, path, "", "Origin", "https://bitbucket.example.com", "Cookie", "session=1", "Content-Type", "text/plain")
		a := ask(t, w.handler, r)
		wantProblem(t, a, 401, api.Unauthorized)
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != "" || len(w.repositories.synced) > 0 {
			t.Errorf("Access-Control-Allow-Origin %q, fetches of %v", got, w.repositories.synced)
		}
	})
}

func TestWithoutRepositoriesTheirPathsAreNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(o *api.Options) { o.Repositories = nil })
	recorder := httptest.NewRecorder() // not by ask: openapi.yaml has them
	w.handler.ServeHTTP(recorder, asAdmin(get("/api/v1/repositories")))
	if recorder.Code != http.StatusNotFound {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
}
