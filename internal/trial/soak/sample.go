package main

import (
	"bufio"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/signpost/internal/trial"
)

// sample is what the server takes at a moment.
type sample struct {
	at         time.Time
	memory     int64 // resident, bytes, of the server alone
	heap       int64 // in use, bytes
	goroutines int
	files      int // open
	children   int
	childBytes int64 // resident, of all children
	mirrors    int
	behind     int // mirrors that do not have what Bitbucket has
}

// String returns the sample as a line.
func (s sample) String() string {
	return fmt.Sprintf("%s  %6.1f MB (heap %5.1f)  %4d goroutines  %4d files  %d children (%.1f MB)  %d mirrors, %d behind",
		s.at.Format(time.TimeOnly), megabytes(s.memory), megabytes(s.heap), s.goroutines, s.files, s.children, megabytes(s.childBytes), s.mirrors, s.behind)
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (w *world) sample() (sample, error) {
	s := sample{at: time.Now(), memory: trial.StatusOf(w.server.PID(), "VmRSS")}
	for _, child := range trial.Children(w.server.PID()) {
		s.children++
		s.childBytes += trial.StatusOf(child, "VmRSS")
	}
	metrics, err := w.metrics()
	if err != nil {
		return s, err
	}
	s.heap = int64(metrics["go_memstats_heap_inuse_bytes"])
	s.goroutines, s.files = int(metrics["go_goroutines"]), int(metrics["process_open_fds"])
	mirrors, err := trial.Mirrors(w.data)
	if err != nil {
		return s, err
	}
	s.mirrors = len(mirrors)
	behind, err := w.estate.Behind(w.data)
	s.behind = len(behind)
	return s, err
}

// metrics returns the server's metrics that have no labels.
func (w *world) metrics() (map[string]float64, error) {
	response, err := trial.Client.Get(w.server.URL + "/metrics") //nolint:noctx // the client has a timeout
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s", response.Status)
	}
	metrics := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			metrics[name] = number
		}
	}
	return metrics, lines.Err()
}

// figure is one row of the table.
type figure struct {
	name  string
	value func(sample) float64
	grown float64 // how much more than before is too much, as a factor; 0 if it is only told
	slack float64 // and beyond that
}

var figures = []figure{
	{"memory, MB", func(s sample) float64 { return megabytes(s.memory) }, 1.25, 25},
	{"heap, MB", func(s sample) float64 { return megabytes(s.heap) }, 1.25, 20},
	{"goroutines", func(s sample) float64 { return float64(s.goroutines) }, 1.2, 30},
	{"open files", func(s sample) float64 { return float64(s.files) }, 1.2, 40},
	{"children", func(s sample) float64 { return float64(s.children) }, 1.2, 6},
	{"mirrors behind", func(s sample) float64 { return float64(s.behind) }, 0, 0},
}

// quarters returns the median of a figure in the second and the last quarter of the samples:
// the first one fills caches and mirrors.
func (f figure) quarters(samples []sample) (early, late float64) {
	n := len(samples)
	return f.median(samples[n/4 : n/2]), f.median(samples[n-n/4:])
}

func (f figure) median(samples []sample) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = f.value(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (f figure) most(samples []sample) float64 {
	return f.value(slices.MaxFunc(samples, func(a, b sample) int { return cmp.Compare(f.value(a), f.value(b)) }))
}

// enough tells whether there are samples to compare.
func enough(samples []sample) bool { return len(samples) >= 8 }
