package syncer

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures say how all mirrors are. Records of connections that are not configured are not counted.
type Figures struct {
	States map[MirrorState]int
	Due    int           // fetches that the schedule wants now, clones included
	Late   []int         // mirrors whose fetch is late by at most the LagBounds of the same index
	Lagged int           // all mirrors that have a time for their next fetch: the sum of those in Late and beyond
	Lag    time.Duration // by which they are late, in all
	MaxLag time.Duration
}

// LagBounds returns the bounds of Figures.Late, ascending.
func LagBounds() []time.Duration {
	return []time.Duration{
		0, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour,
	}
}

// FiguresReader reads the figures. The database fills it in. Safe for concurrent use.
type FiguresReader interface {
	// Figures returns the figures at now. States are those of MirrorStateOf, paused as there; when paused, no
	// update is due and no mirror late. Of 100,000 records it takes some tenths of a second, most of it in the database.
	Figures(ctx context.Context, now time.Time, paused bool) (Figures, error)
}

const (
	// figuresAge is for how long figures are given out again: several may watch.
	figuresAge     = 15 * time.Second
	figuresTimeout = 5 * time.Second
)

// figuresCollector gives the figures, and what waits, to Prometheus. Safe for concurrent use.
type figuresCollector struct {
	s                                *Syncer
	states, lag, maxLag, due, queued *prometheus.Desc

	mu    sync.Mutex // held while the database is asked, once for all
	read  time.Time
	known Figures
}

func newFiguresCollector(s *Syncer) *figuresCollector {
	return &figuresCollector{
		s:      s,
		states: prometheus.NewDesc("signpost_mirrors", "Repositories of the index, by the state of their mirror.", []string{"state"}, nil),
		lag:    prometheus.NewDesc("signpost_mirror_lag_seconds", "By how much the next fetch of each mirror is late now; 0 for those that are not due.", nil, nil),
		maxLag: prometheus.NewDesc("signpost_mirror_lag_max_seconds", "By how much the fetch that is late the most is late.", nil, nil),
		due:    prometheus.NewDesc("signpost_fetches_due", "Fetches that the schedule wants now.", nil, nil),
		queued: prometheus.NewDesc("signpost_fetches_waiting", "Fetches that wait for a place among gitMaxConcurrentClones.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *figuresCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.states, c.lag, c.maxLag, c.due, c.queued} {
		to <- desc
	}
}

// Collect implements prometheus.Collector. Without the database it gives what waits.
func (c *figuresCollector) Collect(to chan<- prometheus.Metric) {
	_, waiting := c.s.gate.load()
	to <- prometheus.MustNewConstMetric(c.queued, prometheus.GaugeValue, float64(waiting))
	figures, err := c.figures()
	if err != nil {
		c.s.log.Warn("metrics lack the figures of the mirrors", "err", err)
		return
	}
	for _, state := range MirrorStates() {
		to <- prometheus.MustNewConstMetric(c.states, prometheus.GaugeValue, float64(figures.States[state]), string(state))
	}
	buckets := make(map[float64]uint64)
	for i, bound := range LagBounds() {
		buckets[bound.Seconds()] = uint64(figures.Late[i])
	}
	to <- prometheus.MustNewConstHistogram(c.lag, uint64(figures.Lagged), figures.Lag.Seconds(), buckets)
	to <- prometheus.MustNewConstMetric(c.maxLag, prometheus.GaugeValue, figures.MaxLag.Seconds())
	to <- prometheus.MustNewConstMetric(c.due, prometheus.GaugeValue, float64(figures.Due))
}

func (c *figuresCollector) figures() (Figures, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read.IsZero() && time.Since(c.read) < figuresAge {
		return c.known, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), figuresTimeout)
	defer cancel()
	config, _ := c.s.current()
	figures, err := c.s.opts.Records.Figures(ctx, c.s.now(), config.DisableAutoGitUpdates)
	if err != nil {
		return Figures{}, err
	}
	c.read, c.known = time.Now(), figures
	return figures, nil
}
