package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/webhook"
)

// fakeWebhooks checks as the real receiver does, and answers with a function.
type fakeWebhooks struct {
	receive func(ctx context.Context, h webhook.Header, body []byte) (webhook.Outcome, error)
}

const hookPath = "/api/v1/webhooks/bitbucket-server/bb"

var hookSecret = siteconfig.NewSecret("canary-webhook-secret-93b0")

func (f *fakeWebhooks) Admit(connection string, h webhook.Header) (bool, error) {
	switch {
	case connection == "open" && !webhook.IsPing(h.Event):
		return false, webhook.ErrNotConfigured
	case connection != "bb" && connection != "open":
		return false, webhook.ErrUnknownConnection
	case webhook.IsPing(h.Event):
		return true, nil
	case h.Signature == "":
		return false, webhook.ErrSignature
	}
	return false, nil
}

func (f *fakeWebhooks) Receive(ctx context.Context, _ string, h webhook.Header, body []byte) (webhook.Outcome, error) {
	if err := webhook.Verify(hookSecret, h.Signature, body); err != nil {
		return webhook.Refused, err
	}
	if f.receive != nil {
		return f.receive(ctx, h, body)
	}
	return webhook.Fetching, nil
}

// signed returns a delivery of a body.
func signed(body, event string) *http.Request {
	return send(http.MethodPost, hookPath, body, "X-Event-Key", event, "X-Hub-Signature", webhook.Sign(hookSecret, []byte(body)),
		"X-Request-Id", "b5d4f4d0-0000-4000-8000-000000000001", "Content-Type", "application/json; charset=utf-8")
}

func withWebhooks(f *fakeWebhooks) func(*api.Options) {
	return func(o *api.Options) { o.Webhooks = f }
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	var heard []string
	hooks := &fakeWebhooks{receive: func(_ context.Context, h webhook.Header, body []byte) (webhook.Outcome, error) {
		heard = append(heard, h.Event+" "+h.RequestID+" "+string(body))
		return webhook.Forgotten, nil
	}}
	w := newWorld(t, nil, withWebhooks(hooks))
	a := ask(t, w.handler, signed(`{"x":1}`, "pr:opened"))
	if a.StatusCode != http.StatusAccepted || string(a.body) != `{"outcome":"forgotten"}`+"\n" {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
	if len(heard) != 1 || heard[0] != `pr:opened b5d4f4d0-0000-4000-8000-000000000001 {"x":1}` {
		t.Errorf("the receiver heard %q", heard)
	}
	for _, connection := range []string{"bb", "open"} {
		ping := send(http.MethodPost, "/api/v1/webhooks/bitbucket-server/"+connection, `{"test": true}`, "X-Event-Key", "diagnostics:ping")
		if a := ask(t, w.handler, ping); a.StatusCode != http.StatusOK || string(a.body) != `{"outcome":"pinged"}`+"\n" {
			t.Errorf("a ping of %s: %d %s", connection, a.StatusCode, a.body)
		}
	}
	for _, outcome := range []webhook.Outcome{
		webhook.Fetching, webhook.Forgotten, webhook.Listing, webhook.Unknown, webhook.NotSelected, webhook.Pinged, webhook.Ignored,
	} {
		hooks.receive = func(context.Context, webhook.Header, []byte) (webhook.Outcome, error) { return outcome, nil }
		if a := ask(t, w.handler, signed(`{}`, "x")); a.StatusCode != http.StatusAccepted || !strings.Contains(string(a.body), string(outcome)) {
			t.Errorf("%s: %d %s", outcome, a.StatusCode, a.body)
		}
	}
}

func TestWebhookRefuses(t *testing.T) {
	t.Parallel()
	fails := func(err error) *fakeWebhooks {
		return &fakeWebhooks{receive: func(context.Context, webhook.Header, []byte) (webhook.Outcome, error) { return "", err }}
	}
	unsigned := func(path string) *http.Request {
		return send(http.MethodPost, path, `{}`, "X-Event-Key", "repo:refs_changed")
	}
	changed := func(name, value string) *http.Request {
		r := signed(`{}`, "repo:refs_changed")
		r.Header.Set(name, value)
		return r
	}
	disguised := signed(strings.Repeat("x", 10<<20+1), "repo:refs_changed")
	disguised.ContentLength = -1
	for name, c := range map[string]struct {
		hooks   *fakeWebhooks
		request *http.Request
		status  int
		code    api.ProblemCode
	}{
		"no signature":                      {nil, unsigned(hookPath), 401, api.InvalidSignature},
		"a wrong signature":                 {nil, changed("X-Hub-Signature", strings.Repeat("0", 64)), 401, api.InvalidSignature},
		"no secret":                         {nil, unsigned("/api/v1/webhooks/bitbucket-server/open"), 403, api.WebhooksNotConfigured},
		"an unknown connection":             {nil, unsigned("/api/v1/webhooks/bitbucket-server/other"), 404, api.UnknownConnection},
		"no connection":                     {nil, unsigned("/api/v1/webhooks/bitbucket-server/"), 404, api.NotFound},
		"a path below it":                   {nil, unsigned(hookPath + "/x"), 404, api.NotFound},
		"a name that is encoded":            {nil, unsigned("/api/v1/webhooks/bitbucket-server/%62b"), 404, api.UnknownConnection},
		"another method":                    {nil, get(hookPath), 405, api.MethodNotAllowed},
		"a body that says to be too large":  {nil, signed(strings.Repeat("x", 10<<20+1), "repo:refs_changed"), 413, api.PayloadTooLarge},
		"a body that does not say so":       {nil, disguised, 413, api.PayloadTooLarge},
		"a compressed body":                 {nil, changed("Content-Encoding", "gzip"), 415, api.UnsupportedMediaType},
		"a signed body that is no delivery": {fails(webhook.ErrUnreadable), signed(`x`, ""), 400, api.InvalidRequest},
		"a busy database":                   {fails(fmt.Errorf("%w: %w", webhook.ErrNotStored, context.DeadlineExceeded)), signed(`{}`, ""), 503, api.NotStored},
		"a full disk":                       {fails(fmt.Errorf("%w: %w", webhook.ErrNotStored, siteconfig.ErrStorageFull)), signed(`{}`, ""), 503, api.NotStored},
		"an unexpected error":               {fails(errors.New("canary of the inside")), signed(`{}`, ""), 500, api.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.hooks == nil {
				c.hooks = new(fakeWebhooks)
			}
			w := newWorld(t, nil, withWebhooks(c.hooks))
			a := ask(t, w.handler, c.request)
			wantProblem(t, a, c.status, c.code)
			for _, text := range []string{string(a.body), w.log.String()} {
				if strings.Contains(text, hookSecret.Reveal()) {
					t.Errorf("the secret is in %s", text)
				}
			}
			if strings.Contains(string(a.body), "canary of the inside") {
				t.Errorf("what is inside gets out: %s", a.body)
			}
			if a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("pages may read the answer")
			}
		})
	}
}

