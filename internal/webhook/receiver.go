package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// What can be wrong with a delivery, beside ErrSignature and ErrUnreadable.
var (
	// ErrUnknownConnection means that the site configuration has no connection of that name.
	ErrUnknownConnection = errors.New("the site configuration has no such connection")
	// ErrNotConfigured means that the connection has no webhook secret, so that nothing but a
	// ping is taken for it.
	ErrNotConfigured = errors.New("the connection has no webhook secret")
	// ErrNotStored means that the database did not take the job within a few seconds. The
	// schedule does what the delivery asked for, later.
	ErrNotStored = errors.New("the job of the delivery could not be stored")
	// ErrUnknownRepository means that the index has no such repository.
	ErrUnknownRepository = errors.New("the index has no such repository")
)

// Known is what the index knows of a repository.
type Known struct {
	ID       bitbucket.RepoID
	Address  bitbucket.Address
	Selected bool
}

// Index finds repositories. It reads the disk only, and never waits for a writer. Safe for concurrent use.
type Index interface {
	// Known returns a repository by its id, ErrUnknownRepository when there is none.
	Known(ctx context.Context, id bitbucket.RepoID) (Known, error)
	// KnownAt returns the repository at an address, compared without case, former addresses
	// included. ErrUnknownRepository.
	KnownAt(ctx context.Context, connection string, address bitbucket.Address) (Known, error)
}

// Jobs stores what is to be done. Its methods return when the job is stored; they wait for
// neither git nor Bitbucket. Safe for concurrent use.
type Jobs interface {
	// FetchSoon asks for a fetch of a repository. While one is running, another one follows it.
	FetchSoon(ctx context.Context, repo bitbucket.RepoID) error
	// ListSoon asks for a listing of a connection, likewise.
	ListSoon(ctx context.Context, connection string) error
}

// Options says what a Receiver works with.
type Options struct {
	Index Index // required
	Jobs  Jobs  // required
	// Forget is told that pull requests of a repository changed. It returns at once. Required.
	Forget func(repo bitbucket.RepoID)

	Logger       *slog.Logger     // discards if nil
	Now          func() time.Time // time.Now if nil
	FetchGap     time.Duration    // between two requests for a fetch of one repository; 250 ms if zero
	ListGap      time.Duration    // between two requests for a listing of one connection; 1 min if zero
	StoreTimeout time.Duration    // how long the database may take to store a job; 5 s if zero
}

// Receiver acts on deliveries. Its answer waits for the database to store a job, and never for git or
// Bitbucket.
//
// A flood costs little: deliveries of a repository that come while a request for its fetch is
// being stored, or within FetchGap of the last one, share the next one. A repository that
// is not selected costs a look into the index. One that is not in it costs a listing of the
// connection, which is shared with all others of the ListGap, and nothing more for an hour.
//
// Safe for concurrent use.
type Receiver struct {
	opts       Options
	log        *slog.Logger
	fetches    *batches[bitbucket.RepoID]
	listings   *batches[string]
	sought     soughts
	deliveries *prometheus.CounterVec
	current    atomic.Pointer[map[string]*receiving]
}

// receiving is what a connection's deliveries need.
type receiving struct {
	secret    siteconfig.Secret
	last      *ring // of those that were signed
	strangers *ring // of the others
}

// New returns a Receiver without connections; SetConfig gives it some.
func New(o Options) (*Receiver, error) {
	if o.Index == nil || o.Jobs == nil || o.Forget == nil {
		return nil, errors.New("webhook: Options needs Index, Jobs and Forget")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.FetchGap = cmp.Or(o.FetchGap, 250*time.Millisecond)
	o.ListGap = cmp.Or(o.ListGap, time.Minute)
	o.StoreTimeout = cmp.Or(o.StoreTimeout, 5*time.Second)
	r := &Receiver{
		opts:     o,
		log:      cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		fetches:  newBatches(o.FetchGap, o.StoreTimeout, o.Jobs.FetchSoon),
		listings: newBatches(o.ListGap, o.StoreTimeout, o.Jobs.ListSoon),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_webhook_deliveries_total",
			Help: "Deliveries of webhooks, by connection, kind of event and what became of them.",
		}, []string{"connection", "event", "outcome"}),
	}
	r.current.Store(&map[string]*receiving{})
	return r, nil
}

// SetConfig makes the configuration the one that deliveries are checked by. What is remembered
// of a connection stays as long as there is one of its name.
func (r *Receiver) SetConfig(config *siteconfig.Config) {
	before := *r.current.Load()
	after := make(map[string]*receiving, len(config.Connections))
	for i := range config.Connections {
		c := &config.Connections[i]
		now := &receiving{secret: c.WebhookSecret, last: &ring{size: keptDeliveries}, strangers: &ring{size: keptStrangers}}
		if old := before[c.Name]; old != nil {
			now.last, now.strangers = old.last, old.strangers
		}
		after[c.Name] = now
	}
	r.current.Store(&after)
}

// Collectors returns the metrics, to be registered once.
func (r *Receiver) Collectors() []prometheus.Collector { return []prometheus.Collector{r.deliveries} }

// Recent returns the last deliveries of a connection, the newest first: at most 100, and beside
// them 20 that were not signed. They are kept in memory only.
func (r *Receiver) Recent(connection string) []Received {
	c := (*r.current.Load())[connection]
	if c == nil {
		return nil
	}
	all := append(c.last.list(), c.strangers.list()...)
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b Received) int { return b.Time.Compare(a.Time) })
	return all
}

// Header is what a delivery says beside its body.
type Header struct {
	Event     string // X-Event-Key
	Signature string // X-Hub-Signature
	RequestID string // X-Request-Id, for the record only
}

