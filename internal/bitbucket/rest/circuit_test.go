package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// unsteady is a network to a Bitbucket that is down while down is set.
type unsteady struct {
	down  atomic.Pointer[http.HandlerFunc] // answers then; nil: it is up
	dead  atomic.Bool                      // there is no connection at all
	asked atomic.Int64
	up    http.RoundTripper
}

func (u *unsteady) RoundTrip(r *http.Request) (*http.Response, error) {
	u.asked.Add(1)
	if u.dead.Load() {
		return nil, errNet
	}
	if h := u.down.Load(); h != nil {
		return served(*h)(r)
	}
	return u.up.RoundTrip(r)
}

func (u *unsteady) answers(h http.HandlerFunc) { u.down.Store(&h) }

// unsteadyClient returns a client of anonymous visitors without retries, and its network and log.
func unsteadyClient(t *testing.T) (*Client, *unsteady, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	client, s := offline(t, "4.14.0", routes{"*": body(200, `{"type":"FILE"}`)}, anonymous, func(o *Options) {
		o.RetryMax = -1
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	network := &unsteady{up: served(s.handler("4.14.0", routes{"*": body(200, `{"type":"FILE"}`)}))}
	client.base, client.git = network, network
	return client, network, log
}

// askAbout asks for a path of a repository by REST.
func askAbout(ctx context.Context, c *Client, slug string) error {
	_, err := c.PathKind(ctx, bitbucket.Address{Key: "WEB", Slug: slug}, "", "a")
	return err
}

// fetchOf sends a request of git.
func fetchOf(ctx context.Context, c *Client, slug string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://bitbucket.example.com/ctx/scm/web/"+slug+".git/info/refs", nil)
	if err != nil {
		return err
	}
	resp, err := c.Transport().RoundTrip(r)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

func TestAnOutageOpensTheCircuitForRESTAndGit(t *testing.T) {
	t.Parallel()
	for name, fall := range map[string]func(*unsteady){
		"502":           func(u *unsteady) { u.answers(body(502, ``)) },
		"503":           func(u *unsteady) { u.answers(body(503, `starting`)) },
		"504":           func(u *unsteady) { u.answers(body(504, ``)) },
		"no connection": func(u *unsteady) { u.dead.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, network, log := unsteadyClient(t)
				fall(network)
				for n := range circuitFailures {
					ask := askAbout
					if n%2 == 1 {
						ask = fetchOf
					}
					// A 503 comes back from git as an answer.
					if err := ask(t.Context(), c, fmt.Sprint("app", n)); errors.Is(err, bitbucket.ErrCircuitOpen) {
						t.Fatalf("request %d was not sent: %v", n, err)
					}
				}
				before := network.asked.Load()
				began := time.Now()
				for _, ask := range []func(context.Context, *Client, string) error{askAbout, fetchOf} {
					err := ask(t.Context(), c, "app")
					wantError(t, err, []error{bitbucket.ErrUnavailable, bitbucket.ErrCircuitOpen}, "has not answered since "+clock(began), "is tried again at ")
					var open *CircuitError
					if !errors.As(err, &open) || !open.Next.After(began) {
						t.Errorf("error %v does not tell the next try", err)
					}
				}
				if time.Since(began) != 0 || network.asked.Load() != before {
					t.Errorf("waited %v and sent %d requests while the circuit was open", time.Since(began), network.asked.Load()-before)
				}
				if h := c.Health(); !h.CircuitOpen || h.Reason == "" || !h.NextTry.After(began) {
					t.Errorf("health %+v", h)
				}

				// Down for an hour, it is asked ever more seldom, by one question at a time.
				time.Sleep(time.Hour)
				if n := network.asked.Load() - before; n < 10 || n > 20 {
					t.Errorf("%d tries in an hour, want a dozen", n)
				}
				network.dead.Store(false)
				network.down.Store(nil)
				time.Sleep(longestCircuitPause + longestCircuitPause/4 + time.Second)
				if h := c.Health(); h.CircuitOpen {
					t.Fatalf("still open although Bitbucket is back: %+v", h)
				}
				wantError(t, askAbout(t.Context(), c, "app"), nil)
				wantError(t, fetchOf(t.Context(), c, "app"), nil)
				text := log.String()
				if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 {
					t.Errorf("want one warning and one end of it:\n%s", text)
				}
			})
		})
	}
}

