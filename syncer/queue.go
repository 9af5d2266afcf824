package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// ErrNotStarted means that there is no queue: the syncer was not started, or is stopped.
var ErrNotStarted = errors.New("the syncer is not started")

// Queue stores jobs. A River client of any database fills it in. Jobs that a killed process
// was working on are available again after a restart. Safe for concurrent use.
type Queue interface {
	// Insert stores a job. For one that is stored already, the result says so and holds that one.
	Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
	// InsertMany stores jobs in one transaction, with a result for each.
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

const (
	// Jobs are stored in transactions of this size, so that other writers get their turn.
	jobsPerInsert = 500
	// maxChain bounds the walk along running jobs; see enqueue.
	maxChain = 64
	// River puts no job off for longer: a failed one waits for minutes, all others are to be worked at once.
	farAhead = 10 * time.Minute
)

// chained are args of which only one job waits at a time.
type chained interface {
	river.JobArgs
	// following returns the args of the job that runs after job.
	following(job int64) chained
}

// enqueue stores a job unless the same one waits already. River's unique jobs cannot leave
// the running state out, and there a job must not count: what is asked for while the same
// runs may have happened after the running one looked. So the args hold the number of the
// job that they follow, and a running job is followed by one more, which is unique in turn. So is one
// that waits for a clock which has been set back. It returns the number of the job that waits.
func (s *Syncer) enqueue(ctx context.Context, args chained) (job int64, err error) {
	queue := s.startedQueue()
	if queue == nil {
		return 0, ErrNotStarted
	}
	for range maxChain {
		result, err := queue.Insert(ctx, args, nil)
		if err != nil {
			return 0, fmt.Errorf("store a %s job: %w", args.Kind(), err)
		}
		if !result.UniqueSkippedAsDuplicate || (result.Job.State != rivertype.JobStateRunning && !s.farAhead(result.Job)) {
			return result.Job.ID, nil
		}
		args = args.following(result.Job.ID)
	}
	// So many cannot run: these are jobs whose end could not be stored; see enqueueLost. One that
	// follows none of them is stored in any case.
	result, err := queue.Insert(ctx, args.following(-s.now().UnixNano()), nil)
	if err != nil {
		return 0, fmt.Errorf("store a %s job: %w", args.Kind(), err)
	}
	return result.Job.ID, nil
}

// enqueueFetches stores scheduled fetches of a kind. One that this process is working on is left out:
// its end says when the next one is due. One whose job was lost is followed; see enqueueLost.
func (s *Syncer) enqueueFetches(ctx context.Context, kind DueKind, due []Due) error {
	queue := s.startedQueue()
	if queue == nil {
		return nil
	}
	for chunk := range slices.Chunk(due, jobsPerInsert) {
		params := make([]river.InsertManyParams, 0, len(chunk))
		for _, d := range chunk {
			if s.fetches.busy(d.ID) {
				continue
			}
			opts := &river.InsertOpts{Queue: queueFetch, Priority: priorityScheduled}
			if kind == DueClones || d.SizeBytes >= heavySize {
				opts = &river.InsertOpts{Queue: queueHeavy, Priority: priorityNew}
			}
			params = append(params, river.InsertManyParams{
				Args: FetchArgs{Connection: d.ID.Connection, Number: d.ID.Number}, InsertOpts: opts,
			})
		}
		if len(params) == 0 {
			continue
		}
		results, err := queue.InsertMany(ctx, params)
		if err != nil {
			return fmt.Errorf("store %d fetch jobs: %w", len(params), err)
		}
		for i, result := range results {
			if err := s.enqueueLost(ctx, params[i].Args.(FetchArgs), result); err != nil {
				return err
			}
		}
	}
	return nil
}

// enqueueLost stores a scheduled fetch that was kept out by a job that nobody works on. River gives
// up storing the end of a job after some seconds in which the database fails, as it does on a full disk;
// until such a job is rescued, it would keep its repository from every scheduled fetch. So would one that was
// stored before the clock was set back. A living job that is just beginning or ending may be
// taken for a lost one: what follows it finds nothing due.
func (s *Syncer) enqueueLost(ctx context.Context, args FetchArgs, result *rivertype.JobInsertResult) error {
	if !result.UniqueSkippedAsDuplicate {
		return nil
	}
	lost := result.Job.State == rivertype.JobStateRunning && !s.fetches.busy(args.id())
	if !lost && !s.farAhead(result.Job) {
		return nil
	}
	_, err := s.enqueue(ctx, args.following(result.Job.ID))
	return err
}

// farAhead tells that a job waits for a time that only a clock that was set back since explains.
func (s *Syncer) farAhead(job *rivertype.JobRow) bool {
	return job.State != rivertype.JobStateRunning && job.ScheduledAt.After(s.now().Add(farAhead))
}

// enqueueNew stores the first fetch of records that have no mirror yet.
func (s *Syncer) enqueueNew(ctx context.Context, records []Record) error {
	var due []Due
	for _, r := range records {
		if wanted(r) && r.Mirror.LastFetch.IsZero() && r.Mirror.NextFetch.IsZero() {
			due = append(due, Due{ID: r.ID})
		}
	}
	return s.enqueueFetches(ctx, DueClones, due)
}

func (s *Syncer) startedQueue() Queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.queue
}
