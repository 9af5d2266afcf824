package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"example.com/signpost/syncer"
)

// Who waits for whom.

func holdWriter(t *testing.T, s *Store) (release func()) {
	t.Helper()
	holding, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.write(context.Background(), "hold", func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE listing_numbers SET newest = newest + 1")
			close(holding)
			<-done
			return err
		})
	}()
	<-holding
	return func() {
		close(done)
		if err := <-ended; err != nil {
			t.Errorf("the holding transaction: %v", err)
		}
	}
}

func TestReadersDoNotWaitForAWriter(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if _, err := s.AppendVersion(t.Context(), 0, "one", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SaveFound(t.Context(), "c", 0, someFound(10)); err != nil {
		t.Fatal(err)
	}
	release := holdWriter(t, s)
	defer release()
	// One that did would get ErrLocked, after the time that a lock is waited for.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	count := 0
	if err := s.EachRecord(ctx, "", func(syncer.Record) error { count++; return nil }); err != nil || count != 10 {
		t.Errorf("EachRecord: %d records, %v; want 10", count, err)
	}
	if _, err := s.LatestVersion(ctx); err != nil {
		t.Errorf("LatestVersion: %v", err)
	}
	if _, err := s.DueMirrors(ctx, syncer.DueUpdates, time.Now(), 10); err != nil {
		t.Errorf("DueMirrors: %v", err)
	}
	if _, err := s.ConnectionStatuses(ctx); err != nil {
		t.Errorf("ConnectionStatuses: %v", err)
	}
}

func TestAWriterWaitsForAnotherAsLongAsItsContextAllows(t *testing.T) {
	t.Parallel()
	t.Run("of this process", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		release := holdWriter(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := s.BeginListing(ctx, "c"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("BeginListing: error %v, want context.DeadlineExceeded", err)
		}
		release()
		if _, err := s.BeginListing(t.Context(), "c"); err != nil {
			t.Errorf("BeginListing afterwards: %v", err)
		}
	})
	t.Run("of another process", func(t *testing.T) {
		t.Parallel()
		path := newFile(t)
		s, other := openUntilEnd(t, path), openUntilEnd(t, path)
		release := holdWriter(t, other)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := s.BeginListing(ctx, "c"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("BeginListing: error %v, want context.DeadlineExceeded", err)
		}
		if _, err := s.db.writer.ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.BeginListing(t.Context(), "c"); !errors.Is(err, ErrLocked) {
			t.Errorf("BeginListing without patience: error %v, want ErrLocked", err)
		}
		release()
		if _, err := s.BeginListing(t.Context(), "c"); err != nil {
			t.Errorf("BeginListing afterwards: %v", err)
		}
	})
}

func TestWhatAnotherStoreFoundWhileAListingRanIsNotMissing(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s, other := openUntilEnd(t, path), openUntilEnd(t, path)
	found := someFound(3)
	if _, err := s.SaveFound(t.Context(), "c", 0, found[:2]); err != nil {
		t.Fatal(err)
	}
	listing, err := s.BeginListing(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SaveFound(t.Context(), "c", listing, found[:1]); err != nil {
		t.Fatal(err)
	}
	found[1].Name = "another name"
	if _, err := other.SaveFound(t.Context(), "c", 0, found[1:]); err != nil { // one changed, one new
		t.Fatal(err)
	}
	finished, err := s.FinishListing(t.Context(), "c", listing, 0, time.Now())
	if err != nil || finished.Missing != 0 {
		t.Errorf("FinishListing: %+v, %v; want nothing missing", finished, err)
	}
}
