package syncer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// A Bitbucket that is down for a while costs no mirror its place in the schedule, and what was
// asked for meanwhile is fetched by itself when it is back.
func TestAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "8.19", nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if report := w.run(t); report.Cloned != 4 {
		t.Fatalf("the first pass: %+v", report)
	}
	repositories := []string{"PRJ/app", "PRJ/lib", "OTHER/tool", "~ADA/dots"}
	for range repositories {
		<-w.told.refs
	}
	w.start(t, w.syncer)

	w.bitbucket.Fault(bitbuckettest.Fault{Status: 503, Body: "restarting"})
	for n := 0; !w.client.Health().CircuitOpen; n++ {
		if _, err := w.client.PathKind(ctx, bitbucket.Address{Key: "PRJ", Slug: fmt.Sprint("x", n)}, "", "a"); err == nil || ctx.Err() != nil {
			t.Fatalf("Bitbucket answers during its outage, or the circuit does not open: %v", err)
		}
	}
	began := time.Now()
	if _, err := w.syncer.LookupRepository(ctx, "bitbucket", bitbucket.Address{Key: "PRJ", Slug: "nobody-knows"}); err == nil {
		t.Error("a repository was found without Bitbucket")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("a lookup waited %v for a Bitbucket that is known to be down", took)
	}
	want := make(map[bitbucket.RepoID]string)
	for _, address := range repositories {
		id := w.id(t, address)
		want[id] = w.push(t, address, "during the outage")
		must(t, w.syncer.FetchSoon(ctx, id))
	}
	w.bitbucket.ClearFaults()
	for missing := len(want); missing > 0; missing-- {
		select {
		case <-w.told.refs:
		case <-ctx.Done():
			t.Fatalf("%d fetches are still missing after the outage", missing)
		}
	}
	for id, hash := range want {
		if got := w.head(t, id); got != hash {
			t.Errorf("HEAD of %s is %s, want %s", id, got, hash)
		}
		record, err := w.store.Record(ctx, id)
		must(t, err)
		if record.Mirror.Failures != 0 {
			t.Errorf("%s has %d failures: %s", id, record.Mirror.Failures, record.Mirror.Error)
		}
	}
}
