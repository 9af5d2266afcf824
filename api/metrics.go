package api

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requestMetrics counts what was answered, by route and status: no label comes from a request.
type requestMetrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge

	// known holds the histograms that were used before: finding one in duration takes two
	// locks and an allocation. The map does not change; a new one takes its place.
	known  atomic.Pointer[map[outcome]prometheus.Observer]
	adding sync.Mutex
}

// outcome is what requests are counted by.
type outcome struct {
	route  string
	status int
}

func newRequestMetrics(registry *prometheus.Registry) (*requestMetrics, error) {
	m := &requestMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signpost_http_request_duration_seconds",
			Help:    "Time to answer a request, by route and status.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 10},
		}, []string{"route", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signpost_http_requests_in_flight",
			Help: "Requests that are being answered.",
		}),
	}
	m.known.Store(&map[outcome]prometheus.Observer{})
	for _, c := range []prometheus.Collector{m.duration, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *requestMetrics) observe(route string, status int, d time.Duration) {
	o := outcome{route, status}
	histogram, ok := (*m.known.Load())[o]
	if !ok {
		histogram = m.add(o)
	}
	histogram.Observe(d.Seconds())
}

// add makes the histogram of an outcome known.
func (m *requestMetrics) add(o outcome) prometheus.Observer {
	m.adding.Lock()
	defer m.adding.Unlock()
	histogram := m.duration.WithLabelValues(o.route, strconv.Itoa(o.status))
	next := maps.Clone(*m.known.Load())
	next[o] = histogram
	m.known.Store(&next)
	return histogram
}
