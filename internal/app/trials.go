package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// maxRefusedTrials is how many credentials of one account may be refused in checks until the
// site configuration changes. Five wrong logins in a row lock it.
const maxRefusedTrials = 3

// errTooManyTrials ends checks of an account before it is locked.
var errTooManyTrials = errors.New("Bitbucket refused several credentials of this account in checks; " + //nolint:staticcheck // a name
	"one more could lock it. Log in to Bitbucket with a browser as this account, correct the entry and save the site configuration; until then it is not tried")

// trials makes the clients that try entries of the configuration which may not run yet. It
// remembers what was refused, so that no account is locked by checks. Safe for concurrent use.
type trials struct {
	userAgent string
	running   chan struct{} // holds one

	mu       sync.Mutex
	refused  map[siteconfig.Secret]syncer.Refusal // by the mark of the credential
	accounts map[string]int                       // refused credentials of an account
}

func newTrials(userAgent string) *trials {
	t := &trials{userAgent: userAgent, running: make(chan struct{}, 1)}
	t.forget()
	return t
}

// forget forgets what was refused: the site configuration changed.
func (t *trials) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused, t.accounts = make(map[siteconfig.Secret]syncer.Refusal), make(map[string]int)
}

// enter waits while another check runs.
func (t *trials) enter(ctx context.Context) (leave func(), err error) {
	select {
	case t.running <- struct{}{}:
		return func() { <-t.running }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client returns a client for an entry: the one that runs where it serves the entry as well. The
// error is for an administrator. done is called when the client is no longer used.
func (t *trials) client(hosts *connections, entry *siteconfig.Connection) (client *rest.Client, done func(), err error) {
	if running := hosts.serving(entry); running != nil {
		return running, func() {}, nil
	}
	mark, account := trialMark(entry), accountOf(entry)
	refusal, known := t.known(mark)
	if !known {
		refusal, known = hosts.refusalOf(mark)
	}
	if !known && t.count(account) >= maxRefusedTrials {
		return nil, nil, errTooManyTrials
	}
	o := rest.Options{
		Connection: entry.Name, BaseURL: entry.BaseURL(),
		Token: entry.Token, Username: entry.Username, Password: entry.Password,
		CertificatePEM: entry.CertificatePEM, RequestsPerHour: entry.RequestsPerHour, UserAgent: t.userAgent,
		Timeout: 10 * time.Second, RetryMax: 1,
		OnRefusal: func(r syncer.Refusal) { t.note(mark, account, r) },
	}
	if known {
		o.Refused = &refusal
	}
	if client, err = rest.New(o); err != nil {
		return nil, nil, err
	}
	return client, client.Close, nil
}

func (t *trials) known(mark siteconfig.Secret) (syncer.Refusal, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refusal, ok := t.refused[mark]
	return refusal, ok
}

func (t *trials) count(account string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accounts[account]
}

func (t *trials) note(mark siteconfig.Secret, account string, r syncer.Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[mark] = r
	t.accounts[account]++
}

// trialMark tells a credential for a Bitbucket from every other, whatever the configuration is.
func trialMark(c *siteconfig.Connection) siteconfig.Secret { return markOf([sha256.Size]byte{}, c) }

// accountOf names what a wrong credential could lock.
func accountOf(c *siteconfig.Connection) string {
	return c.BaseURL().String() + "\x00" + strings.ToLower(c.Username)
}

// serving returns the client that runs and would be the entry's, or nil.
func (c *connections) serving(entry *siteconfig.Connection) *rest.Client {
	for _, each := range *c.current.Load() {
		if sameClient(&each.settings, entry) {
			return each.client
		}
	}
	return nil
}

// refusalOf returns what Bitbucket said of a credential of a connection that runs.
func (c *connections) refusalOf(mark siteconfig.Secret) (syncer.Refusal, bool) {
	for _, each := range *c.current.Load() {
		h := each.client.Health()
		if h.Refused != nil && trialMark(&each.settings) == mark {
			return syncer.Refusal{
				Connection: each.settings.Name, Said: h.Refused.Error(),
				Captcha: errors.Is(h.Refused, bitbucket.ErrCaptcha), At: h.RefusedSince,
			}, true
		}
	}
	return syncer.Refusal{}, false
}
