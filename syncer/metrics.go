package syncer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the syncer does.
type metrics struct {
	fetches       *prometheus.CounterVec
	fetchErrors   *prometheus.CounterVec
	fetchSeconds  prometheus.Histogram
	fetching      prometheus.Gauge
	listings      *prometheus.CounterVec
	listingErrors *prometheus.CounterVec
	listSeconds   *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_fetches_total", Help: "Fetches of mirrors that ended, by result.",
		}, []string{"result"}),
		fetchErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_fetch_errors_total", Help: "Fetches of mirrors that failed, by kind of error.",
		}, []string{"kind"}),
		fetchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "signpost_fetch_duration_seconds", Help: "How long fetches of mirrors took, the wait for their turn not counted.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		}),
		fetching: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signpost_fetches_running", Help: "Fetches of mirrors that run now.",
		}),
		listings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_listings_total", Help: "Listings of connections that ended, by connection and result.",
		}, []string{"connection", "result"}),
		listingErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_listing_errors_total", Help: "Errors in listings of connections, by connection and kind.",
		}, []string{"connection", "kind"}),
		listSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signpost_listing_duration_seconds", Help: "How long listings of connections took.",
			Buckets: prometheus.ExponentialBuckets(0.05, 4, 9),
		}, []string{"connection"}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.fetches, m.fetchErrors, m.fetchSeconds, m.fetching, m.listings, m.listingErrors, m.listSeconds}
}

func (m *metrics) fetched(o outcome, err error, took time.Duration) {
	m.fetches.WithLabelValues(o.String()).Inc()
	m.fetchSeconds.Observe(took.Seconds())
	if err != nil {
		m.fetchErrors.WithLabelValues(errorKind(err)).Inc()
	}
}

func (m *metrics) listed(connection string, complete bool, took time.Duration) {
	result := "incomplete"
	if complete {
		result = "complete"
	}
	m.listings.WithLabelValues(connection, result).Inc()
	m.listSeconds.WithLabelValues(connection).Observe(took.Seconds())
}
