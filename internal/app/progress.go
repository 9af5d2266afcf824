package app

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/signpost/syncer"
)

// progress shows how a pass in the foreground goes. It is safe for concurrent use.
type progress interface {
	syncer.Progress
	// close ends the display; nothing of it is written after.
	close()
}

// newProgress returns bars where out is a terminal, and plain lines elsewhere.
func newProgress(out io.Writer, log *slog.Logger) progress {
	if canShow(out, os.Getenv) {
		return newBars(newScreen(out.(*os.File)), log)
	}
	return newLines(out)
}

// quietTime is after how long without a line a pass says that it is still at work.
const quietTime = 30 * time.Second

// lines writes a line for each repository that is done, and one now and then while none is.
type lines struct {
	out     io.Writer
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex
	last    time.Time // of the last line
	found   map[string]int
	listed  bool // all connections
	running map[string]*running
	since   map[string]time.Time // the running ones began
	done    int
	of      int
}

// newLines begins to write. The caller closes it.
func newLines(out io.Writer) *lines {
	l := &lines{
		out: out, stop: make(chan struct{}), stopped: make(chan struct{}), last: time.Now(),
		found: make(map[string]int), running: make(map[string]*running), since: make(map[string]time.Time),
	}
	go l.speak()
	return l
}

// speak says what is at work when nothing was written for a while.
func (l *lines) speak() {
	defer close(l.stopped)
	ticker := time.NewTicker(quietTime / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-l.stop:
			return
		}
		l.mu.Lock()
		if time.Since(l.last) >= quietTime {
			l.print(l.atWork())
		}
		l.mu.Unlock()
	}
}

// print writes a line. The caller holds mu.
func (l *lines) print(line string) {
	l.last = time.Now()
	_, _ = fmt.Fprintln(l.out, line) // the report at the end fails where this does
}

// atWork says what is being listed or fetched: the longest of the fetches, and how many there are more.
func (l *lines) atWork() string {
	if !l.listed {
		parts := []string{"listing"}
		for _, connection := range slices.Sorted(maps.Keys(l.found)) {
			parts = append(parts, fmt.Sprintf("%s: %s found", connection, thousands(int64(l.found[connection]))))
		}
		return strings.Join(parts, " ")
	}
	names := slices.SortedFunc(maps.Keys(l.since), func(a, b string) int { return cmp.Or(l.since[a].Compare(l.since[b]), cmp.Compare(a, b)) })
	line := fmt.Sprintf("[%d/%d] ", l.done, l.of)
	if len(names) == 0 {
		return line + "waiting"
	}
	line += fmt.Sprintf("still at %s for %s", names[0], time.Since(l.since[names[0]]).Round(time.Second))
	switch p := l.running[names[0]].progress; {
	case p.phase != "" && p.percent >= 0:
		line += strings.TrimRight(fmt.Sprintf(", %s %d%% %s", p.phase, p.percent, p.rate), " ")
	case p.count != "":
		line += fmt.Sprintf(", %s %s objects", p.phase, thousandsOf(p.count))
	case p.phase != "":
		line += ", " + p.phase
	}
	if len(names) > 1 {
		line += fmt.Sprintf(", and at %d more", len(names)-1)
	}
	return line
}

// Listed implements syncer.Progress.
func (l *lines) Listed(connection string, found int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found[connection] = found
}

// Total implements syncer.Progress.
func (l *lines) Total(repositories int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of, l.listed = repositories, true
}

// Started implements syncer.Progress.
func (l *lines) Started(repository string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[repository] = &running{}
	l.since[repository] = time.Now()
}

// Said implements syncer.Progress.
func (l *lines) Said(repository, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.running[repository]; r != nil {
		r.hear(text)
	}
}

// Finished implements syncer.Progress.
func (l *lines) Finished(repository string, result syncer.FetchResult, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, repository)
	delete(l.since, repository)
	l.done++
	l.print(fmt.Sprintf("[%d/%d] %s: %s", l.done, l.of, repository, outcome(result, problem)))
}

// close implements progress.
func (l *lines) close() {
	close(l.stop)
	<-l.stopped
}

func outcome(result syncer.FetchResult, problem string) string {
	took := result.Duration.Round(time.Millisecond)
	switch {
	case problem != "":
		return "failed: " + problem
	case result.Cloned && result.Empty:
		return "empty"
	case result.Cloned:
		return fmt.Sprintf("cloned in %s", took)
	case result.Changed:
		return fmt.Sprintf("updated in %s", took)
	}
	return "unchanged"
}

// firstLine returns what a terminal can show of a text in one line.
func firstLine(text string, most int) string {
	line := make([]rune, 0, most)
	for _, r := range text {
		if r == '\n' || r == '\r' {
			if len(line) > 0 {
				break
			}
			continue
		}
		if r < ' ' || r == 0x7f {
			continue
		}
		if line = append(line, r); len(line) == most {
			break
		}
	}
	return string(line)
}
