package resolver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/sourcegraph"
)

// The world of testdata/link-cases.tsv, as its head describes it.

const (
	primaryURL = "https://sourcegraph.example.com"

	hashMain     = "dddddddddddddddddddddddddddddddddddddddd"
	hashV1Branch = "ffffffffffffffffffffffffffffffffffffffff"
	hashV1Tag    = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
	hashRelease  = "1234567890abcdef1234567890abcdef12345678"
	hashFeature  = "7777777777777777777777777777777777777777"
	hashV10      = "8888888888888888888888888888888888888888"
	hashFrom     = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashTo       = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	hashFork     = "cccccccccccccccccccccccccccccccccccccccc"
)

// world is the repositories of a test. Its methods fill Mirrors, Bitbucket and
// RepositoryLookup, unless a function field says otherwise.
type world struct {
	repos    map[bitbucket.RepoID]*worldRepo
	excluded []string // addresses, connection/key/slug in lower case

	resolveRef    func(ctx context.Context, id bitbucket.RepoID, rev string) (string, error)
	mirrorPath    func(ctx context.Context, id bitbucket.RepoID, commit, path string) (bitbucket.PathKind, error)
	mirrorDefault func(ctx context.Context, id bitbucket.RepoID) (string, error)
	pull          func(ctx context.Context, id bitbucket.RepoID, number int64) (bitbucket.PullRequest, error)
	bitbucketPath func(ctx context.Context, id bitbucket.RepoID, rev, path string) (bitbucket.PathKind, error)
	defaultBranch func(ctx context.Context, id bitbucket.RepoID) (string, error)
	find          func(ctx context.Context, connection string, address bitbucket.Address) (Entry, error)

	mirrorCalls, bitbucketCalls, lookupCalls atomic.Int64
}

type worldRepo struct {
	Entry
	branch string
	refs   map[string]string // by full name
	paths  map[string]bitbucket.PathKind
	pulls  map[int64]bitbucket.PullRequest
}

func linkWorld() *world {
	small := func(connection string, number int64, key, slug, branch, hash string) *worldRepo {
		return &worldRepo{
			Entry:  Entry{ID: bitbucket.RepoID{Connection: connection, Number: number}, Address: bitbucket.Address{Key: key, Slug: slug}},
			branch: branch,
			refs:   map[string]string{headsPrefix + branch: hash},
			paths: map[string]bitbucket.PathKind{
				"README.md": bitbucket.PathFile, "src": bitbucket.PathDirectory, "src/main.go": bitbucket.PathFile,
			},
		}
	}
	repo := &worldRepo{
		Entry: Entry{
			ID:      bitbucket.RepoID{Connection: "one", Number: 1},
			Address: bitbucket.Address{Key: "PRJ", Slug: "repo"},
			Former:  []bitbucket.Address{{Key: "OLD", Slug: "legacy"}},
		},
		branch: "main",
		refs: map[string]string{
			"refs/heads/main": hashMain, "refs/heads/v1": hashV1Branch, "refs/heads/release@2": hashRelease,
			"refs/heads/feature/x": hashFeature, "refs/tags/v1": hashV1Tag, "refs/tags/v1.0": hashV10,
		},
		paths: map[string]bitbucket.PathKind{
			"README.md": bitbucket.PathFile, "cmd": bitbucket.PathDirectory, "cmd/a.go": bitbucket.PathFile,
			"docs": bitbucket.PathDirectory, "docs/a b#c?.md": bitbucket.PathFile, "docs/ünïcode.txt": bitbucket.PathFile,
			"docs/100%.md": bitbucket.PathFile, "docs/plus+sign.md": bitbucket.PathFile,
			"third_party": bitbucket.PathDirectory, "third_party/lib": bitbucket.PathSubmodule,
		},
		pulls: map[int64]bitbucket.PullRequest{},
	}
	main := bitbucket.PullRequestRef{Ref: "refs/heads/main", Commit: hashTo, Repository: repo.Address, Number: 1}
	repo.pulls[7] = bitbucket.PullRequest{
		Number: 7, To: main,
		From: bitbucket.PullRequestRef{Ref: "refs/heads/feature/x", Commit: hashFrom, Repository: repo.Address, Number: 1},
	}
	repo.pulls[8] = bitbucket.PullRequest{
		Number: 8, To: main,
		From: bitbucket.PullRequestRef{
			Ref: "refs/heads/fix", Commit: hashFork, Repository: bitbucket.Address{Key: "~alice", Slug: "repo-fork"}, Number: 4,
		},
	}
	w := &world{
		repos:    map[bitbucket.RepoID]*worldRepo{},
		excluded: []string{"one/xcl/secret", "two/~bob/notes"},
	}
	for _, r := range []*worldRepo{
		repo,
		small("one", 2, "PRJ", "My.Dotted-repo", "main", "2222222222222222222222222222222222222222"),
		small("one", 3, "~ALICE", "dotfiles", "main", "3333333333333333333333333333333333333333"),
		{Entry: Entry{ID: bitbucket.RepoID{Connection: "one", Number: 5}, Address: bitbucket.Address{Key: "PRJ", Slug: "empty"}}},
		small("two", 1, "TEAM", "service", "develop", "4444444444444444444444444444444444444444"),
	} {
		w.repos[r.ID] = r
	}
	return w
}

