package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// maxScrapes is how many scrapes are answered at a time: each asks every collector.
const maxScrapes = 4

func (s *Server) registerMetricsRoutes(r *mux.Router) {
	places := make(chan struct{}, maxScrapes)
	s.handle(r, "metrics", "/metrics", http.MethodGet, func(w http.ResponseWriter, r *http.Request) error {
		families, err := s.gather(r.Context(), places)
		if err != nil {
			return err
		}
		// promhttp writes errors as plain text, with all that a collector said in them. So
		// it is given what was gathered without one.
		gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
		promhttp.HandlerFor(gathered, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		return nil
	})
}

// gather asks the collectors, in one of the places. They know no context, so one that hangs
// keeps its place.
func (s *Server) gather(ctx context.Context, places chan struct{}) ([]*dto.MetricFamily, error) {
	select {
	case places <- struct{}{}:
	default:
		return nil, errTooManyScrapes
	}
	var families []*dto.MetricFamily
	done := make(chan error, 1)
	go func() {
		defer func() { <-places }()
		gathered, err := s.registry.Gather()
		families = gathered
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return nil, fmt.Errorf("gather the metrics: %w", err)
		}
		return families, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
