package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/rest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

// webhookName is what people read in the settings of a repository. What makes a webhook ours is
// its address.
const webhookName = "Signpost"

// InstallWebhooks makes or repairs the webhooks that tell this server of pushes: of every project
// with a selected repository from Bitbucket 8.0 on, where the account administers it, and of each selected
// repository otherwise. With a project key it does so for that project alone. A table of what was done, and of
// what could not be done and why, goes to out; then the error is ErrSomeFailed.
//
// With a configuration file it needs no data folder, so that it runs beside the server.
func InstallWebhooks(ctx context.Context, o Options, project string, out io.Writer) (err error) {
	if o.ConfigFile != "" {
		folder, err := os.MkdirTemp("", "signpost-webhooks-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(folder) }() // of no use to anybody
		o.DataDir = folder
	} else if err := requireDataFolder(o.DataDir); err != nil {
		return err
	}
	a, err := New(ctx, o)
	if errors.Is(err, ErrDataFolderInUse) {
		return fmt.Errorf("%w, or give this command the site configuration as a file with --config", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	config := a.publisher.Current()
	switch {
	case len(config.Connections) == 0:
		return errors.New("no connection is configured: add bitbucketServer to the site configuration")
	case config.ExternalURL == "":
		return errors.New("externalURL is not set: set it in the site configuration to the address of this server as Bitbucket reaches it")
	case !slices.ContainsFunc(config.Connections, func(c siteconfig.Connection) bool { return !c.WebhookSecret.IsZero() }):
		return errors.New("no connection has webhooks.secret: set it in the site configuration to a long random text, which this command gives to Bitbucket")
	}
	install := &installation{project: project}
	for i := range config.Connections {
		c := &config.Connections[i]
		client, err := a.hosts.client(c.Name)
		if err != nil {
			return err
		}
		one := &connectionInstall{
			installation: install, connection: c, client: client,
			address: strings.TrimRight(config.ExternalURL, "/") + "/api/v1/webhooks/bitbucket-server/" + c.Name,
		}
		if err := one.run(ctx); err != nil {
			one.note("", "failed", err.Error())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return install.print(out)
}

// installation is what was done so far.
type installation struct {
	project string // "" for all
	rows    []installed
	advice  []string
}

// installed is a row of the table.
type installed struct{ connection, where, what, why string }

func (i *installation) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CONNECTION\tWHERE\tWEBHOOK\tWHY") // the error comes from Flush
	failed := false
	for _, row := range i.rows {
		failed = failed || row.what == "failed"
		_, _ = fmt.Fprintln(table, strings.TrimRight(strings.Join([]string{row.connection, row.where, row.what, row.why}, "\t"), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, advice := range i.advice {
		if _, err := fmt.Fprintf(out, "\n%s\n", advice); err != nil {
			return err
		}
	}
	if failed {
		return ErrSomeFailed
	}
	return nil
}

// connectionInstall installs the webhooks of one connection.
type connectionInstall struct {
	*installation
	connection *siteconfig.Connection
	client     *rest.Client
	address    string // that the webhooks deliver to
	version    bitbucket.Version
}

func (c *connectionInstall) note(where, what, why string) {
	c.rows = append(c.rows, installed{c.connection.Name, cmp.Or(where, "(all)"), what, strings.ReplaceAll(why, "\n", " ")})
}

func (c *connectionInstall) run(ctx context.Context) (err error) {
	if c.connection.WebhookSecret.IsZero() {
		return errors.New("webhooks.secret of the connection is not set: set it in the site configuration to a long random text")
	}
	if c.version, err = c.client.Version(ctx); err != nil {
		return err
	}
	if !c.version.AtLeast(5, 4) {
		c.advice = append(c.advice, fmt.Sprintf(`Bitbucket %s of connection %s has no webhooks of its own; they came with 5.4. Install a plugin
that posts them and signs them, such as Post Webhooks, and give it in each project or repository:
  the address  %s
  the secret   the value of webhooks.secret of this connection, which is not printed here
Without it, mirrors are kept up to date by the schedule.`, c.version, c.connection.Name, c.address))
		return fmt.Errorf("Bitbucket %s needs a plugin for webhooks; see below", c.version) //nolint:staticcheck // a name
	}
	if _, err := c.client.Account(ctx); err != nil {
		return err
	}
	selected, err := selectedRepositories(ctx, c.connection, c.client)
	if c.project != "" {
		selected = slices.DeleteFunc(selected, func(r bitbucket.Repository) bool { return !strings.EqualFold(r.Key, c.project) })
	}
	for len(selected) > 0 && ctx.Err() == nil {
		key := selected[0].Key
		of := selected
		if end := slices.IndexFunc(selected, func(r bitbucket.Repository) bool { return r.Key != key }); end >= 0 {
			of = selected[:end]
		}
		selected = selected[len(of):]
		c.installProject(ctx, key, of)
	}
	if err == nil && c.project != "" && !slices.ContainsFunc(c.rows, func(r installed) bool { return r.connection == c.connection.Name }) {
		return fmt.Errorf("no repository of the project %s is selected", c.project)
	}
	return err
}

// installProject installs one webhook for a project, or those of its repositories.
func (c *connectionInstall) installProject(ctx context.Context, key string, of []bitbucket.Repository) {
	if c.version.AtLeast(8, 0) {
		what, why, err := c.install(ctx, rest.WebhookOwner{Key: key})
		if !errors.Is(err, bitbucket.ErrForbidden) && !errors.Is(err, bitbucket.ErrNotFound) {
			c.noteResult(key, what, why, err)
			return
		}
		c.note(key, "not permitted", "its repositories get their own: "+err.Error())
	}
	for _, r := range of {
		if ctx.Err() != nil {
			return
		}
		what, why, err := c.install(ctx, rest.WebhookOwner(r.Address))
		c.noteResult(r.String(), what, why, err)
	}
}

func (c *connectionInstall) noteResult(where, what, why string, err error) {
	if err != nil {
		what, why = "failed", err.Error()
	}
	c.note(where, what, why)
}

// install makes or repairs one webhook. Those with another address are somebody else's.
func (c *connectionInstall) install(ctx context.Context, of rest.WebhookOwner) (what, why string, err error) {
	hooks, err := c.client.Webhooks(ctx, of)
	if err != nil {
		return "", "", err
	}
	events := webhookEvents(c.version)
	ours := slices.DeleteFunc(hooks, func(w rest.Webhook) bool { return !sameWebhookURL(w.URL, c.address) })
	if len(ours) == 0 {
		_, err := c.client.CreateWebhook(ctx, of, rest.Webhook{
			Name: webhookName, URL: c.address, Events: events, Active: true, Secret: c.connection.WebhookSecret,
		})
		return "created", "", err
	}
	if len(ours) > 1 {
		why = fmt.Sprintf("%d more webhooks have the same address: remove them in Bitbucket", len(ours)-1)
	}
	hook := ours[0]
	missing := slices.DeleteFunc(events, func(event string) bool { return slices.Contains(hook.Events, event) })
	if len(missing) == 0 && hook.Active && hook.Secret == c.connection.WebhookSecret {
		return "unchanged", why, nil
	}
	hook.URL, hook.Active, hook.Secret = c.address, true, c.connection.WebhookSecret
	hook.Events = append(hook.Events, missing...)
	_, err = c.client.UpdateWebhook(ctx, of, hook)
	return "repaired", why, err
}

// webhookEvents are the events that a webhook of ours has; a version refuses those that it does not know.
func webhookEvents(v bitbucket.Version) []string {
	events := []string{"repo:refs_changed", "repo:modified", "pr:opened", "pr:merged", "pr:declined", "pr:deleted"}
	if v.AtLeast(5, 10) {
		events = append(events, "pr:modified")
	}
	if v.AtLeast(7, 0) {
		events = append(events, "pr:from_ref_updated")
	}
	return events
}

// sameWebhookURL tells whether two addresses lead to the same place, however they are written.
func sameWebhookURL(a, b string) bool {
	normal := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			return raw
		}
		return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/")
	}
	return normal(a) == normal(b)
}

// selectedRepositories asks Bitbucket for the repositories that a connection selects, ordered by their
// addresses. Beside an error are those that were found all the same.
func selectedRepositories(ctx context.Context, c *siteconfig.Connection, host syncer.CodeHost) ([]bitbucket.Repository, error) {
	selection, err := syncer.NewSelection(c)
	if err != nil {
		return nil, err
	}
	found := map[int64]bitbucket.Repository{}
	take := func(by syncer.Selector, page ...bitbucket.Repository) {
		for _, r := range page {
			// A Bitbucket that ignores a parameter of a query finds more than it takes.
			if _, taken := selection.Takes(r); by.Kind == syncer.SelectQuery && taken == syncer.NotTaken {
				continue
			}
			if selection.Select(r, by).Selected {
				found[r.ID.Number] = r
			}
		}
	}
	var errs []error
	for _, by := range syncer.Selectors(c) {
		query := syncer.ListQuery{}
		switch by.Kind {
		case syncer.SelectRepo:
			key, slug, _ := strings.Cut(by.Value, "/")
			r, err := host.Repository(ctx, bitbucket.Address{Key: key, Slug: slug})
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", by, err))
			} else {
				take(by, r)
			}
			continue
		case syncer.SelectProject:
			query.ProjectKey = by.Value
		case syncer.SelectQuery:
			query.Query = by.Value
		case syncer.SelectAll:
		}
		err := host.ListRepositories(ctx, query, func(page []bitbucket.Repository) error {
			take(by, page...)
			return nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", by, err))
		}
	}
	all := make([]bitbucket.Repository, 0, len(found))
	for _, r := range found {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b bitbucket.Repository) int {
		// Not by KEY/slug as one text: a project's repositories must lie together.
		if a.Key != b.Key {
			return strings.Compare(a.Key, b.Key)
		}
		return strings.Compare(a.Slug, b.Slug)
	})
	return all, errors.Join(errs...)
}
