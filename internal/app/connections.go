package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// connections keeps a REST client for each connection of the configuration in effect. It
// fills in syncer.CodeHosts and resolver.Bitbucket. A connection that a new configuration
// leaves as it was keeps its client, and so its rate limit and its open network
// connections; a password that was refused is tried once more.
type connections struct {
	refusals  *refusals
	userAgent string
	observe   func(connection, operation string, status int, d time.Duration)
	log       *slog.Logger
	current   atomic.Pointer[map[string]*connection]
}

type connection struct {
	settings siteconfig.Connection
	client   *rest.Client
}

func newConnections(refusals *refusals, userAgent string, observe func(connection, operation string, status int, d time.Duration), log *slog.Logger) *connections {
	c := &connections{refusals: refusals, userAgent: userAgent, observe: observe, log: log}
	c.current.Store(&map[string]*connection{})
	return c
}

// prepare makes the clients of the next configuration, and returns what puts them in
// effect.
func (c *connections) prepare(ctx context.Context, next *siteconfig.Config) (apply func(), err error) {
	before := *c.current.Load()
	recalled := c.refusals.recall(ctx, next)
	after := make(map[string]*connection, len(next.Connections))
	for _, settings := range next.Connections {
		if old, ok := before[settings.Name]; ok && sameClient(&old.settings, &settings) {
			after[settings.Name] = &connection{settings: settings, client: old.client}
			continue
		}
		client, err := rest.New(rest.Options{
			Connection:      settings.Name,
			BaseURL:         settings.BaseURL(),
			Token:           settings.Token,
			Username:        settings.Username,
			Password:        settings.Password,
			Refused:         recalled[settings.Name],
			OnRefusal:       func(r syncer.Refusal) { c.refusals.remember(&settings, r) },
			WebhookSecret:   settings.WebhookSecret,
			CertificatePEM:  settings.CertificatePEM,
			RequestsPerHour: settings.RequestsPerHour,
			UserAgent:       c.userAgent,
			Logger:          c.log,
			Observe: func(operation string, status int, d time.Duration) {
				c.observe(settings.Name, operation, status, d)
			},
		})
		if err != nil {
			return nil, fmt.Errorf("connection %s: %w", settings.Name, err)
		}
		after[settings.Name] = &connection{settings: settings, client: client}
	}
	return func() {
		first := c.refusals.inEffect(next)
		c.current.Store(&after)
		for name, old := range before {
			if now, ok := after[name]; ok && now.client == old.client {
				old.client.ConfigurationChanged()
			} else {
				old.client.Close()
			}
		}
		if !first {
			c.refusals.forget()
		}
	}, nil
}

// forgive has each credential that was refused tried once more: somebody asks for it by hand.
func (c *connections) forgive() {
	for _, each := range *c.current.Load() {
		each.client.ConfigurationChanged()
	}
	c.refusals.forget()
}

// sameClient tells whether a client made for a serves b as well.
func sameClient(a, b *siteconfig.Connection) bool {
	return a.BaseURL() == b.BaseURL() && a.Token == b.Token && a.Username == b.Username && a.Password == b.Password &&
		a.WebhookSecret == b.WebhookSecret && a.CertificatePEM == b.CertificatePEM && a.RequestsPerHour == b.RequestsPerHour
}

func (c *connections) client(name string) (*rest.Client, error) {
	found, err := c.find(name)
	if err != nil {
		return nil, err
	}
	return found.client, nil
}

// find returns a connection of the configuration in effect, or syncer.ErrNoConnection.
func (c *connections) find(name string) (*connection, error) {
	found, ok := (*c.current.Load())[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", syncer.ErrNoConnection, name)
	}
	return found, nil
}

func (c *connections) close() error {
	for _, each := range *c.current.Swap(&map[string]*connection{}) {
		each.client.Close()
	}
	return nil
}

// CodeHost implements syncer.CodeHosts.
func (c *connections) CodeHost(name string) (syncer.CodeHost, error) {
	client, err := c.client(name)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// suspended tells whether a connection is left alone now, and until when.
func (c *connections) suspended(name string) (until time.Time, suspended bool) {
	client, err := c.client(name)
	if err != nil {
		return time.Time{}, false // gone; what asks next is told so
	}
	return client.Suspended()
}

// answers asks a connection's Bitbucket whether it answers at all.
func (c *connections) answers(ctx context.Context, name string) bool {
	client, err := c.client(name)
	return err != nil || client.Answers(ctx) // gone; what asks next is told so
}

// remote returns how git reaches a connection.
func (c *connections) remote(name string) (http.RoundTripper, func(*http.Request), error) {
	client, err := c.client(name)
	if err != nil {
		return nil, nil, err
	}
	return client.Transport(), client.AuthorizeGit, nil
}

// PullRequest implements resolver.Bitbucket.
func (c *connections) PullRequest(ctx context.Context, repo bitbucket.RepoID, address bitbucket.Address, number int64) (bitbucket.PullRequest, error) {
	client, err := c.client(repo.Connection)
	if err != nil {
		return bitbucket.PullRequest{}, err
	}
	return client.PullRequest(ctx, address, number)
}

// PathKind implements resolver.Bitbucket.
func (c *connections) PathKind(ctx context.Context, repo bitbucket.RepoID, address bitbucket.Address, rev, path string) (bitbucket.PathKind, error) {
	client, err := c.client(repo.Connection)
	if err != nil {
		return 0, err
	}
	return client.PathKind(ctx, address, rev, path)
}

// DefaultBranch implements resolver.Bitbucket.
func (c *connections) DefaultBranch(ctx context.Context, repo bitbucket.RepoID, address bitbucket.Address) (string, error) {
	client, err := c.client(repo.Connection)
	if err != nil {
		return "", err
	}
	return client.DefaultBranch(ctx, address)
}
