package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/signpost/internal/trial"
)

// webhookSecret signs the deliveries.
const webhookSecret = "secret-of-the-webhooks-of-the-soak"

// world is all that runs.
type world struct {
	opts   options
	place  trial.Place
	data   string
	double *trial.Double
	estate *trial.Estate
	server *trial.Server

	primary atomic.Int64 // number of the newest primary whose PUT has returned
	slugs   atomic.Int64 // for addresses that nobody had

	mu     sync.Mutex
	counts map[string]int
	wrong  []string // what must not happen, the first of them
}

func newWorld(place trial.Place, o options) (*world, error) {
	w := &world{opts: o, place: place, data: filepath.Join(place.Dir, "data"), counts: map[string]int{}}
	var err error
	if w.double, err = place.StartDouble(filepath.Join(place.Dir, "bitbucket")); err != nil {
		return w, err
	}
	if w.estate, err = trial.NewEstate(w.double); err != nil {
		return w, err
	}
	if err := w.estate.AddProject("OTHER"); err != nil {
		return w, err
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	for n := range o.repositories {
		size := 20 << 10
		if n%8 == 0 {
			size = 2 << 20
		}
		if _, err := w.estate.Add(w.address("TRIAL"), "", random, size); err != nil {
			return w, err
		}
	}
	if w.server, err = place.StartServer("--data", w.data); err != nil {
		return w, err
	}
	return w, w.server.PutConfig(w.config(0, ""))
}

// address returns an address that nobody had.
func (w *world) address(project string) string {
	return fmt.Sprintf("%s/repository-%d", project, w.slugs.Add(1))
}

// config returns the site configuration with a numbered primary, and a repository excluded.
func (w *world) config(primary int64, excluded string) trial.Config {
	c := trial.ConfigFor(w.double, w.opts.engine)
	c.PrimaryURL = primaryURL(primary)
	c.BitbucketServer[0].Webhooks = &trial.Webhooks{Secret: webhookSecret}
	if excluded != "" {
		c.BitbucketServer[0].Exclude = []map[string]string{{"name": excluded}}
	}
	return c
}

func primaryURL(n int64) string { return fmt.Sprintf("https://sg-%d.example.com", n) }

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// isWrong notes something that must not happen.
func (w *world) isWrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["WRONG"]++
	if len(w.wrong) < 20 {
		w.wrong = append(w.wrong, time.Now().Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
	}
}

// run lets everybody act and samples, until the time is over.
func (w *world) run(ctx context.Context) ([]sample, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.duration)
	defer cancel()
	var acting sync.WaitGroup
	for i, a := range w.actors() {
		acting.Go(func() {
			random := rand.New(rand.NewPCG(w.opts.seed, uint64(i+1)))
			for pause(ctx, random, a.least, a.most) {
				if err := a.act(ctx, random); err != nil && ctx.Err() == nil {
					w.isWrong("%s: %v", a.name, err)
				}
			}
		})
	}
	var samples []sample
	ticker := time.NewTicker(w.opts.every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-w.server.Ended():
			cancel()
			acting.Wait()
			return samples, fmt.Errorf("the server ended: %w\n%s", w.server.Wait(), last(w.server.Log.String(), 4000))
		case <-ticker.C:
			s, err := w.sample()
			if err != nil {
				w.isWrong("sample: %v", err)
				continue
			}
			samples = append(samples, s)
			fmt.Println(s)
		}
	}
	acting.Wait()
	return samples, nil
}

// pause waits for a random time, and tells whether ctx goes on.
func pause(ctx context.Context, random *rand.Rand, least, most time.Duration) bool {
	timer := time.NewTimer(least + time.Duration(random.Int64N(int64(most-least))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// finish ends the faults, stops the server, makes one pass and compares.
func (w *world) finish() error {
	if err := w.double.ClearFaults(); err != nil {
		return err
	}
	if err := w.server.PutConfig(w.config(w.primary.Load(), "")); err != nil {
		return fmt.Errorf("the configuration at the end: %w", err)
	}
	begun := time.Now()
	if err := w.server.Stop(syscall.SIGTERM); err != nil {
		return fmt.Errorf("SIGTERM: %w", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		w.isWrong("the server took %s to stop", took)
	}
	out := new(trial.Output)
	pass, err := trial.Start(w.place.Dir, w.place.Env, out, w.place.Signpost, "sync", "--data", w.data)
	if err != nil {
		return err
	}
	if err := pass.Wait(); err != nil {
		w.isWrong("the pass at the end: %v\n%s\n%s", err, last(out.String(), 3000), last(pass.Log.String(), 2000))
	}
	behind, err := w.estate.Behind(w.data)
	if err != nil {
		return err
	}
	for _, address := range slices.Sorted(maps.Keys(behind)) {
		w.isWrong("%s is behind after the pass: %s", address, last(behind[address], 2000))
	}
	mirrors, err := trial.Mirrors(w.data)
	if err != nil {
		return err
	}
	for _, folder := range mirrors {
		if err := trial.Fsck(context.Background(), folder); err != nil {
			w.isWrong("%v", err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(w.data, "tmp")); err != nil || len(left) > 0 {
		w.isWrong("left in tmp: %v, %v", left, err)
	}
	fmt.Printf("compared %d repositories, checked %d mirrors\n", len(w.estate.Living()), len(mirrors))
	return nil
}

// stop ends what still runs.
func (w *world) stop() error {
	var err error
	for _, p := range []*trial.Process{w.serverProcess(), w.doubleProcess()} {
		if p != nil {
			select {
			case <-p.Ended():
			default:
				err = errors.Join(err, p.Stop(syscall.SIGTERM))
			}
		}
	}
	return err
}

func (w *world) serverProcess() *trial.Process {
	if w.server == nil {
		return nil
	}
	return w.server.Process
}

func (w *world) doubleProcess() *trial.Process {
	if w.double == nil {
		return nil
	}
	return w.double.Process
}

// last returns the end of a text.
func last(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return "…" + strings.ToValidUTF8(text[len(text)-bytes:], "")
}
