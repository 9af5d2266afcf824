package resolver

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// boundedCache is patrickmn/go-cache with the bound that it lacks, and with an order of
// eviction that a flood of made-up keys cannot exploit. It is safe for concurrent use.
//
// A key that is put for the first time is on probation. One that is then asked for
// becomes protected. When the probation overflows, the oldest key on probation goes;
// when the protected part overflows, the longest unused key there goes back on probation.
// So keys that nobody asks for twice only push out each other.
//
// There is no janitor: what has expired is not returned, and its room is used again when
// its turn comes. The number of entries bounds the memory, not the time.
type boundedCache[V any] struct {
	seed   maphash.Seed
	shards []cacheShard[V]
}

// cacheShard holds the keys of one hash value. Reads that find something take the read lock of
// go-cache only; mu orders what moves entries between the segments.
type cacheShard[V any] struct {
	mu        sync.Mutex
	probation segment[V]
	protected segment[V]
	hits      atomic.Uint64
	evictions atomic.Uint64
	_         [64]byte // keeps the counters of two shards on different cache lines
}

// cached is a value in the cache, linked into the order of its segment.
type cached[V any] struct {
	key        string
	value      V
	expires    time.Time
	used       atomic.Bool // since it was last considered for eviction
	prev, next *cached[V]  // in the segment, guarded by the shard's mu
}

// A shard has room for at least so many entries, so that the segments have some, too.
const minShardEntries = 64

// newBoundedCache returns a cache that holds at most the given number of entries (and at
// least 8). A quarter of it is for probation.
func newBoundedCache[V any](entries int) *boundedCache[V] {
	entries = max(entries, 8)
	c := &boundedCache[V]{
		seed:   maphash.MakeSeed(),
		shards: make([]cacheShard[V], min(max(entries/minShardEntries, 1), 64)),
	}
	room := entries / len(c.shards)
	for i := range c.shards {
		c.shards[i].probation.init(room / 4)
		c.shards[i].protected.init(room - room/4)
	}
	return c
}

// get returns the value of a key and when it expires. A key on probation becomes
// protected, and a protected one counts as used.
func (c *boundedCache[V]) get(key string) (value V, expires time.Time, ok bool) {
	e := c.find(key)
	if e == nil {
		return value, expires, false
	}
	return e.value, e.expires, true
}

// find is get for the entry itself, nil where there is none.
func (c *boundedCache[V]) find(key string) *cached[V] {
	s := c.shard(key)
	e, promote := s.look(key)
	if e == nil {
		// Another reader, or a put, may have moved it while it was looked for.
		s.mu.Lock()
		e, promote = s.look(key)
		s.mu.Unlock()
	}
	if e == nil {
		return nil
	}
	e.markUsed()
	if promote {
		s.promote(e) // after it is marked as used: it would be the first to go otherwise
	}
	return e
}

// look returns the entry of a key, and whether it is on probation. Without mu it can overlook one
// that is being moved.
func (s *cacheShard[V]) look(key string) (e *cached[V], onProbation bool) {
	if e = s.protected.get(key); e != nil {
		return e, false
	}
	return s.probation.get(key), true
}

// markUsed keeps an entry from being the next to go.
func (e *cached[V]) markUsed() {
	if !e.used.Load() { // a store by every reader would pass the cache line around
		e.used.Store(true)
	}
}

// put keeps a value for ttl. A key that is there keeps its segment; a ttl that is not
// positive keeps nothing.
func (c *boundedCache[V]) put(key string, value V, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	e := &cached[V]{key: key, value: value, expires: time.Now().Add(ttl)}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.protected.remove(key) {
		s.protected.add(e)
		return
	}
	s.probation.remove(key)
	s.admit(e)
}

// len returns the number of entries, expired ones included.
func (c *boundedCache[V]) len() int {
	n := 0
	for i := range c.shards {
		n += c.shards[i].probation.items.ItemCount() + c.shards[i].protected.items.ItemCount()
	}
	return n
}

// hits returns the counter of answers that callers took from the cache under this key. It is
// apart from get, since only the caller knows whether what it found is still true.
func (c *boundedCache[V]) hits(key string) *atomic.Uint64 { return &c.shard(key).hits }

func (c *boundedCache[V]) counts() (hits, evictions uint64) {
	for i := range c.shards {
		hits += c.shards[i].hits.Load()
		evictions += c.shards[i].evictions.Load()
	}
	return hits, evictions
}

func (c *boundedCache[V]) shard(key string) *cacheShard[V] {
	return &c.shards[maphash.String(c.seed, key)%uint64(len(c.shards))]
}

// promote moves an entry from probation to the protected part, unless another reader did.
func (s *cacheShard[V]) promote(e *cached[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probation.get(e.key) != e {
		return
	}
	s.probation.remove(e.key)
	s.protected.add(e)
	if s.protected.full() {
		if unused := s.protected.removeUnused(); unused != nil {
			s.admit(unused)
		}
	}
}

// admit puts an entry on probation, and the oldest one there out if there are too many.
func (s *cacheShard[V]) admit(e *cached[V]) {
	s.probation.add(e)
	if s.probation.full() {
		s.probation.remove(s.probation.root.next.key)
		s.evictions.Add(1)
	}
}

// segment is a part of a shard: the entries by key in a go-cache, and their order in a
// ring whose root is no entry. Everything but get is guarded by the shard's mu.
type segment[V any] struct {
	items   *gocache.Cache // key → *cached[V]
	limit   int
	length  int
	root    cached[V]
	removed *cached[V] // what the last Delete of items took out
}

func (s *segment[V]) init(limit int) {
	s.items = gocache.New(gocache.NoExpiration, 0) // an interval of 0 starts no goroutine
	s.limit = max(limit, 1)
	s.root.prev, s.root.next = &s.root, &s.root
	// Get hides what has expired, Delete hands it over all the same.
	s.items.OnEvicted(func(_ string, v any) { s.removed = v.(*cached[V]) })
}

func (s *segment[V]) get(key string) *cached[V] {
	v, ok := s.items.Get(key)
	if !ok {
		return nil
	}
	return v.(*cached[V])
}

// full tells that there is an entry more than the segment has room for.
func (s *segment[V]) full() bool { return s.length > s.limit }

// add appends an entry whose key is not in the segment.
func (s *segment[V]) add(e *cached[V]) {
	ttl := time.Until(e.expires)
	if ttl <= 0 {
		return
	}
	s.items.Set(e.key, e, ttl)
	s.push(e)
	s.length++
}

// remove takes a key out and tells whether it was there, expired or not.
func (s *segment[V]) remove(key string) bool {
	s.removed = nil
	s.items.Delete(key)
	e := s.removed
	if e == nil {
		return false
	}
	s.removed = nil
	e.unlink()
	s.length--
	return true
}

// removeUnused takes out the oldest entry that was not used since it was last considered.
// Used ones get another round; after one full round the oldest goes in any case.
func (s *segment[V]) removeUnused() *cached[V] {
	for range s.length {
		e := s.root.next
		if !e.used.Swap(false) {
			break
		}
		e.unlink()
		s.push(e)
	}
	e := s.root.next
	if e == &s.root {
		return nil
	}
	s.remove(e.key)
	return e
}

func (s *segment[V]) push(e *cached[V]) {
	e.prev, e.next = s.root.prev, &s.root
	e.prev.next, e.next.prev = e, e
}

func (e *cached[V]) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}
