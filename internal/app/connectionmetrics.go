package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/internal/bitbucket/rest"
)

// connectionCollector shows how the connections stand.
type connectionCollector struct {
	hosts  *connections
	gauges []connectionGauge
}

type connectionGauge struct {
	desc *prometheus.Desc
	// value returns what the gauge shows of a connection; false for nothing.
	value func(rest.Health) (float64, bool)
}

func newConnectionCollector(hosts *connections) prometheus.Collector {
	gauge := func(name, help string, value func(rest.Health) (float64, bool)) connectionGauge {
		return connectionGauge{prometheus.NewDesc("signpost_bitbucket_"+name, help, []string{"connection"}, nil), value}
	}
	return &connectionCollector{hosts, []connectionGauge{
		gauge("rate_tokens", "Requests that the connection's rateLimit lets out at once; negative when so many wait.",
			func(h rest.Health) (float64, bool) { return h.Tokens, h.Limited }),
		gauge("circuit_open", "Whether Bitbucket does not answer and is left alone (1) or not (0).",
			func(h rest.Health) (float64, bool) { return number(h.CircuitOpen), true }),
		gauge("paused", "Whether Bitbucket asked for a pause (1) or not (0).",
			func(h rest.Health) (float64, bool) { return number(!h.PausedUntil.IsZero()), true }),
		gauge("credential_refused", "Whether Bitbucket refuses the connection's credential (1) or not (0).",
			func(h rest.Health) (float64, bool) { return number(h.Refused != nil), true }),
	}}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *connectionCollector) Describe(out chan<- *prometheus.Desc) {
	for _, gauge := range c.gauges {
		out <- gauge.desc
	}
}

// Collect implements prometheus.Collector.
func (c *connectionCollector) Collect(out chan<- prometheus.Metric) {
	for name, each := range *c.hosts.current.Load() {
		health := each.client.Health()
		for _, gauge := range c.gauges {
			if value, ok := gauge.value(health); ok {
				out <- prometheus.MustNewConstMetric(gauge.desc, prometheus.GaugeValue, value, name)
			}
		}
	}
}
