package syncer

import "time"

// MirrorState is the state of a repository's mirror in one word. The words are part of the HTTP
// API and of the metrics.
type MirrorState string

// The states of a mirror. Each record has exactly one.
const (
	MirrorNone    MirrorState = "none"    // the repository is not selected, so that no mirror of it is kept up to date
	MirrorWaiting MirrorState = "waiting" // it was never fetched, and no fetch has failed yet
	MirrorFailing MirrorState = "failing" // the last fetch failed
	MirrorBehind  MirrorState = "behind"  // the fetch that is due has not come for longer than LateAfter
	MirrorEmpty   MirrorState = "empty"   // up to date, and the repository has no commit
	MirrorFresh   MirrorState = "fresh"   // up to date
)

// MirrorStates returns all states, in the order in which an administrator looks at them.
func MirrorStates() []MirrorState {
	return []MirrorState{MirrorFailing, MirrorBehind, MirrorWaiting, MirrorFresh, MirrorEmpty, MirrorNone}
}

// LateAfter is how long after its time a fetch may begin. The sweeps, a restart and the fetches of
// others explain less; what is more tells that gitMaxConcurrentClones is too small, or that
// the connection is not fetched from.
const LateAfter = 10 * time.Minute

// MirrorStateOf returns the state of a record's mirror at now. paused tells that
// disableAutoGitUpdates is set: then a mirror that was fetched once is never behind. A record of a
// connection that is gone has the state that it had with it; see Repository.
func MirrorStateOf(r Record, now time.Time, paused bool) MirrorState {
	m := r.Mirror
	switch {
	case !wanted(r):
		return MirrorNone
	case m.Failures > 0:
		return MirrorFailing
	case m.LastFetch.IsZero():
		return MirrorWaiting
	case !paused && m.NextFetch.Add(LateAfter).Before(now):
		return MirrorBehind
	case m.Empty:
		return MirrorEmpty
	}
	return MirrorFresh
}
