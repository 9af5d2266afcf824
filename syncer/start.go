package syncer

import (
	"context"
	"errors"
	"time"
)

// Start gives the syncer the queue that its jobs are stored in. It is called once, after the
// River client was started: River does not allow to store jobs while it starts. Then
// everything is swept for the first time, and again whenever the configuration changes. The queue
// stays the caller's. ctx ends what Start began, as Stop does.
func (s *Syncer) Start(ctx context.Context, queue Queue) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return errors.New("syncer: started twice")
	}
	close(s.started)
	ctx, s.stop = context.WithCancel(ctx)
	s.queue, s.stopped = queue, make(chan struct{})
	s.nudges.start(ctx)
	go func() {
		defer close(s.stopped)
		s.sweepWhenWoken(ctx)
		<-ctx.Done()
		s.nudges.wait()
	}()
	return nil
}

// Stop ends what Start began, before or after the River client is stopped. It waits until
// ctx ends.
func (s *Syncer) Stop(ctx context.Context) error {
	s.mu.Lock()
	stop, stopped := s.stop, s.stopped
	s.queue = nil
	s.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sweepWhenWoken stores a sweep job whenever SetConfig asks for one.
func (s *Syncer) sweepWhenWoken(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		queue := s.startedQueue()
		if queue == nil {
			return
		}
		insert, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := queue.Insert(insert, SweepArgs{}, nil)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the changed configuration takes effect at the next sweep", "err", err)
		}
	}
}
