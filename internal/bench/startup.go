package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/store"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// compareStartup measures what a start does with 100,000 repositories: open the database,
// read the index, make it the resolver's. It says the memory that the index then takes.
func compareStartup(ctx context.Context, b *bench) ([]row, error) {
	publisher, err := b.publish(ctx)
	if err != nil {
		return nil, err
	}
	many, few := filepath.Join(b.tmp, "many.db"), filepath.Join(b.tmp, "few.db")
	if err := populate(ctx, many, manyRepositories); err != nil {
		return nil, err
	}
	if err := populate(ctx, few, fewRepositories); err != nil {
		return nil, err
	}
	var memory []float64
	start := func(file string) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) {
			before := heap()
			elapsed, r, err := startOn(ctx, file, publisher.Current())
			if err != nil {
				return 0, err
			}
			if file == many {
				memory = append(memory, heap()-before)
			}
			runtime.KeepAlive(r)
			return elapsed, nil
		}
	}
	t, err := takeTurns(ctx, b.budget, 5, start(many), start(few))
	if err != nil {
		return nil, err
	}
	startup := timeRow("start-up with 100,000 repositories, database to resolver", "a start-up with 100", t,
		within(time.Second, t.best(nanoseconds)))
	startup.measured += fastest(t.best(nanoseconds))
	bytes := median(memory)
	return []row{startup, {
		what: "memory of the index of 100,000", against: "-",
		measured: fmt.Sprintf("%.1f MiB, %.0f bytes a repository", bytes/(1<<20), bytes/manyRepositories),
	}}, nil
}

var storeKey = [32]byte{1, 2, 3} // encrypts nothing here: no configuration is stored

// populate makes a database in which a listing found so many repositories.
func populate(ctx context.Context, file string, repositories int) (err error) {
	s, err := store.Open(ctx, store.Options{Path: file, Key: storeKey})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	listing, err := s.BeginListing(ctx, connection)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(entries(repositories), 1000) {
		found := make([]syncer.Found, len(page))
		for i, e := range page {
			found[i] = syncer.Found{Repository: repository(e), Selected: true, Reason: "all repositories are selected"}
		}
		if _, err := s.SaveFound(ctx, connection, listing, found); err != nil {
			return err
		}
	}
	_, err = s.FinishListing(ctx, connection, listing, 0, time.Now())
	return err
}

func repository(e resolver.Entry) bitbucket.Repository {
	return bitbucket.Repository{
		ID: e.ID, Address: e.Address, Name: e.Address.Slug, ProjectName: "Project " + e.Address.Key, State: bitbucket.StateAvailable,
		CloneHTTP: "https://bitbucket.example.com/scm/" + e.Address.String() + ".git",
		CloneSSH:  "ssh://git@bitbucket.example.com:7999/" + e.Address.String() + ".git",
	}
}

// startOn does what the server does before it can resolve, and returns how long it took.
func startOn(ctx context.Context, file string, config *siteconfig.Config) (_ time.Duration, _ *resolver.Resolver, err error) {
	begun := time.Now()
	s, err := store.Open(ctx, store.Options{Path: file, Key: storeKey})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := newResolver(config, memoryMirrors{})
	if err != nil {
		return 0, nil, err
	}
	var entries []resolver.Entry
	err = s.EachRecord(ctx, "", func(record syncer.Record) error {
		if record.Selected {
			entries = append(entries, resolver.Entry{ID: record.ID, Address: record.Address, Former: record.Former})
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	r.ReplaceIndex(entries)
	elapsed := time.Since(begun)
	if got := r.Stats().Repositories; got != len(entries) || got == 0 {
		return 0, nil, fmt.Errorf("%d repositories were read, and %d are in the index", len(entries), got)
	}
	return elapsed, r, nil
}

// heap returns the bytes in use after a collection.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers let go of
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
