package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// fakeConnections answers with what it holds, and notes what it is asked for.
type fakeConnections struct {
	all      []api.Connection
	disk     api.MirrorDisk
	check    api.ConnectionCheck
	problems siteconfig.Problems
	err      error
	asked    []string
}

func (f *fakeConnections) Connections(context.Context) (api.ConnectionList, error) {
	return api.ConnectionList{Connections: f.all, Disk: f.disk}, f.err
}

func (f *fakeConnections) CheckConnection(_ context.Context, name string) (api.ConnectionCheck, error) {
	f.asked = append(f.asked, "name "+name)
	return f.check, f.err
}

func (f *fakeConnections) CheckEntry(_ context.Context, entry string) (api.ConnectionCheck, siteconfig.Problems, error) {
	f.asked = append(f.asked, "entry "+entry)
	return f.check, f.problems, f.err
}

func withConnections(f *fakeConnections) func(*api.Options) {
	return func(o *api.Options) { o.Connections = f }
}

func TestConnections(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		all  []api.Connection
		want string
	}{
		{"none are an empty list", nil, `{"connections":[]}`},
		{
			"one that was never listed",
			[]api.Connection{{Name: "bb", URL: "https://bb.example.com", Health: api.ConnectionHealth{State: api.ConnectionOK}}},
			`{"connections":[{"health":{"state":"ok"},"listed":0,"missing":0,"name":"bb","selected":0,"url":"https://bb.example.com","withheld":0}]}`,
		},
		{
			"all that is known",
			[]api.Connection{{
				Name: "bb", URL: "https://bb.example.com", Version: "4.14.0", Account: "bot", LastComplete: at, LastAttempt: at.Add(time.Minute),
				Listed: 5, Selected: 4, Missing: 2, Withheld: 1, Problem: "the listing broke off",
				Health: api.ConnectionHealth{
					State: api.ConnectionCircuitOpen, Since: at, Until: at.Add(time.Minute), Problem: "Bitbucket does not answer",
					RateLimit: api.ConnectionRateLimit{RequestsPerHour: 28800, Left: -3},
				},
			}},
			`{"connections":[{"account":"bot","health":{"problem":"Bitbucket does not answer","rateLimit":{"left":-3,"requestsPerHour":28800},` +
				`"since":"2026-03-01T12:00:00Z","state":"circuit_open","until":"2026-03-01T12:01:00Z"},"lastAttempt":"2026-03-01T12:01:00Z",` +
				`"lastComplete":"2026-03-01T12:00:00Z","listed":5,"missing":2,"name":"bb","problem":"the listing broke off","selected":4,` +
				`"url":"https://bb.example.com","version":"4.14.0","withheld":1}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, withConnections(&fakeConnections{all: c.all}))
			a := ask(t, w.handler, asAdmin(get("/api/v1/connections")))
			var got any
			if err := json.Unmarshal(a.body, &got); err != nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%d %v\n%s", a.StatusCode, err, a.body)
			}
			if sorted, _ := json.Marshal(got); string(sorted) != c.want {
				t.Errorf("got  %s\nwant %s", sorted, c.want)
			}
			if got := a.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

func TestConnectionsAreForAdministrators(t *testing.T) {
	t.Parallel()
	f := &fakeConnections{check: api.ConnectionCheck{REST: api.CheckedPart{State: api.PartWorks}, Git: api.CheckedPart{State: api.PartWorks}}}
	w := newWorld(t, nil, withConnections(f))
	for _, request := range []func() *http.Request{
		func() *http.Request { return get("/api/v1/connections") },
		func() *http.Request { return send(http.MethodPost, "/api/v1/connections/check", `{"name":"bb"}`) },
	} {
		wantProblem(t, ask(t, w.handler, request()), 401, api.Unauthorized)
		if len(f.asked) != 0 {
			t.Errorf("asked without the token: %v", f.asked)
		}
		if a := ask(t, w.handler, asAdmin(request())); a.StatusCode != http.StatusOK {
			t.Errorf("with the token: %d %s", a.StatusCode, a.body)
		}
	}
}

func TestCheckOfAConnection(t *testing.T) {
	t.Parallel()
	good := api.ConnectionCheck{
		OK: true, URL: "https://bb.example.com", Version: "8.19.0", Account: "bot",
		Repositories: &api.VisibleRepositories{},
		REST:         api.CheckedPart{State: api.PartWorks}, Git: api.CheckedPart{State: api.PartWorks, Repository: "PRJ/app"},
	}
	warned := siteconfig.Problems{{Severity: siteconfig.SeverityWarning, Line: 2, Column: 3, Key: "bitbucketServer[0].plugin", Message: "means nothing here"}}
	faulty := siteconfig.Problems{{Severity: siteconfig.SeverityError, Line: 1, Column: 1, Key: "bitbucketServer[0].url", Message: "is missing"}}
	for _, c := range []struct {
		name   string
		body   string
		fake   fakeConnections
		status int
		code   api.ProblemCode // of a problem
		asked  string
		holds  string
	}{
		{"by its name", `{"name":"bb"}`, fakeConnections{check: good}, 200, "", "name bb", `"repositories":{"atLeast":false,"count":0,"personal":0}`},
		{"of an entry", `{"entry":{"url":"https://bb.example.com"}}`, fakeConnections{check: good, problems: warned}, 200, "", `entry {"url":"https://bb.example.com"}`, "means nothing here"},
		{"of an entry with errors", `{"entry":{}}`, fakeConnections{err: siteconfig.ErrInvalid, problems: faulty}, 422, api.InvalidSiteConfig, "entry {}", "is missing"},
		{"of an unknown name", `{"name":"x"}`, fakeConnections{err: fmt.Errorf("%w: x", syncer.ErrNoConnection)}, 404, api.UnknownConnection, "name x", ""},
		{"of neither", `{}`, fakeConnections{}, 400, api.InvalidRequest, "", "is needed"},
		{"of both", `{"name":"x","entry":{}}`, fakeConnections{}, 400, api.InvalidRequest, "", "is needed"},
		{"of nothing", `{"entry":null}`, fakeConnections{}, 400, api.InvalidRequest, "", "is needed"},
		{"of a list", `{"entry":[]}`, fakeConnections{}, 400, api.InvalidRequest, "", "an object is needed"},
		{"of a number for a name", `{"name":7}`, fakeConnections{}, 400, api.InvalidRequest, "", "number"},
		{"of too much", `{"name":"` + strings.Repeat("x", 300<<10) + `"}`, fakeConnections{}, 413, api.PayloadTooLarge, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, withConnections(&c.fake))
			a := ask(t, w.handler, asAdmin(send(http.MethodPost, "/api/v1/connections/check", c.body)))
			if c.code != "" {
				wantProblem(t, a, c.status, c.code)
			} else if a.StatusCode != c.status {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if got := strings.Join(c.fake.asked, ","); got != c.asked {
				t.Errorf("asked for %q, want %q", got, c.asked)
			}
			if !strings.Contains(string(a.body), c.holds) {
				t.Errorf("the answer does not hold %s: %s", c.holds, a.body)
			}
		})
	}
}

func TestConnectionsTellOfTheDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, withConnections(&fakeConnections{disk: api.MirrorDisk{FreeBytes: 1, TotalBytes: 30, FloorBytes: 3, Problem: "free another 2"}}))
	a := ask(t, w.handler, asAdmin(get("/api/v1/connections")))
	want := `{"connections":[],"disk":{"floorBytes":3,"freeBytes":1,"problem":"free another 2","totalBytes":30}}`
	if got := strings.TrimSpace(string(a.body)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
