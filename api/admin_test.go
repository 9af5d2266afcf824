package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/internal/siteconfig"
)

const canary = "canary-password-7c1f"

func adminRequests() map[string]func() *http.Request {
	return map[string]func() *http.Request{
		"GET primary-url": func() *http.Request { return get("/api/v1/primary-url") },
		"PUT primary-url": func() *http.Request {
			return send(http.MethodPut, "/api/v1/primary-url", `{"primaryURL":"https://other.example"}`)
		},
		"GET site-config":        func() *http.Request { return get("/api/v1/site-config") },
		"PUT site-config":        func() *http.Request { return send(http.MethodPut, "/api/v1/site-config", "{}", "If-Match", `"1"`) },
		"POST site-config/check": func() *http.Request { return send(http.MethodPost, "/api/v1/site-config/check", "{}") },
		"GET repositories":       func() *http.Request { return get("/api/v1/repositories") },
		"GET repository":         func() *http.Request { return get("/api/v1/repositories/bitbucket:42") },
		"POST repository/sync":   func() *http.Request { return send(http.MethodPost, "/api/v1/repositories/bitbucket:42/sync", "") },
	}
}

func TestAdministratorsNeedTheToken(t *testing.T) {
	t.Parallel()
	for name, request := range adminRequests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			a := ask(t, w.handler, request())
			wantProblem(t, a, 401, api.Unauthorized)
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			for _, wrong := range []string{"Bearer wrong", "Bearer ", "Bearer", "Basic " + adminToken, adminToken, "Bearer " + adminToken + "x"} {
				r := request()
				r.Header.Set("Authorization", wrong)
				wantProblem(t, ask(t, w.handler, r), 401, api.Unauthorized)
			}
			if a := ask(t, w.handler, asAdmin(request())); a.StatusCode != http.StatusOK && a.StatusCode != http.StatusAccepted {
				t.Errorf("with the token: %d %s", a.StatusCode, a.body)
			}
			closed := newWorld(t, nil, func(o *api.Options) { o.AdminToken = siteconfig.Secret{} })
			for _, authorization := range []string{"", "Bearer ", "Bearer " + adminToken} {
				r := request()
				r.Header.Set("Authorization", authorization)
				wantProblem(t, ask(t, closed.handler, r), 403, api.AdminTokenNotSet)
			}
		})
	}
}

func TestWrongTokensAreSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	limited := false
	for range 40 {
		r := get("/api/v1/primary-url")
		r.Header.Set("Authorization", "Bearer guess")
		a := ask(t, w.handler, r)
		if a.StatusCode == http.StatusTooManyRequests {
			limited = true
			if a.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
	if !limited {
		t.Error("40 wrong tokens in a row were not limited")
	}
	if a := ask(t, w.handler, asAdmin(get("/api/v1/primary-url"))); a.StatusCode != http.StatusOK {
		t.Errorf("the right token is refused with %d after others guessed", a.StatusCode)
	}
}

func TestPrimaryURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := ask(t, w.handler, asAdmin(get("/api/v1/primary-url")))
	if got := strings.TrimSpace(string(a.body)); got != `{"primaryURL":"`+primary+`"}` {
		t.Errorf("got %s", got)
	}
	a = ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/primary-url", `{"primaryURL":"https://code.example.com/sg/"}`)))
	if got := strings.TrimSpace(string(a.body)); a.StatusCode != 200 || got != `{"primaryURL":"https://code.example.com/sg"}` {
		t.Errorf("got %d %s", a.StatusCode, got)
	}
	if got := w.config.Current().Primary; got != mustInstance(t, "https://code.example.com/sg") {
		t.Errorf("in effect is %s", got)
	}
	if !strings.Contains(w.config.text, "// the instance of the tests") || !strings.Contains(w.config.text, canary) {
		t.Errorf("the edit lost something:\n%s", w.config.text)
	}
}

func TestBadPrimaryURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, says string
		status           int
		code             api.ProblemCode
	}{
		{"sourcegraph.com", `{"primaryURL":"https://sourcegraph.com"}`, "must be your own Sourcegraph instance", 422, api.InvalidSiteConfig},
		{"a query", `{"primaryURL":"https://sg.example.com/?q=1"}`, "query", 422, api.InvalidSiteConfig},
		{"no scheme", `{"primaryURL":"sg.example.com"}`, "https://", 422, api.InvalidSiteConfig},
		{"javascript", `{"primaryURL":"javascript:alert(1)"}`, "https://", 422, api.InvalidSiteConfig},
		{"no key", `{}`, "needed", 400, api.InvalidRequest},
		{"null", `{"primaryURL":null}`, "needed", 400, api.InvalidRequest},
		{"an empty one", `{"primaryURL":""}`, "needed", 400, api.InvalidRequest},
		{"white space", `{"primaryURL":" "}`, "needed", 400, api.InvalidRequest},
		{"a number", `{"primaryURL":7}`, "number", 400, api.InvalidRequest},
		{"broken JSON", `{"primaryURL":`, "JSON", 400, api.InvalidRequest},
		{"too large", `{"primaryURL":"` + strings.Repeat("x", 100<<10) + `"}`, "larger", 413, api.PayloadTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			a := ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/primary-url", c.body)))
			wantProblem(t, a, c.status, c.code)
			if !strings.Contains(string(a.body), c.says) {
				t.Errorf("the problem does not say %q: %s", c.says, a.body)
			}
			if got := w.config.Current().Primary.String(); got != primary {
				t.Errorf("the primary URL became %q", got)
			}
		})
	}
}

func TestSiteConfigIsMasked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := ask(t, w.handler, asAdmin(get("/api/v1/site-config")))
	if strings.Contains(string(a.body), canary) {
		t.Fatalf("the password got out:\n%s", a.body)
	}
	if !strings.Contains(string(a.body), "// the instance of the tests") || a.Header.Get("ETag") != `"1"` {
		t.Errorf("ETag %s\n%s", a.Header.Get("ETag"), a.body)
	}
	edited := strings.Replace(string(a.body), "// of the bot", "// of the other bot", 1)
	a = ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/site-config", edited, "If-Match", a.Header.Get("ETag"))))
	if a.StatusCode != 200 || a.Header.Get("ETag") != `"2"` {
		t.Fatalf("PUT: %d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(w.config.text, canary) || !strings.Contains(w.config.text, "other bot") {
		t.Errorf("the round trip lost something:\n%s", w.config.text)
	}
}

func TestSiteConfigIsGuardedByItsVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	put := func(match string) answer {
		r := send(http.MethodPut, "/api/v1/site-config", siteConfig)
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		return ask(t, w.handler, asAdmin(r))
	}
	wantProblem(t, put(""), 428, api.PreconditionRequired)
	wantProblem(t, put(`"7"`), 412, api.Conflict)
	for _, bad := range []string{"1", `W/"1"`, "*", `"1", "2"`, `"x"`, `"-1"`, `"+1"`, `"01"`, `""1""`} {
		wantProblem(t, put(bad), 400, api.InvalidRequest)
	}
	if a := put(`"1"`); a.StatusCode != 200 {
		t.Errorf("the right version: %d %s", a.StatusCode, a.body)
	}
	wantProblem(t, put(`"1"`), 412, api.Conflict)
	w.config.readOnly = true
	wantProblem(t, put(`"2"`), 409, api.ReadOnly)
}

