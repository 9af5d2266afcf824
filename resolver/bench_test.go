package resolver

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const benchURL = "https://bitbucket.example.com/projects/PRJ/repos/repo/browse/cmd/a.go?at=refs%2Fheads%2Fmain#10-15"

// BenchmarkResolveWarm measures the answer to a file's URL that is cached.
func BenchmarkResolveWarm(b *testing.B) {
	r := newTestResolver(b, linkWorld())
	ctx := b.Context()
	warm(b, r)
	b.ReportAllocs()
	for b.Loop() {
		if result, err := r.Resolve(ctx, benchURL); err != nil || !result.Hit {
			b.Fatalf("hit %t, error %v", result.Hit, err)
		}
	}
}

// BenchmarkResolveWarmParallel is the same from all processors at once.
func BenchmarkResolveWarmParallel(b *testing.B) {
	r := newTestResolver(b, linkWorld())
	warm(b, r)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if result, err := r.Resolve(b.Context(), benchURL); err != nil || !result.Hit {
				b.Errorf("hit %t, error %v", result.Hit, err)
				return
			}
		}
	})
}

// BenchmarkResolveWarmIndex compares a small index with a large one.
func BenchmarkResolveWarmIndex(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("%d repositories", n), func(b *testing.B) {
			w := linkWorld()
			r := newTestResolver(b, w)
			r.ReplaceIndex(append(manyEntries(n), w.entries()...))
			warm(b, r)
			for b.Loop() {
				if _, err := r.Resolve(b.Context(), benchURL); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReplaceIndex measures the start with 100,000 repositories, and says the memory of the index.
func BenchmarkReplaceIndex(b *testing.B) {
	entries := manyEntries(100_000)
	r := newTestResolver(b, linkWorld())
	before := heapAfterGC()
	for b.Loop() {
		r.ReplaceIndex(entries)
	}
	b.ReportMetric(float64(int64(heapAfterGC())-int64(before))/(1<<20), "MB")
	runtime.KeepAlive(entries)
	runtime.KeepAlive(r)
}

// BenchmarkUpdateIndex measures one renamed repository among 100,000.
func BenchmarkUpdateIndex(b *testing.B) {
	r := newTestResolver(b, linkWorld())
	r.ReplaceIndex(manyEntries(100_000))
	i := 0
	for b.Loop() {
		i++
		r.UpdateIndex([]Entry{{
			ID:      bitbucket.RepoID{Connection: "one", Number: 1_000_000},
			Address: bitbucket.Address{Key: "PRJ", Slug: fmt.Sprintf("renamed-%d", i)},
		}}, nil)
	}
}

func warm(b *testing.B, r *Resolver) {
	b.Helper()
	for range 3 {
		if _, err := r.Resolve(b.Context(), benchURL); err != nil {
			b.Fatal(err)
		}
	}
}

func heapAfterGC() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// manyEntries are n repositories, 100 to a project.
func manyEntries(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{
			ID:      bitbucket.RepoID{Connection: "one", Number: int64(1_000_000 + i)},
			Address: bitbucket.Address{Key: fmt.Sprintf("P%d", i/100), Slug: fmt.Sprintf("Repository-%d", i)},
		}
	}
	return entries
}

// TestWarmResolveAllocatesLittle holds the budget that the benchmarks measure in full.
func TestWarmResolveAllocatesLittle(t *testing.T) {
	r := newTestResolver(t, linkWorld())
	for range 2 {
		if _, err := r.Resolve(t.Context(), benchURL); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := r.Resolve(ctx, benchURL); err != nil {
			t.Error(err)
		}
	})
	if allocs > 5 {
		t.Errorf("a warm Resolve makes %v allocations, want at most 5", allocs)
	}
}

// TestIndexOf100000 holds the start-up time, with room for slow machines.
func TestIndexOf100000(t *testing.T) {
	r := newTestResolver(t, linkWorld())
	entries := manyEntries(100_000)
	start := time.Now()
	r.ReplaceIndex(entries)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("building the index took %v, want well below 1 s", took)
	}
	if got := r.Stats().Repositories; got != len(entries) {
		t.Errorf("the index has %d repositories, want %d", got, len(entries))
	}
}
