package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/store"
	"example.com/signpost/syncer"
)

// slowPage is how long a Bitbucket may well think about a page of 1,000 repositories.
const slowPage = 100 * time.Millisecond

// compareListing compares listing 20,000 repositories with reading the same pages by plain
// net/http and encoding/json, into a struct that holds only what paging and an id need.
// The server answers from memory: what remains is what the two sides cost.
func compareListing(ctx context.Context, b *bench) ([]row, error) {
	fast := newPageServer(0, listedRepositories)
	defer fast.Close()
	slow := newPageServer(slowPage, listedRepositories)
	defer slow.Close()

	client, err := newClient(fast.URL)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	slowClient, err := newClient(slow.URL)
	if err != nil {
		return nil, err
	}
	defer slowClient.Close()

	alone, err := takeTurns(ctx, b.budget, 7, timed(listAll(client)), timed(pageAll(fast.URL)))
	if err != nil {
		return nil, err
	}
	aloneSlow, err := takeTurns(ctx, b.budget, 2, timed(listAll(slowClient)), timed(pageAll(slow.URL)))
	if err != nil {
		return nil, err
	}
	first, err := takeTurns(ctx, b.budget, 3, func(ctx context.Context) (time.Duration, error) {
		l, err := b.newLister(ctx, client, fast.URL)
		if err != nil {
			return 0, err
		}
		defer l.close()
		return timed(l.list)(ctx)
	}, timed(pageAll(fast.URL)))
	if err != nil {
		return nil, err
	}
	again, err := b.compareListed(ctx, client, fast.URL, 5)
	if err != nil {
		return nil, err
	}
	againSlow, err := b.compareListed(ctx, slowClient, slow.URL, 2)
	if err != nil {
		return nil, err
	}
	const against = "bare paging of the same pages"
	return []row{
		timeRow("listing 20,000 repositories, ListRepositories", against, alone, atMost(1.2)),
		timeRow("the same, Bitbucket taking 100 ms a page", against, aloneSlow, atMost(1.2)),
		timeRow("listing 20,000 repositories, the syncer, nothing new", against, again, atMost(1.2)),
		timeRow("the same, Bitbucket taking 100 ms a page", against, againSlow, atMost(1.2)),
		timeRow("the syncer, into an empty database", against, first, aim{}),
	}, nil
}

// compareListed compares a listing by the syncer that finds nothing new.
func (b *bench) compareListed(ctx context.Context, client *rest.Client, address string, least int) (t turns[time.Duration], err error) {
	l, err := b.newLister(ctx, client, address)
	if err != nil {
		return t, err
	}
	defer l.close()
	if err := l.list(ctx); err != nil {
		return t, err
	}
	return takeTurns(ctx, b.budget, least, timed(l.list), timed(pageAll(address)))
}

func timed(f func(ctx context.Context) error) func(ctx context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		begun := time.Now()
		err := f(ctx)
		return time.Since(begun), err
	}
}

func newClient(address string) (*rest.Client, error) {
	base, err := bitbucket.ParseBaseURL(address)
	if err != nil {
		return nil, err
	}
	return rest.New(rest.Options{
		Connection: connection, BaseURL: base, Token: siteconfig.NewSecret("not-checked"), Logger: quiet(),
	})
}

// listAll lists by the REST client alone.
func listAll(client *rest.Client) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		found := 0
		err := client.ListRepositories(ctx, syncer.ListQuery{}, func(page []bitbucket.Repository) error {
			found += len(page)
			return nil
		})
		return errors.Join(err, all(found))
	}
}

// pageAll is the bare side.
func pageAll(address string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		found, start := 0, 0
		for {
			var page struct {
				Values []struct {
					ID      int64  `json:"id"`
					Slug    string `json:"slug"`
					Project struct {
						Key string `json:"key"`
					} `json:"project"`
				} `json:"values"`
				IsLastPage    bool `json:"isLastPage"`
				NextPageStart int  `json:"nextPageStart"`
			}
			if err := getJSON(ctx, address+"/rest/api/1.0/repos?limit=1000&start="+strconv.Itoa(start), &page); err != nil {
				return err
			}
			found += len(page.Values)
			if page.IsLastPage {
				return all(found)
			}
			start = page.NextPageStart
		}
	}
}

func getJSON(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return errors.Join(json.NewDecoder(response.Body).Decode(into), response.Body.Close())
}

func all(found int) error {
	if found != listedRepositories {
		return fmt.Errorf("%d of %d repositories were listed", found, listedRepositories)
	}
	return nil
}

// lister is a syncer with a database of its own.
type lister struct {
	syncer *syncer.Syncer
	store  *store.Store
}

func (b *bench) newLister(ctx context.Context, client *rest.Client, address string) (*lister, error) {
	text := fmt.Sprintf(`{"bitbucketServer": [{"name": %q, "url": %q, "token": "not-checked"}]}`, connection, address)
	config, problems := siteconfig.Check(text, siteconfig.CheckOptions{})
	if config == nil {
		return nil, problems
	}
	b.databases++
	s, err := store.Open(ctx, store.Options{Path: filepath.Join(b.tmp, fmt.Sprintf("listing-%d.db", b.databases)), Key: storeKey})
	if err != nil {
		return nil, err
	}
	sync, err := syncer.New(syncer.Options{
		Index: s, Records: s, Status: s, Hosts: oneHost{client}, Mirrors: noMirrors{}, Logger: quiet(),
		Remote: func(string) (http.RoundTripper, func(*http.Request), error) {
			return client.Transport(), client.AuthorizeGit, nil
		},
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	sync.SetConfig(config)
	return &lister{sync, s}, nil
}

// list lists and fetches nothing: the one repository that is named for a fetch is not there.
func (l *lister) list(ctx context.Context) error {
	report, err := l.syncer.RunOnce(ctx, syncer.RunOptions{Only: []string{"NONE/none"}})
	if err != nil {
		return err
	}
	if len(report.Connections) != 1 || report.Connections[0].Error != "" {
		return fmt.Errorf("the listing failed: %+v", report)
	}
	return all(report.Connections[0].Listed)
}

func (l *lister) close() { _ = l.store.Close() } // the database goes, too

// oneHost is the code host of every connection.
type oneHost struct{ client *rest.Client }

func (h oneHost) CodeHost(string) (syncer.CodeHost, error) { return h.client, nil }

// noMirrors must not be asked.
type noMirrors struct{}

var errFetched = errors.New("bench: a listing fetched a repository")

func (noMirrors) Remove(context.Context, bitbucket.RepoID) error { return nil }

func (noMirrors) Fetch(context.Context, syncer.FetchRequest) (syncer.FetchResult, error) {
	return syncer.FetchResult{}, errFetched
}
