package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/uptrace/bun"
)

// Queue is River on the store's database: jobs are kept beside the state that they change.
// It is a river.Client without the type of its transactions, which differs from database to
// database. Its methods are those of river.Client, and are documented there. Safe for
// concurrent use; stop it before the Store is closed.
type Queue struct{ client riverClient }

// riverClient is what river.Client has for every type of transaction.
type riverClient interface {
	Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Stopped() <-chan struct{}
	Subscribe(kinds ...river.EventKind) (<-chan *river.Event, func())
	PeriodicJobs() *river.PeriodicJobBundle
	JobCancel(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error)
}

// releaseTimeout bounds how long NewQueue waits for other writers.
const releaseTimeout = 30 * time.Second

// NewQueue returns a queue as config says, not started. Its logger, when there is none, is
// the store's. The first queue of a Store makes the jobs available again that a killed
// process was working on when it died.
func (s *Store) NewQueue(config *river.Config) (*Queue, error) {
	if config == nil {
		return nil, errors.New("store: NewQueue needs a configuration")
	}
	if err := s.releaseJobs(); err != nil {
		return nil, err
	}
	own := *config
	if own.Logger == nil {
		own.Logger = s.log
	}
	client, err := river.NewClient(s.db.river, &own)
	if err != nil {
		return nil, fmt.Errorf("store: new queue: %w", err)
	}
	return &Queue{client: client}, nil
}

// releaseJobs runs once per Store: later, running jobs are those of a queue of this Store.
func (s *Store) releaseJobs() error {
	s.release.Lock()
	defer s.release.Unlock()
	if s.released {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	var released int64
	err := s.write(ctx, "make interrupted jobs available", func(ctx context.Context, tx bun.Tx) (err error) {
		released, err = s.db.releaseJobs(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	s.released = true
	if released > 0 {
		s.log.InfoContext(ctx, "jobs that were interrupted will run again", "jobs", released)
	}
	return nil
}

// Insert adds a job; with unique options, only if there is none like it.
func (q *Queue) Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	return q.client.Insert(ctx, args, opts)
}

// InsertMany adds jobs, all or none.
func (q *Queue) InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	return q.client.InsertMany(ctx, params)
}

// Start begins to work jobs; it returns at once. When ctx ends, the queue stops as by Stop.
func (q *Queue) Start(ctx context.Context) error { return q.client.Start(ctx) }

// Stop takes no more jobs and waits for the running ones, as long as ctx allows.
func (q *Queue) Stop(ctx context.Context) error { return q.client.Stop(ctx) }

// StopAndCancel is Stop after the contexts of the running jobs were canceled.
func (q *Queue) StopAndCancel(ctx context.Context) error { return q.client.StopAndCancel(ctx) }

// Stopped is closed when the queue has stopped.
func (q *Queue) Stopped() <-chan struct{} { return q.client.Stopped() }

// Subscribe returns a channel of events of the kinds, and the function that ends it.
func (q *Queue) Subscribe(kinds ...river.EventKind) (<-chan *river.Event, func()) {
	return q.client.Subscribe(kinds...)
}

// PeriodicJobs returns the periodic jobs, to add to and take from while the queue runs.
func (q *Queue) PeriodicJobs() *river.PeriodicJobBundle { return q.client.PeriodicJobs() }

// JobCancel cancels a job, also a running one. rivertype.ErrNotFound.
func (q *Queue) JobCancel(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	return q.client.JobCancel(ctx, id)
}

// JobGet returns a job. rivertype.ErrNotFound.
func (q *Queue) JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	return q.client.JobGet(ctx, id)
}

// JobList returns a page of jobs.
func (q *Queue) JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error) {
	return q.client.JobList(ctx, params)
}

// JobRetry makes a job available now that is not running. rivertype.ErrNotFound.
func (q *Queue) JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	return q.client.JobRetry(ctx, id)
}
