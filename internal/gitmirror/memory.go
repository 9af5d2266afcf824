package gitmirror

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"example.com/signpost/syncer"
)

// programMemory is what a run of the git program counts for: its settings bound what it takes.
const programMemory = 96 << 20

// indexingShare is the part of the memory budget that fetches may take at once. The rest is for readers,
// the database and what the garbage collector has not collected.
func indexingShare(budget int64) int64 { return budget / 4 * 3 }

// memory admits work by the memory that it takes, first come, first served: small work passes nothing that waits
// before it, so that large work gets its turn. Safe for concurrent use; the zero value admits all.
type memory struct {
	mu      sync.Mutex
	limit   int64 // bytes; 0 for none
	used    int64
	waiting list.List // of *turn
}

type turn struct {
	bytes int64
	come  chan struct{}
}

// setLimit makes the limit another one. What was admitted stays, and what waits and is too large by now goes alone.
func (m *memory) setLimit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
	m.admit()
}

// acquire waits until the limit leaves so many bytes, or ctx ends. An error that wraps syncer.ErrTooLarge when it
// never will. The caller calls release, once.
func (m *memory) acquire(ctx context.Context, bytes int64) (release func(), err error) {
	m.mu.Lock()
	if m.limit > 0 && bytes > m.limit {
		limit := m.limit
		m.mu.Unlock()
		return nil, fmt.Errorf("%w: it takes about %s of memory to index without the git program, and the budget leaves %s; "+
			"install git 2.32 or newer, or raise memoryBudgetMiB", syncer.ErrTooLarge, size(bytes), size(limit))
	}
	t := &turn{bytes: bytes, come: make(chan struct{})}
	el := m.waiting.PushBack(t)
	m.admit()
	m.mu.Unlock()

	release = sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.used -= bytes
		m.admit()
	})
	select {
	case <-t.come:
		return release, nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	select {
	case <-t.come: // at the same moment
		m.mu.Unlock()
		release()
	default:
		m.waiting.Remove(el)
		m.admit() // what waited behind it may fit
		m.mu.Unlock()
	}
	return nil, fmt.Errorf("wait for memory: %w", stopped(ctx))
}

// acquireProgram is acquire for a run of the git program, which is never too large.
func (m *memory) acquireProgram(ctx context.Context) (release func(), err error) {
	m.mu.Lock()
	bytes := int64(programMemory)
	if m.limit > 0 {
		bytes = min(bytes, m.limit)
	}
	m.mu.Unlock()
	return m.acquire(ctx, bytes)
}

// admit lets those in whose turn it is. The caller holds the lock.
func (m *memory) admit() {
	for el := m.waiting.Front(); el != nil; el = m.waiting.Front() {
		t := el.Value.(*turn)
		if m.limit > 0 && m.used > 0 && m.used+t.bytes > m.limit {
			return
		}
		m.waiting.Remove(el)
		m.used += t.bytes
		close(t.come)
	}
}
