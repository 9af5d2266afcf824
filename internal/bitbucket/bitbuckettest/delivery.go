package bitbuckettest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Delivery is what became of a delivery of a webhook.
type Delivery struct {
	URL       string `json:"url"`
	Event     string `json:"event"`
	RequestID string `json:"requestId"`
	Body      string `json:"body"`
	Status    int    `json:"status"` // 0 without an answer
	Answer    string `json:"answer"` // its body, cut short
	Error     string `json:"error,omitempty"`
}

const (
	deliveryTimeout = 10 * time.Second
	keptDeliveries  = 256
)

// delivery is what is sent.
type delivery struct {
	url    string
	event  string // no X-Event-Key if ""
	secret string
	plugin bool // the signature has no prefix, as Sourcegraph's plugin writes it
	body   []byte
}

// deliveryClient sends deliveries. The server that they go to is on this machine.
var deliveryClient = &http.Client{
	Timeout:       deliveryTimeout,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends a delivery once, whatever comes of it, and remembers that.
func (s *Server) send(d delivery) Delivery {
	sent := Delivery{URL: d.url, Event: d.event, RequestID: newUUID(), Body: string(d.body)}
	if err := d.send(&sent, s.closing); err != nil {
		sent.Error = err.Error()
	}
	s.delivered.add(sent)
	return sent
}

func (d delivery) send(sent *Delivery, closing <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Atlassian HttpClient")
	r.Header.Set("X-Request-Id", sent.RequestID)
	if d.event != "" {
		r.Header.Set("X-Event-Key", d.event)
	}
	if d.secret != "" {
		mac := hmac.New(sha256.New, []byte(d.secret))
		_, _ = mac.Write(d.body) // a hash takes everything
		signature := hex.EncodeToString(mac.Sum(nil))
		if !d.plugin {
			signature = "sha256=" + signature
		}
		r.Header.Set("X-Hub-Signature", signature)
	}
	res, err := deliveryClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read as far as it matters
	sent.Status = res.StatusCode
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	sent.Answer = string(answer)
	return err
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Deliveries returns what was delivered last, the oldest first.
func (s *Server) Deliveries() []Delivery { return s.delivered.list() }

// WaitForDeliveries returns when nothing that has happened so far is still being delivered.
func (s *Server) WaitForDeliveries() { s.delivered.wait() }

// announce delivers an event to the hooks of a repository that want it. Called with mu held; it does not
// wait.
func (s *Server) announce(r *repository, event string, payload object) {
	body := jsonStyle{extraKeys: s.opts.ExtraKeys, nullForAbsent: s.opts.NullForAbsent}.append(nil, payload)
	for _, h := range s.webhooks {
		if h.Off || !h.concerns(r) || !slices.Contains(h.Events, event) {
			continue
		}
		d := delivery{url: h.URL, event: event, secret: h.Secret, plugin: !s.switches.webhooks, body: body}
		s.delivered.begin(func() { s.send(d) })
	}
}

// isHeard tells whether a hook is told of a repository. Called with mu held.
func (s *Server) isHeard(r *repository) bool {
	return slices.ContainsFunc(s.webhooks, func(h *webhook) bool { return h.concerns(r) })
}
