package syncer

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the syncer does.
type metrics struct {
	fetches       *prometheus.CounterVec
	fetchErrors   *prometheus.CounterVec
	fetchSeconds  *prometheus.HistogramVec
	received      prometheus.Counter
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
		fetchSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signpost_fetch_duration_seconds",
			Help:    "How long fetches of mirrors took, the wait for their turn not counted, by the engine that brought objects (none: nothing was needed, or it failed).",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		}, []string{"engine"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_fetch_received_bytes_total", Help: "Bytes that fetches of mirrors received over the network.",
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
	return []prometheus.Collector{m.fetches, m.fetchErrors, m.fetchSeconds, m.received, m.fetching, m.listings, m.listingErrors, m.listSeconds}
}

func (m *metrics) fetched(f fetched, took time.Duration) {
	m.fetches.WithLabelValues(f.outcome.String()).Inc()
	m.fetchSeconds.WithLabelValues(cmp.Or(f.result.Engine, "none")).Observe(max(took, 0).Seconds())
	m.received.Add(float64(max(f.result.Received, 0)))
	if f.err != nil {
		m.fetchErrors.WithLabelValues(errorKind(f.err)).Inc()
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
