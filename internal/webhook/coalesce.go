package webhook

import (
	"context"
	"sync"
	"time"
)

// batches lets callers that come together share one run of what they all want. A run that has
// begun counts for nobody who comes after: what they know of may have happened since. Runs
// of one key follow one another with a gap between their beginnings. Safe for concurrent use.
type batches[K comparable] struct {
	gap     time.Duration // between the beginnings of two runs of a key
	timeout time.Duration // of one run
	run     func(ctx context.Context, key K) error

	mu    sync.Mutex
	lanes map[K]*lane
}

// lane is a key whose last run began less than the gap ago, or is under way.
type lane struct{ next *batch } // nil: nobody waits

// batch is a run that has not begun yet.
type batch struct {
	done chan struct{} // closed when err is set
	err  error
}

func newBatches[K comparable](gap, timeout time.Duration, run func(ctx context.Context, key K) error) *batches[K] {
	return &batches[K]{gap: gap, timeout: timeout, run: run, lanes: make(map[K]*lane)}
}

// do returns what a run that began after the call returned, or the error of ctx. The run does not
// end with ctx: others may wait for it.
func (b *batches[K]) do(ctx context.Context, key K) error {
	waits, _ := b.join(key)
	select {
	case <-waits.done:
		return waits.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// doFirst is do for whoever comes first in a while. Who comes later is sure of a run, and does
// not wait for it.
func (b *batches[K]) doFirst(ctx context.Context, key K) error {
	waits, first := b.join(key)
	if !first {
		return nil
	}
	select {
	case <-waits.done:
		return waits.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the run that is next, and whether it begins at once.
func (b *batches[K]) join(key K) (waits *batch, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[key]
	if first = l == nil; first {
		l = &lane{}
		b.lanes[key] = l
		go b.work(key, l)
	}
	if l.next == nil {
		l.next = &batch{done: make(chan struct{})}
	}
	return l.next, first
}

// afterFailure bounds the gap after a run that failed: what comes then is to learn whether it
// still does.
const afterFailure = time.Second

// work runs the batches of a key until none came within the gap.
func (b *batches[K]) work(key K, l *lane) {
	for {
		b.mu.Lock()
		now := l.next
		if now == nil {
			delete(b.lanes, key)
			b.mu.Unlock()
			return
		}
		l.next = nil
		b.mu.Unlock()
		gap := time.NewTimer(b.gap)
		ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
		now.err = b.run(ctx, key)
		cancel()
		close(now.done)
		if now.err != nil {
			gap.Reset(min(b.gap, afterFailure))
		}
		<-gap.C
	}
}
