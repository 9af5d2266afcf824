package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/signpost/internal/siteconfig"
)

// reasonMoved is the reason of what was found on a server that its connection does not name any more.
const reasonMoved = "the url of its connection names another server than the one it was found on; it waits to be found there. " +
	"If it is the same server, add its old address to aliases"

// originsTimeout bounds how long a new configuration waits for the addresses of the one before.
const originsTimeout = 10 * time.Second

// addressesOf returns the addresses of a connection's server as the store keeps them, the base URL first.
func addressesOf(c *siteconfig.Connection) []string {
	addresses := make([]string, len(c.Server.Addresses))
	for i, address := range c.Server.Addresses {
		addresses[i] = address.String()
	}
	return addresses
}

// findMoved finds out which connections name another server than their records are of. Numbers of
// two servers say nothing of one another, so those records have no link from now on. Nothing is stored of it
// before the new server has answered as a Bitbucket that accepts the credential: a mistyped url that is
// corrected costs no mirror. origins are the stored ones, nil when they could not be read; before are the
// connections of the last configuration.
func findMoved(conns, before map[string]*connection, origins map[string][]string) {
	for name, conn := range conns {
		old := before[name]
		switch {
		case old == conn: // unchanged
		case origins != nil:
			conn.moved.Store(!SameServer(origins[name], addressesOf(conn.Connection)))
		default: // no link that could be of another server
			conn.moved.Store(old == nil || old.moved.Load() || !SameServer(addressesOf(old.Connection), addressesOf(conn.Connection)))
		}
	}
}

// origins reads which server each connection's records are of, or returns nil.
func (s *Syncer) origins() map[string][]string {
	ctx, cancel := context.WithTimeout(context.Background(), originsTimeout)
	defer cancel()
	origins, err := s.opts.Status.Origins(ctx)
	if err != nil {
		s.log.ErrorContext(ctx, "whether a connection names another server than before is known after its next listing", "err", err)
		return nil
	}
	return origins
}

// claim makes the records those of the server that the connection names, before anything of it is
// stored. Of another server, nothing stays: neither addresses nor mirrors.
func (s *Syncer) claim(ctx context.Context, conn *connection) error {
	s.deciding.RLock()
	defer s.deciding.RUnlock()
	if s.connection(conn.Name) != conn {
		return errReconfigured
	}
	ctx, cancel := context.WithTimeout(ctx, decidingTimeout)
	defer cancel()
	claimed, err := s.opts.Status.ClaimConnection(ctx, conn.Name, addressesOf(conn.Connection), s.now(), reasonMoved)
	if err != nil {
		return fmt.Errorf("claim the records of %s: %w", conn.Name, err)
	}
	if conn.moved.Swap(false) || len(claimed.Removed) > 0 {
		s.log.WarnContext(ctx, "the url of the connection names another server: its repositories are listed, and their mirrors cloned, anew; if it is the same server, add its old address to aliases",
			"connection", conn.Name, "url", conn.BaseURL().String())
	}
	conn.foreign.Store(claimed.Foreign)
	conn.claimed.Store(true)
	s.announce(conn, Changes{Removed: claimed.Removed})
	return nil
}

// dropForeign removes the mirrors of another server's repositories before the numbers of these
// are taken by repositories of the connection's: whatever a link reads of them would be wrong. All of
// them go, whatever their address: the same address on another server can have another history.
func (s *Syncer) dropForeign(ctx context.Context, conn *connection, found []Found) error {
	if !conn.foreign.Load() {
		return nil
	}
	for i := range found {
		record, err := s.opts.Records.Record(ctx, found[i].ID)
		switch {
		case errors.Is(err, ErrNoRecord), err == nil && !record.Foreign:
			continue
		case err != nil:
			return fmt.Errorf("read the record of %s: %w", found[i].ID, err)
		}
		if err := s.dropMirror(ctx, record); err != nil {
			return err
		}
	}
	return nil
}

// dropMirror removes a mirror of another server, after the fetch that may be writing it.
func (s *Syncer) dropMirror(ctx context.Context, record Record) error {
	end, err := s.fetches.begin(ctx, record.ID)
	if err != nil {
		return err
	}
	defer end()
	if err := s.opts.Mirrors.Remove(ctx, record.ID); err != nil {
		return fmt.Errorf("remove the mirror of another server's %s: %w", record.ID, err)
	}
	// Not for having left: it is about to be found.
	if _, err := s.opts.Index.Forget(ctx, record.ID, time.Time{}); err != nil {
		return fmt.Errorf("forget the mirror of another server's %s: %w", record.ID, err)
	}
	s.log.InfoContext(ctx, "removed a mirror", "repository", record.ID.String(), "address", record.String(), "reason", reasonMoved)
	return nil
}
