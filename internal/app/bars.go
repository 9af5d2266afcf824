package app

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/signpost/syncer"
)

// redraw is how often the display changes.
const redraw = 150 * time.Millisecond

// bars draws a line for each listing, one for each repository that is being fetched, and a bar for all.
type bars struct {
	*screen
	restore func() // the log's way to the terminal
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex
	tick    int
	begun   time.Time // of the fetches; zero while the listings run
	found   map[string]int
	running map[string]*running
	order   int // of the next one that starts
	totals  totals
}

// running is a fetch that has its turn.
type running struct {
	order    int
	progress gitProgress
	said     string // that was no progress
}

// newBars begins to draw, and lets the log appear above. The caller closes it.
func newBars(s *screen, log *slog.Logger) *bars {
	b := &bars{
		screen: s, restore: divert(log, s), stop: make(chan struct{}), stopped: make(chan struct{}),
		found: make(map[string]int), running: make(map[string]*running),
	}
	go b.draw()
	return b
}

func (b *bars) draw() {
	defer close(b.stopped)
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		b.show(b.lines)
		select {
		case <-ticker.C:
		case <-b.stop:
			return
		}
	}
}

// lines are what is shown now.
func (b *bars) lines(width, height int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick++
	if b.begun.IsZero() {
		if len(b.found) == 0 {
			return []string{fit(fmt.Sprintf("%c asking Bitbucket", spinner[b.tick%len(spinner)]), width)}
		}
		var lines []string
		for _, connection := range slices.Sorted(maps.Keys(b.found)) {
			lines = append(lines, listingLine(width, connection, b.found[connection], b.tick))
		}
		return lines
	}
	names := slices.SortedFunc(maps.Keys(b.running), func(x, y string) int {
		return cmp.Compare(b.running[x].order, b.running[y].order)
	})
	names = names[:min(len(names), max(height-2, 0))] // a line for all, and the one of the cursor
	lines := make([]string, 0, len(names)+1)
	for _, name := range names {
		r := b.running[name]
		lines = append(lines, repositoryLine(width, name, r.progress, r.said, b.tick))
	}
	now := b.totals
	now.elapsed = time.Since(b.begun)
	return append(lines, totalLine(width, now))
}

// Listed implements syncer.Progress.
func (b *bars) Listed(connection string, found int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.found[connection] = found
}

// Total implements syncer.Progress.
func (b *bars) Total(repositories int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.totals.of, b.begun = repositories, time.Now()
}

// Started implements syncer.Progress.
func (b *bars) Started(repository string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order++
	b.running[repository] = &running{order: b.order}
}

// Said implements syncer.Progress.
func (b *bars) Said(repository, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.running[repository]; r != nil {
		r.hear(text)
	}
}

func (r *running) hear(text string) {
	line := firstLine(text, 200)
	if p := parseGitProgress(line); p.phase != "" {
		if p.phase == "compressing" && p.done { // the pack comes now; the engine in this process does not count it
			p = gitProgress{phase: "receiving", percent: -1}
		}
		r.progress, r.said = p, ""
	} else if line != "" && r.progress.phase == "" {
		r.said = line
	}
}

// Finished implements syncer.Progress.
func (b *bars) Finished(repository string, result syncer.FetchResult, problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, repository)
	b.totals.done++
	b.totals.received += result.Received
	if problem != "" {
		b.totals.failed++
	}
}

// close implements progress.
func (b *bars) close() {
	close(b.stop)
	<-b.stopped
	b.end()
	b.restore()
}
