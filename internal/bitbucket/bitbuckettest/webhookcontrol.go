package bitbuckettest

import (
	"fmt"
	"net/http"
	"sync"
)

// rawDelivery is a delivery that another process wants to be sent.
type rawDelivery struct {
	URL    string
	Event  string // no X-Event-Key if ""
	Secret string // unsigned if ""
	Body   string
	Count  int // of deliveries; 1 if 0
	AtOnce int // how many are under way at a time; 1 if 0
}

// rawDelivered is what became of them.
type rawDelivered struct {
	Statuses map[string]int `json:"statuses"` // how often each came; "0": no answer
	Answer   string         `json:"answer"`   // the last one
	Error    string         `json:"error,omitempty"`
}

// deliverRaw sends deliveries of a body and returns how often each status came.
func (s *Server) deliverRaw(in rawDelivery) rawDelivered {
	out := rawDelivered{Statuses: map[string]int{}}
	places := make(chan struct{}, max(1, in.AtOnce))
	var (
		mu  sync.Mutex
		all sync.WaitGroup
	)
	for range max(1, in.Count) {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			sent := s.send(delivery{url: in.URL, event: in.Event, secret: in.Secret, body: []byte(in.Body)})
			mu.Lock()
			defer mu.Unlock()
			out.Statuses[fmt.Sprint(sent.Status)]++
			out.Answer, out.Error = sent.Answer, sent.Error
		})
	}
	all.Wait()
	return out
}

// webhookRoutes are those about webhooks and what causes deliveries.
func (c *control) webhookRoutes(mux *http.ServeMux) {
	handle(c, mux, "POST /control/close-pull-request", func(s *Server, in struct {
		Repository string
		Number     int64
		Merged     bool
	},
	) (any, error) {
		return nil, s.ClosePullRequest(in.Repository, in.Number, in.Merged)
	})
	handle(c, mux, "POST /control/admins", func(s *Server, in struct {
		Of     string
		Admins []string
	},
	) (any, error) {
		return nil, s.SetAdmins(in.Of, in.Admins...)
	})
	handle(c, mux, "POST /control/webhook", func(s *Server, in struct {
		Of      string
		Webhook Webhook
	},
	) (any, error) {
		return s.AddWebhook(in.Of, in.Webhook)
	})
	handle(c, mux, "POST /control/webhooks", func(s *Server, in struct{ Of string }) (any, error) {
		return s.Webhooks(in.Of), nil
	})
	handle(c, mux, "POST /control/deliver", func(s *Server, in rawDelivery) (any, error) { return s.deliverRaw(in), nil })
	handle(c, mux, "GET /control/deliveries", func(s *Server, _ struct{}) (any, error) {
		s.WaitForDeliveries()
		return s.Deliveries(), nil
	})
}
