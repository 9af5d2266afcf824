package main

import (
	"path/filepath"
	"testing"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// demoWorld is a double with the demo's repositories, and a server that mirrors them.
type demoWorld struct {
	*server
	double *process
	ready  bitbuckettest.Ready
	dir    string // working folder of both
	env    []string
	data   string // data folder of the server
}

// startDemoWorld starts both, each a process of its own, and waits until the server knows
// the first few of the double's pages. Both end with the test.
func startDemoWorld(t *testing.T, version, primary string, pages int) *demoWorld {
	t.Helper()
	w := &demoWorld{dir: t.TempDir()}
	w.env, w.data = ownEnvironment(w.dir), filepath.Join(w.dir, "data")
	var err error
	if w.double, w.ready, err = startBitbucket(w.dir, w.env, "-world", "demo", "-version", version); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.double.stop(interrupt) })
	w.start(t)
	putConfig(t, w.server, configJSON{
		PrimaryURL:      primary,
		BitbucketServer: []connectionJSON{connectionJSON{URL: w.ready.Servers[0].URL}.As(w.ready.Accounts["admin"])},
	})
	waitForMirrors(t, w.server, w.ready.Samples[:min(pages, len(w.ready.Samples))])
	return w
}

// start starts the server, on the data folder as it is.
func (w *demoWorld) start(t *testing.T) {
	t.Helper()
	s, err := startServer(w.dir, w.env, "--data", w.data)
	if err != nil {
		t.Fatal(err)
	}
	w.server = s
	t.Cleanup(func() { _ = s.stop(interrupt) })
}

// startDoubleWithConfig starts a double with the demo's repositories, which ends with the test,
// and writes a configuration for it: signpost.jsonc in dir.
func startDoubleWithConfig(t *testing.T) (dir string, env []string, ready bitbuckettest.Ready) {
	t.Helper()
	dir = t.TempDir()
	env = ownEnvironment(dir)
	double, ready, err := startBitbucket(dir, env, "-world", "demo", "-version", "8.19")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = double.stop(interrupt) })
	if err := writeConfig(filepath.Join(dir, "signpost.jsonc"), configJSON{
		PrimaryURL:      "https://sourcegraph.example.com",
		BitbucketServer: []connectionJSON{connectionJSON{URL: ready.Servers[0].URL}.As(ready.Accounts["admin"])},
	}); err != nil {
		t.Fatal(err)
	}
	return dir, env, ready
}
