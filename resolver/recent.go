package resolver

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// recent remembers which cached answer the URLs led to that were asked for lately, as they
// were spelt. Somebody who reads code asks for one page several times, and many people for
// the same ones; those need neither be parsed nor looked up in the index. It belongs to one
// state: with the configuration or the index it is gone, and what a fetch changes is seen
// by the stamp. It is safe for concurrent use.
//
// A URL has one place, given by its hash, and takes it from the one before when it is asked
// for twice in a row there. So spellings that nobody uses again take no memory and push out
// nothing.
type recent struct {
	seed   maphash.Seed
	places []recentPlace
}

type recentPlace struct {
	asked atomic.Pointer[asked]
	next  atomic.Uint64 // hash of the URL that was asked for last, and is not in asked
}

// asked is a URL that was asked for. It does not change.
type asked struct {
	rawURL string
	repo   bitbucket.RepoID
	cached *cached[*answer]
	hits   *atomic.Uint64 // of the cache's shard
}

// maxRecentURL bounds what is remembered of one URL, in bytes.
const maxRecentURL = 1024

func newRecent(places int) *recent {
	return &recent{seed: maphash.MakeSeed(), places: make([]recentPlace, max(places, 8))}
}

func (r *recent) place(rawURL string) (*recentPlace, uint64) {
	hash := maphash.String(r.seed, rawURL)
	return &r.places[hash%uint64(len(r.places))], hash
}

// find returns the answer of a URL and the rest of its life, if it is still true.
func (r *recent) find(rawURL string, g *generations) (*answer, time.Duration) {
	place, _ := r.place(rawURL)
	a := place.asked.Load()
	if a == nil || a.rawURL != rawURL {
		return nil, 0
	}
	found := a.cached.value
	if !found.stamp.current(g.of(a.repo), found.pulls) {
		return nil, 0
	}
	left := time.Until(found.expires)
	if left <= 0 {
		return nil, 0
	}
	a.cached.markUsed()
	a.hits.Add(1)
	return found, left
}

// again tells whether a URL was the last that was asked for at its place, and may be kept:
// one that may hold user info is not kept in memory.
func (r *recent) again(rawURL string) bool {
	place, hash := r.place(rawURL)
	return place.next.Swap(hash) == hash && len(rawURL) <= maxRecentURL && !strings.Contains(rawURL, "@")
}

// keep remembers a URL.
func (r *recent) keep(a *asked) {
	a.rawURL = strings.Clone(a.rawURL) // it may be a part of a whole request
	place, _ := r.place(a.rawURL)
	place.asked.Store(a)
}
