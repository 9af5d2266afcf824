package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	// decidingTimeout bounds the wait for the database while deciding is held: a new
	// configuration waits for whoever holds it.
	decidingTimeout = 30 * time.Second
	// saveTime is how long SetConfig and EachLinked go on storing what leaves the selection. Tens of thousands
	// of records fit; of more, the links are gone all the same, and the next listing stores the rest.
	saveTime = 2 * time.Second
	// recordsPerSave is how many records are stored in one transaction, so that other writers get their turn.
	recordsPerSave = 1000
)

// errReconfigured means that a decision was made under an entry of the site configuration
// that has changed since; it is not stored.
var errReconfigured = errors.New("the site configuration of the connection changed meanwhile")

// EachLinked calls yield for every record that has a link, ordered by connection and number,
// until it returns an error, which EachLinked returns. A selected record that the configuration
// leaves out, because it changed while nobody was there to see it, is passed over, and stored and
// announced as no longer selected. Without any, nothing is written. Records of a connection that is
// not configured are there, for the time when it comes back: without it nobody can ask for them. yield
// must not use the Syncer.
func (s *Syncer) EachLinked(ctx context.Context, yield func(Record) error) error {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	_, conns := s.current()
	byName := make(map[string]*connection, len(conns))
	for _, conn := range conns {
		byName[conn.Name] = conn
	}
	leaving := make(map[string][]Found)
	err := s.opts.Records.EachRecord(ctx, "", func(r Record) error {
		if !r.Selected {
			return nil
		}
		if conn := byName[r.ID.Connection]; conn != nil {
			if d, leaves := conn.leaves(r); leaves {
				leaving[conn.Name] = append(leaving[conn.Name], Found{Repository: r.Repository, Reason: d.Reason})
				return nil
			}
		}
		return yield(r)
	})
	if err != nil {
		return err
	}
	until := time.Now().Add(saveTime)
	for _, conn := range conns {
		if err := s.unselect(ctx, conn, leaving[conn.Name], until); err != nil {
			s.logUnsettled(ctx, conn, err)
		}
	}
	return nil
}

// leaves tells, and why, whether a selected record is certainly left out by the connection's
// configuration. What only Bitbucket knows, such as what a query finds, stays as the last
// listing decided it.
func (c *connection) leaves(r Record) (Decision, bool) {
	if c.moved.Load() {
		return Decision{Reason: reasonMoved}, true
	}
	d, err := c.decideAlone(r.Repository, r)
	return d, err == nil && !d.Selected
}

// settleAll settles what a new configuration changed, as far as the database and the time allow.
// The caller holds deciding.
func (s *Syncer) settleAll(conns []*connection) {
	ctx, cancel := context.WithTimeout(context.Background(), decidingTimeout)
	defer cancel()
	until := time.Now().Add(saveTime)
	for _, conn := range conns {
		if err := s.settle(ctx, conn, until); err != nil {
			s.logUnsettled(ctx, conn, err)
		}
	}
}

// settle makes the index agree with a connection's configuration without Bitbucket:
// records that are certainly left out by it lose their link. Those that it newly takes wait for the listing
// or a lookup, because a record that is not selected may be out of date: another repository can have its
// address. What is not done by until (zero: no limit), or after an error, is done first by the next listing. The
// caller holds deciding.
func (s *Syncer) settle(ctx context.Context, conn *connection, until time.Time) error {
	var leaving []Found
	err := s.opts.Records.EachRecord(ctx, conn.Name, func(r Record) error {
		if r.Selected {
			if d, leaves := conn.leaves(r); leaves {
				leaving = append(leaving, Found{Repository: r.Repository, Reason: d.Reason})
			}
		}
		return nil
	})
	if err != nil {
		conn.unsettled.Store(true)
		return fmt.Errorf("read the records of %s: %w", conn.Name, err)
	}
	return s.unselect(ctx, conn, leaving, until)
}

// settleNow settles a connection whose records could not be settled before.
func (s *Syncer) settleNow(ctx context.Context, conn *connection) error {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if !conn.unsettled.Load() || s.connection(conn.Name) != conn {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, decidingTimeout)
	defer cancel()
	return s.settle(ctx, conn, time.Time{})
}

// unselect takes selected records out of the selection. This is announced before it is stored, unlike
// everything else: a link that an administrator forbids is gone even when the database fails. The caller holds deciding.
func (s *Syncer) unselect(ctx context.Context, conn *connection, leaving []Found, until time.Time) error {
	if len(leaving) == 0 {
		conn.unsettled.Store(false)
		return nil
	}
	conn.unsettled.Store(true)
	removed := make([]bitbucket.RepoID, len(leaving))
	for i := range leaving {
		removed[i] = leaving[i].ID
	}
	s.opts.Listener.RepositoriesChanged(Changes{Removed: removed})
	s.log.InfoContext(ctx, "the site configuration leaves out repositories that were selected",
		"connection", conn.Name, "repositories", len(leaving))
	for chunk := range slices.Chunk(leaving, recordsPerSave) {
		if !until.IsZero() && time.Now().After(until) {
			return nil
		}
		_, err := s.opts.Index.SaveFound(ctx, conn.Name, 0, chunk)
		s.names.forget()
		if err != nil {
			return fmt.Errorf("store what leaves the selection of %s: %w", conn.Name, err)
		}
	}
	conn.unsettled.Store(false)
	return nil
}

func (s *Syncer) logUnsettled(ctx context.Context, conn *connection, err error) {
	s.log.ErrorContext(ctx, "the index does not agree with the site configuration yet; the next listing tries again",
		"connection", conn.Name, "err", err)
}

// saveFound stores decisions of a connection and announces what they changed. SetConfig
// comes before or after, not in between: decisions of an entry that has changed are
// errReconfigured, or they would bring back what the new one leaves out.
func (s *Syncer) saveFound(ctx context.Context, conn *connection, listing int64, found []Found) (Changes, error) {
	if err := s.dropForeign(ctx, conn, found); err != nil {
		return Changes{}, err
	}
	s.deciding.RLock()
	defer s.deciding.RUnlock()
	if s.connection(conn.Name) != conn {
		return Changes{}, errReconfigured
	}
	ctx, cancel := context.WithTimeout(ctx, decidingTimeout)
	defer cancel()
	changes, err := s.opts.Index.SaveFound(ctx, conn.Name, listing, found)
	if err != nil {
		return Changes{}, err
	}
	s.announce(conn, changes)
	return changes, nil
}

// announce tells the Listener of changes of a connection, if there are any.
func (s *Syncer) announce(conn *connection, changes Changes) {
	if changes.none() {
		return
	}
	s.names.forget()
	if conn.unsettled.Load() {
		// A record that is stored as selected and should not be can be among them: one that lost
		// a former address to another.
		told := Changes{Removed: slices.Clone(changes.Removed)}
		for _, r := range changes.Upserted {
			if _, leaves := conn.leaves(r); leaves {
				told.Removed = append(told.Removed, r.ID)
			} else {
				told.Upserted = append(told.Upserted, r)
			}
		}
		changes = told
	}
	s.opts.Listener.RepositoriesChanged(changes)
}
