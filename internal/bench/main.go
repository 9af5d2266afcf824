// Command bench prints what Signpost costs as a table of ratios. The two sides of a row
// are measured in turns, within seconds of one another, on the machine that it runs on;
// the ratio is the median over the turns. It is no test: a row that misses its aim says
// so, and the exit code stays 0.
//
//	go run ./internal/bench [-only REGEXP] [-seconds N] [-cpuprofile FILE]
//
// It needs git, and chromium for the button, talks to 127.0.0.1 only, and removes its temporary folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	testing.Init() // before the flags are read, for testing.Benchmark
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// comparisons are the groups of rows, in the order of the table.
var comparisons = []struct {
	name    string
	compare func(ctx context.Context, b *bench) ([]row, error)
}{
	{"http", compareHTTP},
	{"resolve", compareResolve},
	{"mirror", compareMirror},
	{"index", compareIndex},
	{"startup", compareStartup},
	{"listing", compareListing},
	{"clones", compareClones},
	{"passes", comparePasses},
	{"delivery", compareDelivery},
	{"idle", compareIdle},
	{"button", compareButton},
}

// bench is what every comparison works with.
type bench struct {
	budget time.Duration // roughly, for the measurements of one pair
	tmp    string        // a folder of this run

	databases int    // made for listings
	program   string // that buildProgram built
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	only := flags.String("only", "", "run the groups whose name matches this `regexp`: http, resolve, mirror, index, startup, listing, clones, passes, delivery, idle, button")
	seconds := flags.Float64("seconds", 8, "measure each pair for about so many `seconds`")
	profile := flags.String("cpuprofile", "", "write a CPU profile of all of it to this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if *seconds <= 0 {
		return errors.New("-seconds: more than 0 is needed")
	}
	b := &bench{budget: time.Duration(*seconds * float64(time.Second))}
	if b.tmp, err = os.MkdirTemp("", "signpost-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.tmp)) }()
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // a profile that is cut off says so when it is read
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}

	var table []row
	for _, c := range comparisons {
		if !wanted.MatchString(c.name) {
			continue
		}
		begun := time.Now()
		rows, err := c.compare(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		table = append(table, rows...)
		_, _ = fmt.Fprintf(progress, "%s: done in %.0f s\n", c.name, time.Since(begun).Seconds())
		runtime.GC() // what this group needed is nobody else's burden
	}
	_, _ = fmt.Fprintf(out, "%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	return print(out, table)
}
