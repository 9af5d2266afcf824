package app

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/gitmirror"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// makeParts makes the parts that know nothing of one another. connectParts lets them hear
// of the configuration.
func (a *App) makeParts(mirrors *gitmirror.Mirrors) (err error) {
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "signpost_bitbucket_request_duration_seconds",
		Help:    "Time of a request to Bitbucket's REST API, by connection, operation and status (0: no answer).",
		Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30},
	}, []string{"connection", "operation", "status"})
	userAgent := fmt.Sprintf("signpost/%s (%s)", a.opts.Version, runtime.GOOS)
	a.mirrors = mirrors
	a.hosts = newConnections(&refusals{store: a.records, log: a.log}, userAgent, func(connection, operation string, status int, d time.Duration) {
		requests.WithLabelValues(connection, operation, fmt.Sprint(status)).Observe(d.Seconds())
	}, a.log)
	a.onStop("connections", func(context.Context) error { return a.hosts.close() })

	a.syncer, err = syncer.New(syncer.Options{
		Index:     a.records,
		Records:   a.records,
		Status:    a.records,
		Hosts:     a.hosts,
		Mirrors:   mirrors,
		Folders:   mirrors,
		Remote:    a.hosts.remote,
		Suspended: a.hosts.suspended,
		Answers:   a.hosts.answers,
		Listener:  listener{a},
		Logger:    a.log,
	})
	if err != nil {
		return err
	}
	a.resolver, err = resolver.New(resolver.Options{
		Mirrors:      mirrors,
		Bitbucket:    a.hosts,
		Repositories: a.syncer,
		Logger:       a.log,
	})
	if err != nil {
		return err
	}
	if err := a.makeWebhooks(); err != nil {
		return err
	}

	configuration := siteconfig.PublisherOptions{File: a.opts.ConfigFile, Logger: a.log}
	if a.opts.ConfigFile == "" {
		configuration.Versions = a.records
	}
	a.publisher, err = siteconfig.NewPublisher(configuration)
	if err != nil {
		return err
	}
	a.states = &connectionStates{hosts: a.hosts, publisher: a.publisher, status: a.records, trials: newTrials(userAgent), disk: mirrors}
	all := append(slices.Concat(a.syncer.Collectors(), a.webhooks.Collectors()), requests, newResolverCollector(a.resolver), newConnectionCollector(a.hosts), newSpaceCollector(mirrors, a.log),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, collector := range all {
		if err := a.registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// connectParts says who hears of a new configuration, in this order: the connections
// first, so that nobody asks for one that is not there; the mirrors before the syncer, which fetches; the resolver last, so that a link
// that it gives is one that everything else stands behind.
func (a *App) connectParts() {
	a.publisher.Subscribe("connections", a.hosts.prepare)
	a.publisher.Subscribe("mirrors", func(_ context.Context, next *siteconfig.Config) (func(), error) {
		return func() { a.configureMirrors(next) }, nil
	})
	a.publisher.Subscribe("checks of connections", func(context.Context, *siteconfig.Config) (func(), error) {
		return a.states.trials.forget, nil
	})
	a.publisher.Subscribe("syncer", func(_ context.Context, next *siteconfig.Config) (func(), error) {
		return func() { a.syncer.SetConfig(next) }, nil
	})
	a.publisher.Subscribe("webhooks", func(_ context.Context, next *siteconfig.Config) (func(), error) {
		return func() { a.webhooks.SetConfig(next) }, nil
	})
	a.publisher.Subscribe("browser extension", a.configureExtension)
	a.publisher.Subscribe("resolver", func(_ context.Context, next *siteconfig.Config) (func(), error) {
		config := resolver.Config{Version: next.Version, Primary: next.Primary}
		for _, c := range next.Connections {
			config.Connections = append(config.Connections, resolver.Connection{Server: c.Server, Pattern: c.Pattern})
		}
		return a.resolver.PrepareConfig(config)
	})
}

// listener tells the resolver what the syncer found.
type listener struct{ app *App }

// RepositoriesChanged implements syncer.Listener.
func (l listener) RepositoriesChanged(changes syncer.Changes) {
	entries := make([]resolver.Entry, 0, len(changes.Upserted))
	for _, record := range changes.Upserted {
		entries = append(entries, entry(record))
	}
	l.app.resolver.UpdateIndex(entries, changes.Removed)
}

// RefsChanged implements syncer.Listener.
func (l listener) RefsChanged(repo bitbucket.RepoID) { l.app.resolver.RefsChanged(repo) }

func entry(record syncer.Record) resolver.Entry {
	return resolver.Entry{ID: record.ID, Address: record.Address, Former: record.Former}
}

// loadIndex fills the resolver's index from the records, as far as the configuration that
// was loaded before still selects them.
func (a *App) loadIndex(ctx context.Context) error {
	var entries []resolver.Entry
	err := a.syncer.EachLinked(ctx, func(record syncer.Record) error {
		entries = append(entries, entry(record))
		return nil
	})
	if err != nil {
		return err
	}
	a.resolver.ReplaceIndex(entries)
	a.indexed.Store(true)
	return nil
}

func (a *App) notReady() []string {
	if !a.indexed.Load() {
		return []string{"the index is being loaded"}
	}
	return nil
}

// startSyncing starts the jobs: listings and fetches, on River in the same database.
func (a *App) startSyncing(ctx context.Context) error {
	queue, err := a.records.NewQueue(a.syncer.RiverConfig(riverLogger(a.log)))
	if err != nil {
		return err
	}
	// The queue first: River's Insert races with a client that is still starting.
	if err := queue.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	a.onStop("jobs", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		return queue.StopAndCancel(ctx) // a fetch that is cut off leaves the refs as they were
	})
	if err := a.syncer.Start(context.WithoutCancel(ctx), queue); err != nil {
		return err
	}
	a.onStop("syncer", a.syncer.Stop)
	return nil
}

// watchConfig reads a configuration file again when it changes.
func (a *App) watchConfig(ctx context.Context) {
	if a.opts.ConfigFile == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.publisher.Watch(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "the site configuration is no longer watched", "err", err)
		}
	}()
	a.onStop("watch of the site configuration", func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}
