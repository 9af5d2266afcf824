package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/resolver"
)

// resolverCollector shows the counts of a resolver, which does not know Prometheus.
type resolverCollector struct {
	resolver *resolver.Resolver
	rows     []resolverRow
}

type resolverRow struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(resolver.Stats) float64
}

func newResolverCollector(r *resolver.Resolver) prometheus.Collector {
	row := func(name, help string, kind prometheus.ValueType, value func(resolver.Stats) float64) resolverRow {
		return resolverRow{prometheus.NewDesc("signpost_resolver_"+name, help, nil, nil), kind, value}
	}
	return &resolverCollector{r, []resolverRow{
		row("config_version", "Version of the site configuration that links are made with.", prometheus.GaugeValue, func(s resolver.Stats) float64 { return float64(s.ConfigVersion) }),
		row("repositories", "Repositories in the index.", prometheus.GaugeValue, func(s resolver.Stats) float64 { return float64(s.Repositories) }),
		row("cached_links", "Links in the cache, expired ones included.", prometheus.GaugeValue, func(s resolver.Stats) float64 { return float64(s.Links) }),
		row("cache_hits_total", "Answers from the cache.", prometheus.CounterValue, func(s resolver.Stats) float64 { return float64(s.Hits) }),
		row("cache_misses_total", "Answers that had to be found.", prometheus.CounterValue, func(s resolver.Stats) float64 { return float64(s.Misses) }),
		row("cache_negatives_total", "Cached answers that something is not there.", prometheus.CounterValue, func(s resolver.Stats) float64 { return float64(s.Negatives) }),
		row("shared_total", "Callers that waited for the work of another.", prometheus.CounterValue, func(s resolver.Stats) float64 { return float64(s.Shared) }),
		row("cache_evictions_total", "Links that left the cache for want of room.", prometheus.CounterValue, func(s resolver.Stats) float64 { return float64(s.Evictions) }),
	}}
}

// Describe implements prometheus.Collector.
func (c *resolverCollector) Describe(out chan<- *prometheus.Desc) {
	for _, row := range c.rows {
		out <- row.desc
	}
}

// Collect implements prometheus.Collector.
func (c *resolverCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.resolver.Stats()
	for _, row := range c.rows {
		out <- prometheus.MustNewConstMetric(row.desc, row.kind, row.value(stats))
	}
}
