package syncer_test

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/gitmirror"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/sourcegraph"
	"example.com/signpost/internal/store"
	"example.com/signpost/syncer"
)

const (
	canaryPassword = "canary-password-of-the-bot"
	canaryToken    = "BBDC-canary-token-of-the-bot"
)

// patience bounds every wait for an event: long, for machines that do much else.
const patience = 2 * time.Minute

// world is a Bitbucket, and everything that syncs it: REST, git, disk and database.
type world struct {
	bitbucket *bitbuckettest.Server
	store     *store.Store
	mirrors   *gitmirror.Mirrors
	client    *rest.Client
	syncer    *syncer.Syncer
	told      *told
	dir       string
	conn      siteconfig.Connection
}

// told is a Listener that others can wait for.
type told struct {
	mu      sync.Mutex
	changes []syncer.Changes
	refs    chan bitbucket.RepoID
}

func (t *told) RepositoriesChanged(changes syncer.Changes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes = append(t.changes, changes)
}

func (t *told) RefsChanged(repo bitbucket.RepoID) { t.refs <- repo }

// CodeHost implements syncer.CodeHosts.
func (w *world) CodeHost(connection string) (syncer.CodeHost, error) {
	if connection != w.conn.Name {
		return nil, syncer.ErrNoConnection
	}
	return w.client, nil
}

// newWorld starts a Bitbucket of a version with two projects: PRJ/app and PRJ/lib, OTHER/tool,
// and ~ADA/dots, which the account may see.
func newWorld(t *testing.T, version string, change func(*siteconfig.Connection)) *world {
	t.Helper()
	s, err := bitbuckettest.Start(bitbuckettest.Options{Version: version, ContextPath: "/bitbucket", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{bitbucket: s, dir: t.TempDir(), told: &told{refs: make(chan bitbucket.RepoID, 100)}}
	t.Cleanup(func() { must(t, s.Close()) })
	bot := bitbuckettest.User{Name: "bot", Password: canaryPassword}
	if s.HasTokens() {
		bot.Tokens = []string{canaryToken}
	}
	for _, u := range []bitbuckettest.User{bot, {Name: "ada", Password: "of ada"}} {
		_, err := s.AddUser(u)
		must(t, err)
	}
	for _, p := range []bitbuckettest.Project{
		{Key: "PRJ", Name: "Project", Readers: []string{"bot"}}, {Key: "OTHER", Name: "Another", Readers: []string{"bot"}}, {Owner: "ada"},
	} {
		_, err := s.AddProject(p)
		must(t, err)
	}
	w.add(t, "PRJ", "app")
	w.add(t, "PRJ", "lib")
	w.add(t, "OTHER", "tool")
	w.add(t, "~ADA", "dots")

	base, err := bitbucket.ParseBaseURL(s.BaseURL())
	must(t, err)
	pattern, err := sourcegraph.ParsePathPattern("")
	must(t, err)
	w.conn = siteconfig.Connection{
		Name: "bitbucket", Server: bitbucket.Server{Name: "bitbucket", Addresses: []bitbucket.BaseURL{base}}, Pattern: pattern,
		Username: "bot", GitURLType: "http", Archived: "include",
	}
	if s.HasTokens() {
		w.conn.Token = siteconfig.NewSecret(canaryToken)
	} else {
		w.conn.Password = siteconfig.NewSecret(canaryPassword)
	}
	if change != nil {
		change(&w.conn)
	}
	w.newClient(t)
	w.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(w.dir, "signpost.db"), Key: [32]byte{1}})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	w.mirrors, err = gitmirror.New(gitmirror.Options{Root: filepath.Join(w.dir, "mirrors"), Tmp: filepath.Join(w.dir, "tmp")})
	must(t, err)
	t.Cleanup(func() { must(t, w.mirrors.Close()) })
	w.syncer, err = syncer.New(syncer.Options{
		Index: w.store, Records: w.store, Status: w.store, Hosts: w, Mirrors: w.mirrors, Listener: w.told,
		Remote: func(string) (http.RoundTripper, func(*http.Request), error) {
			return w.client.Transport(), w.client.AuthorizeGit, nil
		},
		Suspended: func(string) (time.Time, bool) { return w.client.Suspended() },
		Answers:   func(ctx context.Context, _ string) bool { return w.client.Answers(ctx) },
	})
	must(t, err)
	w.configure(w.conn)
	return w
}

// newClient gives the world a client that knows nothing yet, as a new process has it.
func (w *world) newClient(t *testing.T) {
	t.Helper()
	c := w.conn
	client, err := rest.New(rest.Options{
		Connection: c.Name, BaseURL: c.BaseURL(), Token: c.Token, Username: c.Username, Password: c.Password,
		RetryMax: 1, RetryWaitMin: time.Millisecond, RetryWaitMax: time.Millisecond, Timeout: 10 * time.Second,
	})
	must(t, err)
	t.Cleanup(client.Close)
	w.client = client
}

func (w *world) configure(connections ...siteconfig.Connection) {
	w.syncer.SetConfig(&siteconfig.Config{
		Connections: connections, RepoListUpdateInterval: time.Minute, MaxConcurrentClones: 2,
	})
}

// add makes a repository with one commit.
func (w *world) add(t *testing.T, project, slug string) {
	t.Helper()
	r := bitbuckettest.Repository{
		Project: project, Slug: slug,
		History: &bitbuckettest.History{Commits: []bitbuckettest.Commit{
			{Label: "first", Files: map[string]bitbuckettest.File{"README.md": bitbuckettest.Text(slug)}},
		}},
	}
	if project == "~ADA" {
		r.Readers = []string{"bot"}
	}
	_, err := w.bitbucket.AddRepository(r)
	must(t, err)
}

// push adds a commit to the default branch and returns its hash.
func (w *world) push(t *testing.T, address, text string) string {
	t.Helper()
	hashes, err := w.bitbucket.Push(address, bitbuckettest.History{Commits: []bitbuckettest.Commit{
		{Label: "pushed", Files: map[string]bitbuckettest.File{"pushed.txt": bitbuckettest.Text(text)}},
	}})
	must(t, err)
	return hashes["pushed"]
}

// id returns the id of a repository.
func (w *world) id(t *testing.T, address string) bitbucket.RepoID {
	t.Helper()
	r, ok := w.bitbucket.Repository(address)
	if !ok {
		t.Fatalf("Bitbucket has no %s", address)
	}
	return bitbucket.RepoID{Connection: w.conn.Name, Number: r.ID}
}

// run runs the syncer once.
func (w *world) run(t *testing.T, only ...string) syncer.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	report, err := w.syncer.RunOnce(ctx, syncer.RunOptions{Only: only})
	must(t, err)
	return report
}

// selected returns the addresses of the selected records, in the order of their numbers.
func (w *world) selected(t *testing.T) []string {
	t.Helper()
	var all []string
	must(t, w.store.EachRecord(t.Context(), "", func(r syncer.Record) error {
		if r.Selected {
			all = append(all, r.String())
		}
		return nil
	}))
	return all
}

// head returns the commit that HEAD of a mirror names.
func (w *world) head(t *testing.T, id bitbucket.RepoID) string {
	t.Helper()
	hash, err := w.mirrors.ResolveRef(t.Context(), id, "")
	must(t, err)
	return hash
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
