package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	passRepositories   = 1_000
	pushedRepositories = 10
	// atOnce is how many repositories each side works on at the same time: the default of
	// gitMaxConcurrentClones.
	atOnce = 5
)

// newSyncBench returns what the comparisons of whole passes need: the program, started as people start it, and
// scripts of git commands.
func (b *bench) newSyncBench(ctx context.Context) (*syncBench, error) {
	program, err := b.buildProgram(ctx)
	return &syncBench{bench: b, program: program, git: gitProgram{home: b.tmp}}, err
}

type syncBench struct {
	*bench
	program string
	git     gitProgram
	runs    int
}

// folder returns a new path in the folder of this run.
func (s *syncBench) folder(name string) string {
	s.runs++
	return filepath.Join(s.tmp, fmt.Sprintf("%s-%d", name, s.runs))
}

// configure writes a site configuration for a code host and returns its file.
func (s *syncBench) configure(h *codeHost, engine string) (string, error) {
	file := s.folder("sync") + ".jsonc"
	return file, os.WriteFile(file, fmt.Appendf(nil, `{
  "primaryURL": "https://sourcegraph.example.com",
  "gitEngine": %q,
  "gitMaxConcurrentClones": %d,
  "minFreeDiskPercent": 0,
  "bitbucketServer": [{
    "name": "bitbucket", "url": %q, "username": %q, "password": %q,
    "rateLimit": {"enabled": false},
  }],
}
`, engine, atOnce, h.server.URL(), hostAccount, hostPassword), 0o600)
}

// sync runs a pass of signpost on a data folder.
func (s *syncBench) sync(ctx context.Context, config, data string) (cost, error) {
	return watched(ctx, exec.CommandContext(ctx, s.program, "sync", "--config", config, "--data", data))
}

// each runs a git command for each of so many repositories by xargs. The command finds the number of the
// repository as $1 and its address as $2.
func (s *syncBench) each(ctx context.Context, h *codeHost, command string) (cost, error) {
	var list strings.Builder
	for i, url := range h.urls {
		_, _ = fmt.Fprintf(&list, "%d\n%s\n", i, url)
	}
	file := s.folder("urls")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		return cost{}, err
	}
	run := exec.CommandContext(ctx, "xargs", "-a", file, "-P", fmt.Sprint(atOnce), "-n", "2", "sh", "-c", command, "sh")
	run.Env = append(os.Environ(), "HOME="+s.tmp, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+authorization())
	return watched(ctx, run)
}

// cloneSizes are the numbers of files of the repositories that are cloned, and how many of these there are: many
// small ones and a few large ones, as companies have them. Their packs have from some 100 KiB to some 30 MiB.
var cloneSizes = []struct{ files, repositories int }{{100, 20}, {600, 15}, {2_000, 8}, {5_000, 5}, {16_000, 2}}

// compareClones compares the first mirrors of repositories of usual sizes.
func compareClones(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.newSyncBench(ctx)
	if err != nil {
		return nil, err
	}
	var templates []string // of each repository
	for i, size := range cloneSizes {
		dir := filepath.Join(s.tmp, fmt.Sprintf("template-%d.git", i))
		if err := s.git.makeSources(ctx, dir, size.files); err != nil {
			return nil, err
		}
		templates = append(templates, slices.Repeat([]string{dir}, size.repositories)...)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(templates), func(i, j int) { templates[i], templates[j] = templates[j], templates[i] })
	h, err := s.newCodeHost(ctx, "clones", len(templates), func(i int) string { return templates[i] })
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.close() }() // nothing of it is kept
	signpost := func(engine string) func(ctx context.Context) (cost, error) {
		return func(ctx context.Context) (cost, error) {
			config, err := s.configure(h, engine)
			if err != nil {
				return cost{}, err
			}
			data := s.folder("data")
			defer func() { _ = os.RemoveAll(data) }()
			return s.sync(ctx, config, data)
		}
	}
	git := func(ctx context.Context) (cost, error) {
		mirrors := s.folder("mirrors")
		defer func() { _ = os.RemoveAll(mirrors) }()
		return s.each(ctx, h, `exec git clone --mirror --quiet "$2" "`+mirrors+`/$1.git"`)
	}
	const against = "git clone --mirror by xargs -P 5"
	var rows []row
	for _, engine := range []string{"git", "go-git"} {
		t, err := takeTurns(ctx, s.budget, 2, signpost(engine), git)
		if err != nil {
			return nil, err
		}
		timeAim, memoryAim := aim{}, aim{}
		if engine == "git" {
			timeAim, memoryAim = atMost(1.1), atMost(1.3)
		}
		what := fmt.Sprintf("first mirror of %d repositories, gitEngine %s", len(templates), engine)
		rows = append(rows, costRow(what, against, t, timeAim), peakRow("… peak memory", peak, t, memoryAim),
			peakRow("… of it, without the pages of programs and files", ownPeak, t, aim{}))
	}
	return rows, nil
}

