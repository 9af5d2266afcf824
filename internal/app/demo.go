package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
)

// demoPrimary is the Sourcegraph of the demo. Nobody asks it: links are only built.
const demoPrimary = "https://sourcegraph.example.com"

// DemoOptions says how the demo runs.
type DemoOptions struct {
	Listen            string   // address of the server
	BitbucketVersions []string // one double for each
	Once              bool     // end after the table
	Out               io.Writer
	Logger            *slog.Logger
}

// Demo shows the whole program on doubles of Bitbucket with real git repositories: it
// syncs, prints a table of page addresses and their links, unpacks the browser extension, and serves
// until ctx ends. With Once it ends after the table, and the error is ErrSomeFailed if an address has no link.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	if len(o.BitbucketVersions) == 0 {
		return errors.New("the demo needs a version of Bitbucket: --bitbucket-version 4.14")
	}
	dir, err := os.MkdirTemp("", "signpost-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	var worlds []*bitbuckettest.DemoWorld
	defer func() {
		for _, world := range worlds {
			err = errors.Join(err, world.Close())
		}
	}()
	for i, version := range o.BitbucketVersions {
		version = strings.TrimSpace(version) // of "4.14, 9.4"
		if slices.ContainsFunc(worlds, func(w *bitbuckettest.DemoWorld) bool { return sameVersion(w.Server.Version(), version) }) {
			return fmt.Errorf("--bitbucket-version %s is there twice: name it once", version)
		}
		world, err := bitbuckettest.StartDemoWorld(bitbuckettest.DemoWorldOptions{
			Version: version,
			Listen:  demoListen(ctx, i),
			Dir:     filepath.Join(dir, "bitbucket-"+version),
			Logger:  o.Logger,
		})
		if errors.Is(err, bitbuckettest.ErrVersion) {
			return fmt.Errorf("--bitbucket-version %s: %w", version, err)
		}
		if err != nil {
			return err
		}
		worlds = append(worlds, world)
	}

	token := rand.Text()
	a, err := New(ctx, Options{
		DataDir:    filepath.Join(dir, "data"),
		Listen:     o.Listen,
		AdminToken: siteconfig.NewSecret(token),
		Version:    Version(),
		Logger:     o.Logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	if !o.Once {
		// Before the work, not after it: the address may be in use.
		if err := a.listen(ctx); err != nil {
			return err
		}
	}
	if err := a.configureDemo(ctx, worlds); err != nil {
		return err
	}
	if _, err := a.syncOnce(ctx, nil, o.Out); err != nil {
		return err
	}
	failed, err := a.printDemo(ctx, worlds, o.Out)
	if err != nil {
		return err
	}
	if o.Once {
		if failed {
			return ErrSomeFailed
		}
		return nil
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	unpacked, err := a.unpackExtension(ctx, filepath.Join(dir, "extension"))
	if err != nil {
		return err
	}
	if err := a.printDemoAddresses(worlds, token, unpacked, o.Out); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	}
}

// sameVersion tells whether two spellings are of one version, as 4.14 and 4.14.0 are.
func sameVersion(a, b string) bool {
	first, err := bitbucket.ParseVersion(a)
	second, otherErr := bitbucket.ParseVersion(b)
	return err == nil && otherErr == nil && first == second
}

// demoListen returns where a double listens: each on a loopback address of its own, since
// the clone addresses of ssh tell Bitbuckets apart by their host alone. Where the system
// has only 127.0.0.1, that serves for all.
func demoListen(ctx context.Context, i int) string {
	own := fmt.Sprintf("127.0.0.%d:0", i+1)
	probe, err := (&net.ListenConfig{}).Listen(ctx, "tcp", own)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = probe.Close()
	return own
}

// configureDemo stores a site configuration with a connection for each double, and the server's own address
// if it listens.
func (a *App) configureDemo(ctx context.Context, worlds []*bitbuckettest.DemoWorld) error {
	type connection struct {
		Name     string `json:"name"`
		URL      string `json:"url"`
		Token    string `json:"token,omitempty"`
		Username string `json:"username"`
		Password string `json:"password,omitempty"`
		Pattern  string `json:"repositoryPathPattern"`
	}
	config := struct {
		ExternalURL     string       `json:"externalURL,omitempty"`
		PrimaryURL      string       `json:"primaryURL"`
		BitbucketServer []connection `json:"bitbucketServer"`
	}{PrimaryURL: demoPrimary}
	if a.listener != nil {
		config.ExternalURL = a.loopbackURL()
	}
	for _, world := range worlds {
		name := "bitbucket-" + world.Server.Version()
		c := connection{
			Name: name, URL: world.Server.URL(), Username: world.Account.Username, Token: world.Account.Token,
			Pattern: name + "/{projectKey}/{repositorySlug}",
		}
		if c.Token == "" {
			c.Password = world.Account.Password
		}
		config.BitbucketServer = append(config.BitbucketServer, c)
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	_, problems, err := a.publisher.Put(ctx, string(text), 0, "demo")
	if errors.Is(err, siteconfig.ErrInvalid) {
		return fmt.Errorf("%w:\n%w", err, problems)
	}
	return err
}

// printDemo prints a table of page addresses and their links, and tells whether any has none.
func (a *App) printDemo(ctx context.Context, worlds []*bitbuckettest.DemoWorld, out io.Writer) (failed bool, err error) {
	for _, world := range worlds {
		if _, err := fmt.Fprintf(out, "\nBitbucket %s at %s\n", world.Server.Version(), world.Server.URL()); err != nil {
			return failed, err
		}
		table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		for _, sample := range world.Samples {
			page := cmp.Or(strings.TrimPrefix(sample.URL, world.Server.URL()), "/")
			link := ""
			result, err := a.resolver.Resolve(ctx, sample.URL)
			if err != nil {
				failed = true
				link = "no link: " + describe(err)
			} else {
				link = result.Link.URL
				if !result.Link.Exact {
					link += "   (the nearest there is)"
				}
			}
			_, _ = fmt.Fprintf(table, "  %s\t%s\n\t→ %s\n", sample.Label, page, link) // the error comes from Flush
		}
		if err := table.Flush(); err != nil {
			return failed, err
		}
	}
	return failed, nil
}
