package syncer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/sourcegraph"
)

// memory is a database in memory: it fills IndexStore, RecordReader and StatusStore by their contracts.
type memory struct {
	departures
	mu       sync.Mutex
	fail     func(method string) error // an error for a method, if not nil
	number   int64
	records  map[bitbucket.RepoID]Record
	seen     map[int64]map[int64]bool // by listing, the repositories
	statuses map[string]ConnectionStatus
	finished []int64  // the listings that were finished
	read     []string // the connections whose records EachRecord was asked for
}

func newMemory() *memory {
	return &memory{
		departures: departures{
			left: make(map[bitbucket.RepoID]time.Time), gone: make(map[string]time.Time), origins: make(map[string][]string),
		},
		records: make(map[bitbucket.RepoID]Record), seen: make(map[int64]map[int64]bool),
		statuses: make(map[string]ConnectionStatus),
	}
}

func (m *memory) failure(method string) error {
	if m.fail == nil {
		return nil
	}
	return m.fail(method)
}

func (m *memory) BeginListing(context.Context, string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.number++
	m.seen[m.number] = make(map[int64]bool)
	return m.number, m.failure("BeginListing")
}

func (m *memory) SaveFound(_ context.Context, _ string, listing int64, found []Found) (Changes, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("SaveFound"); err != nil {
		return Changes{}, err
	}
	var changes Changes
	for _, f := range found {
		if listing != 0 {
			m.seen[listing][f.ID.Number] = true
		}
		before, known := m.records[f.ID]
		r := before
		r.Repository, r.Selected, r.Reason, r.MissingSince = f.Repository, f.Selected, f.Reason, time.Time{}
		if known && before.Address != f.Address && before.Address != (bitbucket.Address{}) {
			r.Former = append(slices.Clone(r.Former), before.Address)
		}
		m.leave(r, time.Now())
		m.records[f.ID] = r
		switch {
		case known && before.Selected == r.Selected && before.Repository == r.Repository && before.MissingSince.IsZero():
		case r.Selected:
			changes.Upserted = append(changes.Upserted, r)
		case before.Selected:
			changes.Removed = append(changes.Removed, f.ID)
		}
	}
	return changes, nil
}

func (m *memory) FinishListing(_ context.Context, connection string, listing int64, maxDeletions int, now time.Time) (Finished, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("FinishListing"); err != nil {
		return Finished{}, err
	}
	m.finished = append(m.finished, listing)
	var f Finished
	for _, r := range m.sorted(connection) {
		if m.seen[listing][r.ID.Number] || !r.MissingSince.IsZero() {
			continue
		}
		f.Missing++
		if len(m.seen[listing]) == 0 || (maxDeletions > 0 && f.Missing > maxDeletions) {
			f.Withheld++
			continue
		}
		f.Removed = append(f.Removed, r.ID)
		r.Selected, r.Reason, r.MissingSince = false, "missing since "+now.Format(time.RFC3339), now
		m.leave(r, now)
		m.records[r.ID] = r
	}
	return f, nil
}

func (m *memory) SaveMirror(_ context.Context, id bitbucket.RepoID, status MirrorStatus) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("SaveMirror"); err != nil {
		return err
	}
	r, ok := m.records[id]
	if !ok {
		return ErrNoRecord
	}
	r.Mirror = status
	m.records[id] = r
	return nil
}

func (m *memory) SaveMirrors(ctx context.Context, statuses map[bitbucket.RepoID]MirrorStatus) (gone []bitbucket.RepoID, err error) {
	for id, status := range statuses {
		switch err := m.SaveMirror(ctx, id, status); {
		case errors.Is(err, ErrNoRecord):
			gone = append(gone, id)
		case err != nil:
			return nil, err
		}
	}
	return gone, nil
}

func (m *memory) RecordsOf(_ context.Context, ids []bitbucket.RepoID) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Record
	for _, id := range ids {
		if r, ok := m.records[id]; ok {
			all = append(all, r)
		}
	}
	return all, m.failure("Record")
}

func (m *memory) Record(_ context.Context, id bitbucket.RepoID) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[id]
	if !ok {
		return Record{}, ErrNoRecord
	}
	return r, m.failure("Record")
}