// Admit tells, before the body is read, whether it is worth reading. It refuses what no body could
// mend: ErrUnknownConnection, ErrNotConfigured, and ErrSignature for what has no signature or something
// else in its place. done tells that this is a ping, which is answered without its body.
func (r *Receiver) Admit(connection string, h Header) (done bool, err error) {
	c := (*r.current.Load())[connection]
	if c == nil {
		return false, ErrUnknownConnection
	}
	switch _, signed := parseSignature(h.Signature); {
	case IsPing(h.Event):
		r.record(connection, c, h, Delivery{Kind: Ping}, Pinged)
		return true, nil
	case c.secret.IsZero():
		r.record(connection, c, h, Delivery{}, NotConfigured)
		return false, ErrNotConfigured
	case !signed:
		r.record(connection, c, h, Delivery{}, Refused)
		return false, ErrSignature
	}
	return false, nil
}

// Receive checks the signature of a delivery, reads it and acts on it. It returns when what is to be done
// is stored. The errors are those of Admit, for the whole body, and ErrUnreadable, ErrNotStored
// and that of ctx.
func (r *Receiver) Receive(ctx context.Context, connection string, h Header, body []byte) (Outcome, error) {
	c := (*r.current.Load())[connection]
	if c == nil {
		return "", ErrUnknownConnection
	}
	if done, err := r.Admit(connection, h); done || err != nil {
		return Pinged, err
	}
	if err := Verify(c.secret, h.Signature, body); err != nil {
		r.record(connection, c, h, Delivery{}, Refused)
		return Refused, err
	}
	d, err := Parse(h.Event, body)
	if err != nil {
		r.record(connection, c, h, Delivery{}, Unreadable)
		return Unreadable, err
	}
	outcome, err := r.act(ctx, connection, d)
	if err != nil {
		outcome = NotStored
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrNotStored, err)
		}
	}
	r.record(connection, c, h, d, outcome)
	r.log.DebugContext(ctx, "webhook delivered", "connection", connection, "event", bounded(h.Event), "delivery", bounded(h.RequestID),
		"repository", d.Repository.Address.String(), "outcome", outcome)
	return outcome, err
}

// act does what a delivery asks for.
func (r *Receiver) act(ctx context.Context, connection string, d Delivery) (Outcome, error) {
	switch d.Kind {
	case Ping:
		return Pinged, nil
	case Other:
		return Ignored, nil
	case Push, Synchronized, PullRequest, Modified:
	}
	known, err := r.find(ctx, connection, d)
	if errors.Is(err, ErrUnknownRepository) {
		return r.look(ctx, connection, d)
	}
	if err != nil {
		return "", err
	}
	fetch := known.Selected && (d.Kind == Push || d.Kind == Synchronized)
	if known.Selected && d.Kind != Modified {
		// Also after a push: the commits of pull requests follow their branches, and before 7.0
		// no event says so.
		r.opts.Forget(known.ID)
	}
	switch moved := !d.Repository.at(known.Address); {
	case moved: // at its new address it may be selected, or not any more
		outcome, err := r.look(ctx, connection, d)
		if err != nil || !fetch {
			return outcome, err
		}
	case !known.Selected:
		return NotSelected, nil
	case d.Kind == Modified: // name, visibility, default branch: the listing has them all
		return Listing, r.listings.doFirst(ctx, connection)
	case !fetch:
		return Forgotten, nil
	}
	return Fetching, r.fetches.do(ctx, known.ID)
}

// find finds the repository of a delivery in the index, by its number before its address.
func (r *Receiver) find(ctx context.Context, connection string, d Delivery) (Known, error) {
	if d.Repository.Number > 0 {
		// Another one that the index has at this address has given it away.
		return r.opts.Index.Known(ctx, bitbucket.RepoID{Connection: connection, Number: d.Repository.Number})
	}
	known, err := r.opts.Index.KnownAt(ctx, connection, d.Repository.Address)
	if errors.Is(err, ErrUnknownRepository) && d.Former.Address != (bitbucket.Address{}) {
		return r.opts.Index.KnownAt(ctx, connection, d.Former.Address)
	}
	return known, err
}

// look asks for a listing, since the index does not have the repository at that address. One
// that a listing did not bring into it is outside what the connection takes: it is not looked for
// again for a while.
func (r *Receiver) look(ctx context.Context, connection string, d Delivery) (Outcome, error) {
	wanted := sought{connection, d.Repository.Number, strings.ToLower(d.Repository.Address.String())}
	if !r.sought.begin(wanted, r.opts.Now()) && d.Kind != Modified {
		return Unknown, nil
	}
	if err := r.listings.doFirst(ctx, connection); err != nil {
		r.sought.forget(wanted)
		return "", err
	}
	return Listing, nil
}

// record counts and remembers a delivery.
func (r *Receiver) record(connection string, c *receiving, h Header, d Delivery, outcome Outcome) {
	r.deliveries.WithLabelValues(connection, d.Kind.String(), string(outcome)).Inc()
	received := Received{
		Time: r.opts.Now().UTC(), RequestID: bounded(h.RequestID), Event: bounded(h.Event), Kind: d.Kind, Outcome: outcome,
	}
	if d.Repository.Address != (bitbucket.Address{}) {
		received.Repository = bounded(d.Repository.Address.String())
	}
	switch outcome {
	case Refused, NotConfigured, Pinged:
		c.strangers.add(received)
	default:
		c.last.add(received)
	}
}

// bounded returns what a record can hold of a text that anybody can send.
func bounded(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), 4*most)], ""))
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most])
	}
	return s
}
