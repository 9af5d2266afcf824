package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

var _ resolver.RepositoryLookup = (*Syncer)(nil)

const (
	reasonUndecided = "not selected yet: whether repositoryQuery takes it is known after the next listing"
	reasonGone      = "not in the site configuration any more: its connection is gone"
)

// LookupRepository implements resolver.RepositoryLookup. What the index knows is answered
// from it, a repository that is not selected with its reason; Bitbucket is asked for what the
// index lacks, has not seen in its last listing, or has not selected before the configuration
// took it in. What it finds is stored, announced and, when the selection includes it, queued for its
// first fetch. The caller sees to single flight and caching.
func (s *Syncer) LookupRepository(ctx context.Context, connection string, address bitbucket.Address) (resolver.Entry, error) {
	for {
		found, err := s.lookupOnce(ctx, connection, address)
		if !errors.Is(err, errReconfigured) || ctx.Err() != nil {
			return found, err
		}
	}
}

// lookupOnce is LookupRepository under one configuration, or errReconfigured.
func (s *Syncer) lookupOnce(ctx context.Context, connection string, address bitbucket.Address) (resolver.Entry, error) {
	conn := s.connection(connection)
	if conn == nil {
		return resolver.Entry{}, &resolver.NotFoundError{Reason: reasonGone}
	}
	record, err := s.opts.Records.RecordAt(ctx, connection, address)
	switch {
	case err == nil && record.MissingSince.IsZero() && !conn.moved.Load():
		// The configuration decides, not what was stored before it.
		d, err := conn.decideAlone(record.Repository, record)
		switch {
		case err != nil || d.Selected == record.Selected:
			return entry(record)
		case !d.Selected:
			return resolver.Entry{}, &resolver.NotFoundError{Reason: d.Reason}
		}
	case err != nil && !errors.Is(err, ErrNoRecord):
		return resolver.Entry{}, fmt.Errorf("read the record of %s: %w", address, err)
	}
	found, err := s.lookUp(ctx, conn, address)
	if err != nil {
		return resolver.Entry{}, err
	}
	record, err = s.adopt(ctx, conn, found, address)
	if err != nil {
		return resolver.Entry{}, err
	}
	return entry(record)
}

// entry is what the resolver needs of a record, or the reason why it gets none.
func entry(r Record) (resolver.Entry, error) {
	if !r.Selected {
		return resolver.Entry{}, &resolver.NotFoundError{Reason: r.Reason}
	}
	return resolver.Entry{ID: r.ID, Address: r.Address, Former: r.Former}, nil
}

// lookUp asks Bitbucket for one repository. Anybody's URL can cause it, so a credential that is
// refused is not tried here.
func (s *Syncer) lookUp(ctx context.Context, conn *connection, address bitbucket.Address) (bitbucket.Repository, error) {
	host, err := s.opts.Hosts.CodeHost(conn.Name)
	if err != nil {
		return bitbucket.Repository{}, err
	}
	if _, err := conn.credential.check(ctx, host, false); err != nil {
		return bitbucket.Repository{}, err
	}
	found, err := host.Repository(ctx, address)
	if errors.Is(err, bitbucket.ErrUnauthorized) {
		// Either the account may not see the repository, or the credential is refused by now.
		if _, refused := conn.credential.check(ctx, host, true); refused != nil {
			return bitbucket.Repository{}, refused
		}
		err = bitbucket.ErrNotFound
	}
	if errors.Is(err, bitbucket.ErrCaptcha) {
		conn.credential.refuse(err)
	}
	if errors.Is(err, bitbucket.ErrNotFound) {
		return bitbucket.Repository{}, &resolver.NotFoundError{Reason: inWords(err, conn.Connection)}
	}
	return found, err
}

// adopt decides about a repository that was found at an address without a listing, and stores it.
func (s *Syncer) adopt(ctx context.Context, conn *connection, found bitbucket.Repository, at bitbucket.Address) (Record, error) {
	if !conn.claimed.Load() {
		if err := s.claim(ctx, conn); err != nil {
			return Record{}, err
		}
	}
	known, err := s.opts.Records.Record(ctx, found.ID) // under another address
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return Record{}, fmt.Errorf("read the record of %s: %w", found.ID, err)
	}
	if known.Foreign {
		known = Record{} // it says nothing of this one
	}
	found = standing(found, known)
	known.Former = append(slices.Clip(known.Former), at) // Bitbucket just answered to it
	d, err := conn.decideAlone(found, known)
	if err != nil {
		return Record{}, err
	}
	save, cancel := saveContext(ctx)
	defer cancel()
	changes, err := s.saveFound(save, conn, 0, []Found{{Repository: found, Selected: d.Selected, Reason: d.Reason}})
	if err != nil {
		return Record{}, fmt.Errorf("store %s: %w", found.Address, err)
	}
	if err := s.enqueueNew(save, changes.Upserted); err != nil {
		// The link is right without the mirror, and the next sweep queues it.
		s.log.WarnContext(ctx, "a new repository waits for the next sweep", "repository", found.ID.String(), "err", err)
	}
	record, err := s.opts.Records.Record(save, found.ID)
	if err != nil {
		return Record{}, fmt.Errorf("read the record of %s: %w", found.ID, err)
	}
	return record, nil
}

// decideAlone decides about a repository without the listing that would tell which queries
// find it. What a listing decided before stands as far as the question stays open.
func (c *connection) decideAlone(r bitbucket.Repository, known Record) (Decision, error) {
	if c.selectionErr != nil {
		return Decision{}, c.selectionErr
	}
	sel, taken := c.takenBy(r, known)
	switch {
	case taken == NotTaken:
		return c.selection.Select(r), nil
	case taken == IsTaken, known.Selected:
		return c.selection.Select(r, sel), nil
	}
	if d := c.selection.Select(r); d.Reason != reasonNotTaken {
		return d, nil
	}
	return Decision{Reason: reasonUndecided}, nil
}

// takenBy is Selection.Takes for a repository with its record, zero when there is none. What a
// listing found by a selector of repos or projectKeys that is still configured is taken by it,
// whatever its address: Bitbucket answers to the old address of what was renamed before it was known here.
func (c *connection) takenBy(r bitbucket.Repository, known Record) (Selector, Taken) {
	sel, taken := c.selection.Takes(r, known.Former...)
	if taken == IsTaken || !known.Selected || known.Address != r.Address {
		return sel, taken
	}
	if by, ok := c.selection.credited(known.Reason); ok {
		return by, IsTaken
	}
	return sel, taken
}