func (m *memory) RecordAt(_ context.Context, connection string, address bitbucket.Address) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, former := range []bool{false, true} {
		for _, r := range m.sorted(connection) {
			at := []bitbucket.Address{r.Address}
			if former {
				at = r.Former
			}
			if slices.ContainsFunc(at, func(a bitbucket.Address) bool { return strings.EqualFold(a.String(), address.String()) }) {
				return r, nil
			}
		}
	}
	return Record{}, ErrNoRecord
}

func (m *memory) EachRecord(_ context.Context, connection string, yield func(Record) error) error {
	m.mu.Lock()
	all := m.sorted(connection)
	m.read = append(m.read, connection)
	err := m.failure("EachRecord")
	m.mu.Unlock()
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) ListRecords(_ context.Context, after bitbucket.RepoID, limit int, match func(Record) bool) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var listed []Record
	for _, r := range m.sorted("") {
		behind := cmp.Or(cmp.Compare(r.ID.Connection, after.Connection), cmp.Compare(r.ID.Number, after.Number)) > 0
		if behind && len(listed) < limit && match(r) {
			listed = append(listed, r)
		}
	}
	return listed, m.failure("ListRecords")
}

func (m *memory) DueMirrors(_ context.Context, kind DueKind, now time.Time, limit int) ([]Due, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	due := slices.DeleteFunc(m.sorted(""), func(r Record) bool {
		return !wanted(r) || !isDue(r.Mirror, now) || r.Mirror.LastFetch.IsZero() != (kind == DueClones)
	})
	slices.SortStableFunc(due, func(a, b Record) int {
		failed := func(r Record) int { return min(r.Mirror.Failures, 1) }
		if kind == DueClones && failed(a) != failed(b) {
			return failed(a) - failed(b)
		}
		return a.Mirror.NextFetch.Compare(b.Mirror.NextFetch)
	})
	all := make([]Due, 0, len(due))
	for _, r := range due[:min(limit, len(due))] {
		all = append(all, Due{ID: r.ID, SizeBytes: r.Mirror.SizeBytes})
	}
	return all, m.failure("DueMirrors")
}

func (m *memory) SaveConnectionStatus(_ context.Context, status ConnectionStatus) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statuses[status.Connection] = status
	return m.failure("SaveConnectionStatus")
}

func (m *memory) ConnectionStatuses(context.Context) ([]ConnectionStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.statuses)), m.failure("ConnectionStatuses")
}

// sorted returns the records of a connection ("": of all). The caller holds mu.
func (m *memory) sorted(connection string) []Record {
	var all []Record
	for id, r := range m.records {
		if connection == "" || id.Connection == connection {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.ID.Connection, b.ID.Connection), cmp.Compare(a.ID.Number, b.ID.Number))
	})
	return all
}

// selected returns the addresses of the selected records, in the order of their numbers.
func (m *memory) selected() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, r := range m.sorted("") {
		if r.Selected {
			all = append(all, r.String())
		}
	}
	return all
}

func (m *memory) record(t *testing.T, id bitbucket.RepoID) Record {
	t.Helper()
	r, err := m.Record(t.Context(), id)
	if err != nil {
		t.Fatalf("record %s: %v", id, err)
	}
	return r
}

// codeHost is a Bitbucket with function fields.
type codeHost struct {
	version bitbucket.Version
	account func() (string, error)
	list    func(query ListQuery, yield func([]bitbucket.Repository) error) error
	one     func(address bitbucket.Address) (bitbucket.Repository, error)

	mu    sync.Mutex
	calls []string
}

func (h *codeHost) note(call string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, call)
}

func (h *codeHost) count(call string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, c := range h.calls {
		if c == call {
			n++
		}
	}
	return n
}

func (h *codeHost) Version(context.Context) (bitbucket.Version, error) { return h.version, nil }

func (h *codeHost) Account(context.Context) (string, error) {
	h.note("account")
	if h.account == nil {
		return "bot", nil
	}
	return h.account()
}

func (h *codeHost) ListRepositories(_ context.Context, query ListQuery, yield func([]bitbucket.Repository) error) error {
	h.note("list " + query.ProjectKey + query.Query)
	return h.list(query, yield)
}

func (h *codeHost) Repository(_ context.Context, address bitbucket.Address) (bitbucket.Repository, error) {
	h.note("one " + address.String())
	return h.one(address)
}

