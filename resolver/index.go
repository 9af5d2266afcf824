package resolver

import (
	"hash/maphash"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"example.com/signpost/internal/bitbucket"
)

// index is the repositories that are linked, by address and by id, and the spelling of
// their projects' keys. It does not change: with returns another one. Its tables are cut
// into shards, and the two share those that did not change, so that a change among 100,000
// repositories copies a few hundred entries.
type index struct {
	places   [indexShards]places
	ids      [indexShards]map[bitbucket.RepoID]*Entry
	projects [projectShards]map[string]project
}

const (
	indexShards   = 1024
	projectShards = 64
)

// places is one shard of the addresses. Keys are what appendPlace makes. A present address
// stands before a former one, so that a repository that took the place of a moved one is found.
type places struct {
	present map[string]*Entry
	former  map[string]*Entry
}

// project is the canonical spelling of a project's key, and how many repositories it has.
type project struct {
	key          string
	repositories int
}

var indexSeed = maphash.MakeSeed()

// newIndex returns the index of the given entries. Of two with one id or one present address, the later counts.
func newIndex(entries []Entry) *index {
	e := indexEdit{next: new(index)}
	room := len(entries)/indexShards + len(entries)/indexShards/4
	for i := range e.next.places {
		e.next.places[i].present = make(map[string]*Entry, room)
		e.next.ids[i] = make(map[bitbucket.RepoID]*Entry, room)
	}
	e.ownAll()
	for _, entry := range entries {
		e.upsert(entry)
	}
	return e.next
}

// with returns the index after removing and upserting entries, and the ids of those that
// differ. It takes time in proportion to the changes.
func (ix *index) with(upserted []Entry, removed []bitbucket.RepoID) (*index, []bitbucket.RepoID) {
	next := *ix
	e := indexEdit{next: &next}
	var changed []bitbucket.RepoID
	for _, id := range removed {
		e.remove(id)
		// Also where the index lacks it: what a lookup found has its own cache.
		changed = append(changed, id)
	}
	for _, entry := range upserted {
		if e.upsert(entry) {
			changed = append(changed, entry.ID)
		}
	}
	return &next, changed
}

// find returns the entry with that address, compared without case, or nil.
func (ix *index) find(connection string, address bitbucket.Address) *Entry {
	var buf [128]byte
	key := appendPlace(buf[:0], connection, address)
	shard := &ix.places[maphash.Bytes(indexSeed, key)%indexShards]
	if entry, ok := shard.present[string(key)]; ok {
		return entry
	}
	return shard.former[string(key)]
}

// byID returns the entry with that id, or nil.
func (ix *index) byID(id bitbucket.RepoID) *Entry {
	return ix.ids[idShard(id)][id]
}

// projectKey returns the canonical spelling of a project's key, or the given one where
// no repository of the project is known.
func (ix *index) projectKey(connection, key string) string {
	var buf [128]byte
	k := appendPlace(buf[:0], connection, bitbucket.Address{Key: key})
	if p, ok := ix.projects[maphash.Bytes(indexSeed, k)%projectShards][string(k)]; ok {
		return p.key
	}
	return key
}

// len returns the number of entries.
func (ix *index) len() int {
	n := 0
	for _, shard := range ix.ids {
		n += len(shard)
	}
	return n
}

// indexEdit changes an index that nobody else has seen yet. A shard is copied before its first change.
type indexEdit struct {
	next        *index
	ownPlaces   [indexShards]bool
	ownIDs      [indexShards]bool
	ownProjects [projectShards]bool
	key         []byte // scratch
}

func (e *indexEdit) ownAll() {
	for i := range e.ownPlaces {
		e.ownPlaces[i], e.ownIDs[i] = true, true
	}
	for i := range e.ownProjects {
		e.ownProjects[i] = true
		e.next.projects[i] = map[string]project{}
	}
}

