package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"example.com/signpost/syncer"
)

// Sync lists every connection and fetches every selected repository once, or only those
// named. Progress goes to out, and at the end a table of what failed; then the error is
// ErrSomeFailed.
func Sync(ctx context.Context, o Options, only []string, out io.Writer) (err error) {
	a, err := New(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	a.publisher.LogWarnings(ctx)
	if len(a.publisher.Current().Connections) == 0 {
		return errors.New("no connection is configured: add bitbucketServer to the site configuration")
	}
	a.hosts.forgive()
	_, err = a.syncOnce(ctx, only, out)
	return err
}

// syncOnce runs one pass in the foreground.
func (a *App) syncOnce(ctx context.Context, only []string, out io.Writer) (syncer.Report, error) {
	start := time.Now()
	progress := newProgress(out)
	report, err := a.syncer.RunOnce(ctx, syncer.RunOptions{Only: only, Progress: progress})
	progress.close()
	if err != nil {
		return report, err
	}
	for _, c := range report.Connections {
		line := fmt.Sprintf("%s: Bitbucket %s, %s listed, %d selected", c.Connection, orUnknown(c.Version), repositories(c.Listed), c.Selected)
		if c.Withheld > 0 {
			line += fmt.Sprintf(", %d missing ones kept", c.Withheld)
		}
		if c.Error != "" {
			line += "; " + c.Error
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return report, err
		}
	}
	if _, err := fmt.Fprintf(out, "%s: %d cloned, %d changed, %d unchanged, %d failed, in %s\n",
		repositories(report.Repositories), report.Cloned, report.Changed, report.Unchanged, report.Failed, time.Since(start).Round(10*time.Millisecond)); err != nil {
		return report, err
	}
	if len(report.Failures) == 0 {
		return report, nil
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CONNECTION\tREPOSITORY\tWHY") // the error comes from Flush
	for _, failure := range report.Failures {
		repository := failure.Repository
		if repository == "" {
			repository = "(listing)"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", failure.Connection, repository, failure.Error)
	}
	if err := table.Flush(); err != nil {
		return report, err
	}
	return report, ErrSomeFailed
}

func repositories(n int) string {
	if n == 1 {
		return "1 repository"
	}
	return fmt.Sprintf("%d repositories", n)
}

func orUnknown(version string) string {
	if version == "" {
		return "of an unknown version"
	}
	return version
}
