package api

import (
	"context"
	"sync"
	"time"
)

// deadline is the context of a request: it ends at a fixed time, as that of
// context.WithDeadline does, but costs a timer and a place among its parent's children
// only when somebody waits for its end. An answer from memory waits for nothing.
type deadline struct {
	context.Context // of the connection
	at              time.Time

	mu     sync.Mutex
	ended  bool               // by end
	timed  context.Context    // nil until somebody waits
	cancel context.CancelFunc // of timed
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.waited().Done() }

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	running := d.timed == nil && !d.ended
	d.mu.Unlock()
	if running && time.Now().Before(d.at) {
		return d.Context.Err()
	}
	return d.waited().Err()
}

// Value implements context.Context. Once somebody waits, it leads to the context that is
// waited for: so package context finds it, and its children end without a goroutine each.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	timed := d.timed
	d.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return d.Context.Value(key)
}

// end ends the context and frees what it holds. Whoever asks later finds it canceled.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.cancel != nil {
		d.cancel()
	}
}

// waited returns the context that is waited for.
func (d *deadline) waited() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.timed
}
