package bitbuckettest

import (
	"slices"
	"sync"
)

// deliveryLog knows the deliveries that are under way, and remembers the last ones.
type deliveryLog struct {
	mu      sync.Mutex
	kept    []Delivery
	running int
	idle    chan struct{} // closed when running falls to 0; nil while it is 0
}

func (l *deliveryLog) begin(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running++; l.idle == nil {
		l.idle = make(chan struct{})
	}
	go func() {
		do()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running--; l.running == 0 {
			close(l.idle)
			l.idle = nil
		}
	}()
}

func (l *deliveryLog) wait() {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

func (l *deliveryLog) add(d Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, d)
	l.kept = l.kept[max(0, len(l.kept)-keptDeliveries):]
}

func (l *deliveryLog) list() []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}
