package app

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestCollectEarly watches the collector before, during and after a pass, and where the environment rules.
func TestCollectEarly(t *testing.T) {
	current := func() int {
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return percent
	}
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })

	t.Setenv("GOGC", "")
	end := collectEarly()
	if got := current(); got != passGCPercent {
		t.Errorf("during a pass the percentage is %d, want %d", got, passGCPercent)
	}
	var heap runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	if least := uint64(passHeapFloor + passHeapFloor*passGCPercent/100); heap.NextGC < least {
		t.Errorf("the next collection is at %d bytes, want at %d at least", heap.NextGC, least)
	}
	end()
	if got := current(); got != 100 {
		t.Errorf("after a pass the percentage is %d, want 100 as before", got)
	}

	t.Setenv("GOGC", "70")
	end = collectEarly()
	if got := current(); got != 100 {
		t.Errorf("with GOGC in the environment the percentage is set to %d", got)
	}
	end()
}
