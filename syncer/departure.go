package syncer

import (
	"context"
	"slices"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// Departed is a repository that has left for so long that something of it can be removed.
type Departed struct {
	ID      bitbucket.RepoID
	Address bitbucket.Address
	Left    time.Time // when it left the selection, or its connection the site configuration
	Reason  string    // why it is not selected, for administrators; of the time before for a connection that is gone
	Missing bool      // the last complete listing lacked it
}

// DepartureStore keeps what has left the selection until it is removed. Safe for concurrent use.
type DepartureStore interface {
	// Departed returns the records that left the selection at or before that time, or whose connection left the
	// site configuration by then, and that have a mirror's status or are missing since then; the earliest
	// first, at most limit.
	Departed(ctx context.Context, before time.Time, limit int) ([]Departed, error)
	// IsDeparted tells whether Departed would return that record now.
	IsDeparted(ctx context.Context, id bitbucket.RepoID, before time.Time) (bool, error)
	// Forget is called when the mirror has been removed. It clears the mirror's status, and that the mirror is
	// of another server. A record that Departed would return because it is missing goes altogether, with its
	// former addresses: then it returns true.
	Forget(ctx context.Context, id bitbucket.RepoID, before time.Time) (deleted bool, err error)
}

// Claimed is what it took to make a connection's records those of its server.
type Claimed struct {
	Removed []bitbucket.RepoID // left the selection
	Foreign bool               // some records have a mirror that is of another server
}

// OriginStore knows which server each connection's records are of. Addresses are those of a server,
// the base URL first. Safe for concurrent use.
type OriginStore interface {
	// Origins returns the addresses that each connection was last claimed or noted with; those not
	// known are left out.
	Origins(ctx context.Context) (map[string][]string, error)
	// NoteConnections stores which connections are configured, and since now of those that are not any
	// more. Addresses are stored only of a connection that has none yet.
	NoteConnections(ctx context.Context, configured map[string][]string, now time.Time) error
	// ClaimConnection makes these the addresses of a connection. When they are not of the same server as the
	// stored ones, by SameServer, all its records are marked as missing since now and leave the selection with that reason;
	// they lose their addresses, former ones too, and the status of their mirrors, which are marked as foreign.
	ClaimConnection(ctx context.Context, connection string, addresses []string, now time.Time, reason string) (Claimed, error)
}

// SameServer tells whether two lists of addresses are of one server: the base URL of one is
// among the addresses of the other. Nothing is known of an empty list.
//
// Nothing that Bitbucket tells identifies an instance for certain (two that were restored from one backup
// say the same), so only the configuration does.
func SameServer(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.Contains(b, a[0]) || slices.Contains(a, b[0])
}
