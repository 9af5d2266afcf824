package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/term"
)

// NewLogger returns the program's logger. format is "text", "json", or "" for text on a
// terminal and JSON elsewhere; level is debug, info, warn or error, "" for info.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	if level != "" {
		var parsed slog.Level
		if err := parsed.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
		}
		options.Level = parsed
	}
	if format == "" {
		format = "json"
		if isTerminal(w) {
			format = "text"
		}
	}
	d := &detour{w: w}
	switch format {
	case "text":
		return slog.New(&divertible{slog.NewTextHandler(d, options), d}), nil
	case "json":
		return slog.New(&divertible{slog.NewJSONHandler(d, options), d}), nil
	}
	return nil, fmt.Errorf("log format %q: use text or json", format)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// divertible is the handler of a logger whose lines can be sent elsewhere for a while.
type divertible struct {
	slog.Handler
	*detour
}

// detour writes to w, or for a while elsewhere. Safe for concurrent use.
type detour struct {
	w io.Writer

	mu        sync.Mutex
	elsewhere io.Writer // nil: to w
}

// Write implements io.Writer.
func (d *detour) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.elsewhere != nil {
		return d.elsewhere.Write(p)
	}
	return d.w.Write(p)
}

func (d *detour) set(elsewhere io.Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.elsewhere = elsewhere
}

// divert sends what a logger that NewLogger made writes to a terminal elsewhere, until restore is
// called. Any other logger is left alone: its lines are in nobody's way.
func divert(log *slog.Logger, elsewhere io.Writer) (restore func()) {
	h, ok := log.Handler().(*divertible)
	if !ok || !isTerminal(h.w) {
		return func() {}
	}
	h.set(elsewhere)
	return func() { h.set(nil) }
}

// riverLogger is River's part of the log. What River tells at level info, such as how many jobs
// it has worked, every few seconds and for ever, is for whoever looks for a defect: it becomes debug.
func riverLogger(log *slog.Logger) *slog.Logger { return slog.New(quieter{log.Handler()}) }

// quieter makes debug of info.
type quieter struct{ slog.Handler }

func quiet(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}

// Enabled implements slog.Handler.
func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, quiet(level))
}

// Handle implements slog.Handler.
func (q quieter) Handle(ctx context.Context, record slog.Record) error {
	record.Level = quiet(record.Level)
	return q.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }
