package syncer

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// keyPause is how long git over SSH leaves a Bitbucket alone that refused the key. Five wrong keys lock no
// account, as passwords do; but nobody wants the log of a server filled, nor an address banned.
const keyPause = 15 * time.Minute

// sshKey knows whether Bitbucket accepts a connection's SSH key. REST logs in with another credential, and
// goes on. A changed entry of the configuration has a new one. Safe for concurrent use.
type sshKey struct {
	mu      sync.Mutex
	refused error // what Bitbucket said; nil unless refused
	until   time.Time
}

// blocked returns errRefused and what Bitbucket said while the key is not to be used.
func (k *sshKey) blocked(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pause(now)
}

// pause is blocked with mu held. A pause that is longer than it can be is one of a clock that was set back.
func (k *sshKey) pause(now time.Time) error {
	if k.refused == nil || !now.Before(k.until) || k.until.Sub(now) > keyPause {
		return nil
	}
	return fmt.Errorf("%w, and is tried again at %s: %w", errRefused, k.until.UTC().Format("15:04 UTC"), k.refused)
}

// admit is blocked for one who is about to use the key. After a pause one of them finds out whether it is
// accepted now, and the others wait for the next.
func (k *sshKey) admit(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.pause(now); err != nil {
		return err
	}
	if k.refused != nil {
		k.until = now.Add(keyPause)
	}
	return nil
}

// note takes down how a fetch ended.
func (k *sshKey) note(err error, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case errors.Is(err, bitbucket.ErrKeyRefused):
		k.refused, k.until = err, now.Add(keyPause)
	case err == nil, errors.Is(err, bitbucket.ErrNotFound): // a login came before
		k.refused = nil
	}
}

// overSSH tells that git goes over SSH.
func (c *connection) overSSH() bool { return c.GitURLType == "ssh" }

// blocked returns errRefused and what Bitbucket said while git has nothing to log in with.
func (c *connection) blocked(now time.Time) error {
	if c.overSSH() {
		return c.key.blocked(now)
	}
	return c.credential.blocked()
}
