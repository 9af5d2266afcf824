package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
)

// connection is the name of the one Bitbucket of every comparison.
const connection = "bitbucket"

const siteConfig = `{
  "primaryURL": "https://sourcegraph.example.com",
  "bitbucketServer": [{
    "name": "bitbucket",
    "url": "https://bitbucket.example.com",
    "username": "signpost-bot",
    "password": "not-used",
  }],
}
`

// address is where the repository with that number is. All have the same length, and so
// have the links to them.
func address(number int) bitbucket.Address {
	return bitbucket.Address{Key: fmt.Sprintf("PRJ%04d", number/50), Slug: fmt.Sprintf("repository-%06d", number)}
}

// entries returns so many repositories; their numbers begin at firstRepository.
func entries(count int) []resolver.Entry {
	made := make([]resolver.Entry, count)
	for i := range made {
		number := firstRepository + i
		made[i] = resolver.Entry{ID: bitbucket.RepoID{Connection: connection, Number: int64(number)}, Address: address(number)}
	}
	return made
}

// firstRepository has as many digits as the last of 100,000.
const firstRepository = 100_000

// fileURL is the page of a file, as people have it in the address bar of their browser.
func fileURL(number int, path string) string {
	a := address(number)
	return "https://bitbucket.example.com/projects/" + a.Key + "/repos/" + a.Slug + "/browse/" + path +
		"?at=" + url.QueryEscape("refs/heads/main") + "#10-15"
}

// warmURLs returns pages of so many files, spread evenly over the repositories.
func warmURLs(count, repositories int) []string {
	urls := make([]string, count)
	for i := range urls {
		urls[i] = fileURL(firstRepository+i*repositories/count, fmt.Sprintf("internal/server/handler_%03d.go", i))
	}
	return urls
}

// respell returns the same pages in so many spellings: with a parameter that means nothing.
// The resolver finds their answers in its cache, but must read each URL and look into its
// index before: it remembers far fewer spellings.
func respell(urls []string, spellings int) []string {
	spelt := make([]string, spellings)
	for i := range spelt {
		spelt[i] = strings.Replace(urls[i%len(urls)], "?at=", fmt.Sprintf("?x=%06d&at=", i), 1)
	}
	return spelt
}

// manySpellings are five times as many as the resolver remembers.
const manySpellings = 20_000

// publish returns a publisher that runs the site configuration above.
func (b *bench) publish(ctx context.Context) (*siteconfig.Publisher, error) {
	file := filepath.Join(b.tmp, "signpost.jsonc")
	if err := os.WriteFile(file, []byte(siteConfig), 0o600); err != nil {
		return nil, err
	}
	publisher, err := siteconfig.NewPublisher(siteconfig.PublisherOptions{File: file})
	if err != nil {
		return nil, err
	}
	return publisher, publisher.Load(ctx)
}

// newResolver returns a resolver that runs a configuration and has no repositories yet.
func newResolver(config *siteconfig.Config, mirrors resolver.Mirrors) (*resolver.Resolver, error) {
	r, err := resolver.New(resolver.Options{Mirrors: mirrors, Bitbucket: silentBitbucket{}, Logger: quiet()})
	if err != nil {
		return nil, err
	}
	running := resolver.Config{Version: config.Version, Primary: config.Primary}
	for _, c := range config.Connections {
		running.Connections = append(running.Connections, resolver.Connection{Server: c.Server, Pattern: c.Pattern})
	}
	return r, r.SetConfig(running)
}

// warmResolver returns a resolver with an index of so many repositories, in front of mirrors in
// memory, and the URLs of so many of their pages, whose answers are cached.
func (b *bench) warmResolver(ctx context.Context, repositories, pages int) (publisher *siteconfig.Publisher, r *resolver.Resolver, urls []string, err error) {
	if publisher, err = b.publish(ctx); err != nil {
		return nil, nil, nil, err
	}
	if r, err = newResolver(publisher.Current(), memoryMirrors{}); err != nil {
		return nil, nil, nil, err
	}
	r.ReplaceIndex(entries(repositories))
	urls = warmURLs(pages, repositories)
	return publisher, r, urls, warm(ctx, r, urls)
}

// quiet returns a logger as the server's, at its level, whose lines go nowhere.
func quiet() *slog.Logger {
	return slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // unlike slog's own, it is enabled, as the server's is
}

// memoryMirrors knows one branch and takes every path for a file, at once.
type memoryMirrors struct{}

const memoryCommit = "1f8ac10f23c5b5bc1167bda84b833e5c057a77d2"

func (memoryMirrors) ResolveRef(context.Context, bitbucket.RepoID, string) (string, error) {
	return memoryCommit, nil
}

func (memoryMirrors) PathKind(context.Context, bitbucket.RepoID, string, string) (bitbucket.PathKind, error) {
	return bitbucket.PathFile, nil
}

func (memoryMirrors) DefaultBranch(context.Context, bitbucket.RepoID) (string, error) {
	return "main", nil
}

// silentBitbucket must not be asked: the mirrors know everything here.
type silentBitbucket struct{}

var errAsked = errors.New("bench: Bitbucket was asked, and the mirror should have known")

func (silentBitbucket) PullRequest(context.Context, bitbucket.RepoID, bitbucket.Address, int64) (bitbucket.PullRequest, error) {
	return bitbucket.PullRequest{}, errAsked
}

func (silentBitbucket) PathKind(context.Context, bitbucket.RepoID, bitbucket.Address, string, string) (bitbucket.PathKind, error) {
	return 0, errAsked
}

func (silentBitbucket) DefaultBranch(context.Context, bitbucket.RepoID, bitbucket.Address) (string, error) {
	return "", errAsked
}

// warm resolves each URL until its answer comes from the cache, twice over.
func warm(ctx context.Context, r *resolver.Resolver, urls []string) error {
	for range 3 {
		for _, u := range urls {
			result, err := r.Resolve(ctx, u)
			if err != nil {
				return err
			}
			if !result.Link.Exact {
				return fmt.Errorf("the link of %s is not exact: %q", u, result.Link.Notes)
			}
		}
	}
	return nil
}