func (h *codeHost) HasBranches(_ context.Context, address bitbucket.Address) (bool, error) {
	h.note("branches of " + address.String())
	return false, nil
}

// serve makes the host list these repositories, all of them or a project's, two to a page.
func (h *codeHost) serve(repositories ...bitbucket.Repository) {
	h.list = func(query ListQuery, yield func([]bitbucket.Repository) error) error {
		var page []bitbucket.Repository
		for _, r := range repositories {
			if query.ProjectKey != "" && !strings.EqualFold(query.ProjectKey, r.Key) {
				continue
			}
			if page = append(page, r); len(page) == 2 {
				if err := yield(page); err != nil {
					return err
				}
				page = nil
			}
		}
		return yield(page)
	}
	h.one = func(address bitbucket.Address) (bitbucket.Repository, error) {
		for _, r := range repositories {
			if strings.EqualFold(r.String(), address.String()) {
				return r, nil
			}
		}
		return bitbucket.Repository{}, bitbucket.ErrNotFound
	}
}

type codeHosts map[string]*codeHost

func (h codeHosts) CodeHost(connection string) (CodeHost, error) {
	host, ok := h[connection]
	if !ok {
		return nil, ErrNoConnection
	}
	return host, nil
}

// mirrors is a disk with function fields.
type mirrors struct {
	fetch  func(ctx context.Context, request FetchRequest) (FetchResult, error)
	remove func(id bitbucket.RepoID) error // nothing if nil

	unclaimed map[bitbucket.RepoID]time.Time // the mirrors that Mirrored tells of, and their notes
}

func (m *mirrors) Mirrored(context.Context) (all []Mirrored, err error) {
	for id, since := range m.unclaimed {
		all = append(all, Mirrored{Repo: id, Unclaimed: since})
	}
	return all, nil
}

func (m *mirrors) SetUnclaimed(_ context.Context, id bitbucket.RepoID, since time.Time) error {
	if _, there := m.unclaimed[id]; there {
		m.unclaimed[id] = since
	}
	return nil
}

func (m *mirrors) Fetch(ctx context.Context, request FetchRequest) (FetchResult, error) {
	return m.fetch(ctx, request)
}

func (m *mirrors) Remove(_ context.Context, id bitbucket.RepoID) error {
	if m.remove == nil {
		return nil
	}
	return m.remove(id)
}

// listener keeps what it is told.
type listener struct {
	mu      sync.Mutex
	changes []Changes
	refs    []bitbucket.RepoID
}

func (l *listener) RepositoriesChanged(changes Changes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, changes)
}

func (l *listener) RefsChanged(repo bitbucket.RepoID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs = append(l.refs, repo)
}

// queue keeps jobs as River does: unique by kind and args while they are not completed.
type queue struct {
	mu   sync.Mutex
	jobs []*rivertype.JobRow
}

func (q *queue) Insert(_ context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.insert(args, opts)
}

func (q *queue) InsertMany(_ context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var results []*rivertype.JobInsertResult
	for _, p := range params {
		r, err := q.insert(p.Args, p.InsertOpts)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

func (q *queue) insert(args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	encoded, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	defaults, ok := args.(river.JobArgsWithInsertOpts)
	if !ok {
		return nil, errors.New("args without options")
	}
	o := defaults.InsertOpts()
	for _, job := range q.jobs {
		if o.UniqueOpts.ByArgs && job.Kind == args.Kind() && string(job.EncodedArgs) == string(encoded) && job.State != rivertype.JobStateCompleted {
			return &rivertype.JobInsertResult{Job: job, UniqueSkippedAsDuplicate: true}, nil
		}
	}
	job := &rivertype.JobRow{
		ID: int64(len(q.jobs) + 1), Kind: args.Kind(), EncodedArgs: encoded, State: rivertype.JobStateAvailable,
		Queue: o.Queue, Priority: o.Priority,
	}
	if opts != nil && opts.Priority != 0 {
		job.Priority = opts.Priority
	}
	if opts != nil && opts.Queue != "" {
		job.Queue = opts.Queue
	}
	q.jobs = append(q.jobs, job)
	return &rivertype.JobInsertResult{Job: job}, nil
}

// waiting returns kind and args of the jobs that wait, in the order of their insertion.
func (q *queue) waiting() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []string
	for _, job := range q.jobs {
		if job.State == rivertype.JobStateAvailable {
			all = append(all, job.Kind+" "+string(job.EncodedArgs))
		}
	}
	return all
}

func (q *queue) set(job int64, state rivertype.JobState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs[job-1].State = state
}

// complete ends all jobs.
func (q *queue) complete() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, job := range q.jobs {
		job.State = rivertype.JobStateCompleted
	}
}

