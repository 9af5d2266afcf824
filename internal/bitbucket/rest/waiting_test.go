package rest

import (
	"context"
	"errors"
	"net/http"
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
		{"for git, whose refusal is proven", 2, func(ctx context.Context, c *Client) error {
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
		}},
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
