package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/signpost/internal/bitbucket"
)

// connectionsAtOnce is how many connections RunOnce lists at a time.
const connectionsAtOnce = 4

// RunOptions says what RunOnce does.
type RunOptions struct {
	// Only names the repositories to fetch, "KEY/slug" or "connection:KEY/slug", in any case and by former
	// addresses too; empty means all that are selected.
	Only     []string
	Progress Progress // is told nothing if nil
}

// Progress is told how a RunOnce goes. Repositories are named "connection:KEY/slug". The
// methods return quickly and are safe for concurrent use.
type Progress interface {
	// Listed: a connection's listing has found so many repositories so far.
	Listed(connection string, found int)
	// Total: all listings are done, and so many repositories are to be fetched.
	Total(repositories int)
	// Started: the fetch of a repository has its turn.
	Started(repository string)
	// Said: the server said something during a fetch, such as "Receiving objects: 42 %".
	Said(repository, text string)
	// Finished: a repository is done, with or without Started before. problem is "" unless it failed.
	Finished(repository string, result FetchResult, problem string)
}

// Report is what a RunOnce did.
type Report struct {
	Connections  []ConnectionStatus // in the configuration's order; their Error may hold warnings of a complete listing
	Repositories int                // that were to be fetched
	Cloned       int
	Changed      int
	Unchanged    int
	Failed       int            // fetches that failed, or were not tried because the credential is refused
	Failures     []Failure      // ordered by connection and repository
	Received     int64          // bytes that came over the network, of the fetches that did not fail
	Engines      map[string]int // how many repositories each git engine brought objects of
}

// Failure is a repository that could not be fetched, or a connection that could not be
// listed completely (then Repository is "").
type Failure struct {
	Connection string
	Repository string // KEY/slug, or as RunOptions.Only spells it
	Error      string // in plain words, without secrets
}

// RunOnce lists all connections and fetches every selected repository, due or not, in the
// foreground and without a queue. What fails is in the report and does not stop the rest; the error is for
// what went wrong here: the database, or the end of ctx. The report holds what was done until then.
func (s *Syncer) RunOnce(ctx context.Context, o RunOptions) (Report, error) {
	r := &run{s: s, progress: o.Progress}
	if r.progress == nil {
		r.progress = silent{}
	}
	err := r.list(ctx)
	if err == nil {
		err = r.fetch(ctx, o.Only)
	}
	slices.SortStableFunc(r.report.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.Repository, b.Repository))
	})
	return r.report, err
}

// run is a RunOnce under way.
type run struct {
	s        *Syncer
	progress Progress

	mu       sync.Mutex
	report   Report
	patience time.Time // until when a Bitbucket that does not answer is waited for; zero: it was not needed
}

// list lists the connections, and notes those that could not be listed completely.
func (r *run) list(ctx context.Context) error {
	_, conns := r.s.current()
	statuses := make([]ConnectionStatus, len(conns))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(connectionsAtOnce)
	for i, conn := range conns {
		group.Go(func() (err error) {
			end, err := r.s.listings.begin(ctx, conn.Name)
			if err != nil {
				return err
			}
			defer end()
			statuses[i], err = r.s.list(ctx, conn, func(found int) { r.progress.Listed(conn.Name, found) })
			return err
		})
	}
	err := group.Wait()
	r.report.Connections = statuses
	if err != nil {
		return err
	}
	for _, status := range statuses {
		if !status.LastComplete.Equal(status.LastAttempt) {
			r.fail(Failure{Connection: status.Connection, Error: status.Error})
		}
	}
	return nil
}

