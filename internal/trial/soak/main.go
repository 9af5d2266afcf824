// Soak runs the real server against the double of Bitbucket for a long time: pushes, renames,
// moves, deletions, new repositories, faults, changes of the site configuration, webhooks and
// resolves, all at random. It samples the server's memory, goroutines, open files and children. At
// the end the faults are off, one pass is made, and each mirror is compared with Bitbucket.
//
//	go run ./internal/trial/soak -for 1h
//
// It prints a table and a verdict; the exit code is 0 if nothing was wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"example.com/signpost/internal/trial"
)

// options are the flags.
type options struct {
	duration     time.Duration
	every        time.Duration
	seed         uint64
	repositories int
	engine       string
	keep         bool
}

func main() {
	trial.ServeAsDouble()
	o := options{}
	flag.DurationVar(&o.duration, "for", 2*time.Minute, "how long")
	flag.DurationVar(&o.every, "every", 10*time.Second, "how often to sample")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1<<32), "of all that is random")
	flag.IntVar(&o.repositories, "repositories", 40, "how many to begin with")
	flag.StringVar(&o.engine, "engine", "", "gitEngine of the site configuration; its default if empty")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder of the run, also when all went well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "signpost-soak-")
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, folder %s\n", o.seed, dir)
	defer func() {
		if err == nil && !o.keep {
			err = os.RemoveAll(dir)
		}
	}()
	place := trial.Place{Dir: dir, Env: trial.Environment(dir)}
	if place.Double, err = trial.Self(); err != nil {
		return err
	}
	if place.Signpost, err = trial.Build(ctx, dir); err != nil {
		return err
	}
	w, err := newWorld(place, o)
	if err != nil {
		return errors.Join(err, w.stop())
	}
	samples, err := w.run(ctx)
	if err == nil {
		err = w.finish()
	}
	err = errors.Join(err, w.stop())
	fmt.Print(table(samples, w))
	if logErr := os.WriteFile(filepath.Join(dir, "server.log"), []byte(w.server.Log.String()), 0o600); logErr != nil {
		err = errors.Join(err, logErr)
	}
	err = errors.Join(err, w.verdict(samples))
	if err == nil {
		fmt.Println("verdict: nothing was wrong")
	}
	return err
}
