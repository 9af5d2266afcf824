package app

import (
	"context"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/gitmirror"
	"example.com/signpost/internal/siteconfig"
)

// askTime bounds how long it may take to store that a damaged mirror is to be fetched.
const askTime = time.Minute

// openMirrors opens the mirrors of the data folder.
func (a *App) openMirrors(folder *dataFolder) error {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	a.onStop("fetches of damaged mirrors", func(context.Context) error {
		cancel()
		asking.Wait()
		return nil
	})
	mirrors, err := gitmirror.New(gitmirror.Options{
		Root: folder.file("mirrors"),
		Tmp:  folder.file("tmp"),
		Damaged: func(repo bitbucket.RepoID) {
			if ctx.Err() == nil {
				asking.Go(func() { a.fetchDamaged(ctx, repo) })
			}
		},
		Logger: a.log,
	})
	if err != nil {
		return err
	}
	a.onStop("mirrors", func(context.Context) error { return mirrors.Close() })
	return a.makeParts(mirrors)
}

// fetchDamaged has a damaged mirror fetched soon, which mends it. Where nothing is scheduled, the next pass does.
func (a *App) fetchDamaged(ctx context.Context, repo bitbucket.RepoID) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := a.syncer.FetchSoon(ctx, repo); err != nil && ctx.Err() == nil {
		a.log.InfoContext(ctx, "a damaged mirror waits for its next fetch", "repository", repo, "err", err)
	}
}

// checkMirrors checks all mirrors in the background, once. The server answers meanwhile: a mirror that is
// fetched before its turn is checked then.
func (a *App) checkMirrors(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		begun := time.Now()
		damaged, err := a.mirrors.CheckAll(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.log.WarnContext(ctx, "not all mirrors could be checked", "err", err)
		default:
			a.log.DebugContext(ctx, "checked the mirrors", "damaged", damaged, "took", time.Since(begun))
		}
	}()
	a.onStop("check of the mirrors", func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// configureMirrors makes a configuration's settings the mirrors', and its memory budget the soft limit of this
// process, unless the environment sets one.
func (a *App) configureMirrors(next *siteconfig.Config) {
	if os.Getenv("GOMEMLIMIT") == "" && next.MemoryBudget > 0 {
		debug.SetMemoryLimit(next.MemoryBudget)
	}
	a.mirrors.Configure(gitmirror.Settings{Engine: next.GitEngine, MinFreePercent: next.MinFreeDiskPercent, MemoryBudget: next.MemoryBudget})
}
