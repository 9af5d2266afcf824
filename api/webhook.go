package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/semaphore"

	"example.com/signpost/internal/webhook"
)

const (
	// maxDelivery bounds the body of a delivery, in bytes. Those of Bitbucket have some kilobytes; with the
	// commits of a long push, which 8.x adds, they have more.
	maxDelivery = 10 << 20
	// smallDelivery is what nearly every delivery fits into. Those that say to be larger, or do not
	// say how large they are, wait for each other, and do not keep the small ones.
	smallDelivery = 256 << 10
	// What the bodies that are being read may take together.
	smallDeliveries = 32 << 20
	largeDeliveries = 3 * maxDelivery
	// readDelivery is how long a body may take, and waitToRead how long it may wait for its turn.
	// Bitbucket itself waits for an answer for some ten seconds.
	readDelivery = 8 * time.Second
	waitToRead   = 2 * time.Second
)

// webhookBodies bounds the memory of the bodies that are being read: whoever reaches the server
// can send them, and only a whole one can be checked.
type webhookBodies struct{ small, large *semaphore.Weighted }

func newWebhookBodies() *webhookBodies {
	return &webhookBodies{semaphore.NewWeighted(smallDeliveries), semaphore.NewWeighted(largeDeliveries)}
}

// admit waits until there is room for the body of a request, and returns what gives it back.
func (b *webhookBodies) admit(ctx context.Context, r *http.Request) (leave func(), err error) {
	room, size := b.small, r.ContentLength
	if size < 0 || size > smallDelivery {
		room, size = b.large, maxDelivery
	}
	ctx, cancel := context.WithTimeout(ctx, waitToRead)
	defer cancel()
	if room.Acquire(ctx, size) != nil {
		return nil, errTooManyBodies
	}
	return func() { room.Release(size) }, nil
}

func (s *Server) registerWebhookRoutes(r *mux.Router) {
	s.handle(r, "webhook", "/api/v1/webhooks/bitbucket-server/{connection}", http.MethodPost, s.handleWebhook)
}

func (s *Server) handleWebhook(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	connection := mux.Vars(r)["connection"]
	h := webhook.Header{
		Event:     r.Header.Get("X-Event-Key"),
		Signature: r.Header.Get("X-Hub-Signature"),
		RequestID: r.Header.Get(requestIDHeader),
	}
	// What costs nothing first: without a secret's holder behind it, a request gets no further
	// than the length of its body.
	switch done, err := s.webhooks.Admit(connection, h); {
	case err != nil:
		return err
	case done:
		return writeJSON(w, http.StatusOK, WebhookAnswer{Outcome: string(webhook.Pinged)})
	case r.ContentLength > maxDelivery:
		return errTooLarge
	}
	body, err := s.readDelivery(w, r)
	if err != nil {
		return err
	}
	outcome, err := s.webhooks.Receive(r.Context(), connection, h, body)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, WebhookAnswer{Outcome: string(outcome)})
}

// readDelivery reads a body, when there is room for it.
func (s *Server) readDelivery(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	leave, err := s.bodies.admit(r.Context(), r)
	if err != nil {
		return nil, err
	}
	defer leave()
	// Not all writers have deadlines; then the server's own counts.
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(readDelivery))
	body, err := readBody(w, r, maxDelivery)
	if err == nil {
		// A deadline that ends while the job is stored would end the request with it.
		_ = connection.SetReadDeadline(time.Time{})
	}
	return body, err
}

// noWebhooks is the Webhooks of those who want none.
type noWebhooks struct{}

// Admit implements Webhooks.
func (noWebhooks) Admit(string, webhook.Header) (bool, error) {
	return false, webhook.ErrUnknownConnection
}

// Receive implements Webhooks.
func (noWebhooks) Receive(context.Context, string, webhook.Header, []byte) (webhook.Outcome, error) {
	return "", webhook.ErrUnknownConnection
}
