package resolver

// Stats counts what a Resolver did since it was made. The counts are not taken at one moment.
type Stats struct {
	ConfigVersion int64  // version of the running configuration
	Repositories  int    // in the index
	Hits          uint64 // answers from the cache
	Misses        uint64 // answers that had to be found
	Negatives     uint64 // times that a cached "not found" saved a question to Bitbucket
	Shared        uint64 // callers that waited for the work of another
	Evictions     uint64 // links that left the cache for want of room
	Links         int    // links in the cache now, expired ones included
}

// Stats returns the counts. It is meant for metrics: it looks at every shard of the index.
func (r *Resolver) Stats() Stats {
	now := r.state.Load()
	hits, evictions := now.caches.links.counts()
	return Stats{
		ConfigVersion: now.config.version,
		Repositories:  now.index.len(),
		Hits:          r.retired.hits.Load() + hits,
		Misses:        r.misses.Load(),
		Negatives:     r.negatives.Load(),
		Shared:        r.shared.Load(),
		Evictions:     r.retired.evictions.Load() + evictions,
		Links:         now.caches.links.len(),
	}
}
