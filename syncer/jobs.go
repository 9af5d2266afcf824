package syncer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/internal/bitbucket"
)

// The queues. Each kind of job has its own, so that none waits behind another kind.
const (
	queueSweep = "sweep"
	queueList  = "list"
	queueFetch = "fetch" // updates of mirrors that are not large, and what is asked for
	queueHeavy = "heavy" // first clones, and updates of large mirrors: those that wait keep no update out
)

// Priorities of fetches, River's 1 to 4.
const (
	priorityAsked     = 1 // by hand or by a webhook
	priorityNew       = 2 // no mirror yet, or what shares its queue
	priorityScheduled = 3
)

const (
	sweepInterval = 15 * time.Second
	sweepTimeout  = time.Minute
	// fetchWorkers is how many fetch jobs of a queue may wait for a place among gitMaxConcurrentClones.
	// That limit changes at run time and River's does not, so the gate holds it.
	fetchWorkers = 64
	listWorkers  = 8
	// After so long a job that still "runs" is taken for one that a lost process left behind. A
	// fetch may wait for its turn behind many long ones; if a living one is rescued, its second
	// run finds nothing due.
	rescueAfter = 12 * time.Hour
	// A job fails only when the database does. The next sweep finds what is due anyway.
	maxAttempts = 5
	// A fetch that was asked for while one runs looks again after this time.
	snooze = time.Second
)

// uniqueStates are those in which a job keeps a second one out. River insists on running;
// enqueue works round it.
var uniqueStates = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// SweepArgs is the job that asks what is due. It is not unique: one that is asked for while
// another runs is to see what changed since, and two at once do no harm.
type SweepArgs struct{}

// Kind implements river.JobArgs.
func (SweepArgs) Kind() string { return "sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueSweep, MaxAttempts: 1}
}

// CleanUpArgs is the job that removes what left long ago. It is not unique: a second one at once does nothing.
type CleanUpArgs struct{}

// Kind implements river.JobArgs.
func (CleanUpArgs) Kind() string { return "clean_up" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (CleanUpArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueSweep, MaxAttempts: 1}
}

// ListConnectionArgs is the job that lists a connection.
type ListConnectionArgs struct {
	Connection string `json:"connection"`
	Asked      bool   `json:"asked,omitempty"` // by an administrator, due or not
	Follows    int64  `json:"follows,omitempty"`
}

// Kind implements river.JobArgs.
func (ListConnectionArgs) Kind() string { return "list_connection" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a ListConnectionArgs) InsertOpts() river.InsertOpts {
	priority := priorityScheduled
	if a.Asked {
		priority = priorityAsked
	}
	return river.InsertOpts{
		Queue: queueList, Priority: priority, MaxAttempts: maxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: uniqueStates},
	}
}

func (a ListConnectionArgs) following(job int64) chained { a.Follows = job; return a }

// FetchArgs is the job that fetches a repository. A scheduled one does nothing unless the
// repository is due when it runs, so that two of them fetch once.
type FetchArgs struct {
	Connection string `json:"connection"`
	Number     int64  `json:"number"`
	Asked      bool   `json:"asked,omitempty"` // by hand or by a webhook, due or not
	Follows    int64  `json:"follows,omitempty"`
}

// Kind implements river.JobArgs.
func (FetchArgs) Kind() string { return "fetch" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a FetchArgs) InsertOpts() river.InsertOpts {
	priority := priorityScheduled
	if a.Asked {
		priority = priorityAsked
	}
	return river.InsertOpts{
		Queue: queueFetch, Priority: priority, MaxAttempts: maxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: uniqueStates},
	}
}

func (a FetchArgs) following(job int64) chained { a.Follows = job; return a }

func (a FetchArgs) id() bitbucket.RepoID {
	return bitbucket.RepoID{Connection: a.Connection, Number: a.Number}
}

// RiverConfig returns the configuration of a River client that works the syncer's jobs:
// queues, workers, periodic jobs, and times that fit together.
func (s *Syncer) RiverConfig(logger *slog.Logger) *river.Config {
	workers := river.NewWorkers()
	s.RegisterWorkers(workers)
	return &river.Config{
		Logger:  logger,
		Workers: workers,
		Queues: map[string]river.QueueConfig{
			queueSweep: {MaxWorkers: 2},
			queueList:  {MaxWorkers: listWorkers},
			queueFetch: {MaxWorkers: fetchWorkers},
			queueHeavy: {MaxWorkers: fetchWorkers},
		},
		PeriodicJobs:                s.PeriodicJobs(),
		JobTimeout:                  sweepTimeout,
		RescueStuckJobsAfter:        rescueAfter,
		CompletedJobRetentionPeriod: 10 * time.Minute, // the index holds what matters
	}
}

