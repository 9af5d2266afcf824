package rest

import (
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

func TestAnswersThatAreErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   []error
		not    []error
		says   []string
	}{
		{"400 names the fields", file(t, 400, "error-400-fields.json"), nil, []error{bitbucket.ErrNotFound, bitbucket.ErrUnavailable, bitbucket.ErrNotBitbucket}, []string{"400", "permission: no such permission; second"}},
		{"400 of Tomcat is no Bitbucket's", file(t, 400, "product.html"), []error{bitbucket.ErrNotBitbucket}, nil, []string{"400", "Wiki of Example"}},
		{"401 without a permission is not visible", file(t, 401, "error-401-permission.json"), []error{bitbucket.ErrNotFound}, []error{bitbucket.ErrUnauthorized}, []string{"401", "not permitted"}},
		{"401 with an account is not visible", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-AUSERNAME", botName)
			body(401, ``)(w, r)
		}, []error{bitbucket.ErrNotFound}, []error{bitbucket.ErrUnauthorized}, nil},
		{"401 otherwise refuses the credential", body(401, ``), []error{bitbucket.ErrUnauthorized}, []error{bitbucket.ErrNotFound}, []string{"until then it is not used"}},
		{"403 is forbidden", body(403, ``), []error{bitbucket.ErrForbidden}, []error{bitbucket.ErrCaptcha}, nil},
		{"403 with a CAPTCHA is that too", file(t, 403, "error-403-captcha.json"), []error{bitbucket.ErrForbidden, bitbucket.ErrCaptcha}, nil, []string{"solve it"}},
		{"404 is not found", file(t, 404, "error-404-repository.json"), []error{bitbucket.ErrNotFound}, nil, []string{"does not exist"}},
		{"404 of Stash is not found", file(t, 404, "error-404-stash.json"), []error{bitbucket.ErrNotFound}, nil, []string{"Project WEB does not exist."}},
		{"404 with a page is not found", file(t, 404, "product.html"), []error{bitbucket.ErrNotFound}, nil, []string{"Wiki of Example"}},
		{"409 without an envelope is no Bitbucket's", body(409, `conflict`), []error{bitbucket.ErrNotBitbucket}, nil, []string{"conflict"}},
		{"429 is rate limited", body(429, `{"message":"slow"}`), []error{bitbucket.ErrRateLimited}, []error{bitbucket.ErrUnavailable}, []string{"429"}},
		{"500 is unavailable", body(500, `{"errors":[{"context":null,"message":"An error occurred","exceptionName":"java.lang.NullPointerException"}]}`), []error{bitbucket.ErrUnavailable}, nil, []string{"An error occurred"}},
		{"501 is unavailable", body(501, ``), []error{bitbucket.ErrUnavailable}, nil, nil},
		{"503 with a page is unavailable", file(t, 503, "product.html"), []error{bitbucket.ErrUnavailable}, []error{bitbucket.ErrNotBitbucket}, []string{"503"}},
		{"200 with a login page is said to be one", file(t, 200, "login.html"), []error{bitbucket.ErrNotBitbucket}, nil, []string{"this is a login page (Log in — Bitbucket), not JSON"}},
		{"200 with another page is said to be one", file(t, 200, "product.html"), []error{bitbucket.ErrNotBitbucket}, nil, []string{"this is a web page (Wiki of Example), not JSON"}},
		{"200 with an empty page is said to be one", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
		}, []error{bitbucket.ErrNotBitbucket}, nil, []string{"this is a web page"}},
		{"200 with nothing is broken off", body(200, ``), []error{bitbucket.ErrUnavailable}, nil, []string{"broken off"}},
		{"200 with half a document is broken off", body(200, `{"slug":"app"`), []error{bitbucket.ErrUnavailable}, nil, []string{"broken off"}},
		{"200 that ends too early is broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"slug":"app"`)
		}, []error{bitbucket.ErrUnavailable}, nil, []string{"the answer broke off"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "4.14.0", routes{"projects/WEB/repos/app": c.answer})
			_, err := newClient(t, s.base()).Repository(t.Context(), app)
			if err == nil {
				t.Fatal("no error")
			}
			if len(c.want) > 0 {
				wantError(t, err, c.want)
			}
			for _, text := range append(c.says, "rest/api/1.0/projects/WEB/repos/app") {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			for _, not := range c.not {
				if errors.Is(err, not) {
					t.Errorf("error %q is %q", err, not)
				}
			}
		})
	}
}

func TestErrorsAreShortAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){"a password": func(*Options) {}, "a token": withToken} {
		t.Run("with "+name, func(t *testing.T) {
			t.Parallel()
			// A server that repeats what it was sent, in several spellings, beside noise.
			echo := func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusConflict)
				_, _ = fmt.Fprintf(w, "\x1b[31m%s %s %s %s\r\n\x00%s", botPassword, botToken, "pass%2Fword%2B1", r.Header.Get("Authorization"), strings.Repeat("no\u2028ise ", 5000))
			}
			s := newServer(t, "8.0.0", routes{"projects/WEB/repos/app": echo})
			_, err := newClient(t, s.base(), change).Repository(t.Context(), app)
			if !errors.Is(err, bitbucket.ErrNotBitbucket) {
				t.Fatalf("error %v", err)
			}
			secrets := []string{botPassword, "pass%2Fword%2B1", base64Of(botName + ":" + botPassword)}
			if name == "a token" {
				secrets = []string{botToken}
			}
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q holds %q", err, secret)
				}
			}
			if !strings.Contains(err.Error(), "[redacted]") || len(err.Error()) > 600 {
				t.Errorf("error of %d bytes: %q", len(err.Error()), err)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x00\r\n\u2028") {
				t.Errorf("error %q holds control characters", err)
			}
		})
	}
}

