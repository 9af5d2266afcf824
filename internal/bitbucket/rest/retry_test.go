package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// after answers a status with Retry-After.
func after(status int, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", value)
		body(status, `slow down`)(w, r)
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	good := file(t, 200, "repository-4.x.json")
	cut := body(200, `{"slug":"app","id":7,"proj`)
	for _, c := range []struct {
		name    string
		first   http.HandlerFunc // of every question but the last
		fails   int              // how often first answers; -1: for ever
		wantErr []error
		asks    int
	}{
		{"a 500", body(500, `oops`), 2, nil, 3},
		{"a 502 with a page", file(t, 502, "product.html"), 2, nil, 3},
		{"a 503", body(503, ``), 2, nil, 3},
		{"a 429", body(429, `slow`), 2, nil, 3},
		{"an answer that is cut off", cut, 2, nil, 3},
		{"no answer at all", nil, 2, nil, 3},
		{"a 500 for ever", body(500, `oops`), -1, []error{bitbucket.ErrUnavailable}, 6},
		{"a 429 for ever", body(429, `slow`), -1, []error{bitbucket.ErrRateLimited}, 6},
		{"a cut answer for ever", cut, -1, []error{bitbucket.ErrUnavailable}, 6},
		{"no answer for ever", nil, -1, []error{bitbucket.ErrUnavailable, errNet}, 6},
		{"not a 501", body(501, ``), -1, []error{bitbucket.ErrUnavailable}, 1},
		{"not a 404", body(404, ``), -1, []error{bitbucket.ErrNotFound}, 1},
		{"not a 403", body(403, ``), -1, []error{bitbucket.ErrForbidden}, 1},
		{"not a 401", body(401, ``), -1, []error{bitbucket.ErrUnauthorized}, 1},
		{"not a login page", file(t, 200, "login.html"), -1, []error{bitbucket.ErrNotBitbucket}, 1},
		{"not a strange document", body(200, `"x"`), -1, []error{bitbucket.ErrNotBitbucket}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := offline(t, "4.14.0", nil, anonymous)
				asks := 0
				network := served(s.handler("4.14.0", routes{"projects/WEB/repos/app": good}))
				failing := served(s.handler("4.14.0", routes{"projects/WEB/repos/app": c.first}))
				client.base = transportFunc(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "application-properties") {
						return network(r)
					}
					asks++
					switch {
					case c.fails >= 0 && asks > c.fails:
						return network(r)
					case c.first == nil:
						return nil, errNet
					}
					return failing(r)
				})
				began := time.Now()
				_, err := client.Repository(t.Context(), app)
				wantError(t, err, c.wantErr)
				if asks != c.asks {
					t.Errorf("%d attempts, want %d", asks, c.asks)
				}
				if took := time.Since(began); took > 4*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

var errNet = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		status  int
		value   func(now time.Time) string
		budget  time.Duration // deadline of the question; 0: none
		wantErr error
		asks    int
		wait    time.Duration // that is at least waited, or told in the error
	}{
		{"in seconds is waited for", 429, func(time.Time) string { return "30" }, 0, nil, 2, 30 * time.Second},
		{"as a date is waited for", 503, func(now time.Time) string { return now.Add(20 * time.Second).UTC().Format(http.TimeFormat) }, 0, nil, 2, 20 * time.Second},
		{"in the past is no wait", 429, func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0, nil, 2, 0},
		{"that is no time counts as none", 429, func(time.Time) string { return "soon" }, 0, nil, 2, 5 * time.Second},
		{"that is negative counts as none", 429, func(time.Time) string { return "-1" }, 0, nil, 2, 5 * time.Second},
		{"that is empty counts as none", 503, func(time.Time) string { return "" }, 0, nil, 2, 0},
		{"of two hours is told at once", 429, func(time.Time) string { return "7200" }, 0, bitbucket.ErrRateLimited, 1, 2 * time.Hour},
		{"of two hours is told at once in a 503", 503, func(time.Time) string { return "7200" }, 0, bitbucket.ErrUnavailable, 1, 2 * time.Hour},
		{"beyond the deadline is told at once", 429, func(time.Time) string { return "30" }, 10 * time.Second, bitbucket.ErrRateLimited, 1, 30 * time.Second},
		{"of a 500 means nothing", 500, func(time.Time) string { return "7200" }, 0, nil, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := offline(t, "4.14.0", routes{"projects/WEB/repos/app": inTurn(
					after(c.status, c.value(time.Now())), file(t, 200, "repository-4.x.json"))}, anonymous)
				ctx := t.Context()
				if c.budget > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.budget)
					defer cancel()
				}
				began := time.Now()
				_, err := client.Repository(ctx, app)
				took := time.Since(began)
				if n := s.count("projects/WEB/repos/app"); n != c.asks {
					t.Errorf("%d attempts, want %d", n, c.asks)
				}
				if c.wantErr == nil {
					wantError(t, err, nil)
					if took < c.wait || took > c.wait+3*time.Second {
						t.Errorf("waited %v, want %v", took, c.wait)
					}
					return
				}
				wantError(t, err, []error{c.wantErr}, "Bitbucket asks to come back in")
				var asks *RetryAfterError
				if !errors.As(err, &asks) || asks.Wait != c.wait || asks.RetryAfter() != c.wait {
					t.Errorf("error %v, want the wait %v in it", err, c.wait)
				}
				if took != 0 {
					t.Errorf("waited %v before it told", took)
				}
			})
		})
	}
}

