package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/syncer"
)

// numberArgs is a job of these tests.
type numberArgs struct {
	Number int `json:"number"`
}

// Kind implements river.JobArgs.
func (numberArgs) Kind() string { return "number" }

// unique refuses a second job of the same number.
var unique = &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}

// numberWorker works numberArgs.
type numberWorker struct {
	river.WorkerDefaults[numberArgs]

	work func(ctx context.Context, number int) error
}

// Work implements river.Worker.
func (w *numberWorker) Work(ctx context.Context, job *river.Job[numberArgs]) error {
	return w.work(ctx, job.Args.Number)
}

// queueConfig is that of a queue that works numberArgs by work.
func queueConfig(work func(ctx context.Context, number int) error) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, &numberWorker{work: work})
	return &river.Config{
		Workers:           workers,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}},
		FetchCooldown:     time.Millisecond,
		FetchPollInterval: 10 * time.Millisecond,
	}
}

// startQueue starts the queue and stops it when the test ends.
func startQueue(t *testing.T, queue *Queue) {
	t.Helper()
	if err := queue.Start(context.Background()); err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { stopQueue(t, queue) })
}

func stopQueue(t *testing.T, queue *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := queue.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// await returns the next event, or fails the test.
func await(t *testing.T, events <-chan *river.Event) *river.Event {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(2 * time.Minute):
		t.Fatal("no event within two minutes")
		return nil
	}
}

func insert(t *testing.T, queue *Queue, number int) *rivertype.JobInsertResult {
	t.Helper()
	result, err := queue.Insert(t.Context(), numberArgs{Number: number}, unique)
	if err != nil {
		t.Fatalf("Insert: %v", err)
	}
	return result
}

func TestJobsAreKeptInTheDatabaseUntilTheyAreWorked(t *testing.T) {
	t.Parallel()
	path := newFile(t)

	s := open(t, path)
	queue, err := s.NewQueue(queueConfig(nil)) // never started
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	if insert(t, queue, 1).UniqueSkippedAsDuplicate || !insert(t, queue, 1).UniqueSkippedAsDuplicate {
		t.Error("of two equal jobs not exactly the second was skipped")
	}
	many, err := queue.InsertMany(t.Context(), []river.InsertManyParams{
		{Args: numberArgs{Number: 1}, InsertOpts: unique}, {Args: numberArgs{Number: 2}, InsertOpts: unique},
	})
	if err != nil || len(many) != 2 || !many[0].UniqueSkippedAsDuplicate || many[1].UniqueSkippedAsDuplicate {
		t.Errorf("InsertMany: %v, %v; want the first skipped", many, err)
	}
	closeStore(t, s)

	s = openUntilEnd(t, path)
	worked := make(chan int, 10)
	queue, err = s.NewQueue(queueConfig(func(_ context.Context, number int) error {
		worked <- number
		return nil
	}))
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	if !insert(t, queue, 2).UniqueSkippedAsDuplicate {
		t.Error("a job that waits since before the restart was not known")
	}
	completed, cancel := queue.Subscribe(river.EventKindJobCompleted)
	defer cancel()
	startQueue(t, queue)
	await(t, completed)
	await(t, completed)
	if sum := <-worked + <-worked; sum != 3 {
		t.Errorf("worked numbers of sum %d, want 1 and 2", sum)
	}
	select {
	case number := <-worked:
		t.Errorf("%d was worked twice", number)
	default:
	}
}

func TestJobsUseTheStoreWhileTheQueueRuns(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	queue, err := s.NewQueue(queueConfig(func(ctx context.Context, number int) error {
		found := someFound(number)
		_, err := s.SaveFound(ctx, "c", 0, found[number-1:])
		return err
	}))
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	events, cancel := queue.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
	defer cancel()
	startQueue(t, queue)
	const jobs = 20
	for number := range jobs {
		insert(t, queue, number+1)
	}
	for range jobs {
		if event := await(t, events); event.Kind != river.EventKindJobCompleted {
			t.Errorf("job %s: %v", event.Job.EncodedArgs, event.Job.Errors)
		}
	}
	if due, err := s.DueMirrors(t.Context(), syncer.DueClones, time.Now(), 2*jobs); err != nil || len(due) != jobs {
		t.Errorf("DueMirrors: %d, %v; want %d", len(due), err, jobs)
	}
}

func TestASecondQueueLeavesTheJobsOfTheFirstAlone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	working, finish := make(chan struct{}), make(chan struct{})
	queue, err := s.NewQueue(queueConfig(func(context.Context, int) error {
		close(working)
		<-finish
		return nil
	}))
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	completed, cancel := queue.Subscribe(river.EventKindJobCompleted)
	defer cancel()
	startQueue(t, queue)
	id := insert(t, queue, 1).Job.ID
	<-working
	second, err := s.NewQueue(&river.Config{})
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	job, err := second.JobGet(t.Context(), id)
	if err != nil || job.State != rivertype.JobStateRunning {
		t.Errorf("JobGet: %v, %v; want it running", job, err)
	}
	close(finish)
	if event := await(t, completed); event.Job.Attempt != 1 {
		t.Errorf("the job took %d attempts, want 1", event.Job.Attempt)
	}
}

func TestAJobWithoutAnAttemptLeftIsNotReleased(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s := open(t, path)
	queue, err := s.NewQueue(queueConfig(nil))
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	id := insert(t, queue, 1).Job.ID
	closeStore(t, s)
	raw(t, path, "UPDATE river_job SET state = 'running', attempt = max_attempts")
	s = openUntilEnd(t, path)
	if queue, err = s.NewQueue(&river.Config{}); err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	job, err := queue.JobGet(t.Context(), id)
	if err != nil || job.State != rivertype.JobStateDiscarded || job.FinalizedAt == nil {
		t.Errorf("JobGet: %+v, %v; want it discarded", job, err)
	}
}

func TestNewQueueNeedsAConfiguration(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if _, err := s.NewQueue(nil); err == nil {
		t.Error("NewQueue without a configuration: no error")
	}
	if _, err := s.NewQueue(&river.Config{MaxAttempts: -1}); err == nil {
		t.Error("NewQueue with a wrong configuration: no error")
	}
	queue, err := s.NewQueue(&river.Config{})
	if err != nil {
		t.Fatalf("NewQueue: %v", err)
	}
	if _, err := queue.JobGet(t.Context(), 1); !errors.Is(err, rivertype.ErrNotFound) {
		t.Errorf("JobGet: error %v, want rivertype.ErrNotFound", err)
	}
}