func (w *world) entries() []Entry {
	var entries []Entry
	for _, r := range w.repos {
		entries = append(entries, r.Entry)
	}
	return entries
}

// unmirrored makes all mirrors absent.
func (w *world) unmirrored() *world {
	w.resolveRef = func(context.Context, bitbucket.RepoID, string) (string, error) { return "", ErrNotMirrored }
	w.mirrorPath = func(context.Context, bitbucket.RepoID, string, string) (bitbucket.PathKind, error) {
		return 0, ErrNotMirrored
	}
	w.mirrorDefault = func(context.Context, bitbucket.RepoID) (string, error) { return "", ErrNotMirrored }
	return w
}

// bitbucketFails makes Bitbucket answer every question with err.
func (w *world) bitbucketFails(err error) *world {
	w.pull = func(context.Context, bitbucket.RepoID, int64) (bitbucket.PullRequest, error) {
		return bitbucket.PullRequest{}, err
	}
	w.bitbucketPath = func(context.Context, bitbucket.RepoID, string, string) (bitbucket.PathKind, error) { return 0, err }
	w.defaultBranch = func(context.Context, bitbucket.RepoID) (string, error) { return "", err }
	return w
}

// commit is what git would say: a full ref, a branch, a tag, a hash.
func (r *worldRepo) commit(rev string) string {
	if rev == "" {
		rev = headsPrefix + r.branch
	}
	for _, prefix := range []string{"", headsPrefix, tagsPrefix} {
		if hash, ok := r.refs[prefix+rev]; ok {
			return hash
		}
	}
	if isHash(rev) {
		for _, hash := range r.refs {
			if strings.HasPrefix(hash, rev) {
				return hash
			}
		}
	}
	return ""
}

type worldMirrors struct{ *world }

func (w worldMirrors) ResolveRef(ctx context.Context, id bitbucket.RepoID, rev string) (string, error) {
	w.mirrorCalls.Add(1)
	if w.resolveRef != nil {
		return w.resolveRef(ctx, id, rev)
	}
	r, ok := w.repos[id]
	if !ok {
		return "", ErrNotMirrored
	}
	if hash := r.commit(rev); hash != "" {
		return hash, nil
	}
	return "", ErrRefNotFound
}

func (w worldMirrors) PathKind(ctx context.Context, id bitbucket.RepoID, commit, path string) (bitbucket.PathKind, error) {
	w.mirrorCalls.Add(1)
	if w.mirrorPath != nil {
		return w.mirrorPath(ctx, id, commit, path)
	}
	r, ok := w.repos[id]
	switch {
	case !ok:
		return 0, ErrNotMirrored
	case !isFullHash(commit):
		return 0, errors.New("the commit must have 40 digits")
	case r.commit(commit) == "":
		return 0, ErrRefNotFound
	case r.paths[path] == 0:
		return 0, ErrPathNotFound
	}
	return r.paths[path], nil
}

func (w worldMirrors) DefaultBranch(ctx context.Context, id bitbucket.RepoID) (string, error) {
	w.mirrorCalls.Add(1)
	if w.mirrorDefault != nil {
		return w.mirrorDefault(ctx, id)
	}
	r, ok := w.repos[id]
	if !ok {
		return "", ErrNotMirrored
	}
	return r.branch, nil
}

type worldBitbucket struct{ *world }

func (w worldBitbucket) PullRequest(ctx context.Context, id bitbucket.RepoID, address bitbucket.Address, number int64) (bitbucket.PullRequest, error) {
	w.bitbucketCalls.Add(1)
	if w.pull != nil {
		return w.pull(ctx, id, number)
	}
	pr, ok := w.repos[id].pulls[number]
	if !ok || w.repos[id].Address != address {
		return pr, bitbucket.ErrNotFound
	}
	return pr, nil
}

