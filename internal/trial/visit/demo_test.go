package visit

import (
	"context"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"example.com/signpost/internal/browser"
	"example.com/signpost/internal/trial"
)

// demoLine is the line that the demo prints for Chromium: the extension's folder, and a page.
var demoLine = regexp.MustCompile(`chromium --load-extension='([^']+)' .*'(http[^']+)'`)

// printedPage is an address of a page that the demo prints, beside its name.
var printedPage = regexp.MustCompile(`(?m)^  [a-z ]+ {2,}(http\S+)$`)

// TestDemoAsPrinted does what the README tells newcomers: it runs the demo, loads the extension
// as the printed line says, and opens the printed pages.
func TestDemoAsPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := new(trial.Output)
	demo, err := trial.Start(dir, trial.Environment(dir), out, built, "demo", "--listen", "127.0.0.1:0")
	must(t, err)
	ended := false
	defer func() {
		if !ended {
			_ = demo.Stop(syscall.SIGINT)
		}
	}()
	must(t, trial.Eventually(func() error {
		if !strings.Contains(out.String(), "Ctrl+C") {
			return os.ErrNotExist
		}
		return nil
	}))
	line := demoLine.FindStringSubmatch(out.String())
	if line == nil {
		t.Fatalf("the demo prints no line for Chromium:\n%s", out)
	}
	chromium, err := browser.StartChromium(context.WithoutCancel(t.Context()), browser.ChromiumOptions{Extension: line[1]})
	must(t, err)
	defer func() { must(t, chromium.Close()) }()
	tab, err := chromium.NewTab(soon(t))
	must(t, err)
	must(t, Watch(soon(t), tab))
	pages := []string{line[2]}
	for _, page := range printedPage.FindAllStringSubmatch(out.String(), -1) {
		pages = append(pages, page[1])
	}
	if len(pages) < 9 {
		t.Errorf("the demo prints %d pages:\n%s", len(pages), out)
	}
	for _, page := range pages {
		must(t, tab.Open(soon(t), page))
		r, err := Settled(soon(t), tab)
		must(t, err)
		if r.Now.State != StateLink || r.Now.Count != 1 || !strings.HasPrefix(r.Now.Link, Primary+"/") {
			t.Errorf("%s: %+v", page, r.Now)
		}
	}
	ended = true
	if err := demo.Stop(syscall.SIGINT); err != nil {
		t.Errorf("the demo ended with %v\n%s", err, demo.Log)
	}
	if _, err := os.Stat(line[1]); !os.IsNotExist(err) {
		t.Errorf("the demo left the extension behind: %v", err)
	}
}
