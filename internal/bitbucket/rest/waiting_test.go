package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"example.com/signpost/internal/bitbucket"
)

// Five wrong logins in a row lock an account: those who wait for the rate limit must not each send a password
// that was refused meanwhile.
func TestAPasswordThatBecomesWrongIsNotSentByThoseWhoWait(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		most int // logins with the wrong password
		ask  func(context.Context, *Client) error
	}{
		{"for REST", 1, func(ctx context.Context, c *Client) error {
			_, err := c.Repository(ctx, bitbucket.Address{Key: "WEB", Slug: "app"})
			return err
		}},
		{"for git, whose refusal is proven", 2, askGit},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := offline(t, "4.14.0", routes{"users": body(200, `{}`)})
				if _, err := c.Account(t.Context()); err != nil {
					t.Fatal(err)
				}
				wrong := served(file(t, 401, "error-401-password.json"))
				var mu sync.Mutex
				logins := 0
				network := transportFunc(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					if r.Header.Get("Authorization") != "" {
						logins++
					}
					return wrong(r)
				})
				c.base, c.git = network, network
				c.pacer.limiter = rate.NewLimiter(rate.Every(time.Second), 1)
				c.pacer.limiter.Allow() // all of them wait
				var all sync.WaitGroup
				refused := 0
				for range 20 {
					all.Go(func() {
						err := test.ask(t.Context(), c)
						mu.Lock()
						defer mu.Unlock()
						if errors.Is(err, bitbucket.ErrUnauthorized) {
							refused++
						}
					})
				}
				all.Wait()
				if logins > test.most || refused < 19 {
					t.Errorf("%d logins with a wrong password, want %d at most; %d of 20 were told so", logins, test.most, refused)
				}
				if len(s.requests()) == 0 {
					t.Error("the password was never proven")
				}
			})
		})
	}
}

// TestAPasswordThatBecomesWrongDuringAPauseIsSentOnce: all that waited for the end of a 429 goes out at the same moment.
func TestAPasswordThatBecomesWrongDuringAPauseIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		ask  func(context.Context, *Client) error
	}{
		{"for REST", func(ctx context.Context, c *Client) error {
			_, err := c.Repository(ctx, bitbucket.Address{Key: "WEB", Slug: "app"})
			return err
		}},
		{"for git", askGit},
	} {
		for _, wrong := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, wrong %v", test.name, wrong), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c, _ := offline(t, "4.14.0", routes{"users": body(200, `{}`)})
					if _, err := c.Account(t.Context()); err != nil {
						t.Fatal(err)
					}
					refuse := served(file(t, 401, "error-401-password.json"))
					accept := served(file(t, 200, "repository-4.x.json"))
					var mu sync.Mutex
					paused, logins, together, most := false, 0, 0, 0
					network := transportFunc(func(r *http.Request) (*http.Response, error) {
						mu.Lock()
						first := !paused
						paused = true
						if !first {
							together++
							most = max(most, together)
						}
						if !first && r.Header.Get("Authorization") != "" {
							logins++
						}
						mu.Unlock()
						if first {
							resp, err := served(body(429, `{}`))(r)
							if err == nil {
								resp.Header.Set("Retry-After", "20")
							}
							return resp, err
						}
						time.Sleep(time.Second) // as long as an answer takes
						mu.Lock()
						together--
						mu.Unlock()
						switch {
						case strings.HasSuffix(r.URL.Path, "/application-properties"):
							return served(body(200, `{"version":"4.14.0"}`))(r)
						case wrong:
							return refuse(r)
						}
						return accept(r)
					})
					c.base, c.git = network, network
					var all sync.WaitGroup
					var refused, done int
					ask := func() {
						err := test.ask(t.Context(), c)
						mu.Lock()
						defer mu.Unlock()
						if errors.Is(err, bitbucket.ErrUnauthorized) {
							refused++
						} else if err == nil {
							done++
						}
					}
					all.Go(ask)
					synctest.Wait() // it was told to wait
					for range 20 {
						all.Go(ask)
					}
					all.Wait()
					switch {
					case wrong && (logins != 1 || refused < 20):
						t.Errorf("%d logins with a wrong password, want 1; %d of 21 were told so", logins, refused)
					case !wrong && (done < 20 || most < 10):
						t.Errorf("%d of 21 succeeded, up to %d at the same time", done, most)
					}
				})
			})
		}
	}
}

// askGit asks for the refs of a repository.
func askGit(ctx context.Context, c *Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", nil)
	if err != nil {
		return err
	}
	c.AuthorizeGit(r)
	resp, err := c.Transport().RoundTrip(r)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}
