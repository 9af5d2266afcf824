package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/siteconfig"
)

var extensionTests = []test{
	{"an empty store has no signing key", func(t *testing.T, s Store) {
		if _, err := s.ExtensionKey(t.Context()); !errors.Is(err, extension.ErrNoKey) {
			t.Errorf("ExtensionKey: error %v, want ErrNoKey", err)
		}
	}},

	{"of keys that are stored at once one stays, and everybody gets it", func(t *testing.T, s Store) {
		const callers = 8
		got := make([]string, callers)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				key, err := s.SaveExtensionKey(t.Context(), siteconfig.NewSecret(fmt.Sprintf("key %d", i)))
				if err != nil {
					t.Errorf("SaveExtensionKey: %v", err)
				}
				got[i] = key.Reveal()
			})
		}
		group.Wait()
		stored, err := s.ExtensionKey(t.Context())
		if err != nil || stored.IsZero() {
			t.Fatalf("ExtensionKey: error %v, zero %t", err, stored.IsZero())
		}
		for i, key := range got {
			if key != stored.Reveal() {
				t.Errorf("caller %d has %q, stored is %q", i, key, stored.Reveal())
			}
		}
		later, err := s.SaveExtensionKey(t.Context(), siteconfig.NewSecret("another"))
		if err != nil || later != stored {
			t.Errorf("a later key took the place of the first; error %v", err)
		}
	}},

	{"a version is the digest's until another digest comes, and never falls", func(t *testing.T, s Store) {
		for i, step := range []struct {
			digest string
			want   int64
		}{{"a", 1}, {"a", 1}, {"b", 2}, {"b", 2}, {"a", 3}, {"b", 4}, {"b", 4}} {
			got, err := s.ExtensionVersion(t.Context(), step.digest)
			if err != nil || got != step.want {
				t.Errorf("step %d: version of %q: %d, %v; want %d", i, step.digest, got, err, step.want)
			}
		}
	}},

	{"those who ask at once for the same digest get the same version", func(t *testing.T, s Store) {
		for round := range int64(5) {
			got := make([]int64, 8)
			var group sync.WaitGroup
			for i := range got {
				group.Go(func() {
					var err error
					if got[i], err = s.ExtensionVersion(t.Context(), fmt.Sprint("round ", round)); err != nil {
						t.Errorf("ExtensionVersion: %v", err)
					}
				})
			}
			group.Wait()
			if slices.Min(got) != round+1 || slices.Max(got) != round+1 {
				t.Errorf("round %d: versions %v, want %d for all", round, got, round+1)
			}
		}
	}},

	{"a canceled context stores neither key nor version", func(t *testing.T, s Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.SaveExtensionKey(ctx, siteconfig.NewSecret("key")); !errors.Is(err, context.Canceled) {
			t.Errorf("SaveExtensionKey: error %v, want context.Canceled", err)
		}
		if _, err := s.ExtensionVersion(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("ExtensionVersion: error %v, want context.Canceled", err)
		}
		if _, err := s.ExtensionKey(t.Context()); !errors.Is(err, extension.ErrNoKey) {
			t.Errorf("ExtensionKey: error %v, want ErrNoKey", err)
		}
		if got, err := s.ExtensionVersion(t.Context(), "b"); err != nil || got != 1 {
			t.Errorf("ExtensionVersion: %d, %v; want 1", got, err)
		}
	}},
}
