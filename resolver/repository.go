package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// place finds the repository of a page and its connection (docs/links.md, section 1). The
// pages of a project and of a search have no repository; their entry is zero, and the
// project's key is set to its canonical spelling.
func (r *Resolver) place(ctx context.Context, now *state, page *bitbucket.Location) (*Entry, *connection, error) {
	switch page.Page {
	case bitbucket.PageProject:
		page.Key = now.index.projectKey(page.Connection, page.Key)
		return &noEntry, now.config.connections[page.Connection], nil
	case bitbucket.PageSearch:
		return &noEntry, now.config.connections[page.Connection], nil
	}
	if entry := now.index.find(page.Connection, page.Address); entry != nil {
		return entry, now.config.connections[page.Connection], nil
	}
	// An ssh address does not tell which of the servers on its host is meant.
	for _, name := range page.Others {
		if entry := now.index.find(name, page.Address); entry != nil {
			return entry, now.config.connections[name], nil
		}
	}
	entry, err := r.lookup(ctx, now, page.Connection, page.Address)
	for _, name := range page.Others {
		if err == nil {
			break
		}
		var other *Entry
		var otherErr error
		other, otherErr = r.lookup(ctx, now, name, page.Address)
		// That one has no such repository says less than that another cannot be asked.
		if otherErr == nil || errors.Is(err, ErrRepositoryNotFound) {
			entry, err = other, otherErr
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return entry, now.config.connections[entry.ID.Connection], nil
}

var noEntry Entry

// lookup finds a repository that the index lacks.
func (r *Resolver) lookup(ctx context.Context, now *state, connection string, address bitbucket.Address) (*Entry, error) {
	if r.repositories == nil {
		return nil, ErrRepositoryNotFound
	}
	key := string(appendPlace([]byte{flightRepository}, connection, address))
	if f, ok := r.recall(now, key); ok {
		if f.err != nil {
			return nil, f.err
		}
		return f.value.(*Entry), nil
	}
	// Flights of the index as it was must not be joined once it has changed: the state's
	// address is different for each index for as long as somebody holds it.
	return fly(ctx, &now.caches.flights, fmt.Sprintf("%s\x00%p", key, now), r.timeout, func(ctx context.Context) (*Entry, error) {
		entry, err := r.repositories.LookupRepository(ctx, connection, address)
		switch {
		case errors.Is(err, ErrRepositoryNotFound), errors.Is(err, bitbucket.ErrNotFound):
			if !errors.Is(err, ErrRepositoryNotFound) {
				err = fmt.Errorf("%w: %w", ErrRepositoryNotFound, err)
			}
			if r.state.Load() == now {
				now.caches.negatives.put(key, fact{err: err, stamp: r.generations.of(bitbucket.RepoID{})}, negativeTTL)
			}
			return nil, err
		case err != nil:
			return nil, unavailable(ctx, "looking for a repository", err)
		}
		if entry.ID.Connection != connection {
			return nil, fmt.Errorf("%w: the lookup on %s found the repository %s", ErrRepositoryNotFound, connection, entry.ID)
		}
		// The stamp comes before the look at the state: an update swaps the state first,
		// so that it is seen here, or ages the stamp.
		f := fact{value: &entry, id: entry.ID, stamp: r.generations.of(entry.ID), expires: time.Now().Add(bitbucketTTL)}
		if r.state.Load() == now {
			now.caches.facts.put(key, f, bitbucketTTL)
		}
		return &entry, nil
	})
}
