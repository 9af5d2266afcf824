// Package resolver says where a page of a Bitbucket is on the primary Sourcegraph: a
// Bitbucket URL goes in, a link comes out. It is the rule book docs/links.md as a program.
//
// It knows which repositories exist (ReplaceIndex, UpdateIndex), which Bitbuckets and
// which Sourcegraph are configured (SetConfig), and asks for the rest through the
// interfaces of ports.go. It knows neither HTTP nor git nor SQL.
//
// # The invariant
//
// Every address in a Link lies below the primary URL of the configuration that was in
// force when Resolve was called, or later. It is checked again on each finished link.
//
// # Freshness
//
// When SetConfig, ReplaceIndex, UpdateIndex, RefsChanged or PullRequestsChanged has
// returned, a Resolve that begins afterwards gives no answer that depends on the state
// before: cached answers of that state are not found any more, and work that began
// before is neither joined nor kept.
package resolver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// Options says what a Resolver works with.
type Options struct {
	Mirrors   Mirrors   // required
	Bitbucket Bitbucket // required
	// Repositories finds what the index lacks. Without it, that is not found.
	Repositories RepositoryLookup
	// Timeout is the time for finding an answer that is not cached; 10 s if zero. What a
	// path is may be asked of Bitbucket for half of it, since there is a guess to fall back on.
	Timeout time.Duration
	// CacheEntries is how many links are cached at most; 32,768 if zero. A link takes about
	// 2 KB, and at most some 12 KB.
	CacheEntries int
	Logger       *slog.Logger // discards if nil
}

// Result is the answer of Resolve. Link and JSON are shared with other callers: they must not be changed.
type Result struct {
	Link *Link
	JSON []byte // Link as the API writes it, with a line feed at its end
	Hit  bool   // it came from the cache
	// MaxAge is how long clients may keep the answer: the rest of its life here, at most a
	// minute, since nobody tells clients of a change. It is 10 s at most for what a fetch
	// or a Bitbucket that works again may make better.
	MaxAge time.Duration
}

// How long answers are kept. Changes that are announced end them earlier.
const (
	linkTTL        = time.Hour        // what depends on the mirror alone
	bitbucketTTL   = 5 * time.Minute  // what Bitbucket said of paths, branches and repositories
	pullRequestTTL = time.Minute      // refs of pull requests: a push to one may be announced or not
	negativeTTL    = 15 * time.Second // what Bitbucket does not have
	unsureTTL      = 10 * time.Second // guesses, and what the mirror may get with the next fetch
	maxAge         = time.Minute
)

// An answer whose key and JSON are larger is not cached: URLs that long are made up.
const maxCachedBytes = 4096

// Resolver resolves Bitbucket URLs. It is safe for concurrent use.
type Resolver struct {
	mirrors      Mirrors
	bitbucket    Bitbucket
	repositories RepositoryLookup
	timeout      time.Duration
	cacheEntries int
	log          *slog.Logger

	changes     sync.Mutex // orders the writers of state
	state       atomic.Pointer[state]
	generations *generations

	misses, negatives, shared atomic.Uint64
	retired                   struct{ hits, evictions atomic.Uint64 } // counts of caches that are gone
}

// state is what Resolve works on. It does not change: a writer makes another one.
type state struct {
	config *configuration
	index  *index
	caches *caches
	recent *recent // answers of caches
}

// caches are of one configuration; the next one begins with empty ones, so that nothing
// of the old can be found, joined or kept.
type caches struct {
	links     *boundedCache[*answer]
	facts     *boundedCache[fact]
	negatives *boundedCache[fact]
	flights   flights
}

// answer is a finished link.
type answer struct {
	link    *Link
	json    []byte
	stamp   stamp
	pulls   bool // it depends on a pull request
	expires time.Time
}

// New returns a Resolver without a configuration and with an empty index.
func New(o Options) (*Resolver, error) {
	if o.Mirrors == nil || o.Bitbucket == nil {
		return nil, errors.New("resolver: Options needs Mirrors and Bitbucket")
	}
	r := &Resolver{
		mirrors:      o.Mirrors,
		bitbucket:    o.Bitbucket,
		repositories: o.Repositories,
		timeout:      cmp.Or(o.Timeout, 10*time.Second),
		cacheEntries: cmp.Or(o.CacheEntries, 1<<15),
		log:          cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		generations:  newGenerations(),
	}
	config, err := newConfiguration(Config{})
	if err != nil {
		return nil, err
	}
	r.state.Store(r.newState(config, newIndex(nil), r.newCaches()))
	return r, nil
}

func (r *Resolver) newState(config *configuration, index *index, caches *caches) *state {
	return &state{config: config, index: index, caches: caches, recent: newRecent(r.cacheEntries / 8)}
}

func (r *Resolver) newCaches() *caches {
	return &caches{
		links: newBoundedCache[*answer](r.cacheEntries),
		facts: newBoundedCache[fact](r.cacheEntries / 4),
		// Made-up repositories and pull requests end here, and push out nothing else.
		negatives: newBoundedCache[fact](r.cacheEntries / 8),
		flights:   flights{shared: &r.shared, log: r.log},
	}
}