// upsert tells whether the entry differs from the one with its id that was there.
func (e *indexEdit) upsert(entry Entry) bool {
	old := e.next.byID(entry.ID)
	if old != nil {
		if old.Address == entry.Address && slices.Equal(old.Former, entry.Former) {
			return false
		}
		e.remove(entry.ID)
	}
	added := &entry
	added.Former = slices.Clone(entry.Former)
	e.idsOf(entry.ID)[entry.ID] = added
	place, key := e.placesOf(entry.ID.Connection, entry.Address)
	place.present = set(place.present, key, added)
	for _, address := range entry.Former {
		place, key := e.placesOf(entry.ID.Connection, address)
		place.former = set(place.former, key, added)
	}
	projects, key := e.projectsOf(entry.ID.Connection, entry.Address.Key)
	projects[key] = project{key: entry.Address.Key, repositories: projects[key].repositories + 1}
	return true
}

func (e *indexEdit) remove(id bitbucket.RepoID) {
	old := e.next.byID(id)
	if old == nil {
		return
	}
	delete(e.idsOf(id), id)
	// An address that another repository has taken since stays with that one.
	place, key := e.placesOf(id.Connection, old.Address)
	if place.present[key] == old {
		delete(place.present, key)
	}
	for _, address := range old.Former {
		place, key := e.placesOf(id.Connection, address)
		if place.former[key] == old {
			delete(place.former, key)
		}
	}
	projects, key := e.projectsOf(id.Connection, old.Address.Key)
	if p := projects[key]; p.repositories > 1 {
		projects[key] = project{key: p.key, repositories: p.repositories - 1}
	} else {
		delete(projects, key)
	}
}

// placesOf returns the shard of an address, ready to be changed, and the key in it.
func (e *indexEdit) placesOf(connection string, address bitbucket.Address) (*places, string) {
	e.key = appendPlace(e.key[:0], connection, address)
	i := maphash.Bytes(indexSeed, e.key) % indexShards
	shard := &e.next.places[i]
	if !e.ownPlaces[i] {
		shard.present, shard.former = maps.Clone(shard.present), maps.Clone(shard.former)
		e.ownPlaces[i] = true
	}
	return shard, string(e.key)
}

func (e *indexEdit) idsOf(id bitbucket.RepoID) map[bitbucket.RepoID]*Entry {
	i := idShard(id)
	if !e.ownIDs[i] {
		e.next.ids[i] = maps.Clone(e.next.ids[i])
		e.ownIDs[i] = true
	}
	if e.next.ids[i] == nil {
		e.next.ids[i] = map[bitbucket.RepoID]*Entry{}
	}
	return e.next.ids[i]
}

func (e *indexEdit) projectsOf(connection, projectKey string) (map[string]project, string) {
	e.key = appendPlace(e.key[:0], connection, bitbucket.Address{Key: projectKey})
	i := maphash.Bytes(indexSeed, e.key) % projectShards
	if !e.ownProjects[i] {
		e.next.projects[i] = maps.Clone(e.next.projects[i])
		e.ownProjects[i] = true
	}
	if e.next.projects[i] == nil {
		e.next.projects[i] = map[string]project{}
	}
	return e.next.projects[i], string(e.key)
}

func set(m map[string]*Entry, key string, entry *Entry) map[string]*Entry {
	if m == nil {
		m = map[string]*Entry{}
	}
	m[key] = entry
	return m
}

func idShard(id bitbucket.RepoID) uint64 {
	return (maphash.String(indexSeed, id.Connection) + uint64(id.Number)) % indexShards
}

// appendPlace appends the key of an address: connection, project key and slug, the last
// two in lower case. NUL stands in none of them.
func appendPlace(dst []byte, connection string, address bitbucket.Address) []byte {
	dst = append(dst, connection...)
	dst = append(dst, 0)
	dst = appendLower(dst, address.Key)
	dst = append(dst, 0)
	return appendLower(dst, address.Slug)
}

func appendLower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			for _, r := range s[i:] {
				dst = utf8.AppendRune(dst, unicode.ToLower(r))
			}
			return dst
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