func TestBadSiteConfigIsRefusedWithAllProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	bad := "{\n  \"primaryURL\": \"https://sourcegraph.com\",\n  \"bitbuketServer\": [],\n  \"repoListUpdateInterval\": \"x\"\n}"
	p := wantProblem(t, ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/site-config", bad, "If-Match", `"1"`))), 422, api.InvalidSiteConfig)
	if len(p.Problems) < 3 {
		t.Errorf("not all problems at once: %+v", p.Problems)
	}
	for _, problem := range p.Problems {
		if problem.Line == 0 || problem.Message == "" {
			t.Errorf("a problem without its place: %+v", problem)
		}
	}
	a := ask(t, w.handler, asAdmin(send(http.MethodPost, "/api/v1/site-config/check", bad)))
	var checked api.SiteConfigChecked
	if err := json.Unmarshal(a.body, &checked); err != nil || checked.Valid || len(checked.Problems) != len(p.Problems) {
		t.Errorf("check: %v %s", err, a.body)
	}
	a = ask(t, w.handler, asAdmin(send(http.MethodPost, "/api/v1/site-config/check", siteConfig)))
	if err := json.Unmarshal(a.body, &checked); err != nil || !checked.Valid {
		t.Errorf("check of a good one: %v %s", err, a.body)
	}
	if w.config.version != 1 {
		t.Error("a refused configuration was stored")
	}
}

func TestSchemaAndContractAreServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if a := ask(t, w.handler, get("/api/v1/site-config/schema")); a.StatusCode != 200 || !json.Valid(a.body) {
		t.Errorf("schema: %d %s", a.StatusCode, a.body)
	}
	if a := ask(t, w.handler, get("/api/v1/openapi.yaml")); a.StatusCode != 200 || !strings.HasPrefix(string(a.body), "openapi: 3.1") {
		t.Errorf("contract: %d %.40s", a.StatusCode, a.body)
	}
}

func TestASlowStoreIsAProblem(t *testing.T) {
	t.Parallel()
	for name, request := range adminRequests() {
		if name == "GET primary-url" { // it reads no text
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, func(o *api.Options) { o.Timeout = time.Millisecond })
			w.config.slow, w.repositories.slow = true, true
			a := ask(t, w.handler, asAdmin(request()))
			wantProblem(t, a, 504, api.Timeout)
			if a.Header.Get("ETag") != "" {
				t.Errorf("ETag %s beside the problem", a.Header.Get("ETag"))
			}
		})
	}
}

func TestAPrimaryURLThatIsOvertakenIsSetInTheNewText(t *testing.T) {
	t.Parallel()
	const body = `{"primaryURL":"https://code.example.com"}`
	overtake := func(f *fakeConfiguration) {
		f.text = strings.Replace(f.text, "// of the bot", "// of somebody else", 1)
		f.version++
	}
	w := newWorld(t, nil)
	w.config.overtake = overtake
	a := ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/primary-url", body)))
	if a.StatusCode != 200 || a.Header.Get("ETag") != `"3"` {
		t.Errorf("got %d, ETag %s: %s", a.StatusCode, a.Header.Get("ETag"), a.body)
	}
	if got := w.config.text; !strings.Contains(got, "code.example.com") || !strings.Contains(got, "// of somebody else") {
		t.Errorf("a change was lost:\n%s", got)
	}

	w = newWorld(t, nil)
	w.config.overtake = overtake
	a = ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/primary-url", body, "If-Match", `"1"`)))
	wantProblem(t, a, 412, api.Conflict)
	if got := w.config.Current().Primary.String(); got != primary {
		t.Errorf("the primary URL became %s in a text that its editor had not seen", got)
	}
	wantProblem(t, ask(t, w.handler, asAdmin(send(http.MethodPut, "/api/v1/primary-url", body, "If-Match", `"1"`))), 412, api.Conflict)
	if a := ask(t, w.handler, asAdmin(get("/api/v1/primary-url"))); a.Header.Get("ETag") != `"1"` {
		t.Errorf("ETag %s of what is in effect", a.Header.Get("ETag"))
	}
}

func TestAFullDiskIsToldToTheAdministrator(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PUT primary-url", "PUT site-config"} {
		w := newWorld(t, nil)
		w.config.full = true
		p := wantProblem(t, ask(t, w.handler, asAdmin(adminRequests()[name]())), 507, api.StorageFull)
		if !strings.Contains(p.Detail, "Free some") {
			t.Errorf("%s: does not say what to do: %s", name, p.Detail)
		}
	}
}