// comparePasses compares passes over many small repositories that are mirrored already.
func comparePasses(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.newSyncBench(ctx)
	if err != nil {
		return nil, err
	}
	template := filepath.Join(s.tmp, "small.git")
	if err := s.git.makeSources(ctx, template, 20); err != nil {
		return nil, err
	}
	h, err := s.newCodeHost(ctx, "passes", passRepositories, func(int) string { return template })
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.close() }()
	config, err := s.configure(h, "auto")
	if err != nil {
		return nil, err
	}
	data, mirrors := s.folder("data"), s.folder("mirrors")
	if _, err := s.sync(ctx, config, data); err != nil {
		return nil, err
	}
	if _, err := s.each(ctx, h, `exec git clone --mirror --quiet "$2" "`+mirrors+`/$1.git"`); err != nil {
		return nil, err
	}
	turn := 0
	pushFirst := func(pass func(ctx context.Context) (cost, error)) func(ctx context.Context) (cost, error) {
		return func(ctx context.Context) (cost, error) {
			for i := range pushedRepositories {
				turn++
				if _, err := h.push(i*passRepositories/pushedRepositories, turn); err != nil {
					return cost{}, err
				}
			}
			return pass(ctx)
		}
	}
	signpost := func(ctx context.Context) (cost, error) { return s.sync(ctx, config, data) }
	loop := func(ctx context.Context) (cost, error) {
		return s.each(ctx, h, `exec git --git-dir="`+mirrors+`/$1.git" fetch --quiet --prune`)
	}
	get := func(ctx context.Context) (cost, error) { return getRefs(ctx, h) }
	same, err := takeTurns(ctx, s.budget, 2, signpost, loop)
	if err != nil {
		return nil, err
	}
	bare, err := takeTurns(ctx, s.budget, 3, signpost, get)
	if err != nil {
		return nil, err
	}
	pushed, err := takeTurns(ctx, s.budget, 2, pushFirst(signpost), pushFirst(loop))
	if err != nil {
		return nil, err
	}
	const against = "git fetch --prune by xargs -P 5"
	return []row{
		costRow(fmt.Sprintf("a pass over %d repositories, none changed", passRepositories), against, same, atMost(0.1)),
		costRow("… the same", "bare keep-alive GETs of info/refs", bare, atMost(1.5)),
		costRow(fmt.Sprintf("a pass over %d repositories, %d changed", passRepositories, pushedRepositories), against, pushed, atMost(0.125)),
	}, nil
}

// getRefs reads the refs of every repository as the first request of git does, and nothing else.
func getRefs(ctx context.Context, h *codeHost) (cost, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, url := range h.urls {
		group.Go(func() error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/info/refs?service=git-upload-pack", nil)
			if err != nil {
				return err
			}
			request.SetBasicAuth(hostAccount, hostPassword)
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", url, response.Status)
			}
			_, err = io.Copy(io.Discard, response.Body)
			return err
		})
	}
	err := group.Wait()
	return cost{elapsed: time.Since(begun)}, err
}

// costRow makes the row of the times of a pair of programs.
func costRow(what, against string, t turns[cost], a aim) row {
	ours, theirs := t.typical(elapsed)
	return row{what, against, versus(time.Duration(ours), time.Duration(theirs)), t.ratio(elapsed), a}
}

// peakRow makes the row of their memory.
func peakRow(what string, of func(cost) float64, t turns[cost], a aim) row {
	ours, theirs := t.typical(of)
	return row{what, "the same", fmt.Sprintf("%.0f / %.0f MiB", ours/(1<<20), theirs/(1<<20)), t.ratio(of), a}
}
