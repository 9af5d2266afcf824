package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// demoPages are the samples whose whole addresses the demo prints, to begin with. All others are a click away.
var demoPages = []string{"repository", "lines of a file", "commit", "comparison", "pull request", "fork in a personal project"}

// loopbackURL is URL with an address that a browser can ask: a server that listens on all
// addresses is at the loopback one too.
func (a *App) loopbackURL() string {
	host, port, err := net.SplitHostPort(a.listener.Addr().String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return a.URL()
	}
	return "http://" + net.JoinHostPort("127.0.0.1", port)
}

// unpackExtension writes the packages of the extension into a folder, and returns the folder that Chromium
// loads. It waits until they are built.
func (a *App) unpackExtension(ctx context.Context, dir string) (string, error) {
	packages, err := a.extension.Packages(ctx)
	if err != nil {
		return "", err
	}
	target, err := openOutFolder(dir)
	if err != nil {
		return "", err
	}
	return filepath.Join(target.path, string(extension.Chrome)), target.write(packages)
}

// printDemoAddresses says where everything is, and how to click through it.
func (a *App) printDemoAddresses(worlds []*bitbuckettest.DemoWorld, token, unpacked string, out io.Writer) error {
	text := new(strings.Builder)
	for _, world := range worlds {
		fmt.Fprintf(text, "\nPages of Bitbucket %s\n", world.Server.Version())
		for _, label := range demoPages {
			for _, sample := range world.Samples {
				if sample.Label == label {
					fmt.Fprintf(text, "  %-27s %s\n", sample.Label, sample.URL)
				}
			}
		}
	}
	newest := worlds[len(worlds)-1].Samples[0].URL
	fmt.Fprintf(text, `
Click through them with the extension loaded; each has View on Sourcegraph:
  chromium --load-extension='%[4]s' --user-data-dir="$(mktemp -d)" '%[5]s'
Firefox, Edge and what needs no extension: %[1]s/extension/

Signpost     %[1]s
admin token  %[2]s

Try:
  curl -G %[1]s/api/v1/resolve --data-urlencode 'url=%[3]s'
  curl -H 'Authorization: Bearer %[2]s' %[1]s/api/v1/site-config

Stop with Ctrl+C; nothing is left behind.
`, a.loopbackURL(), token, worlds[0].Samples[0].URL, unpacked, newest)
	_, err := io.WriteString(out, text.String())
	return err
}
