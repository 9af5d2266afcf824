package app

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"example.com/signpost/syncer"
)

// progress shows how a pass in the foreground goes. It is safe for concurrent use.
type progress interface {
	syncer.Progress
	// close ends the display; nothing of it is written after.
	close()
}

// newProgress returns bars where out is a terminal, and plain lines elsewhere.
func newProgress(out io.Writer) progress {
	if isTerminal(out) {
		return newBars(out)
	}
	return &lines{out: out}
}

// lines writes a line for each repository that is done.
type lines struct {
	mu   sync.Mutex
	out  io.Writer
	done int
	of   int
}

// Listed implements syncer.Progress.
func (l *lines) Listed(string, int) {}

// Started implements syncer.Progress.
func (l *lines) Started(string) {}

// Said implements syncer.Progress.
func (l *lines) Said(string, string) {}
func (l *lines) close()              {}

// Total implements syncer.Progress.
func (l *lines) Total(repositories int) {
	l.mu.Lock()
	l.of = repositories
	l.mu.Unlock()
}

// Finished implements syncer.Progress.
func (l *lines) Finished(repository string, result syncer.FetchResult, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	// The report at the end fails where this does.
	_, _ = fmt.Fprintf(l.out, "[%d/%d] %s: %s\n", l.done, l.of, repository, outcome(result, problem))
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

// bars draws a bar for all repositories, and a line for each that is being fetched.
type bars struct {
	container *mpb.Progress

	mu      sync.Mutex
	all     *mpb.Bar
	current map[string]*repositoryBar
}

type repositoryBar struct {
	bar *mpb.Bar

	mu   sync.Mutex
	said string
}

func (r *repositoryBar) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said
}

func newBars(out io.Writer) *bars {
	return &bars{
		container: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithAutoRefresh()),
		current:   make(map[string]*repositoryBar),
	}
}

// Listed implements syncer.Progress.
func (b *bars) Listed(string, int) {}

// Total implements syncer.Progress.
func (b *bars) Total(repositories int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = b.container.AddBar(int64(repositories), mpb.BarPriority(1<<20), // below the others
		mpb.PrependDecorators(decor.Name("mirrors ")),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d")))
}

// Started implements syncer.Progress.
func (b *bars) Started(repository string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &repositoryBar{}
	r.bar = b.container.New(1, mpb.SpinnerStyle(), mpb.BarWidth(2),
		mpb.AppendDecorators(decor.Name(repository+" "), decor.Any(func(decor.Statistics) string { return r.text() })))
	b.current[repository] = r
}

// Said implements syncer.Progress.
func (b *bars) Said(repository, text string) {
	b.mu.Lock()
	r := b.current[repository]
	b.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		r.said = firstLine(text, 60)
		r.mu.Unlock()
	}
}

// Finished implements syncer.Progress.
func (b *bars) Finished(repository string, _ syncer.FetchResult, _ string) {
	b.mu.Lock()
	r, all := b.current[repository], b.all
	delete(b.current, repository)
	b.mu.Unlock()
	if r != nil {
		r.bar.Abort(true) // mpb has no other end for a bar that never counted
	}
	if all != nil {
		all.Increment()
	}
}

func (b *bars) close() {
	b.mu.Lock()
	for _, r := range b.current {
		r.bar.Abort(true)
	}
	if b.all != nil {
		b.all.Abort(false)
	}
	b.mu.Unlock()
	b.container.Wait()
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