// fetch fetches the selected repositories, or those named in only.
func (r *run) fetch(ctx context.Context, only []string) error {
	chosen, err := r.choose(ctx, only)
	if err != nil {
		return err
	}
	r.report.Repositories = len(chosen)
	r.progress.Total(len(chosen))
	postponed := make(map[string]fetched)
	counts := make(map[string]int)
	saves := &saves{store: r.s.opts.Index.SaveMirrors}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchWorkers) // the gate lets fewer in
	for some := range slices.Chunk(chosen, fetchWorkers) {
		ready, err := r.prepare(ctx, some)
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		for _, c := range ready {
			group.Go(func() error {
				f, err := r.fetchOne(ctx, c, saves)
				if err != nil {
					return err
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.count(c.choice, f)
				if f.outcome == outcomePostponed {
					postponed[c.id.Connection] = f
					counts[c.id.Connection]++
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for connection, f := range postponed {
		r.fail(Failure{Connection: connection, Error: fmt.Sprintf("%d repositories were not tried: %s", counts[connection], f.problem)})
	}
	return nil
}

// prepared is a repository that is about to be fetched.
type prepared struct {
	choice
	end    func()  // ends its flight; nil while somebody else's is under way
	record *Record // read since then, at read; nil when there is none
	read   time.Time
}

// prepare begins the flights of what is chosen, and then reads the records, all in one go.
func (r *run) prepare(ctx context.Context, chosen []choice) ([]prepared, error) {
	all := make([]prepared, len(chosen))
	at := make(map[bitbucket.RepoID]*prepared, len(chosen))
	var ids []bitbucket.RepoID
	for i, c := range chosen {
		all[i] = prepared{choice: c, read: r.s.now()}
		if end, ok := r.s.fetches.tryBegin(c.id); ok {
			all[i].end, at[c.id] = end, &all[i]
			ids = append(ids, c.id)
		}
	}
	records, err := r.s.opts.Records.RecordsOf(ctx, ids)
	if err != nil {
		for _, p := range at {
			p.end()
		}
		return nil, fmt.Errorf("read the records of %d repositories: %w", len(ids), err)
	}
	for i := range records {
		at[records[i].ID].record = &records[i]
	}
	return all, nil
}

// recordAge is how old a record may be when its fetch begins to wait for its turn.
const recordAge = time.Second

// fetchOne fetches a repository, and ends its flight.
func (r *run) fetchOne(ctx context.Context, c prepared, saves *saves) (fetched, error) {
	if c.end == nil {
		var err error
		if c.end, err = r.s.fetches.begin(ctx, c.id); err != nil {
			return fetched{}, err
		}
	}
	defer c.end()
	name := c.id.Connection + ":" + c.address.String()
	o := fetchOptions{
		asked:    true,
		started:  func() { r.progress.Started(name) },
		progress: func(text string) { r.progress.Said(name, text) },
		saves:    saves,
	}
	if age := r.s.now().Sub(c.read); 0 <= age && age <= recordAge {
		o.record = c.record
	}
	f, err := r.s.fetch(ctx, c.id, o)
	for err == nil && r.sitOut(ctx, c.id.Connection, f) {
		o.record = nil
		f, err = r.s.fetch(ctx, c.id, o)
	}
	if err == nil {
		r.progress.Finished(name, f.result, f.problem)
	}
	return f, err
}

// count notes how a fetch ended. The caller holds mu.
func (r *run) count(c choice, f fetched) {
	r.report.Received += f.result.Received
	if engine := f.result.Engine; engine != "" {
		if r.report.Engines == nil {
			r.report.Engines = make(map[string]int)
		}
		r.report.Engines[engine]++
	}
	switch f.outcome {
	case outcomeCloned:
		r.report.Cloned++
	case outcomeChanged:
		r.report.Changed++
	case outcomeUnchanged:
		r.report.Unchanged++
	case outcomeFailed:
		r.report.Failed++
		r.report.Failures = append(r.report.Failures, Failure{
			Connection: c.id.Connection, Repository: c.address.String(), Error: f.problem,
		})
	case outcomePostponed:
		r.report.Failed++ // one Failure for all of the connection
	case outcomeSkipped: // left the selection since it was chosen
		r.report.Repositories--
	}
}

func (r *run) fail(f Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Failures = append(r.report.Failures, f)
}

// choice is a repository that a run fetches.
type choice struct {
	id      bitbucket.RepoID
	address bitbucket.Address
}

// choose returns what to fetch, and notes the names in only that name nothing to fetch.
func (r *run) choose(ctx context.Context, only []string) ([]choice, error) {
	if len(only) > 0 {
		return r.chooseNamed(ctx, only)
	}
	var chosen []choice
	err := r.s.opts.Records.EachRecord(ctx, "", func(record Record) error {
		if wanted(record) && r.s.connection(record.ID.Connection) != nil {
			chosen = append(chosen, choice{record.ID, record.Address})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return chosen, nil
}

func (r *run) chooseNamed(ctx context.Context, only []string) ([]choice, error) {
	_, conns := r.s.current()
	var chosen []choice
	for _, name := range only {
		connection, address, ok := parseName(name)
		if !ok {
			r.fail(Failure{Connection: connection, Repository: name, Error: "write KEY/slug or connection:KEY/slug"})
			r.report.Failed++
			continue
		}
		why := "no connection has it in the index; check the name, and the connection's selection"
		found := false
		for _, conn := range conns {
			if connection != "" && connection != conn.Name {
				continue
			}
			record, err := r.s.opts.Records.RecordAt(ctx, conn.Name, address)
			switch {
			case errors.Is(err, ErrNoRecord):
			case err != nil:
				return nil, fmt.Errorf("read the record of %s: %w", name, err)
			case !wanted(record):
				why = record.Reason
			default:
				found = true
				if c := (choice{record.ID, record.Address}); !slices.Contains(chosen, c) {
					chosen = append(chosen, c)
				}
			}
		}
		if !found {
			r.fail(Failure{Connection: connection, Repository: name, Error: why})
			r.report.Failed++
		}
	}
	return chosen, nil
}

// parseName reads "KEY/slug" or "connection:KEY/slug".
func parseName(name string) (connection string, address bitbucket.Address, ok bool) {
	connection, rest, qualified := strings.Cut(name, ":")
	if !qualified {
		connection, rest = "", name
	}
	key, slug, ok := strings.Cut(rest, "/")
	return connection, bitbucket.Address{Key: key, Slug: slug}, ok && key != "" && slug != "" && !strings.Contains(slug, "/")
}

// silent is the Progress of those who want none.
type silent struct{}

// Listed implements Progress.
func (silent) Listed(string, int) {}

// Total implements Progress.
func (silent) Total(int) {}

// Started implements Progress.
func (silent) Started(string) {}

// Said implements Progress.
func (silent) Said(string, string) {}

// Finished implements Progress.
func (silent) Finished(string, FetchResult, string) {}
