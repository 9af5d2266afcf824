package rest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
)

func TestATokenBesideAUserNameInGit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, username string
		failed         int // logins
		last           string
	}{
		{"goes out as the user's password", botName, 0, "Basic"},
		{"goes out alone once the name was refused, and locks nobody", "First.Last", 1, "Bearer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := double(t, bitbuckettest.Options{Version: "8.19"})
			client := newClient(t, s.URL(), func(o *Options) {
				o.Token, o.Username, o.Password = siteconfig.NewSecret(botToken), c.username, siteconfig.Secret{}
			})
			fetch := func() int { return infoRefs(t, client, s.URL()+"/scm/web/app.git") }
			var all sync.WaitGroup
			for range 10 { // as the first fetches of a connection come, several at once
				all.Go(func() {
					if status := fetch(); status != http.StatusOK {
						t.Errorf("status %d, want 200: a wrong name fails no fetch", status)
					}
				})
			}
			all.Wait()
			if status := fetch(); status != http.StatusOK {
				t.Errorf("a later fetch: status %d, want 200", status)
			}
			failed, last := 0, ""
			for _, r := range s.Requests() {
				if r.Scheme != "" && !r.Authenticated {
					failed++
				}
				last = r.Scheme
			}
			if failed != c.failed || last != c.last {
				t.Errorf("%d failed logins and %s at last, want %d and %s", failed, last, c.failed, c.last)
			}
		})
	}
}

// A Bitbucket whose git takes no Bearer answers 401 to every login that fails, and, where it is
// old, to one that succeeds for a repository that the account may not read.
func TestATokenBesideAUserNameInGitThatTakesNoBearer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, username string
		fetches        []string // in order
		want           []int
		basic          int // how often Basic went out
	}{
		{
			"keeps Basic after a repository that it may not read", botName,
			[]string{"app", "hidden", "hidden", "hidden", "hidden", "app"},
			[]int{200, 401, 401, 401, 401, 200},
			6,
		},
		{"keeps Basic where that repository comes first", botName, []string{"hidden", "app", "app"}, []int{401, 200, 200}, 3},
		{
			"gives up a wrong name before the account is locked", "First.Last",
			[]string{"app", "app", "app", "app", "app", "app"},
			[]int{401, 401, 401, 401, 401, 401},
			maxGitRefusals,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var basic atomic.Int32
			rest := (&fakeServer{}).handler("5.5.0", nil)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				repository, isGit := strings.CutPrefix(r.URL.Path, "/ctx/scm/web/")
				if !isGit {
					rest.ServeHTTP(w, r)
					return
				}
				name, token, ok := r.BasicAuth()
				if ok {
					basic.Add(1)
				}
				if name != botName || token != botToken || strings.HasPrefix(repository, "hidden") {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			t.Cleanup(s.Close)
			client := newClient(t, s.URL+"/ctx", withToken, func(o *Options) { o.Username = c.username })
			for i, repository := range c.fetches {
				if status := infoRefs(t, client, s.URL+"/ctx/scm/web/"+repository+".git"); status != c.want[i] {
					t.Errorf("fetch %d, of %s: status %d, want %d", i, repository, status, c.want[i])
				}
			}
			if got := int(basic.Load()); got != c.basic {
				t.Errorf("%d logins with Basic, want %d", got, c.basic)
			}
			client.ConfigurationChanged() // which allows one more
			for range 2 {
				infoRefs(t, client, s.URL+"/ctx/scm/web/hidden.git")
			}
			want := c.basic + 2
			if c.username != botName {
				want = c.basic + 1
			}
			if got := int(basic.Load()); got != want {
				t.Errorf("%d logins with Basic after a change of the configuration, want %d", got, want)
			}
		})
	}
}

// infoRefs asks for the refs of a repository, as a fetch does first, and returns the status.
func infoRefs(t *testing.T, client *Client, cloneURL string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cloneURL+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	client.AuthorizeGit(r)
	resp, err := client.Transport().RoundTrip(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}

// TestGitOfOneRepositoryThatNeverAnswers asks a repository first whose answer does not come. Until then no
// login has succeeded; the other repositories get theirs all the same.
func TestGitOfOneRepositoryThatNeverAnswers(t *testing.T) {
	t.Parallel()
	stuck, goOn := make(chan struct{}), make(chan struct{})
	rest := (&fakeServer{}).handler("8.19.0", nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, isGit := strings.CutPrefix(r.URL.Path, "/ctx/scm/web/")
		switch {
		case !isGit:
			rest.ServeHTTP(w, r)
		case strings.HasPrefix(repository, "stuck"):
			close(stuck)
			<-goOn
		}
	}))
	t.Cleanup(s.Close)
	client := newClient(t, s.URL+"/ctx", withToken, func(o *Options) { o.Username = botName })
	client.credential.git.patience = 10 * time.Millisecond
	var asking sync.WaitGroup
	asking.Go(func() { infoRefs(t, client, s.URL+"/ctx/scm/web/stuck.git") })
	<-stuck
	if status := infoRefs(t, client, s.URL+"/ctx/scm/web/app.git"); status != http.StatusOK {
		t.Errorf("status %d, want 200", status)
	}
	close(goOn)
	asking.Wait()
}
