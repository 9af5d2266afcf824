package rest

import (
	"net/http"
	"sync"
	"testing"

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
			fetch := func() (status int) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/scm/web/app.git/info/refs?service=git-upload-pack", nil)
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
			var all sync.WaitGroup
			for range 10 { // as the first fetches of a connection come, several at once
				all.Go(func() { fetch() })
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
