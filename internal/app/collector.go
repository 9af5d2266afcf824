package app

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// passGCPercent is how much the memory of a pass in the foreground may grow, in percent of what is in use, before it is
	// collected. Beside the git program, which does the heavy work, Go's usual 100 makes half of the peak of a first mirror.
	passGCPercent = 25
	// passHeapFloor is what counts as in use beside that, in bytes: with the percentage alone the small heap of a pass
	// without news, of some MiB, is collected so often that the pass takes a quarter more of the processor.
	passHeapFloor = 16 << 20
)

// collectEarly makes this process collect garbage as suits a pass in the foreground, unless the environment sets GOGC. The
// caller ends it.
func collectEarly() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(passGCPercent)
	floor := make([]byte, passHeapFloor) // never written to, so that it takes no memory but in the collector's count
	return func() {
		runtime.KeepAlive(floor)
		debug.SetGCPercent(before)
	}
}
