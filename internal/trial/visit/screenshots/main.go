// Command screenshots writes pictures of the button on each type of page of each version, of
// its states, and of the extension's own pages, for people to look at.
//
//	go run ./internal/trial/visit/screenshots [-out bin/screenshots] [-only REGEXP]
//
// It needs chromium and firefox-esr, and a working folder inside the module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/signpost/internal/browser"
	"example.com/signpost/internal/trial"
	"example.com/signpost/internal/trial/visit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// studio is where the pictures are taken.
type studio struct {
	world   *visit.World
	network *browser.Network
	guest   *browser.Chromium
	folder  string // of the unpacked extension
	out     string
	only    *regexp.Regexp
	taken   int
}

// patience bounds each picture.
const patience = 30 * time.Second

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("screenshots", flag.ContinueOnError)
	out := flags.String("out", "bin/screenshots", "write the pictures into this `folder`")
	only := flags.String("only", "", "take those whose name matches this `regexp`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &studio{out: *out}
	if s.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "signpost-screenshots-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	program, err := trial.Build(ctx, folder)
	if err != nil {
		return err
	}
	s.world, err = visit.Start(ctx, visit.Options{Versions: visit.Versions, ContextPaths: []string{""}, Folder: folder, Signpost: program})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.world.Close()) }()
	if s.network, err = browser.StartNetwork(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.network.Close()) }()
	if s.folder, err = s.world.Unpack(ctx, "signpost-chrome.zip", folder); err != nil {
		return err
	}
	if err := s.invite(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.guest.Close()) }()
	for _, series := range []func(context.Context) error{s.pages, s.states, s.ownPages, s.inFirefox} {
		if err := series(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("%d pictures in %s\n", s.taken, s.out)
	return s.network.Elsewhere(s.world.Hosts()...)
}

// invite starts a browser, in place of the one that is there.
func (s *studio) invite(ctx context.Context) (err error) {
	if s.guest != nil {
		if err := s.guest.Close(); err != nil {
			return err
		}
	}
	s.guest, err = browser.StartChromium(ctx, browser.ChromiumOptions{Extension: s.folder, Network: s.network})
	return err
}

// notInNames becomes a dash in the name of a picture.
var notInNames = regexp.MustCompile(`[^a-z0-9.]+`)

// wants tells whether a picture is to be taken.
func (s *studio) wants(name string) bool { return s.only.MatchString(name) }

// keep takes the picture of a tab.
func (s *studio) keep(ctx context.Context, name string, tab browser.Tab) error {
	png, err := tab.Screenshot(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.taken++
	return os.WriteFile(filepath.Join(s.out, name+".png"), png, 0o644)
}

// newTab opens a tab of a size for pictures.
func (s *studio) newTab(ctx context.Context, dark bool) (tab *browser.ChromiumTab, err error) {
	if tab, err = s.guest.NewTab(ctx); err != nil {
		return nil, err
	}
	return tab, errors.Join(visit.Watch(ctx, tab), tab.PreferDark(ctx, dark), tab.Resize(ctx, 1100, 560, 1))
}

// page takes the picture of a page once its button has a state.
func (s *studio) page(ctx context.Context, name, address, state string, dark bool) error {
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if !s.wants(name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tab, err := s.newTab(ctx, dark)
	if err != nil {
		return err
	}
	defer func() { _ = tab.Close() }()
	if err := tab.Open(ctx, address); err != nil {
		return err
	}
	is := func(now visit.Look) bool {
		return now.State == state || state == "" && now.State != "" && now.State != visit.StateLooking
	}
	if _, err := visit.Until(ctx, tab, is); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	// Until the page has drawn itself a second time, and its pictures and fonts are there.
	settled := `new Promise((resolve) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))), 600))`
	if err := tab.Evaluate(ctx, settled, nil); err != nil {
		return err
	}
	return s.keep(ctx, name, tab)
}

// alike are pages that look like others.
var alike = []string{"repository without a final part", "directory at a branch", "file of a commit", "pull request", "repository of another project", "user"}

// pages takes each type of page of each version, and the newest ones in the dark.
func (s *studio) pages(ctx context.Context) error {
	for _, site := range s.world.Sites {
		for _, page := range site.Pages() {
			title := strings.TrimPrefix(page.Name, "normal, ")
			if strings.HasPrefix(page.Name, "personal") || slices.Contains(alike, title) {
				continue
			}
			name := site.Version + " " + title
			if err := s.page(ctx, name, page.URL, "", false); err != nil {
				return err
			}
			if site.Version == "9.4" {
				if err := s.page(ctx, name+" dark", page.URL, "", true); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// resolving tells whether a request asks for a link.
func resolving(r *http.Request) bool { return r.URL.Path == "/api/v1/resolve" }

// answers makes a Handler of what every question for a link is answered with.
func answers(status int, body string) browser.Handler {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !resolving(r) {
			return false
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // fails only when the browser has gone
		return true
	}
}

// hang answers no question for a link.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	if resolving(r) {
		<-r.Context().Done()
	}
	return resolving(r)
}

// states takes every state in a toolbar and at the edge, light and dark.
func (s *studio) states(ctx context.Context) error {
	site := s.world.Sites[len(s.world.Sites)-1]
	base := site.URL() + "/projects/WEB/repos/storefront"
	for _, c := range []struct {
		state string
		front browser.Handler
	}{
		{visit.StateLooking, hang},
		{visit.StateMissing, answers(http.StatusNotFound, `{"status":404,"code":"repository_not_found"}`)},
		{visit.StateUnset, answers(http.StatusServiceUnavailable, `{"status":503,"code":"primary_url_not_set"}`)},
		{visit.StateUnreachable, answers(http.StatusBadGateway, `{"status":502,"code":"bitbucket_unavailable"}`)},
		{visit.StateSignIn, answers(http.StatusUnauthorized, ``)},
	} {
		remove := s.network.Handle(c.front)
		for _, dark := range []bool{false, true} {
			for place, path := range map[string]string{"toolbar": "/browse/README.md", "edge": "/commits"} {
				name := "state " + c.state + " " + place + map[bool]string{true: " dark"}[dark]
				if !s.wants(strings.ReplaceAll(name, " ", "-")) {
					continue
				}
				if err := s.invite(ctx); err != nil { // one that remembers no failure
					return err
				}
				if err := s.page(ctx, name, base+path, c.state, dark); err != nil {
					return err
				}
			}
		}
		remove()
	}
	return nil
}

// ownPages takes the popup and the options page.
func (s *studio) ownPages(ctx context.Context) error {
	site := s.world.Sites[len(s.world.Sites)-1]
	id, err := s.guest.ExtensionID(ctx)
	if err != nil {
		return err
	}
	for _, dark := range []bool{false, true} {
		suffix := map[bool]string{true: "-dark"}[dark]
		if name := "options" + suffix; s.wants(name) {
			if err := s.own(ctx, name, "chrome-extension://"+id+"/options/options.html", dark); err != nil {
				return err
			}
		}
		for name, path := range map[string]string{"popup-link": "/projects/WEB/repos/storefront/browse/cart/price.go#3-6", "popup-missing": "/projects/WEB/repos/none/browse"} {
			if s.wants(name + suffix) {
				if err := s.popup(ctx, name+suffix, site.URL()+path, dark); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *studio) own(ctx context.Context, name, address string, dark bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tab, err := s.guest.NewTab(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tab.Close() }()
	if err := errors.Join(tab.PreferDark(ctx, dark), tab.Resize(ctx, 800, 620, 1), tab.Open(ctx, address)); err != nil {
		return err
	}
	if err := browser.Wait(ctx, tab, `document.querySelector("#primary").textContent`, nil); err != nil {
		return err
	}
	return s.keep(ctx, name, tab)
}

func (s *studio) popup(ctx context.Context, name, address string, dark bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tab, err := s.newTab(ctx, dark)
	if err != nil {
		return err
	}
	defer func() { _ = tab.Close() }()
	if err := tab.Open(ctx, address); err != nil {
		return err
	}
	if err := s.guest.ClickAction(ctx, tab); err != nil {
		return err
	}
	popup, err := s.guest.Popup(ctx, "popup/popup.html")
	if err != nil {
		return err
	}
	defer func() { _ = popup.Close() }()
	if err := errors.Join(popup.PreferDark(ctx, dark), browser.Wait(ctx, popup, `document.querySelector("main").ariaBusy === "false"`, nil)); err != nil {
		return err
	}
	return s.keep(ctx, name, popup)
}

// inFirefox takes a page with a toolbar and one without in Firefox.
func (s *studio) inFirefox(ctx context.Context) (err error) {
	if !s.wants("firefox") {
		return nil
	}
	f, err := browser.StartFirefox(ctx, browser.FirefoxOptions{Network: s.network})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	xpi, err := s.world.Download(ctx, "signpost.xpi")
	if err != nil {
		return err
	}
	file := filepath.Join(s.out, "signpost.xpi")
	if err := os.WriteFile(file, xpi, 0o644); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file)) }()
	if _, err := f.Install(ctx, file); err != nil {
		return err
	}
	for name, path := range map[string]string{"toolbar": "/browse/cart/price.go#3-6", "edge": "/commits"} {
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := f.Open(ctx, s.world.Sites[len(s.world.Sites)-1].URL()+"/projects/WEB/repos/storefront"+path)
		if err == nil {
			err = browser.Wait(ctx, f, `document.querySelector('[data-signpost-state="link"]') !== null`, nil)
		}
		if err == nil {
			err = s.keep(ctx, "firefox-"+name, f)
		}
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
