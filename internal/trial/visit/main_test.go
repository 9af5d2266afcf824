package visit

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"example.com/signpost/internal/browser"
	"example.com/signpost/internal/trial"
)

// built is the real program, as a release is built.
var built string

// wide is the world that most tests share: every version, with and without a context path.
var wide *World

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) (code int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	folder, err := os.MkdirTemp("", "signpost-visit-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		built, err = trial.Build(ctx, folder)
	}
	if err == nil {
		wide, err = Start(ctx, Options{Versions: Versions, ContextPaths: []string{"", "/bitbucket"}, Folder: folder, Signpost: built})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := wide.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// patience bounds what a browser does in a test.
const patience = time.Minute

// soon returns a context for what a browser does in a test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// guest is a Chromium with the packed extension, and all that it asks for. When the test ends
// nobody else than the world may have been asked.
type guest struct {
	*browser.Chromium
	network *browser.Network
	world   *World
}

// invite starts a guest of a world.
func invite(t *testing.T, w *World) *guest {
	t.Helper()
	network := watchedNetwork(t, w)
	folder, err := w.Unpack(soon(t), "signpost-chrome.zip", t.TempDir())
	must(t, err)
	chromium, err := browser.StartChromium(context.WithoutCancel(t.Context()), browser.ChromiumOptions{Extension: folder, Network: network})
	must(t, err)
	t.Cleanup(func() {
		if err := chromium.Close(); err != nil {
			t.Error(err)
		}
	})
	return &guest{chromium, network, w}
}

// watchedNetwork starts the network of a browser that may ask a world and other hosts.
func watchedNetwork(t *testing.T, w *World, others ...string) *browser.Network {
	t.Helper()
	network, err := browser.StartNetwork(t.Context())
	must(t, err)
	hosts := append(w.Hosts(), others...)
	t.Cleanup(func() {
		_ = network.Close()
		if err := network.Elsewhere(hosts...); err != nil {
			t.Error(err)
		}
		if len(network.Requests()) == 0 {
			t.Error("the browser asked for nothing")
		}
	})
	return network
}

// tab opens a tab whose pages are watched.
func (g *guest) tab(t *testing.T) *browser.ChromiumTab {
	t.Helper()
	tab, err := g.NewTab(soon(t))
	must(t, err)
	must(t, Watch(soon(t), tab))
	return tab
}