// SetConfig makes a configuration the running one. When it has returned, no Resolve that
// begins afterwards answers from the one before. After an error the one before stays.
func (r *Resolver) SetConfig(c Config) error {
	apply, err := r.PrepareConfig(c)
	if err != nil {
		return err
	}
	apply()
	return nil
}

// PrepareConfig checks a configuration and returns what makes it the running one, as
// SetConfig does. Until then nothing changes.
func (r *Resolver) PrepareConfig(c Config) (apply func(), err error) {
	config, err := newConfiguration(c)
	if err != nil {
		return nil, err
	}
	return func() {
		r.changes.Lock()
		defer r.changes.Unlock()
		r.swap(r.newState(config, r.state.Load().index, r.newCaches()))
	}, nil
}

// ReplaceIndex makes the given entries the whole index. The caller keeps the slice.
func (r *Resolver) ReplaceIndex(entries []Entry) {
	next := newIndex(entries)
	r.changes.Lock()
	defer r.changes.Unlock()
	r.swap(r.newState(r.state.Load().config, next, r.newCaches()))
}

// UpdateIndex removes entries from the index and puts others in; one whose id is there is
// replaced. It takes time in proportion to the changes.
func (r *Resolver) UpdateIndex(upserted []Entry, removed []bitbucket.RepoID) {
	r.changes.Lock()
	defer r.changes.Unlock()
	now := r.state.Load()
	next, changed := now.index.with(upserted, removed)
	if len(changed) == 0 {
		return
	}
	r.swap(r.newState(now.config, next, now.caches))
	for _, id := range changed {
		r.generations.refsChanged(id)
		r.generations.pullRequestsChanged(id)
	}
}

// RefsChanged says that a fetch changed refs of a repository, or made its mirror.
func (r *Resolver) RefsChanged(id bitbucket.RepoID) { r.generations.refsChanged(id) }

// PullRequestsChanged says that pull requests of a repository changed.
func (r *Resolver) PullRequestsChanged(id bitbucket.RepoID) { r.generations.pullRequestsChanged(id) }

// swap makes a state the present one. The caller holds changes.
func (r *Resolver) swap(next *state) {
	old := r.state.Swap(next)
	if old.caches != next.caches {
		hits, evictions := old.caches.links.counts()
		r.retired.hits.Add(hits)
		r.retired.evictions.Add(evictions)
	}
}

// Resolve says where the page of a Bitbucket URL is on the primary Sourcegraph.
//
// Its errors are bitbucket.ErrInvalidURL, ErrUnknownHost and ErrUnsupportedPage, the Err…
// of this package (ports.go), and those of ctx, all of them wrapped. Another error is a
// defect, and logged. No error holds user info or a secret of the URL.
func (r *Resolver) Resolve(ctx context.Context, rawURL string) (Result, error) {
	now := r.state.Load()
	if a, left := now.recent.find(rawURL, r.generations); a != nil {
		return a.result(true, left), nil
	}
	page, err := now.config.parse(rawURL)
	if err != nil {
		return Result{}, err
	}
	entry, conn, err := r.place(ctx, now, &page)
	if err != nil {
		return Result{}, err
	}
	page = normalise(page)
	stamp := r.generations.of(entry.ID)

	var buf [256]byte
	key := string(appendKey(buf[:0], conn.name, entry, &page))
	if e := now.caches.answer(key, stamp); e != nil {
		hits := now.caches.links.hits(key)
		hits.Add(1)
		// What a lookup found has to be looked up again when that is too long ago.
		if now.recent.again(rawURL) && (entry == &noEntry || now.index.byID(entry.ID) == entry) {
			now.recent.keep(&asked{rawURL: rawURL, repo: entry.ID, cached: e, hits: hits})
		}
		return e.value.result(true, time.Until(e.value.expires)), nil
	}
	r.misses.Add(1)
	a, err := r.resolveCold(ctx, key, draft{r: r, now: now, conn: conn, entry: *entry, page: page, stamp: stamp})
	if err != nil {
		return Result{}, err
	}
	return a.result(false, time.Until(a.expires)), nil
}

// resolveCold finishes a draft and caches the answer under key. (It is apart from Resolve
// because what the flight holds on to lies on the heap.)
func (r *Resolver) resolveCold(ctx context.Context, key string, d draft) (*answer, error) {
	caches := d.now.caches
	flight := string(appendStamp([]byte(key), d.stamp))
	return fly(ctx, &caches.flights, flight, r.timeout, func(ctx context.Context) (*answer, error) {
		// The answer may have come between the look into the cache and this flight.
		if e := caches.answer(key, d.stamp); e != nil {
			return e.value, nil
		}
		a, err := d.finish(ctx)
		if err == nil && len(key)+len(a.json) <= maxCachedBytes {
			caches.links.put(key, a, time.Until(a.expires))
		}
		return a, err
	})
}

// answer returns the cached answer of a key, or nil if there is none that is still true.
func (c *caches) answer(key string, now stamp) *cached[*answer] {
	e := c.links.find(key)
	if e == nil || !e.value.stamp.current(now, e.value.pulls) {
		return nil
	}
	return e
}

// result returns an answer that lives for so long.
func (a *answer) result(hit bool, left time.Duration) Result {
	return Result{Link: a.link, JSON: a.json, Hit: hit, MaxAge: max(0, min(maxAge, left))}
}
