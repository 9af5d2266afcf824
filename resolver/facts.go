package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// fact is something that Bitbucket said, or with err, that it does not have it.
type fact struct {
	value   any
	err     error
	id      bitbucket.RepoID
	stamp   stamp
	pulls   bool // it depends on pull requests
	expires time.Time
}

// recall returns what is cached for a key, if it is still true.
func (r *Resolver) recall(now *state, key string) (fact, bool) {
	if f, expires, ok := now.caches.facts.get(key); ok && f.stamp.current(r.generations.of(f.id), f.pulls) {
		f.expires = expires
		return f, true
	}
	f, expires, ok := now.caches.negatives.get(key)
	if !ok || !f.stamp.current(r.generations.of(f.id), f.pulls) {
		return fact{}, false
	}
	r.negatives.Add(1)
	f.expires = expires
	return f, true
}

// question is what a draft asks of Bitbucket.
type question struct {
	key     []byte
	ttl     time.Duration
	timeout time.Duration
	pulls   bool // the answer depends on pull requests
}

// learn answers a question from the cache, or asks Bitbucket, once for all who want to
// know. The draft lives no longer than the answer. bitbucket.ErrNotFound and ErrEmptyRepository are
// cached, for a shorter time; other errors are not.
func learn[T any](ctx context.Context, d *draft, q question, ask func(context.Context) (T, error)) (T, error) {
	var none T
	d.pulls = d.pulls || q.pulls
	key := string(q.key)
	if f, ok := d.r.recall(d.now, key); ok {
		d.expireAt(f.expires)
		if f.err != nil {
			return none, f.err
		}
		return f.value.(T), nil
	}
	flight := string(appendStamp(q.key, d.stamp))
	f, err := fly(ctx, &d.now.caches.flights, flight, q.timeout, func(ctx context.Context) (fact, error) {
		value, err := ask(ctx)
		f := fact{value: value, id: d.entry.ID, stamp: d.stamp, pulls: q.pulls}
		if err == nil {
			f.expires = time.Now().Add(q.ttl)
			d.now.caches.facts.put(key, f, q.ttl)
			return f, nil
		}
		if errors.Is(err, bitbucket.ErrNotFound) || errors.Is(err, bitbucket.ErrEmptyRepository) {
			f.value, f.err, f.expires = nil, err, time.Now().Add(negativeTTL)
			d.now.caches.negatives.put(key, f, negativeTTL)
			return f, nil
		}
		return fact{}, err
	})
	if err != nil {
		return none, err
	}
	d.expireAt(f.expires)
	if f.err != nil {
		return none, f.err
	}
	return f.value.(T), nil
}

// factKey begins the key of what Bitbucket says of the repository. Bitbucket is asked by
// address, so that is part of it: a question that began before a rename can be answered for
// the repository that took the address over.
func (d *draft) factKey(kind byte) []byte {
	key := appendString([]byte{kind}, d.entry.ID.Connection)
	key = fmt.Appendf(key, "%d\x00", d.entry.ID.Number)
	return appendString(appendString(key, d.entry.Address.Key), d.entry.Address.Slug)
}

// pullRequest asks for a pull request. ErrPullRequestNotFound, ErrBitbucketUnavailable, ErrBitbucketTimeout.
func (d *draft) pullRequest(ctx context.Context, number int64) (bitbucket.PullRequest, error) {
	q := question{
		key: fmt.Appendf(d.factKey(flightPullRequest), "%d", number), ttl: pullRequestTTL, timeout: d.r.timeout, pulls: true,
	}
	pr, err := learn(ctx, d, q, func(ctx context.Context) (bitbucket.PullRequest, error) {
		return d.r.bitbucket.PullRequest(ctx, d.entry.ID, d.entry.Address, number)
	})
	switch {
	case err == nil:
		return pr, nil
	case errors.Is(err, bitbucket.ErrNotFound):
		return pr, fmt.Errorf("%w: #%d of %s", ErrPullRequestNotFound, number, d.entry.Address)
	}
	return pr, unavailable(ctx, fmt.Sprintf("asking for pull request #%d of %s", number, d.entry.Address), err)
}

// bitbucketPathKind asks what a path is. Errors wrap the sentinels of package bitbucket.
func (d *draft) bitbucketPathKind(ctx context.Context, rev, path string) (bitbucket.PathKind, error) {
	q := question{
		key: appendString(appendString(d.factKey(flightPathKind), rev), path), ttl: bitbucketTTL, timeout: d.r.timeout / 2,
	}
	return learn(ctx, d, q, func(ctx context.Context) (bitbucket.PathKind, error) {
		return d.r.bitbucket.PathKind(ctx, d.entry.ID, d.entry.Address, rev, path)
	})
}

// defaultBranch returns the short name of the default branch, "" when unknown.
func (d *draft) defaultBranch(ctx context.Context) string {
	branch, err := d.r.mirrors.DefaultBranch(ctx, d.entry.ID)
	if err == nil {
		return branch
	}
	d.noteMirrorError(ctx, err)
	q := question{key: d.factKey(flightDefaultBranch), ttl: bitbucketTTL, timeout: d.r.timeout / 2}
	branch, err = learn(ctx, d, q, func(ctx context.Context) (string, error) {
		return d.r.bitbucket.DefaultBranch(ctx, d.entry.ID, d.entry.Address)
	})
	if err != nil {
		d.noteBitbucketError(ctx, err)
		return ""
	}
	return branch
}

// unavailable says that Bitbucket failed where its answer is needed. It tells a timeout,
// of the flight or of the client, from other failures.
func unavailable(ctx context.Context, what string, err error) error {
	if errors.Is(err, ErrBitbucketUnavailable) {
		return err
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %s: %w", ErrBitbucketTimeout, what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrBitbucketUnavailable, what, err)
}
