package syncer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/internal/siteconfig"
)

// gathered returns the values of the metrics that have one, by name and labels.
func (b *bench) gathered(t *testing.T) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	for _, c := range b.Collectors() {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetricsOfMirrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.memory.records[id(1)] = Record{Repository: repo(1, "SECRETPRJ/secretslug"), Selected: true}
	b.memory.records[id(2)] = Record{Repository: repo(2, "SECRETPRJ/other"), Selected: true}
	b.mirrors.fetch = func(context.Context, FetchRequest) (FetchResult, error) {
		return FetchResult{Cloned: true, Received: 1234, Engine: siteconfig.EngineGit}, nil
	}
	if err := b.workFetch(t.Context(), FetchArgs{Connection: "bitbucket", Number: 1}, b.clock); err != nil {
		t.Fatal(err)
	}
	got := b.gathered(t)
	want := map[string]float64{
		"signpost_mirrors fresh": 1, "signpost_mirrors waiting": 1, "signpost_mirrors failing": 0, "signpost_mirrors behind": 0,
		"signpost_mirrors empty": 0, "signpost_mirrors none": 0, "signpost_mirror_lag_seconds": 0, "signpost_mirror_lag_max_seconds": 0,
		"signpost_fetch_received_bytes_total": 1234, "signpost_fetch_duration_seconds git": 1, "signpost_fetches_total cloned": 1,
		"signpost_fetches_running": 0, "signpost_fetches_due": 0, "signpost_fetches_waiting": 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	for name := range got {
		if strings.Contains(strings.ToLower(name), "secret") {
			t.Errorf("%s names a repository", name)
		}
	}
}

func TestFiguresAreReadOnceForAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	reads, failure := 0, errors.New("the disk is full")
	b.memory.fail = func(method string) error {
		if method != "Figures" {
			return nil
		}
		reads++
		return failure
	}
	collector := newFiguresCollector(b.Syncer)
	collect := func() (names []string) {
		metrics := make(chan prometheus.Metric, 100)
		collector.Collect(metrics)
		close(metrics)
		for m := range metrics {
			names = append(names, m.Desc().String())
		}
		return slices.Compact(names)
	}
	if got := collect(); len(got) != 1 || !strings.Contains(got[0], "signpost_fetches_waiting") {
		t.Errorf("without the database: %v", got)
	}
	failure = nil
	for range 3 {
		if got := collect(); len(got) != 5 {
			t.Errorf("metrics %v", got)
		}
	}
	if reads != 2 {
		t.Errorf("read %d times, want once after the failure", reads)
	}
}
