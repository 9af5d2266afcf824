package app

import (
	"context"
	"errors"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/webhook"
	"example.com/signpost/syncer"
)

// makeWebhooks makes what acts on the deliveries of webhooks.
func (a *App) makeWebhooks() (err error) {
	a.webhooks, err = webhook.New(webhook.Options{
		Index:  knownRepositories{a.records},
		Jobs:   a.syncer,
		Forget: a.resolver.PullRequestsChanged,
		Logger: a.log,
	})
	return err
}

// knownRepositories finds the repositories of deliveries in the records. It fills in webhook.Index.
type knownRepositories struct{ records syncer.RecordReader }

// Known implements webhook.Index.
func (k knownRepositories) Known(ctx context.Context, id bitbucket.RepoID) (webhook.Known, error) {
	return known(k.records.Record(ctx, id))
}

// KnownAt implements webhook.Index.
func (k knownRepositories) KnownAt(ctx context.Context, connection string, address bitbucket.Address) (webhook.Known, error) {
	return known(k.records.RecordAt(ctx, connection, address))
}

// known is what a delivery needs of a record. One that the last listing lacked is unknown: whoever
// pushes to it proves that it is there.
func known(record syncer.Record, err error) (webhook.Known, error) {
	if errors.Is(err, syncer.ErrNoRecord) || err == nil && !record.MissingSince.IsZero() {
		return webhook.Known{}, webhook.ErrUnknownRepository
	}
	if err != nil {
		return webhook.Known{}, err
	}
	return webhook.Known{ID: record.ID, Address: record.Address, Selected: record.Selected}, nil
}
