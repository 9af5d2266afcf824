package syncer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// Options says what a Syncer works with. The caller closes what it puts in, after Stop.
type Options struct {
	Index   IndexStore   // required
	Records RecordReader // required
	Status  StatusStore  // required
	Hosts   CodeHosts    // required
	Mirrors Mirrors      // required
	// Remote returns how a connection's Bitbucket is reached by git: its trust, proxy and rate limit,
	// and what adds the credential to a request. ErrNoConnection. Required.
	Remote func(connection string) (transport http.RoundTripper, authorize func(*http.Request), err error)

	// Suspended tells whether a connection is left alone now, because its Bitbucket does not answer or asked for
	// it, and until when. Nothing is fetched then, and no repository is to blame. Never if nil. Safe for concurrent use.
	Suspended func(connection string) (until time.Time, suspended bool)
	// Answers asks a connection's Bitbucket whether it answers at all, by the cheapest question, after a fetch that
	// failed as it does when it does not: an outage begins before the connection is left alone. It does if nil. Safe for
	// concurrent use.
	Answers func(ctx context.Context, connection string) bool

	Folders      MirrorFolders    // if nil, mirrors that no record knows stay
	Listener     Listener         // is told nothing if nil
	Logger       *slog.Logger     // discards if nil
	Now          func() time.Time // time.Now if nil
	Jitter       func() float64   // between -1 and 1; random if nil. Safe for concurrent use
	FetchTimeout time.Duration    // of one fetch, waiting for its turn not counted; 2 h if zero
	ListTimeout  time.Duration    // of one listing of a connection; 1 h if zero
}

// Syncer lists the connections and keeps the mirrors up to date. It does nothing until its
// jobs are worked (RiverConfig, Start) or RunOnce is called. Safe for concurrent use.
type Syncer struct {
	opts      Options
	log       *slog.Logger
	gate      *gate
	fetches   flights[bitbucket.RepoID]
	listings  flights[string]
	begun     moments
	nudges    *nudges
	slow      slow
	departing *departing
	names     collisions
	metrics   *metrics
	wake      chan struct{} // asks for a sweep now; holds one
	started   chan struct{} // closed by Start

	// deciding is held for writing while a new configuration takes effect, and for reading while
	// a decision is stored and announced. It is taken before mu.
	deciding sync.RWMutex

	mu      sync.RWMutex
	config  *siteconfig.Config
	conns   map[string]*connection // of config
	queue   Queue                  // nil before Start and after Stop
	stop    context.CancelFunc     // nil unless started
	stopped chan struct{}
}

// New returns a Syncer with an empty configuration.
func New(o Options) (*Syncer, error) {
	if o.Index == nil || o.Records == nil || o.Status == nil || o.Hosts == nil || o.Mirrors == nil || o.Remote == nil {
		return nil, errors.New("syncer: Options needs Index, Records, Status, Hosts, Mirrors and Remote")
	}
	if o.Listener == nil {
		o.Listener = deaf{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = func() float64 { return 2*rand.Float64() - 1 }
	}
	o.FetchTimeout = cmp.Or(o.FetchTimeout, 2*time.Hour)
	o.ListTimeout = cmp.Or(o.ListTimeout, time.Hour)
	s := &Syncer{
		opts:    o,
		log:     cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		gate:    newGate(1),
		wake:    make(chan struct{}, 1),
		started: make(chan struct{}),
		config:  &siteconfig.Config{},
	}
	s.metrics = newMetrics()
	s.nudges = newNudges(s.fetchAsked)
	s.departing = newDeparting(s.now())
	return s, nil
}

// SetConfig makes the configuration the one that everything from now on obeys. A
// connection whose entry is unchanged keeps what is known of its credential; one that is new or
// changed is listed at the next sweep, which is asked for at once.
//
// Records that a changed selection certainly leaves out have left the index, and the Listener
// knows, when SetConfig returns; Bitbucket is not asked. When the database fails, that is
// logged, and the next listing begins with it. The first SetConfig leaves the records alone:
// EachLinked looks at them after a start.
func (s *Syncer) SetConfig(config *siteconfig.Config) {
	if config == nil {
		config = &siteconfig.Config{}
	}
	s.gate.resize(config.MaxConcurrentClones)
	s.deciding.Lock()
	defer s.deciding.Unlock()
	origins := s.origins()
	s.mu.Lock()
	first := s.conns == nil
	conns := make(map[string]*connection, len(config.Connections))
	for i := range config.Connections {
		c := &config.Connections[i]
		old := s.conns[c.Name]
		if old != nil && old.same(c) {
			conns[c.Name] = old
		} else {
			conns[c.Name] = newConnection(c)
			// After a start, the stored status says when a listing is due.
			conns[c.Name].changed.Store(!first)
		}
	}
	findMoved(conns, s.conns, origins)
	var unsettled []*connection
	for i := range config.Connections {
		c := &config.Connections[i]
		old, conn := s.conns[c.Name], conns[c.Name]
		// A connection that comes back may have had another selection when it went.
		if !first && (old == nil || old.unsettled.Load() || !old.sameSelection(c) || (old != conn && conn.moved.Load())) {
			unsettled = append(unsettled, conn)
		}
	}
	s.config, s.conns = config, conns
	s.mu.Unlock()
	s.settleAll(unsettled)
	s.names.forget() // a pattern may have changed
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// FetchSoon asks for a fetch of a repository ahead of its schedule, which begins at once if there is a
// place for it. While one is running, another one follows it. It returns when the job is stored, so that
// a restart forgets nothing; ErrNotStarted without a queue. A repository that is not selected, or
// whose connection is gone, is left alone by the job.
func (s *Syncer) FetchSoon(ctx context.Context, id bitbucket.RepoID) error {
	s.begun.ask(id)
	job, err := s.enqueue(ctx, FetchArgs{Connection: id.Connection, Number: id.Number, Asked: true})
	if err != nil {
		return err
	}
	s.begun.stored(id, job)
	s.nudges.add(id)
	return nil
}

// ListSoon asks for a listing of a connection ahead of its time. While one is running,
// another one follows it. It returns when the job is stored; ErrNoConnection, ErrNotStarted.
func (s *Syncer) ListSoon(ctx context.Context, connection string) error {
	if s.connection(connection) == nil {
		return ErrNoConnection
	}
	_, err := s.enqueue(ctx, ListConnectionArgs{Connection: connection, Asked: true})
	return err
}

// Collectors returns the metrics, to be registered once. No label holds a repository's name.
func (s *Syncer) Collectors() []prometheus.Collector {
	return append(s.metrics.collectors(), newFiguresCollector(s))
}

// connection returns a connection of the current configuration, or nil.
func (s *Syncer) connection(name string) *connection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[name]
}

// current returns the configuration and its connections in the file's order.
func (s *Syncer) current() (*siteconfig.Config, []*connection) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*connection, 0, len(s.conns))
	for i := range s.config.Connections {
		all = append(all, s.conns[s.config.Connections[i].Name])
	}
	return s.config, all
}

func (s *Syncer) now() time.Time { return s.opts.Now().UTC() }

// saveContext is for storing what has been done although ctx may be at its end.
func saveContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// deaf is the Listener of those who want none.
type deaf struct{}

// RepositoriesChanged implements Listener.
func (deaf) RepositoriesChanged(Changes) {}

// RefsChanged implements Listener.
func (deaf) RefsChanged(bitbucket.RepoID) {}
