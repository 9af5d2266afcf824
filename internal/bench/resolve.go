package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"testing"
	"time"

	"example.com/signpost/resolver"
)

const (
	resolveRepositories = 20_000
	resolvePages        = 256
)

// compareResolve measures Resolve in this process, answered from the cache, with url.Parse
// of the same URLs beside it: a yardstick for the machine. URLs that were asked for lately
// are one case, other spellings of their pages the other.
func compareResolve(ctx context.Context, b *bench) ([]row, error) {
	_, r, urls, err := b.warmResolver(ctx, resolveRepositories, resolvePages)
	if err != nil {
		return nil, err
	}

	again, err := b.resolveRows(ctx, "the same URLs", r, urls)
	if err != nil {
		return nil, err
	}
	anew, err := b.resolveRows(ctx, "spelt anew", r, respell(urls, manySpellings))
	if err != nil {
		return nil, err
	}
	return append(again, anew...), nil
}

// resolveRows compares Resolve of pages whose answers are cached with url.Parse.
func (b *bench) resolveRows(ctx context.Context, which string, r *resolver.Resolver, urls []string) ([]row, error) {
	const least = 5
	if err := flag.Set("test.benchtime", (b.budget / 100).String()); err != nil {
		return nil, err
	}
	t, err := takeTurns(ctx, b.budget, least,
		func(ctx context.Context) (testing.BenchmarkResult, error) {
			return benchmark(func(i int) error { return resolveWarm(ctx, r, urls[i%len(urls)]) })
		},
		func(context.Context) (testing.BenchmarkResult, error) {
			return benchmark(func(i int) error {
				_, err := url.Parse(urls[i%len(urls)])
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	perCall := func(r testing.BenchmarkResult) float64 { return float64(r.T) / float64(r.N) }
	allocations := func(r testing.BenchmarkResult) float64 { return float64(r.AllocsPerOp()) }
	ours, theirs := t.typical(perCall)
	ourAllocations, theirAllocations := t.typical(allocations)
	const against = "url.Parse of the same URLs"
	return []row{
		{
			what: "warm Resolve in-process, " + which + ": time", against: against, ratio: t.ratio(perCall),
			measured: versus(time.Duration(ours), time.Duration(theirs)) + fastest(t.best(perCall)),
			aim:      within(3*time.Microsecond, t.best(perCall)),
		},
		{
			what: "warm Resolve in-process, " + which + ": allocations", against: against, ratio: t.ratio(allocations),
			measured: fmt.Sprintf("%.0f / %.0f", ourAllocations, theirAllocations),
			aim:      absolute("≤ 5", ourAllocations <= 5),
		},
	}, nil
}

var errMiss = errors.New("an answer that was cached is no longer")

// resolveWarm resolves a URL whose answer is cached.
func resolveWarm(ctx context.Context, r *resolver.Resolver, page string) error {
	result, err := r.Resolve(ctx, page)
	if err == nil && !result.Hit {
		err = errMiss
	}
	return err
}

// benchmark runs f as testing does, and stops at its first error.
func benchmark(f func(i int) error) (testing.BenchmarkResult, error) {
	var failed error
	result := testing.Benchmark(func(tb *testing.B) {
		tb.ReportAllocs()
		for i := 0; tb.Loop(); i++ {
			if failed = f(i); failed != nil {
				tb.FailNow()
			}
		}
	})
	return result, failed
}