func (w worldBitbucket) PathKind(ctx context.Context, id bitbucket.RepoID, _ bitbucket.Address, rev, path string) (bitbucket.PathKind, error) {
	w.bitbucketCalls.Add(1)
	if w.bitbucketPath != nil {
		return w.bitbucketPath(ctx, id, rev, path)
	}
	r := w.repos[id]
	if r.commit(rev) == "" && rev != hashFrom && rev != hashTo || r.paths[path] == 0 {
		return 0, bitbucket.ErrNotFound
	}
	return r.paths[path], nil
}

func (w worldBitbucket) DefaultBranch(ctx context.Context, id bitbucket.RepoID, _ bitbucket.Address) (string, error) {
	w.bitbucketCalls.Add(1)
	if w.defaultBranch != nil {
		return w.defaultBranch(ctx, id)
	}
	if branch := w.repos[id].branch; branch != "" {
		return branch, nil
	}
	return "", bitbucket.ErrEmptyRepository
}

type worldLookup struct {
	*world
	everything bool // also what the index has
}

func (w worldLookup) LookupRepository(ctx context.Context, connection string, address bitbucket.Address) (Entry, error) {
	w.lookupCalls.Add(1)
	if w.find != nil {
		return w.find(ctx, connection, address)
	}
	place := strings.ToLower(connection + "/" + address.String())
	if slices.Contains(w.excluded, place) {
		return Entry{}, &NotFoundError{Reason: "excluded by the configuration"}
	}
	if w.everything {
		for _, r := range w.repos {
			for _, a := range append([]bitbucket.Address{r.Address}, r.Former...) {
				if r.ID.Connection == connection && strings.EqualFold(a.String(), address.String()) {
					return r.Entry, nil
				}
			}
		}
	}
	return Entry{}, ErrRepositoryNotFound
}

func testInstance(t testing.TB, url string) sourcegraph.Instance {
	t.Helper()
	instance, err := sourcegraph.ParseInstance(url)
	if err != nil {
		t.Fatal(err)
	}
	return instance
}

func testServer(t testing.TB, name string, addresses ...string) bitbucket.Server {
	t.Helper()
	server := bitbucket.Server{Name: name}
	for _, address := range addresses {
		base, err := bitbucket.ParseBaseURL(address)
		if err != nil {
			t.Fatal(err)
		}
		server.Addresses = append(server.Addresses, base)
	}
	return server
}

func testPattern(t testing.TB, pattern string) sourcegraph.PathPattern {
	t.Helper()
	p, err := sourcegraph.ParsePathPattern(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// linkConfig is the configuration of the link cases with the given primary URL.
func linkConfig(t testing.TB, primary string) Config {
	return Config{
		Version: 1,
		Primary: testInstance(t, primary),
		Connections: []Connection{
			{
				Server:  testServer(t, "one", "https://bitbucket.example.com", "https://stash.example.com"),
				Pattern: testPattern(t, ""),
			},
			{
				Server:  testServer(t, "two", "https://code.example.org:8443/git/bitbucket"),
				Pattern: testPattern(t, "bb/{projectKey}/{repositorySlug}"),
			},
		},
	}
}

// newTestResolver returns a resolver of the world, configured, with everything in the index.
func newTestResolver(t testing.TB, w *world, change ...func(*Options)) *Resolver {
	t.Helper()
	o := Options{Mirrors: worldMirrors{w}, Bitbucket: worldBitbucket{w}, Repositories: worldLookup{world: w}}
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetConfig(linkConfig(t, primaryURL)); err != nil {
		t.Fatal(err)
	}
	r.ReplaceIndex(w.entries())
	return r
}

// linkCase is a row of a case file. Columns are found by their name.
type linkCase map[string]string

// linkCases reads a case file; one without cases fails.
func linkCases(t testing.TB, file string) []linkCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var header []string
	var cases []linkCase
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if header == nil {
			header = fields
			continue
		}
		if len(fields) != len(header) {
			t.Fatalf("%s: %d columns, want %d: %.80q", file, len(fields), len(header), line)
		}
		c := linkCase{}
		for i, name := range header {
			c[name] = fields[i]
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no case", file)
	}
	return cases
}

// errorCodes are the codes of the errors, as api/openapi.yaml names them.
var errorCodes = map[string]error{
	"invalid_url":            bitbucket.ErrInvalidURL,
	"unknown_host":           bitbucket.ErrUnknownHost,
	"unsupported_page":       bitbucket.ErrUnsupportedPage,
	"repository_not_found":   ErrRepositoryNotFound,
	"pull_request_not_found": ErrPullRequestNotFound,
	"primary_url_not_set":    ErrPrimaryURLNotSet,
	"bitbucket_unavailable":  ErrBitbucketUnavailable,
}

// testLog collects what is logged.
type testLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *testLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