// last returns the youngest job of a kind.
func (q *queue) last(kind string) *rivertype.JobRow {
	q.mu.Lock()
	defer q.mu.Unlock()
	var last *rivertype.JobRow
	for _, job := range q.jobs {
		if job.Kind == kind {
			last = job
		}
	}
	return last
}

// bench is a Syncer with its fakes around it.
type bench struct {
	*Syncer
	memory   *memory
	host     *codeHost // of the connection "bitbucket"
	hosts    codeHosts
	mirrors  *mirrors
	listener *listener
	queue    *queue
	clock    time.Time // what Now says; not to be changed while something runs
}

func newBench(t *testing.T, connections ...siteconfig.Connection) *bench {
	t.Helper()
	host := &codeHost{version: bitbucket.Version{Major: 7, Minor: 21}}
	host.serve()
	b := &bench{
		memory: newMemory(), host: host, hosts: codeHosts{"bitbucket": host}, listener: &listener{}, queue: &queue{},
		mirrors: &mirrors{fetch: func(context.Context, FetchRequest) (FetchResult, error) {
			return FetchResult{Cloned: true, Changed: true, RefsDigest: "d1", DefaultBranch: "main", SizeBytes: 7}, nil
		}},
		clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	s, err := New(Options{
		Index: b.memory, Records: b.memory, Status: b.memory, Hosts: b.hosts, Mirrors: b.mirrors, Folders: b.mirrors, Listener: b.listener,
		Remote: func(string) (http.RoundTripper, func(*http.Request), error) {
			return http.DefaultTransport, nil, nil
		},
		Now: func() time.Time { return b.clock }, Jitter: func() float64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Syncer = s
	if len(connections) == 0 {
		connections = []siteconfig.Connection{connectionOf("bitbucket", nil)}
	}
	s.SetConfig(&siteconfig.Config{
		Connections: connections, RepoListUpdateInterval: time.Minute, MaxConcurrentClones: 2,
	})
	return b
}

// start gives the bench its queue.
func (b *bench) start(t *testing.T) {
	t.Helper()
	if err := b.Start(t.Context(), b.queue); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil { // the test's context is at its end
			t.Error(err)
		}
	})
}

// listNow lists a connection and returns its status.
func (b *bench) listNow(t *testing.T, connection string) ConnectionStatus {
	t.Helper()
	status, err := b.list(t.Context(), b.connection(connection), nil)
	if err != nil {
		t.Fatalf("list %s: %v", connection, err)
	}
	return status
}

// connectionOf returns a connection at https://NAME.example.com.
func connectionOf(name string, change func(*siteconfig.Connection)) siteconfig.Connection {
	base, err := bitbucket.ParseBaseURL("https://" + name + ".example.com")
	if err != nil {
		panic(err)
	}
	pattern, err := sourcegraph.ParsePathPattern("")
	if err != nil {
		panic(err)
	}
	c := siteconfig.Connection{
		Name: name, Server: bitbucket.Server{Name: name, Addresses: []bitbucket.BaseURL{base}}, Pattern: pattern,
		Token: siteconfig.NewSecret("canary-token"), GitURLType: "http", Archived: "include",
	}
	if change != nil {
		change(&c)
	}
	return c
}

// repo returns an AVAILABLE repository of the connection "bitbucket".
func repo(number int64, address string) bitbucket.Repository {
	key, slug, _ := strings.Cut(address, "/")
	return bitbucket.Repository{
		ID: bitbucket.RepoID{Connection: "bitbucket", Number: number}, Address: bitbucket.Address{Key: key, Slug: slug},
		Name: slug, ProjectName: "Project " + key, Personal: strings.HasPrefix(key, "~"), State: bitbucket.StateAvailable,
		CloneHTTP: "https://bitbucket.example.com/scm/" + strings.ToLower(key) + "/" + slug + ".git",
	}
}

func id(number int64) bitbucket.RepoID {
	return bitbucket.RepoID{Connection: "bitbucket", Number: number}
}
