package resolver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// isRecent tells whether the answer to a URL is found by its spelling.
func isRecent(r *Resolver, url string) bool {
	a, _ := r.state.Load().recent.find(url, r.generations)
	return a != nil
}

// makeRecent resolves a URL until its answer is found by its spelling.
func makeRecent(t *testing.T, r *Resolver, url string) {
	t.Helper()
	for range 3 {
		mustResolve(t, r, url)
	}
	if !isRecent(r, url) {
		t.Fatalf("%s was asked for three times, and is not recent", url)
	}
}

func TestARecentURLHasTheAnswerOfTheCache(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	makeRecent(t, r, fileURL)
	spelt := strings.Replace(fileURL, "https://", "HTTPS://", 1)
	before := r.Stats()
	recent, cached := mustResolve(t, r, fileURL), mustResolve(t, r, spelt)
	if recent.Link != cached.Link || !recent.Hit || recent.MaxAge != maxAge {
		t.Errorf("by its spelling: hit %t, MaxAge %v, the same link is %t", recent.Hit, recent.MaxAge, recent.Link == cached.Link)
	}
	if hits := r.Stats().Hits - before.Hits; hits != 2 {
		t.Errorf("two answers from memory were counted as %d", hits)
	}
}

func TestARecentURLIsForgottenWithItsAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, url string
		change    func(r *Resolver)
	}{
		{"a fetch", fileURL, func(r *Resolver) { r.RefsChanged(repoID) }},
		{"a push to a pull request", pullURL, func(r *Resolver) { r.PullRequestsChanged(repoID) }},
		{"another index", fileURL, func(r *Resolver) { r.ReplaceIndex(nil) }},
		{"a change of the index", fileURL, func(r *Resolver) { r.UpdateIndex(nil, []bitbucket.RepoID{repoID}) }},
		{"another configuration", fileURL, func(r *Resolver) { _ = r.SetConfig(Config{}) }},
		{"the end of its life", pullURL, func(*Resolver) { time.Sleep(pullRequestTTL) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newTestResolver(t, linkWorld())
				makeRecent(t, r, c.url)
				c.change(r)
				if isRecent(r, c.url) {
					t.Error("it is still found")
				}
			})
		})
	}
}

func TestSpellingsThatAreUsedOncePushOutNothing(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld(), func(o *Options) { o.CacheEntries = 64 }) // 8 places
	makeRecent(t, r, fileURL)
	for i := range 1000 {
		mustResolve(t, r, fmt.Sprintf("%s&x=%d", fileURL, i))
	}
	if !isRecent(r, fileURL) {
		t.Error("it is no longer found")
	}
}

func TestURLsThatAreNotKept(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	there := true
	w.find = func(context.Context, string, bitbucket.Address) (Entry, error) {
		if !there {
			return Entry{}, ErrRepositoryNotFound
		}
		return entryAt(78, "PRJ", "elsewhere"), nil
	}
	synctest.Test(t, func(t *testing.T) {
		r := newTestResolver(t, w)
		lookedUp := "https://bitbucket.example.com/projects/PRJ/repos/elsewhere/browse/a.go?at=refs/heads/x"
		for _, url := range []string{
			strings.Replace(fileURL, "https://", "https://user:secret@", 1),
			fileURL + "?" + strings.Repeat("x", maxRecentURL),
			lookedUp, // it is not in the index
		} {
			for range 4 {
				if _, err := r.Resolve(t.Context(), url); err != nil && !errors.Is(err, bitbucket.ErrInvalidURL) {
					t.Errorf("%.80s: %v", url, err)
				}
			}
			if isRecent(r, url) {
				t.Errorf("%.80s is kept", url)
			}
		}
		there = false
		time.Sleep(bitbucketTTL + 1)
		wantError(t, r, lookedUp, ErrRepositoryNotFound)
	})
}