func TestCleanNeverLeavesHalfASecret(t *testing.T) {
	t.Parallel()
	c := newCleaner(Options{Token: siteconfig.NewSecret(botToken)})
	for n := range 30 {
		got := c.clean(strings.Repeat("x", maxQuoted-n) + botToken)
		if strings.Contains(got, botToken[:4]) || len([]rune(got)) > maxQuoted {
			t.Errorf("clean: %q", got)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, "4.14.0", routes{"projects/WEB/repos/app": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"slug":"`+strings.Repeat("a", 1<<20)+`"}`)
	}})
	c := newClient(t, s.base())
	c.maxBody = 1 << 20
	_, err := c.Repository(t.Context(), app)
	wantError(t, err, []error{bitbucket.ErrUnavailable}, "larger than 1 MiB")
	if n := s.count("projects/WEB/repos/app"); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestCompressedAnswersAreBoundedToo(t *testing.T) {
	t.Parallel()
	zip := func(text string) http.HandlerFunc {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		return func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("gzip was not offered")
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(b.Bytes())
		}
	}
	s := newServer(t, "4.14.0", routes{
		"projects/WEB/repos/app": zip(readFile(t, "repository-4.x.json")),
		"projects/WEB/repos/big": zip(strings.Repeat(" ", 2<<20)),
	})
	c := newClient(t, s.base())
	c.maxBody = 1 << 20
	if r, err := c.Repository(t.Context(), app); err != nil || r.ID.Number != 7 {
		t.Errorf("Repository: %+v, %v", r, err)
	}
	_, err := c.Repository(t.Context(), bitbucket.Address{Key: "WEB", Slug: "big"})
	wantError(t, err, []error{bitbucket.ErrUnavailable}, "larger than 1 MiB")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	to := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusMovedPermanently)
		}
	}
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the stranger was asked")
	}))
	t.Cleanup(stranger.Close)
	moved := file(t, 200, "repository-4.x.json")
	const old, renamed = "projects/OLD/repos/old", "projects/WEB/repos/app"
	for _, c := range []struct {
		name     string
		location string // BASE stands for the server's address with its context path
		want     error
		says     string
	}{
		{"is followed to the new address", "BASE/rest/api/1.0/" + renamed, nil, ""},
		{"is followed by path", "/ctx/rest/api/1.0/" + renamed, nil, ""},
		{"is followed relative to the old one", "../../WEB/repos/app", nil, ""},
		{"is not followed in circles", "/ctx/rest/api/1.0/" + old, bitbucket.ErrNotBitbucket, "in circles"},
		{"is not followed to a stranger", stranger.URL + "/ctx/rest/api/1.0/" + renamed, bitbucket.ErrNotBitbucket, "it is redirected to " + stranger.URL},
		{"is not followed out of the context path", "/rest/api/1.0/" + renamed, bitbucket.ErrNotBitbucket, "it is redirected to"},
		{"is not followed out of the API", "/ctx/projects/WEB", bitbucket.ErrNotBitbucket, "it is redirected to"},
		{"is not followed by climbing", "/ctx/rest/../projects/WEB", bitbucket.ErrNotBitbucket, "it is redirected to"},
		{"is not followed by encoded climbing", "/ctx/rest/%2e%2e/projects/WEB", bitbucket.ErrNotBitbucket, "it is redirected to"},
		{"to a login is said to be one", "/ctx/login?next=/rest", bitbucket.ErrNotBitbucket, "this is a login page: it is redirected to"},
		{"to Bitbucket Cloud is said to be one", "https://bitbucket.org/account/x", bitbucket.ErrNotBitbucket, "Bitbucket Cloud"},
		{"to https says how to mend it", "https://127.0.0.1/ctx/rest/api/1.0/x", bitbucket.ErrNotBitbucket, "write https:// into the url"},
		{"that leads nowhere is none", "", bitbucket.ErrNotBitbucket, "leads nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := routes{renamed: moved}
			s := newServer(t, "5.13.0", r)
			r["labels/archived/labeled"] = pageOf()
			r[old] = to(strings.Replace(c.location, "BASE", s.base(), 1))
			got, err := newClient(t, s.base()).Repository(t.Context(), bitbucket.Address{Key: "OLD", Slug: "old"})
			if c.want != nil {
				wantError(t, err, []error{c.want}, c.says)
				return
			}
			if err != nil || got.Address != app {
				t.Fatalf("Repository: %+v, %v", got, err)
			}
			if s.last(renamed).Header.Get("Authorization") == "" {
				t.Error("the credential stayed behind")
			}
		})
	}
	t.Run("keeps the question", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "5.13.0", routes{
			old + "/browse/a":     to("/ctx/rest/api/1.0/" + renamed + "/browse/a"),
			renamed + "/browse/a": body(200, `{"type":"FILE"}`),
		})
		if _, err := newClient(t, s.base()).PathKind(t.Context(), bitbucket.Address{Key: "OLD", Slug: "old"}, "main", "a"); err != nil {
			t.Fatal(err)
		}
		if got := s.last(renamed + "/browse/a").URL.RawQuery; got != "at=main&type=true" {
			t.Errorf("query %q", got)
		}
	})
}

func TestTrust(t *testing.T) {
	t.Parallel()
	handler := (&fakeServer{}).handler("8.0.0", nil)
	secure := httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	for _, c := range []struct {
		name, address, certificate string
		want                       error
		says                       string
	}{
		{"an unknown certificate is refused", secure.URL, "", bitbucket.ErrUnavailable, "put the certificate of the server"},
		{"an own certificate is trusted", secure.URL, certificate, nil, ""},
		{"a certificate for another name is refused", strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), certificate, bitbucket.ErrUnavailable, "check the host name"},
		{"https at a port of http says so", strings.Replace(plain.URL, "http://", "https://", 1), "", bitbucket.ErrUnavailable, "does not speak TLS"},
		{"http at a port of https says so", strings.Replace(secure.URL, "https://", "http://", 1), "", bitbucket.ErrNotBitbucket, "HTTP request to an HTTPS server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asks := 0
			client := newClient(t, c.address+"/ctx", func(o *Options) { o.CertificatePEM = c.certificate })
			base := client.base
			client.base = transportFunc(func(r *http.Request) (*http.Response, error) {
				asks++
				return base.RoundTrip(r)
			})
			_, err := client.Version(t.Context())
			if c.want == nil {
				wantError(t, err, nil)
			} else {
				wantError(t, err, []error{c.want}, c.says)
			}
			if asks != 1 {
				t.Errorf("%d attempts, want 1", asks)
			}
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, c.address+"/ctx/rest/api/1.0/application-properties", nil)
			resp, err := client.Transport().RoundTrip(r)
			if err == nil {
				err = resp.Body.Close()
			}
			if (err == nil) != (c.want == nil || errors.Is(c.want, bitbucket.ErrNotBitbucket)) {
				t.Errorf("git: error %v", err)
			}
		})
	}
}

func TestAProxyIsUsed(t *testing.T) {
	t.Parallel()
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		body(200, `{"version":"8.0.0"}`)(w, r)
	}))
	t.Cleanup(proxy.Close)
	c := newClient(t, "http://bitbucket.example.com/ctx", func(o *Options) {
		o.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked != "http://bitbucket.example.com/ctx/rest/api/1.0/application-properties" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