func TestA429HoldsBackTheWholeConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, s := offline(t, "4.14.0", routes{"projects/WEB/repos/app": inTurn(after(429, "7200"), file(t, 200, "repository-4.x.json"))}, anonymous)
		if _, err := client.Repository(t.Context(), app); !errors.Is(err, bitbucket.ErrRateLimited) {
			t.Fatalf("Repository: error %v", err)
		}
		_, err := client.Repository(t.Context(), app)
		wantError(t, err, []error{bitbucket.ErrRateLimited}, "it asked to wait another 1h0m0s")
		git, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", nil)
		_, err = client.Transport().RoundTrip(git)
		wantError(t, err, []error{bitbucket.ErrRateLimited})
		var asks *RetryAfterError
		if !errors.As(err, &asks) || asks.Wait <= 0 {
			t.Errorf("git: error %v, want the wait in it", err)
		}
		if n := s.count("projects/WEB/repos/app"); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
		time.Sleep(maxPause) // one strange header does not stop a connection for longer
		if _, err := client.Repository(t.Context(), app); err != nil {
			t.Errorf("Repository after the pause: %v", err)
		}
	})
}

func TestTheRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := offline(t, "4.14.0", routes{"*": body(200, `{"type":"FILE"}`)}, anonymous, func(o *Options) { o.RequestsPerHour = 3600 })
		fetch := func(ctx context.Context) error {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", nil)
			resp, err := client.Transport().RoundTrip(r)
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		began := time.Now()
		for n := range burst {
			var err error
			if n%2 == 0 {
				_, err = client.PathKind(t.Context(), app, "", "a")
			} else {
				err = fetch(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the burst took %v", took)
		}
		if err := fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the request after the burst went out after %v, want 1s", took)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := client.PathKind(short, app, "", "a")
		wantError(t, err, []error{bitbucket.ErrRateLimited, context.DeadlineExceeded}, "requestsPerHour")
		wantError(t, fetch(short), []error{bitbucket.ErrRateLimited, context.DeadlineExceeded}, "requestsPerHour")
	})
}

func TestAnAnswerThatNeverComes(t *testing.T) {
	t.Parallel()
	hang := transportFunc(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	trickle := transportFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Request: r, Header: http.Header{}, Body: io.NopCloser(hangingReader{r.Context()})}, nil
	})
	for name, network := range map[string]transportFunc{"without headers": hang, "without a body": trickle} {
		t.Run(name+" ends with the time of an attempt", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := offline(t, "", nil, func(o *Options) { o.RetryMax, o.Timeout = 1, time.Minute })
				client.base = network
				began := time.Now()
				_, err := client.Version(t.Context())
				wantError(t, err, []error{bitbucket.ErrUnavailable, context.DeadlineExceeded}, "no whole answer within 1m0s")
				if took := time.Since(began); took < 2*time.Minute || took > 2*time.Minute+3*time.Second {
					t.Errorf("it took %v, want two attempts of a minute", took)
				}
			})
		})
		t.Run(name+" ends with the deadline of the question", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := offline(t, "", nil)
				client.base = network
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				began := time.Now()
				_, err := client.Version(ctx)
				wantError(t, err, []error{bitbucket.ErrUnavailable, context.DeadlineExceeded}, "no answer before the deadline")
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
		t.Run(name+" ends when nobody waits any more", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := offline(t, "", nil)
				client.base = network
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := client.Version(ctx)
				wantError(t, err, []error{context.Canceled})
				if errors.Is(err, bitbucket.ErrUnavailable) {
					t.Errorf("error %v blames Bitbucket", err)
				}
			})
		})
	}
}

type hangingReader struct{ ctx context.Context }

func (r hangingReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

func TestADeadlineDuringAWaitTellsWhatHappened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := offline(t, "4.14.0", routes{"projects/WEB/repos/app": body(503, `starting`)}, anonymous)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := client.Repository(ctx, app)
		wantError(t, err, []error{bitbucket.ErrUnavailable}, "503")
	})
}

func TestEveryAttemptIsObserved(t *testing.T) {
	t.Parallel()
	type seen struct {
		op     string
		status int
	}
	var got []seen
	client, _ := offline(t, "4.14.0", routes{"projects/WEB/repos/app": inTurn(body(500, ``), file(t, 200, "repository-4.x.json"))}, func(o *Options) {
		o.RetryWaitMin, o.RetryWaitMax = time.Microsecond, time.Microsecond
		o.Observe = func(op string, status int, d time.Duration) {
			if d < 0 {
				t.Errorf("%s took %v", op, d)
			}
			got = append(got, seen{op, status})
		}
	})
	if _, err := client.Repository(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	client.git = transportFunc(func(*http.Request) (*http.Response, error) { return nil, errNet })
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://bitbucket.example.com/ctx/scm/web/app.git/info/refs", nil)
	_, err := client.Transport().RoundTrip(r)
	wantError(t, err, []error{bitbucket.ErrUnavailable, errNet}, "connection refused")
	want := []seen{{"account", 200}, {"repository", 500}, {"repository", 200}, {"application-properties", 200}, {"git", 0}}
	if len(got) != len(want) {
		t.Fatalf("observed %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("observed %v, want %v", got, want)
			break
		}
	}
}
