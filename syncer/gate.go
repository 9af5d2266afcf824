package syncer

import (
	"context"
	"slices"
	"sync"
)

// gate lets at most a given number of fetches run at once. The number may change while
// it is in use: a smaller one lets the running fetches finish. Of those who wait, the
// urgent go first, and otherwise the first come. Safe for concurrent use.
type gate struct {
	mu     sync.Mutex
	limit  int
	inside int
	urgent []chan struct{}
	others []chan struct{}
}

func newGate(limit int) *gate { return &gate{limit: max(limit, 1)} }

// resize changes the limit, and lets in who now fits.
func (g *gate) resize(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(limit, 1)
	g.admit()
}

// enter waits for a place and returns the function that gives it back, or the error of
// ctx. The function is called once.
func (g *gate) enter(ctx context.Context, urgent bool) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	admitted := make(chan struct{})
	g.mu.Lock()
	line := &g.others
	if urgent {
		line = &g.urgent
	}
	*line = append(*line, admitted)
	g.admit()
	g.mu.Unlock()

	select {
	case <-admitted:
		return g.leave, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(*line, admitted); i >= 0 {
		*line = slices.Delete(*line, i, i+1)
		return nil, ctx.Err()
	}
	// Admitted at the same moment: the place goes to the next one.
	g.inside--
	g.admit()
	return nil, ctx.Err()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// admit lets in as many as fit. The caller holds mu.
func (g *gate) admit() {
	for g.inside < g.limit {
		line := &g.urgent
		if len(*line) == 0 {
			line = &g.others
		}
		if len(*line) == 0 {
			return
		}
		close((*line)[0])
		*line = slices.Delete(*line, 0, 1)
		g.inside++
	}
}
