// Signpost gives everyone who reads code on Bitbucket Server one click to the same place
// on their own Sourcegraph. This file and its neighbors read flags and environment; the
// work is done by internal/app.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"example.com/signpost/internal/app"
)

func main() { os.Exit(run()) }

// run returns the exit code: 0 when all went well, 1 when something failed, 2 for flags
// and arguments that cannot be understood.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl+C stops in order; a second one is for somebody who does not want to wait.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	err := newRootCommand().ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, app.ErrSomeFailed): // said already
		return 1
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "signpost: %v\nsignpost --help says more\n", err)
		return 2
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "signpost: stopped before the work was done; run it again to finish")
		return 1
	}
	fmt.Fprintf(os.Stderr, "signpost: %v\n", err)
	return 1
}
