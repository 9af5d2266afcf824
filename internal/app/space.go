package app

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/api"
)

// mirrorDisk tells of the disk that the mirrors are on. Safe for concurrent use.
type mirrorDisk interface {
	// Space returns the bytes that can still be written, and those that there are in all.
	Space() (free, total uint64, err error)
	// Floor returns the bytes that must be free for a new clone to begin.
	Floor() (uint64, error)
	// Room returns why no new clone may begin, nil when one may.
	Room() error
}

// diskOf tells administrators how the disk stands; nothing when it does not tell.
func diskOf(disk mirrorDisk) api.MirrorDisk {
	free, total, err := disk.Space()
	if err != nil {
		return api.MirrorDisk{}
	}
	floor, err := disk.Floor()
	if err != nil {
		return api.MirrorDisk{}
	}
	answer := api.MirrorDisk{FreeBytes: int64(free), TotalBytes: int64(total), FloorBytes: int64(floor)}
	if err := disk.Room(); err != nil {
		answer.Problem = "no new clone begins, and what is mirrored is kept and updated: " + err.Error()
	}
	return answer
}

// spaceCollector shows how much room the mirrors' disk has. Safe for concurrent use.
type spaceCollector struct {
	disk               mirrorDisk
	log                *slog.Logger
	free, total, floor *prometheus.Desc
}

func newSpaceCollector(disk mirrorDisk, log *slog.Logger) prometheus.Collector {
	return &spaceCollector{
		disk: disk, log: log,
		free:  prometheus.NewDesc("signpost_disk_free_bytes", "Bytes of the mirrors' disk that can still be written.", nil, nil),
		total: prometheus.NewDesc("signpost_disk_total_bytes", "Bytes that the mirrors' disk has in all.", nil, nil),
		floor: prometheus.NewDesc("signpost_disk_floor_bytes", "Bytes of the mirrors' disk that must be free for a new clone to begin (minFreeDiskPercent).", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *spaceCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.free
	out <- c.total
	out <- c.floor
}

// Collect implements prometheus.Collector. A disk that does not tell gives nothing.
func (c *spaceCollector) Collect(out chan<- prometheus.Metric) {
	free, total, err := c.disk.Space()
	var floor uint64
	if err == nil {
		floor, err = c.disk.Floor()
	}
	if err != nil {
		c.log.Warn("metrics lack the space of the disk", "err", err)
		return
	}
	out <- prometheus.MustNewConstMetric(c.free, prometheus.GaugeValue, float64(free))
	out <- prometheus.MustNewConstMetric(c.total, prometheus.GaugeValue, float64(total))
	out <- prometheus.MustNewConstMetric(c.floor, prometheus.GaugeValue, float64(floor))
}