// TestAnswersAsksOnceAndCounts: whoever fears an outage finds out by one request, and so opens the circuit sooner.
func TestAnswersAsksOnceAndCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, network, _ := unsteadyClient(t)
		if !c.Answers(t.Context()) || network.asked.Load() != 1 {
			t.Errorf("it answers, and was asked %d times", network.asked.Load())
		}
		network.answers(body(401, ``))
		if !c.Answers(t.Context()) {
			t.Error("a refusal is no answer")
		}
		network.answers(body(503, `starting`))
		for n := range circuitFailures {
			if c.Health().CircuitOpen || c.Answers(t.Context()) {
				t.Errorf("after %d failures: %+v", n, c.Health())
			}
		}
		before := network.asked.Load()
		if !c.Health().CircuitOpen || c.Answers(t.Context()) || network.asked.Load() != before {
			t.Errorf("after %d failures: %+v", circuitFailures, c.Health())
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		network.down.Store(nil)
		time.Sleep(longestCircuitPause)
		if network.dead.Store(true); c.Answers(canceled) {
			t.Error("a caller that has gone was answered")
		}
	})
}

func TestWhatOpensNoCircuit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(t *testing.T, c *Client, network *unsteady)
	}{
		{"one slow repository", func(t *testing.T, c *Client, network *unsteady) {
			network.answers(body(503, ``))
			for range 20 {
				_ = askAbout(t.Context(), c, "slow")
				_ = fetchOf(t.Context(), c, "slow")
			}
		}},
		{"answers that fail", func(t *testing.T, c *Client, network *unsteady) {
			for n, status := range []int{404, 401, 403, 500, 429, 500, 404, 500} {
				network.answers(body(status, ``))
				_ = fetchOf(t.Context(), c, fmt.Sprint("app", n))
				time.Sleep(time.Hour) // a 429 pauses
			}
		}},
		{"an answer between the failures", func(t *testing.T, c *Client, network *unsteady) {
			for n := range 20 {
				network.answers(body(503, ``))
				_ = fetchOf(t.Context(), c, fmt.Sprint("app", n))
				if n%2 == 1 {
					network.answers(body(404, ``))
					_ = fetchOf(t.Context(), c, "other")
				}
			}
		}},
		{"callers that go away", func(t *testing.T, c *Client, _ *unsteady) {
			c.base = transportFunc(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			for n := range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_ = askAbout(ctx, c, fmt.Sprint("app", n))
				cancel()
			}
		}},
		{"answers of git that break off", func(t *testing.T, c *Client, _ *unsteady) {
			c.git = transportFunc(func(r *http.Request) (*http.Response, error) {
				cut := io.NopCloser(io.MultiReader(strings.NewReader("00"), brokenReader{}))
				return &http.Response{StatusCode: 200, Request: r, Header: http.Header{}, Body: cut}, nil
			})
			for n := range 20 {
				_ = fetchOf(t.Context(), c, fmt.Sprint("app", n))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, network, _ := unsteadyClient(t)
				c.do(t, client, network)
				if h := client.Health(); h.CircuitOpen {
					t.Errorf("the circuit opened: %+v", h)
				}
			})
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAServerThatHangsOpensTheCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := unsteadyClient(t)
		hang := transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c.base, c.git = hang, hang
		for n := range circuitFailures {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // as long as a link waits
			err := askAbout(ctx, c, fmt.Sprint("app", n))
			cancel()
			wantError(t, err, []error{bitbucket.ErrUnavailable, context.DeadlineExceeded})
		}
		began := time.Now()
		wantError(t, askAbout(t.Context(), c, "app"), []error{bitbucket.ErrCircuitOpen})
		if took := time.Since(began); took != 0 {
			t.Errorf("a question waited %v for a server that hangs", took)
		}
	})
}

func TestAnOutageThatComesBackAtOnceIsLeftAloneForLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := unsteadyClient(t)
		// REST answers, git does not: the try succeeds, and the next fetches fail again.
		c.git = served(body(503, ``))
		var pauses []time.Duration
		for round := range 4 {
			for n := range circuitFailures {
				_ = fetchOf(t.Context(), c, fmt.Sprint(round, n))
			}
			h := c.Health()
			if !h.CircuitOpen {
				t.Fatalf("round %d: closed", round)
			}
			pauses = append(pauses, time.Until(h.NextTry))
			time.Sleep(time.Until(h.NextTry) + time.Second)
			if c.Health().CircuitOpen {
				t.Fatalf("round %d: still open", round)
			}
		}
		for n := 1; n < len(pauses); n++ {
			if pauses[n] <= pauses[n-1] {
				t.Errorf("pauses %v do not grow", pauses)
			}
		}
		time.Sleep(2 * circuitSteady)
		for n := range circuitFailures {
			_ = fetchOf(t.Context(), c, fmt.Sprint("later", n))
		}
		if pause := time.Until(c.Health().NextTry); pause > 2*firstCircuitPause {
			t.Errorf("a new outage begins with a pause of %v", pause)
		}
	})
}

func TestAClosedClientAsksNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, network, _ := unsteadyClient(t)
		network.dead.Store(true)
		for n := range circuitFailures {
			_ = askAbout(t.Context(), c, fmt.Sprint("app", n))
		}
		c.Close()
		before := network.asked.Load()
		time.Sleep(time.Hour)
		if n := network.asked.Load() - before; n != 0 {
			t.Errorf("%d tries after Close", n)
		}
	})
}

func TestARunOf429sSlowsTheWholeConnectionDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, network, _ := unsteadyClient(t)
		network.answers(body(429, `slow down`))
		paused := func() time.Duration { return time.Until(c.Health().PausedUntil) }
		_ = askAbout(t.Context(), c, "app")
		if got := paused(); got != defaultRateLimitWait {
			t.Fatalf("the first 429 pauses for %v, want %v", got, defaultRateLimitWait)
		}
		// Git is held back by what REST was told, and waits.
		began := time.Now()
		_ = fetchOf(t.Context(), c, "app")
		if took := time.Since(began); took != defaultRateLimitWait {
			t.Errorf("git went out after %v, want %v", took, defaultRateLimitWait)
		}
		for _, want := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
			time.Sleep(paused())
			_ = fetchOf(t.Context(), c, "app")
			if got := paused(); got != want {
				t.Errorf("the next 429 pauses for %v, want %v", got, want)
			}
		}
		network.down.Store(nil)
		time.Sleep(paused())
		for range 10 {
			wantError(t, fetchOf(t.Context(), c, "app"), nil)
		}
		network.answers(body(429, `slow down`))
		_ = askAbout(t.Context(), c, "app")
		if got := paused(); got != defaultRateLimitWait {
			t.Errorf("a 429 after successes pauses for %v, want %v", got, defaultRateLimitWait)
		}
	})
}

func TestRequestsThatAreRefusedTogetherAreOne429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := unsteadyClient(t)
		c.git = transportFunc(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return served(body(429, ``))(r)
		})
		done := make(chan error, 8)
		for n := range cap(done) {
			go func() { done <- fetchOf(t.Context(), c, fmt.Sprint(n)) }()
		}
		for range cap(done) {
			<-done
		}
		if got := time.Until(c.Health().PausedUntil); got != defaultRateLimitWait {
			t.Errorf("eight refusals at once pause for %v, want %v", got, defaultRateLimitWait)
		}
	})
}

func TestRetryAfterOfA503HoldsBackTheWholeConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, network, _ := unsteadyClient(t)
		network.answers(after(503, "120"))
		_ = fetchOf(t.Context(), c, "app")
		if got := time.Until(c.Health().PausedUntil); got != 2*time.Minute {
			t.Errorf("paused for %v, want 2m", got)
		}
		wantError(t, askAbout(t.Context(), c, "other"), []error{bitbucket.ErrRateLimited}, "another 2m0s")
	})
}

func TestHealthTellsTheTokensLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := offline(t, "4.14.0", routes{"*": body(200, `{"type":"FILE"}`)}, anonymous, func(o *Options) { o.RequestsPerHour = 3600 })
		if h := c.Health(); !h.Limited || h.Tokens != burst {
			t.Errorf("at first %+v", h)
		}
		for range 10 {
			wantError(t, fetchOf(t.Context(), c, "app"), nil)
		}
		if h := c.Health(); h.Tokens != burst-10 {
			t.Errorf("%v tokens are left of %d after ten requests", h.Tokens, burst)
		}
		unlimited, _ := offline(t, "4.14.0", nil, anonymous)
		if h := unlimited.Health(); h.Limited || h.CircuitOpen || h.Refused != nil || !h.PausedUntil.IsZero() {
			t.Errorf("an idle connection without a limit: %+v", h)
		}
	})
}
