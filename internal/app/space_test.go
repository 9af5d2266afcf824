package app

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/api"
	"example.com/signpost/internal/gitmirror"
	"example.com/signpost/syncer"
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

// fakeDisk is a disk of 50 GiB that must have 10 free.
type fakeDisk struct {
	free    uint64
	failure error
}

func (d *fakeDisk) Space() (free, total uint64, err error) { return d.free, 50 << 30, d.failure }
func (d *fakeDisk) Floor() (uint64, error)                 { return 10 << 30, nil }
func (d *fakeDisk) Room() error {
	if d.free >= 10<<30 {
		return nil
	}
	return syncer.ErrNoSpace
}

func TestTheSpaceOfTheDiskIsShown(t *testing.T) {
	t.Parallel()
	disk := &fakeDisk{free: 3 << 30}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newSpaceCollector(disk, slog.New(slog.DiscardHandler)))
	want := map[string]float64{"signpost_disk_free_bytes": 3 << 30, "signpost_disk_total_bytes": 50 << 30, "signpost_disk_floor_bytes": 10 << 30}
	if got := diskFigures(t, registry); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	told := diskOf(disk)
	if want := (api.MirrorDisk{FreeBytes: 3 << 30, TotalBytes: 50 << 30, FloorBytes: 10 << 30, Problem: told.Problem}); told != want || told.Problem == "" {
		t.Errorf("%+v, want %+v and a problem", told, want)
	}
	if told := diskOf(&fakeDisk{free: 20 << 30}); told.Problem != "" || told.FreeBytes != 20<<30 {
		t.Errorf("%+v where there is room", told)
	}
	disk.failure = errors.New("the disk is gone")
	if told := diskOf(disk); told != (api.MirrorDisk{}) {
		t.Errorf("%+v of a disk that does not tell", told)
	}
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

// TestAServerTellsOfItsFloor, above which no disk can be.
func TestAServerTellsOfItsFloor(t *testing.T) {
	t.Parallel()
	w := newAdminWorld(t, `{"minFreeDiskPercent": 0}`)
	for _, percent := range []int{0, 101} {
		w.states.disk.(*gitmirror.Mirrors).Configure(gitmirror.Settings{MinFreePercent: percent})
		var list api.ConnectionList
		if status := w.call(http.MethodGet, "/api/v1/connections", "", &list); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		full, disk := percent > 0, list.Disk
		if (disk.FloorBytes > disk.FreeBytes) != full || strings.Contains(disk.Problem, "no new clone begins") != full || disk.TotalBytes == 0 {
			t.Errorf("%d %%: %+v", percent, disk)
		}
	}
}
