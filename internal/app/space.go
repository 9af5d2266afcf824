package app

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// spaceCollector shows how much room the mirrors' disk has. Safe for concurrent use.
type spaceCollector struct {
	space       func() (free, total uint64, err error)
	log         *slog.Logger
	free, total *prometheus.Desc
}

func newSpaceCollector(space func() (free, total uint64, err error), log *slog.Logger) prometheus.Collector {
	return &spaceCollector{
		space: space, log: log,
		free:  prometheus.NewDesc("signpost_disk_free_bytes", "Bytes of the mirrors' disk that can still be written. Below minFreeDiskPercent no new clone begins.", nil, nil),
		total: prometheus.NewDesc("signpost_disk_total_bytes", "Bytes that the mirrors' disk has in all.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *spaceCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.free
	out <- c.total
}

// Collect implements prometheus.Collector. A disk that does not tell gives nothing.
func (c *spaceCollector) Collect(out chan<- prometheus.Metric) {
	free, total, err := c.space()
	if err != nil {
		c.log.Warn("metrics lack the space of the disk", "err", err)
		return
	}
	out <- prometheus.MustNewConstMetric(c.free, prometheus.GaugeValue, float64(free))
	out <- prometheus.MustNewConstMetric(c.total, prometheus.GaugeValue, float64(total))
}