// No page of a browser gets to deliver: neither is it told so beforehand, nor is an answer readable.
func TestWebhookKnowsNoCORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	preflight := send(http.MethodOptions, hookPath, "", "Origin", "https://bitbucket.example.com", "Access-Control-Request-Method", "POST")
	if a := ask(t, w.handler, preflight); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight: %d %v", a.StatusCode, a.Header)
	}
}

// hangingBody gives a byte and then nothing until it is closed.
type hangingBody struct {
	begun func()
	end   chan struct{}
}

func (b *hangingBody) Read(p []byte) (int, error) {
	b.begun()
	<-b.end
	return 0, io.ErrUnexpectedEOF
}

// Whoever sends large bodies that do not end keeps neither small deliveries nor the memory.
func TestWebhookLargeBodiesWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var begun, ended sync.WaitGroup
	end := make(chan struct{})
	hang := func() {
		r := signed("x", "repo:refs_changed")
		r.Body, r.ContentLength = io.NopCloser(&hangingBody{sync.OnceFunc(begun.Done), end}), 9<<20
		w.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 3 {
		begun.Add(1)
		ended.Go(hang)
	}
	begun.Wait()
	large := bytes.Repeat([]byte("x"), 1<<20)
	began := time.Now()
	wantProblem(t, ask(t, w.handler, signed(string(large), "repo:refs_changed")), 503, api.NotStored)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the refusal took %v", took)
	}
	if a := ask(t, w.handler, signed(`{}`, "repo:refs_changed")); a.StatusCode != http.StatusAccepted {
		t.Errorf("a small one meanwhile: %d %s", a.StatusCode, a.body)
	}
	close(end)
	ended.Wait()
	if a := ask(t, w.handler, signed(string(large), "repo:refs_changed")); a.StatusCode != http.StatusAccepted {
		t.Errorf("a large one afterwards: %d %s", a.StatusCode, a.body)
	}
}
