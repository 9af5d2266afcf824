package app

import (
	"context"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// connectionStates tells administrators how the connections stand, and tries them. It fills in
// api.Connections.
type connectionStates struct {
	hosts     *connections
	publisher *siteconfig.Publisher
	status    syncer.StatusStore
	trials    *trials
	disk      mirrorDisk
}

var _ api.Connections = (*connectionStates)(nil)

// Connections implements api.Connections.
func (c *connectionStates) Connections(ctx context.Context) (api.ConnectionList, error) {
	stored, err := c.status.ConnectionStatuses(ctx)
	if err != nil {
		return api.ConnectionList{}, err
	}
	statuses := make(map[string]syncer.ConnectionStatus, len(stored))
	for _, status := range stored {
		statuses[status.Connection] = status
	}
	config := c.publisher.Current()
	all := make([]api.Connection, 0, len(config.Connections))
	for i := range config.Connections {
		settings := &config.Connections[i]
		status := statuses[settings.Name]
		connection := api.Connection{
			Name: settings.Name, URL: settings.BaseURL().String(),
			Version: status.Version, Account: status.Account,
			LastComplete: status.LastComplete, LastAttempt: status.LastAttempt,
			Listed: status.Listed, Selected: status.Selected, Missing: status.Missing, Withheld: status.Withheld,
			Problem: status.Error,
			Health:  api.ConnectionHealth{State: api.ConnectionOK},
		}
		if client, err := c.hosts.client(settings.Name); err == nil { // otherwise it is being removed
			connection.Health = healthOf(client.Health(), settings)
		}
		all = append(all, connection)
	}
	return api.ConnectionList{Connections: all, Disk: diskOf(c.disk)}, nil
}

// healthOf says how a connection stands in the API's words. What takes an administrator comes first.
func healthOf(h rest.Health, settings *siteconfig.Connection) api.ConnectionHealth {
	health := api.ConnectionHealth{State: api.ConnectionOK}
	switch {
	case h.Refused != nil:
		health.State, health.Since, health.Problem = api.ConnectionCredentialRefused, h.RefusedSince.UTC(), h.Refused.Error()
	case h.CircuitOpen:
		health.State, health.Since, health.Until = api.ConnectionCircuitOpen, h.Since.UTC(), h.NextTry.UTC()
		health.Problem = "Bitbucket does not answer; it is tried again by itself (" + h.Reason + ")"
	case !h.PausedUntil.IsZero():
		health.State, health.Until = api.ConnectionPaused, h.PausedUntil.UTC()
		health.Problem = "Bitbucket asked for a pause. When that happens often, lower rateLimit.requestsPerHour, or have the account exempted"
	}
	if h.Limited {
		health.RateLimit = api.ConnectionRateLimit{RequestsPerHour: settings.RequestsPerHour, Left: int(h.Tokens)}
	}
	return health
}

// CheckConnection implements api.Connections. It uses the connection's own client, and so its
// rate limit, its circuit and what it knows of its credential.
func (c *connectionStates) CheckConnection(ctx context.Context, name string) (api.ConnectionCheck, error) {
	found, err := c.hosts.find(name)
	if err != nil {
		return api.ConnectionCheck{}, err
	}
	return c.check(ctx, &found.settings, found.client)
}

// CheckEntry implements api.Connections.
func (c *connectionStates) CheckEntry(ctx context.Context, entry string) (api.ConnectionCheck, siteconfig.Problems, error) {
	settings, problems, err := c.publisher.CheckEntry(ctx, entry)
	if err != nil {
		return api.ConnectionCheck{}, nil, err
	}
	if settings == nil {
		return api.ConnectionCheck{}, problems, siteconfig.ErrInvalid
	}
	client, done, err := c.trials.client(c.hosts, settings)
	if err != nil {
		return api.ConnectionCheck{
			URL:  settings.BaseURL().String(),
			REST: api.CheckedPart{State: api.PartFails, Problem: err.Error()},
			Git:  api.CheckedPart{State: api.PartNotTried, Problem: "not tried, since REST does not work"},
		}, problems, nil
	}
	defer done()
	check, err := c.check(ctx, settings, client)
	return check, problems, err
}

// check tries a connection, one at a time and in less time than a request may take.
func (c *connectionStates) check(ctx context.Context, settings *siteconfig.Connection, client *rest.Client) (api.ConnectionCheck, error) {
	leave, err := c.trials.enter(ctx)
	if err != nil {
		return api.ConnectionCheck{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, requestTime-5*time.Second)
	defer cancel()
	found := syncer.CheckConnection(ctx, settings, client)
	check := api.ConnectionCheck{
		OK: found.OK(), URL: settings.BaseURL().String(), Version: found.Version, Account: found.Account,
		REST: part(true, found.REST), Git: part(found.GitTried, found.Git),
	}
	check.Git.Repository = found.Repository
	if found.Counted {
		check.Repositories = &api.VisibleRepositories{Count: found.Repositories, Personal: found.Personal, AtLeast: found.AtLeast}
	}
	return check, nil
}

func part(tried bool, problem string) api.CheckedPart {
	state := api.PartWorks
	switch {
	case !tried:
		state = api.PartNotTried
	case problem != "":
		state = api.PartFails
	}
	return api.CheckedPart{State: state, Problem: problem}
}
