package app

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// passGCPercent is how much the memory of a pass in the foreground may grow, in percent of what is in use, before it is
	// collected. Beside the git program, which does the heavy work, Go's usual 100 is a good part of the peak of a first
	// mirror: of 50 repositories 33 MiB without the pages of files, with these two 21 to 25, and 19 without a floor.
	passGCPercent = 25
	// passHeapFloor is what counts as in use beside that, in bytes. Without it the small heap of a pass without news, of some
	// MiB, is collected so often that the pass takes a fifth more of the processor; with half of it, some tenth more. Twice as
	// much differs from it, in memory and in time, by no more than one run from the next.
	passHeapFloor = 8 << 20
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
