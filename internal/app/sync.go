package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/signpost/syncer"
)

// Sync lists every connection and fetches every selected repository once, or only those
// named. Progress goes to out, and at the end a table of what failed; then the error is
// ErrSomeFailed.
func Sync(ctx context.Context, o Options, only []string, out io.Writer) (err error) {
	defer collectEarly()()
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

// syncOnce runs one pass in the foreground. When ctx ends it, the report says what was done until then.
func (a *App) syncOnce(ctx context.Context, only []string, out io.Writer) (syncer.Report, error) {
	start := time.Now()
	progress := newProgress(out, a.log)
	report, err := a.syncer.RunOnce(ctx, syncer.RunOptions{Only: only, Progress: progress})
	progress.close()
	if err != nil && ctx.Err() == nil {
		return report, err
	}
	if writeErr := writeReport(out, &report, time.Since(start), err != nil); writeErr != nil {
		return report, errors.Join(err, writeErr)
	}
	if err == nil && len(report.Failures) > 0 {
		err = ErrSomeFailed
	}
	return report, err
}

// writeReport writes what a pass did: a line for each connection, one for all, and a table of what failed.
func writeReport(out io.Writer, report *syncer.Report, took time.Duration, stopped bool) error {
	var b bytes.Buffer
	for _, c := range report.Connections {
		if c.Connection == "" { // its listing was stopped
			continue
		}
		fmt.Fprintf(&b, "%s: Bitbucket %s, %s listed, %d selected", c.Connection, orUnknown(c.Version), repositories(c.Listed), c.Selected)
		if c.Withheld > 0 {
			fmt.Fprintf(&b, ", %d missing ones kept", c.Withheld)
		}
		if c.Error != "" {
			b.WriteString("; " + c.Error)
		}
		b.WriteString("\n")
	}
	if stopped && report.Repositories == 0 { // while it was listing
		_, err := out.Write(b.Bytes())
		return err
	}
	done := report.Cloned + report.Changed + report.Unchanged + report.Failed
	fmt.Fprintf(&b, "%s: %d cloned, %d changed, %d unchanged, %d failed", repositories(report.Repositories), report.Cloned, report.Changed, report.Unchanged, report.Failed)
	if stopped {
		fmt.Fprintf(&b, ", %d not done", max(report.Repositories-done, 0))
	}
	if report.Received > 0 {
		fmt.Fprintf(&b, ", %s received%s", bytesInWords(report.Received), byEngines(report.Engines))
	}
	fmt.Fprintf(&b, ", in %s\n", took.Round(10*time.Millisecond))
	if len(report.Failures) > 0 {
		table := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "CONNECTION\tREPOSITORY\tWHY")
		for _, failure := range report.Failures {
			fmt.Fprintf(table, "%s\t%s\t%s\n", failure.Connection, cmp.Or(failure.Repository, "(listing)"), failure.Error)
		}
		_ = table.Flush() // a buffer takes everything
	}
	_, err := out.Write(b.Bytes())
	return err
}

// byEngines says which engine brought the objects of how many repositories, if that was not one alone.
func byEngines(engines map[string]int) string {
	if len(engines) < 2 {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(engines)) {
		parts = append(parts, fmt.Sprintf("%d by %s", engines[name], name))
	}
	return " (" + strings.Join(parts, ", ") + ")"
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
