package main

import (
	"context"
	"fmt"
	"time"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

const (
	fewRepositories  = 100
	manyRepositories = 100_000
	indexPages       = 100 // pages that are resolved; equally many in both, so that the processor's caches hold both
)

// compareIndex compares a resolver that knows 100,000 repositories with one that knows 100.
func compareIndex(ctx context.Context, b *bench) ([]row, error) {
	publisher, err := b.publish(ctx)
	if err != nil {
		return nil, err
	}
	many, err := newIndexed(publisher.Current(), manyRepositories)
	if err != nil {
		return nil, err
	}
	few, err := newIndexed(publisher.Current(), fewRepositories)
	if err != nil {
		return nil, err
	}
	const against = "an index of 100"
	cached, err := takeTurns(ctx, b.budget, 20, many.resolveWarm, few.resolveWarm)
	if err != nil {
		return nil, err
	}
	changed, err := takeTurns(ctx, b.budget, 20, many.resolveChanged, few.resolveChanged)
	if err != nil {
		return nil, err
	}
	return []row{
		timeRow("index of 100,000, warm Resolve", against, cached, atMost(1.2)),
		timeRow("index of 100,000, Resolve after a change", against, changed, atMost(1.2)),
	}, nil
}

// indexed is a resolver with an index, and pages spread over it.
type indexed struct {
	resolver *resolver.Resolver
	entries  []resolver.Entry // of the pages
	urls     []string
	spelt    []string // urls in many spellings: Resolve has to look into the index for each
}

func newIndexed(config *siteconfig.Config, repositories int) (*indexed, error) {
	r, err := newResolver(config, memoryMirrors{})
	if err != nil {
		return nil, err
	}
	all := entries(repositories)
	r.ReplaceIndex(all)
	x := &indexed{resolver: r, urls: warmURLs(indexPages, repositories)}
	x.spelt = respell(x.urls, manySpellings)
	for i := range indexPages {
		x.entries = append(x.entries, all[i*repositories/indexPages])
	}
	return x, warm(context.Background(), r, x.urls)
}

// resolveWarm measures Resolve of pages that are cached, per call.
func (x *indexed) resolveWarm(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	for _, u := range x.spelt {
		if err := resolveWarm(ctx, x.resolver, u); err != nil {
			return 0, err
		}
	}
	return time.Since(begun) / time.Duration(len(x.spelt)), nil
}

// resolveChanged measures Resolve of pages whose repositories have just changed, per call.
func (x *indexed) resolveChanged(ctx context.Context) (time.Duration, error) {
	const passes = 10
	var elapsed time.Duration
	for range passes {
		for _, entry := range x.entries {
			x.resolver.RefsChanged(entry.ID)
		}
		begun := time.Now()
		for _, u := range x.urls {
			result, err := x.resolver.Resolve(ctx, u)
			if err != nil {
				return 0, err
			}
			if result.Hit {
				return 0, fmt.Errorf("the answer for %s was cached", u)
			}
		}
		elapsed += time.Since(begun)
	}
	return elapsed / time.Duration(passes*len(x.urls)), nil
}
