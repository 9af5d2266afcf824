package trial

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// The secrets that are searched for. They have characters that are escaped differently everywhere.
const (
	canaryToken   = "BBDC-canary/token+of=the~trial"
	canaryPass    = "canary pass/word+of&the=trial%"
	canaryUser    = "canary-bot"
	canaryWebhook = "canary/secret+of the webhook"
)

// forms returns what a secret may look like in a file, an argument or an answer: as it is, escaped
// for URLs, JSON and HTML, in base64 at each of the three offsets, alone and after a user's name, and in hex.
func forms(secret string) map[string][]byte {
	all := map[string][]byte{
		"as it is":          []byte(secret),
		"as a query":        []byte(url.QueryEscape(secret)),
		"as a path":         []byte(url.PathEscape(secret)),
		"as user info":      []byte(strings.TrimPrefix(url.UserPassword("", secret).String(), ":")),
		"in JSON":           bytes.Trim([]byte(fmt.Sprintf("%q", secret)), `"`),
		"in JSON for HTML":  []byte(strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`).Replace(secret)),
		"in hex":            []byte(hex.EncodeToString([]byte(secret))),
		"in capital hex":    []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
		"in UTF-16":         utf16(secret),
		"its second half":   []byte(secret[len(secret)/2:]),
		"as basic password": middle(base64.StdEncoding, canaryUser+":"+secret, 0),
		"as token password": middle(base64.StdEncoding, "x-token-auth:"+secret, 0),
	}
	for offset := range 3 {
		all[fmt.Sprintf("in base64 at %d", offset)] = middle(base64.StdEncoding, secret, offset)
		all[fmt.Sprintf("in base64 for URLs at %d", offset)] = middle(base64.URLEncoding, secret, offset)
	}
	return all
}

// middle returns what base64 makes of a text behind so many other bytes, but for the digits that
// depend on what stands around it.
func middle(encoding *base64.Encoding, text string, offset int) []byte {
	encoded := encoding.EncodeToString([]byte(strings.Repeat("x", offset) + text))
	from := 0
	if offset > 0 {
		from = 4
	}
	return []byte(encoded[from : (offset+len(text))/3*4])
}

func utf16(text string) []byte {
	wide := make([]byte, 0, 2*len(text))
	for i := range len(text) {
		wide = append(wide, text[i], 0)
	}
	return wide
}

// searcher looks for secrets. Safe for concurrent use.
type searcher struct {
	wanted map[string][]byte // what it is → how it looks

	mu       sync.Mutex
	searched int
	bytes    int64
	found    []string
}

func newSearcher(secrets ...string) *searcher {
	s := &searcher{wanted: map[string][]byte{}}
	for _, secret := range secrets {
		for name, form := range forms(secret) {
			s.wanted[fmt.Sprintf("%q %s", secret[:12], name)] = form
		}
	}
	return s
}

func (s *searcher) search(where string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searched++
	s.bytes += int64(len(content))
	for name, form := range s.wanted {
		if bytes.Contains(content, form) {
			if found := where + " holds " + name; !slices.Contains(s.found, found) {
				s.found = append(s.found, found)
			}
		}
	}
}

// searchFolder searches the names and the contents of everything below a folder.
func (s *searcher) searchFolder(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // gone meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		s.search("the name of "+path, []byte(path))
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		s.search(path, content)
		return err
	})
}

// watchChildren searches the arguments and the environment of every process that descends from
// one, and the arguments of that one, until stop is closed. It returns how many it saw.
func (s *searcher) watchChildren(pid int, data string, stop <-chan struct{}) (children int) {
	seen := map[int]bool{}
	for {
		for _, child := range append(Children(pid), pid) {
			if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); err == nil {
				s.search("the arguments of a process, "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte(" "))), cmdline)
			}
			if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", child)); err == nil {
				s.search("the environment of a process", environ)
			}
			seen[child] = true
		}
		_ = s.searchFolder(filepath.Join(data, "tmp")) // what is there for a moment only
		select {
		case <-stop:
			return len(seen) - 1
		case <-time.After(2 * time.Millisecond): // between two looks at other processes
		}
	}
}

// TestNoSecretLeavesTheMemory runs a server with secrets that can be searched for, through
// clones, fetches, failures of every kind, wrong passwords, and all routes of the API, and then searches all
// that it left: the data folder's files as they are while it runs and after, its log, its answers, and
// the arguments and environments of all processes meanwhile.
func TestNoSecretLeavesTheMemory(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			testNoSecretLeaves(t, engine)
		})
	}
}

func testNoSecretLeaves(t *testing.T, engine string) {
	t.Helper()
	place := newPlace(t)
	data := filepath.Join(place.Dir, "data")
	random := seeded(t, 30)
	double, estate := startDouble(t, place)
	other, err := place.StartDouble(filepath.Join(place.Dir, "other"))
	must(t, err)
	t.Cleanup(func() { _ = other.Stop(syscall.SIGTERM) })
	otherEstate, err := NewEstate(other)
	must(t, err)
	estates := map[string]*Estate{"token": estate, "password": otherEstate}
	for _, each := range estates {
		must(t, each.double.Control(http.MethodPost, "user", bitbuckettest.User{
			Name: canaryUser, DisplayName: "Bot", Password: canaryPass, Tokens: []string{canaryToken}, Admin: true,
		}, nil))
		for n := range 3 {
			_, err := each.Add(fmt.Sprintf("TRIAL/app%d", n), "", random, 300<<10)
			must(t, err)
		}
	}
	config := ConfigFor(double, engine)
	withToken, withPassword := config.BitbucketServer[0], ConfigFor(other, engine).BitbucketServer[0]
	withToken.Name, withToken.Username, withToken.Token, withToken.Password = "token", canaryUser, canaryToken, ""
	withPassword.Name, withPassword.Username, withPassword.Token, withPassword.Password = "password", canaryUser, "", canaryPass
	withPassword.Pattern = "other/{projectKey}/{repositorySlug}"
	withToken.Webhooks = &Webhooks{Secret: canaryWebhook}
	config.BitbucketServer = []Connection{withToken, withPassword}

	search := newSearcher(canaryToken, canaryPass, canaryWebhook)
	server := startServer(t, place, data)
	stop, watched := make(chan struct{}), make(chan int)
	go func() { watched <- search.watchChildren(server.PID(), data, stop) }()
	call := func(method, path, body string, header http.Header) {
		t.Helper()
		response, text, err := Call(method, server.URL+path, body, header)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return
		}
		search.search(method+" "+path, fmt.Appendf(nil, "%v\n%s", response.Header, text))
	}
	sync := func(connection string) {
		for _, h := range estates[connection].Living() {
			call(http.MethodPost, fmt.Sprintf("/api/v1/repositories/%s:%d/sync", connection, h.Number), "", AdminHeader())
		}
	}
	mirrored := func(connection string) {
		t.Helper()
		if err := Eventually(func() error {
			for _, h := range estates[connection].Living() {
				want, err := ReadRefs(estates[connection].double.Repository(h.Number))
				if err != nil {
					return GiveUp(err)
				}
				got, err := ReadRefs(filepath.Join(data, "mirrors", connection, fmt.Sprintf("%d.git", h.Number)))
				if err != nil {
					return fmt.Errorf("%s of %s has no mirror: %w\n%s", h.Address, connection, err, server.Log)
				}
				if got != want {
					return fmt.Errorf("%s of %s is not up to date\n%s", h.Address, connection, server.Log)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, server.PutConfig(config))
	mirrored("token")
	mirrored("password")

	everyRoute := func() {
		t.Helper()
		page := double.URL() + "/projects/TRIAL/repos/app0/browse/README.md"
		for _, path := range []string{
			"/api/v1/resolve?url=" + url.QueryEscape(page), "/api/v1/resolve?url=" + url.QueryEscape(double.URL()+"/projects/TRIAL/repos/app0/pull-requests/9"),
			"/api/v1/resolve?url=" + url.QueryEscape(double.URL()+"/projects/TRIAL/repos/none"), "/go?url=" + url.QueryEscape(page),
			"/healthz", "/readyz", "/metrics", "/api/v1/openapi.yaml",
		} {
			call(http.MethodGet, path, "", nil)
		}
		for _, path := range []string{
			"/api/v1/site-config", "/api/v1/site-config/schema", "/api/v1/primary-url", "/api/v1/repositories", "/api/v1/repositories?q=app",
			"/api/v1/repositories/token:1", "/api/v1/repositories/password:2", "/api/v1/connections",
		} {
			call(http.MethodGet, path, "", AdminHeader())
		}
		call(http.MethodPost, "/api/v1/resolve", fmt.Sprintf(`{"urls":[%q]}`, page), http.Header{"Content-Type": {"application/json"}})
		// Configurations that are refused are repeated nowhere.
		for _, text := range []string{
			fmt.Sprintf(`{"bitbucketServer":[{"url":"x","token":%q,"pasword":%q}]}`, canaryToken, canaryPass),
			fmt.Sprintf(`{"bitbucketServer":[{"url":"http://u:%s@h","token":%q`, url.QueryEscape(canaryPass), canaryToken),
			fmt.Sprintf(`{"primaryURL":%q}`, canaryToken),
		} {
			call(http.MethodPost, "/api/v1/site-config/check", text, AdminHeader())
		}
	}
	everyRoute()

	// Everything that can go wrong, while fetches and listings run.
	for _, fault := range []bitbuckettest.Fault{
		{Status: 500, Body: "reflects Authorization"},
		{Status: 404},
		{Effect: bitbuckettest.EffectLoginPage},
		{Effect: bitbuckettest.EffectRedirect},
		{Effect: bitbuckettest.EffectRedirect, Location: double.URL() + "/elsewhere"},
		{Effect: bitbuckettest.EffectReset},
		{Effect: bitbuckettest.EffectCut},
		{Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectCut, After: 30 << 10},
		EmptyAdvertisement(),
		{Kind: bitbuckettest.KindGit, Effect: bitbuckettest.EffectTrickle, Delay: time.Millisecond},
		{Kind: bitbuckettest.KindGit, Status: 401},
		{Status: 401},
	} {
		for _, each := range estates {
			for _, h := range each.Living() {
				must(t, each.Disturb(h.Number, random))
			}
			must(t, each.double.Fault(fault))
		}
		sync("token")
		sync("password")
		everyRoute()
		if status, err := server.DeliverTo("token", estate.Living()[0], canaryWebhook); err != nil || status != http.StatusAccepted {
			t.Errorf("a delivery: %d, %v", status, err)
		}
		must(t, double.ClearFaults())
		must(t, other.ClearFaults())
	}
	// A wrong password, and then the right one again.
	wrong := config
	wrong.BitbucketServer = slices.Clone(config.BitbucketServer)
	wrong.BitbucketServer[1].Password = canaryPass + " wrong"
	must(t, server.PutConfig(wrong))
	everyRoute()
	must(t, server.PutConfig(config))
	sync("token")
	sync("password")
	mirrored("token")
	mirrored("password")
	must(t, search.searchFolder(data)) // as it is while the server runs, with what SQLite has mapped
	close(stop)
	t.Logf("%d children were looked at", <-watched)
	if response, body, err := Call(http.MethodGet, server.URL+"/api/v1/site-config", "", AdminHeader()); err != nil || response.StatusCode != http.StatusOK || !strings.Contains(body, "bitbucketServer") {
		t.Errorf("the configuration: %v %s", err, body)
	}
	must(t, server.Stop(syscall.SIGTERM))
	must(t, search.searchFolder(data))
	search.search("the log", []byte(server.Log.String()))
	for _, args := range [][]string{{"config", "show"}, {"sync"}, {"resolve", double.URL() + "/projects/TRIAL/repos/app0"}} {
		out, _ := place.run(append(args, "--data", data)...) // what it prints counts here
		search.search("signpost "+args[0], []byte(out))
	}
	t.Logf("searched %d places, %d MiB, for %d forms", search.searched, search.bytes>>20, len(search.wanted))
	for _, found := range search.found {
		t.Error(found)
	}
	if search.searched < 500 {
		t.Errorf("only %d places were searched", search.searched)
	}

	// The search can find: each form in a file, and the secret in an argument and in an environment.
	for name, form := range forms(canaryToken) {
		file := filepath.Join(data, "planted")
		must(t, os.WriteFile(file, slices.Concat([]byte("\x00\xffbefore"), form, []byte("after")), 0o600))
		again := newSearcher(canaryToken)
		must(t, again.searchFolder(data))
		if len(again.found) == 0 {
			t.Errorf("what is planted in a file %s is not found", name)
		}
		must(t, os.Remove(file))
	}
	planted, err := Start(place.Dir, append(slices.Clip(place.Env), "SECRET="+canaryPass), nil, "sh", "-c", "sleep 60 & echo "+"'"+canaryToken+"' >/dev/null; wait")
	must(t, err)
	defer func() {
		for _, child := range Children(planted.PID()) {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
		_ = planted.Stop(syscall.SIGKILL)
	}()
	if err := Eventually(func() error {
		again, stopped := newSearcher(canaryToken, canaryPass), make(chan struct{})
		close(stopped)
		children := again.watchChildren(planted.PID(), data, stopped)
		if found := strings.Join(again.found, "\n"); children == 0 || !strings.Contains(found, "arguments") || !strings.Contains(found, "environment") {
			return fmt.Errorf("what is planted in a process is not found, with %d children: %s", children, found)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
