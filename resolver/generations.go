package resolver

import (
	"hash/maphash"
	"sync/atomic"

	"example.com/signpost/internal/bitbucket"
)

// generations counts the changes of each repository, so that what was learnt before a
// change is told from what was learnt after it, without a search through the caches. Many
// repositories share a counter: a change of one makes some others be asked again, and
// the memory stays the same for any number of them. It is safe for concurrent use.
type generations struct {
	seed  maphash.Seed
	refs  [generationStripes]atomic.Uint64
	pulls [generationStripes]atomic.Uint64
}

// Among 100,000 repositories, a push touches the answers about some six others.
const generationStripes = 1 << 14

// stamp is the state of a repository's counters when something was learnt.
type stamp struct {
	refs  uint64 // refs and the repository itself
	pulls uint64 // its pull requests
}

func newGenerations() *generations { return &generations{seed: maphash.MakeSeed()} }

// of returns the present stamp of a repository. Whoever learns something takes the stamp first.
func (g *generations) of(id bitbucket.RepoID) stamp {
	i := g.stripe(id)
	return stamp{refs: g.refs[i].Load(), pulls: g.pulls[i].Load()}
}

func (g *generations) refsChanged(id bitbucket.RepoID)         { g.refs[g.stripe(id)].Add(1) }
func (g *generations) pullRequestsChanged(id bitbucket.RepoID) { g.pulls[g.stripe(id)].Add(1) }

func (g *generations) stripe(id bitbucket.RepoID) uint64 {
	// Numbers within a connection are mostly consecutive, which spreads them evenly.
	return (maphash.String(g.seed, id.Connection) + uint64(id.Number)) % generationStripes
}

// current tells whether something learnt at s is still true at now. Only what depends on
// pull requests grows old with them.
func (s stamp) current(now stamp, pulls bool) bool {
	return s.refs == now.refs && (!pulls || s.pulls == now.pulls)
}
