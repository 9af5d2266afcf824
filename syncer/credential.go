package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"example.com/signpost/internal/bitbucket"
)

// errRefused means that a credential is not used because Bitbucket refused it.
var errRefused = errors.New("the credential is not used until Bitbucket accepts it again")

// errUnreadable means that git was refused a repository with a credential that Bitbucket accepts.
var errUnreadable = errors.New("not readable with an accepted credential")

// credential knows whether Bitbucket accepts a connection's credential. Listings check it
// afresh, and everything else leaves one that was refused alone: it sees to it that one
// request, not many at once, finds out. Safe for concurrent use.
type credential struct {
	checking chan struct{} // held by the one that asks Bitbucket

	mu       sync.Mutex
	accepted bool
	account  string
	refused  error // what Bitbucket said, to REST or to git; nil unless refused
}

func newCredential() *credential {
	return &credential{checking: make(chan struct{}, 1)}
}

// isRefusal tells that another try with the same credential can lock the account.
func isRefusal(err error) bool {
	return errors.Is(err, bitbucket.ErrUnauthorized) || errors.Is(err, bitbucket.ErrCaptcha)
}

// check asks for the account, once for all who want to know: an accepted credential is not
// asked about again, and a refused one is errRefused and what Bitbucket said. A fresh check asks in
// any case; CodeHost.Account sees to it that this locks no account. Once it succeeds, everybody may
// use the credential again.
func (c *credential) check(ctx context.Context, host CodeHost, fresh bool) (account string, err error) {
	select {
	case c.checking <- struct{}{}:
		defer func() { <-c.checking }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if !fresh {
		if err := c.blocked(); err != nil {
			return "", err
		}
		if account, ok := c.accepts(); ok {
			return account, nil
		}
	}
	account, err = host.Account(ctx)
	switch {
	case err == nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.accepted, c.account, c.refused = true, account, nil
	case isRefusal(err):
		c.refuse(err)
	}
	return account, err
}

// refuse notes that Bitbucket refused the credential.
func (c *credential) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted, c.refused = false, err
}

// blocked returns errRefused and what Bitbucket said while the credential is not to be used.
func (c *credential) blocked() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused != nil {
		return fmt.Errorf("%w: %w", errRefused, c.refused)
	}
	return nil
}

func (c *credential) accepts() (account string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account, c.accepted
}