// RegisterWorkers adds the workers of the syncer's jobs.
func (s *Syncer) RegisterWorkers(workers *river.Workers) {
	river.AddWorker(workers, &sweepWorker{s: s})
	river.AddWorker(workers, &cleanUpWorker{s: s})
	river.AddWorker(workers, &listWorker{s: s})
	river.AddWorker(workers, &fetchWorker{s: s})
}

// PeriodicJobs returns the cleaning up and the sweep: every few seconds it asks the store what is due. So the
// interval of listings, the connections and the schedule of fetches may change at any
// time, and a restart forgets nothing.
func (s *Syncer) PeriodicJobs() []*river.PeriodicJob {
	return []*river.PeriodicJob{
		river.NewPeriodicJob(
			river.PeriodicInterval(sweepInterval),
			func() (river.JobArgs, *river.InsertOpts) { return SweepArgs{}, nil },
			&river.PeriodicJobOpts{ID: "sweep", RunOnStart: true},
		),
		river.NewPeriodicJob(
			river.PeriodicInterval(cleanUpInterval),
			func() (river.JobArgs, *river.InsertOpts) { return CleanUpArgs{}, nil },
			&river.PeriodicJobOpts{ID: "clean_up"},
		),
	}
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]
	s *Syncer
}

// Work implements river.Worker. A job can be there before Start was called.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepArgs]) error {
	select {
	case <-w.s.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := w.s.sweep(ctx)
	if errors.Is(err, ErrNotStarted) {
		return nil // stopped meanwhile
	}
	return err
}

type cleanUpWorker struct {
	river.WorkerDefaults[CleanUpArgs]
	s *Syncer
}

// Timeout implements river.Worker.
func (w *cleanUpWorker) Timeout(*river.Job[CleanUpArgs]) time.Duration { return cleanUpTimeout }

// Work implements river.Worker. What is left to do is found by the next one.
func (w *cleanUpWorker) Work(ctx context.Context, _ *river.Job[CleanUpArgs]) error {
	return w.s.cleanUp(ctx)
}

type listWorker struct {
	river.WorkerDefaults[ListConnectionArgs]
	s *Syncer
}

// Timeout is none: the listing has its own, which counts from its turn.
func (w *listWorker) Timeout(*river.Job[ListConnectionArgs]) time.Duration { return -1 }

// Work implements river.Worker.
func (w *listWorker) Work(ctx context.Context, job *river.Job[ListConnectionArgs]) error {
	return w.s.workListing(ctx, job.Args)
}

func (s *Syncer) workListing(ctx context.Context, args ListConnectionArgs) error {
	conn := s.connection(args.Connection)
	if conn == nil {
		return nil // removed from the configuration since
	}
	end, ok := s.listings.tryBegin(args.Connection)
	if !ok {
		if args.Asked {
			return river.JobSnooze(snooze)
		}
		return nil
	}
	defer end()
	if !args.Asked {
		status, err := s.status(ctx, args.Connection)
		if err != nil {
			return err
		}
		if config, _ := s.current(); !s.listingDue(conn, status, config.RepoListUpdateInterval) {
			return nil
		}
	}
	_, err := s.list(ctx, conn, nil)
	return orLater(ctx, err)
}

type fetchWorker struct {
	river.WorkerDefaults[FetchArgs]
	s *Syncer
}

// Timeout is none: the fetch has its own, which counts from its turn.
func (w *fetchWorker) Timeout(*river.Job[FetchArgs]) time.Duration { return -1 }

// Work implements river.Worker.
func (w *fetchWorker) Work(ctx context.Context, job *river.Job[FetchArgs]) error {
	if job.Args.Asked && w.s.begun.servedJob(job.Args.id(), job.ID) {
		return nil // it was fetched at once; see nudges
	}
	return w.s.workFetch(ctx, job.Args, job.CreatedAt)
}

// workFetch works a fetch that was asked for, or found due, at created.
func (s *Syncer) workFetch(ctx context.Context, args FetchArgs, created time.Time) error {
	end, ok := s.fetches.tryBegin(args.id())
	if !ok {
		if args.Asked {
			return river.JobSnooze(snooze) // once more after the one that runs
		}
		return nil
	}
	defer end()
	if s.begun.between(args.id(), created, s.now()) {
		return nil // another job has done it since
	}
	f, err := s.fetch(ctx, args.id(), fetchOptions{asked: args.Asked})
	wait := s.postponement(args.Connection, f)
	if config, _ := s.current(); config.DisableAutoGitUpdates && f.outcome == outcomePostponed && errors.Is(f.err, errRefused) {
		wait = maxPostponement // no schedule makes up for it
	}
	if err == nil && args.Asked && wait > 0 {
		return river.JobSnooze(wait) // it may not be due: nothing else would think of it
	}
	return orLater(ctx, err)
}

// orLater puts a job that was cut off by a shutdown back, to be worked at the next start.
func orLater(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	return err
}
