package app

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// diskFigures returns what a registry shows of the disk.
func diskFigures(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	figures := make(map[string]float64)
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "signpost_disk_") {
			figures[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return figures
}

func TestTheSpaceOfTheDiskIsShown(t *testing.T) {
	t.Parallel()
	var failure error
	registry := prometheus.NewRegistry()
	registry.MustRegister(newSpaceCollector(func() (free, total uint64, err error) { return 3 << 30, 50 << 30, failure }, slog.New(slog.DiscardHandler)))
	want := map[string]float64{"signpost_disk_free_bytes": 3 << 30, "signpost_disk_total_bytes": 50 << 30}
	if got := diskFigures(t, registry); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	failure = errors.New("the disk is gone")
	if got := diskFigures(t, registry); len(got) != 0 {
		t.Errorf("%v of a disk that does not tell", got)
	}
}

func TestAServerShowsTheSpaceOfItsDisk(t *testing.T) {
	t.Parallel()
	got := diskFigures(t, newAdminWorld(t, `{}`).registry)
	if total := got["signpost_disk_total_bytes"]; total == 0 || got["signpost_disk_free_bytes"] > total {
		t.Errorf("the server shows %v", got)
	}
}
