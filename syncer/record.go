package syncer

import (
	"context"
	"errors"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// ErrNoRecord means that the index has no such repository.
var ErrNoRecord = errors.New("the repository is not in the index")

// Record is what the index knows of a repository.
type Record struct {
	bitbucket.Repository
	Former       []bitbucket.Address // addresses that it had before
	Selected     bool
	Reason       string    // why it is or is not selected, for administrators
	Foreign      bool      // the mirror on the disk is of a repository of another server, which had the id before
	MissingSince time.Time // first complete listing that lacked it; zero while it is listed
	Mirror       MirrorStatus
}

// MirrorStatus is the state of a repository's mirror. Times are UTC; zero means never.
type MirrorStatus struct {
	LastFetch     time.Time // last fetch that succeeded
	LastChange    time.Time // last fetch that changed refs
	NextFetch     time.Time // when the schedule wants the next one
	Failures      int       // fetches that failed since the last success
	Error         string    // of the last fetch, in plain words without secrets; "" after a success
	RefsDigest    string    // hash over the sorted refs and HEAD
	DefaultBranch string    // short name; "" when unknown
	SizeBytes     int64     // on disk
	Empty         bool      // no commit yet
}

// Found is a repository as a listing found it, with the decision about it.
type Found struct {
	bitbucket.Repository
	Selected bool
	Reason   string
}

// Changes says which records a step changed. A record that is no longer selected, or that
// is gone, is in Removed. Records are whole, former addresses included.
type Changes struct {
	Upserted []Record
	Removed  []bitbucket.RepoID
}

func (c Changes) none() bool { return len(c.Upserted) == 0 && len(c.Removed) == 0 }

// Finished is what the end of a complete listing did.
type Finished struct {
	Changes
	Missing  int // records that the listing newly lacked, before the limit
	Withheld int // of these, how many stay because of maxDeletions or an empty listing
}

// IndexStore keeps the records. The database fills it in. Each method is one transaction.
// Safe for concurrent use.
type IndexStore interface {
	DepartureStore
	// BeginListing returns the number of a new listing of a connection, larger than all before.
	BeginListing(ctx context.Context, connection string) (int64, error)
	// SaveFound stores repositories that a listing (or a single lookup) found; they are no longer missing. They are known by id: one
	// whose address changed keeps its mirror status and gets the old address as a former
	// one; a former address that another repository has now is dropped from its old owner. listing 0 is a
	// single lookup; it counts as found by every listing that began before it.
	SaveFound(ctx context.Context, connection string, listing int64, found []Found) (Changes, error)
	// FinishListing ends a complete listing: the records that it lacks, and that are not missing
	// yet, are marked as missing since now and leave the selection, with that reason. When the
	// listing found nothing at all, none is. At most maxDeletions (0: no limit) records are
	// marked in one pass, in the order of their numbers; the surplus is withheld and stays as it is.
	FinishListing(ctx context.Context, connection string, listing int64, maxDeletions int, now time.Time) (Finished, error)
	// SaveMirror stores the status of a mirror. ErrNoRecord.
	SaveMirror(ctx context.Context, id bitbucket.RepoID, status MirrorStatus) error
	// SaveMirrors stores the statuses of several mirrors, and returns those that have no record, in any order.
	SaveMirrors(ctx context.Context, statuses map[bitbucket.RepoID]MirrorStatus) (gone []bitbucket.RepoID, err error)
}

// RecordReader reads the records. Safe for concurrent use; it never waits for a writer.
type RecordReader interface {
	FiguresReader
	// Record returns one record, or ErrNoRecord.
	Record(ctx context.Context, id bitbucket.RepoID) (Record, error)
	// RecordsOf returns the records of ids, each once, in any order; those that have none are left out.
	RecordsOf(ctx context.Context, ids []bitbucket.RepoID) ([]Record, error)
	// RecordAt returns the record with that address, compared without case: a present
	// one before a former one. ErrNoRecord.
	RecordAt(ctx context.Context, connection string, address bitbucket.Address) (Record, error)
	// EachRecord calls yield for every record of a connection ("": of all), ordered by
	// connection and number, until it returns an error, which EachRecord returns.
	EachRecord(ctx context.Context, connection string, yield func(Record) error) error
	// ListRecords returns records that match takes, ordered by connection and number, from behind
	// after (zero: from the first), at most limit. match may be shown no more of a record than its id,
	// address, name, state and selection, MissingSince, and of its mirror LastFetch, NextFetch, Failures
	// and Empty: an index of 100,000 is read through in a moment then. It must not use the store.
	ListRecords(ctx context.Context, after bitbucket.RepoID, limit int, match func(Record) bool) ([]Record, error)
	// DueMirrors returns the selected, AVAILABLE records of a kind whose NextFetch is not after now, or more than
	// FetchHorizon after it, or whose LastFetch is after now; those that never failed since they were
	// fetched last before the others when they are clones, then in the order of NextFetch; at most limit.
	DueMirrors(ctx context.Context, kind DueKind, now time.Time, limit int) ([]Due, error)
}

// DueKind is a kind of fetch that the schedule wants.
type DueKind int

// The kinds of due fetches.
const (
	DueClones  DueKind = iota // of records that were never fetched
	DueUpdates                // of the others
)

// Due is a repository that the schedule wants to be fetched.
type Due struct {
	ID        bitbucket.RepoID
	SizeBytes int64 // of its mirror on disk, 0 when there is none
}

// ConnectionStatus is what the last listing of a connection said.
type ConnectionStatus struct {
	Connection   string
	Version      string    // of Bitbucket; "" when never seen
	Account      string    // that the credential belongs to; "" when not told
	LastComplete time.Time // end of the last complete listing
	LastAttempt  time.Time
	Error        string // of the last attempt, in plain words; "" after a success
	Listed       int    // repositories that the last complete listing found
	Selected     int
	Missing      int
	Withheld     int
}

// StatusStore keeps what the listings said. Safe for concurrent use.
type StatusStore interface {
	OriginStore
	SaveConnectionStatus(ctx context.Context, status ConnectionStatus) error
	ConnectionStatuses(ctx context.Context) ([]ConnectionStatus, error)
}
