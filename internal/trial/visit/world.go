package visit

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/trial"
)

// Versions are those of which the double has pages of their own.
var Versions = []string{"4.14", "5.15", "6.10", "7.21", "8.19", "9.4"}

// Primary is the Sourcegraph of a World. Nobody asks it.
const Primary = "https://sourcegraph.example.com"

// Options says what is in a World.
type Options struct {
	Versions     []string // of the doubles
	ContextPaths []string // each version has a double for each; "" is none
	Listen       string   // address of the doubles; a free port of 127.0.0.1 if empty
	Folder       string   // of everything; the caller removes it
	Signpost     string   // path of the program
	NoPrimary    bool     // no administrator has set the primary URL yet
}

// World is a server, as a process of its own, among doubles of Bitbucket that run in this one.
// Its methods are safe for concurrent use. Close it.
type World struct {
	Server *trial.Server
	Sites  []*Site
	Config trial.Config

	place trial.Place
	data  string
}

// Site is a double of Bitbucket.
type Site struct {
	Version     string
	ContextPath string
	Demo        *bitbuckettest.DemoWorld
}

// Name says which double it is, in few characters.
func (s *Site) Name() string { return s.Version + s.ContextPath }

// URL returns the address of the double with its context path.
func (s *Site) URL() string { return s.Demo.Server.URL() }

// Host returns its host and port.
func (s *Site) Host() string { return s.Demo.Server.Addr() }

// personalPull is the pull request that the double's world lacks: one in a personal repository.
var personalPull = bitbuckettest.PullRequest{Title: "Round prices", From: "bugfix/rounding", To: "main", Author: "ada"}

// Start starts the doubles and the server, and waits until every repository is mirrored.
func Start(ctx context.Context, o Options) (_ *World, err error) {
	w := &World{
		place:  trial.Place{Dir: o.Folder, Env: trial.Environment(o.Folder), Signpost: o.Signpost},
		data:   filepath.Join(o.Folder, "data"),
		Config: trial.Config{PrimaryURL: Primary, MinFreeDiskPercent: new(int)},
	}
	if o.NoPrimary {
		w.Config.PrimaryURL = ""
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := w.startSites(o); err != nil {
		return w, err
	}
	if err := w.startServer(ctx); err != nil {
		return w, err
	}
	return w, nil
}

// startSites starts all doubles at once.
func (w *World) startSites(o Options) error {
	for _, version := range o.Versions {
		for _, path := range o.ContextPaths {
			w.Sites = append(w.Sites, &Site{Version: version, ContextPath: path})
		}
	}
	errs := make([]error, len(w.Sites))
	var all sync.WaitGroup
	for i, site := range w.Sites {
		all.Go(func() { errs[i] = site.start(o.Listen, filepath.Join(o.Folder, fmt.Sprintf("bitbucket-%d", i))) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *Site) start(listen, folder string) (err error) {
	s.Demo, err = bitbuckettest.StartDemoWorld(bitbuckettest.DemoWorldOptions{
		Version: s.Version, Listen: listen, ContextPath: s.ContextPath, Dir: folder,
	})
	if err != nil {
		return err
	}
	_, err = s.Demo.Server.AddPullRequest("~ADA/storefront", personalPull)
	return err
}

// startServer starts the server and gives it a configuration that names its own address.
func (w *World) startServer(ctx context.Context) (err error) {
	if w.Server, err = w.place.StartServer("--data", w.data); err != nil {
		return err
	}
	w.Config.ExternalURL = w.Server.URL
	w.Config.BitbucketServer = nil
	for i, site := range w.Sites {
		name := fmt.Sprintf("bitbucket-%d", i)
		w.Config.BitbucketServer = append(w.Config.BitbucketServer, trial.Connection{
			Name: name, URL: site.URL(), RateLimit: &trial.RateLimit{}, Pattern: name + "/{projectKey}/{repositorySlug}",
		}.As(site.Demo.Account))
	}
	if err := w.Server.PutConfig(w.Config); err != nil || w.Config.PrimaryURL == "" {
		return err
	}
	for _, site := range w.Sites {
		for _, address := range site.landmarks() {
			if err := w.mirrored(ctx, address); err != nil {
				return err
			}
		}
	}
	return nil
}

// mirrored waits until the link of a page has a commit.
func (w *World) mirrored(ctx context.Context, page string) error {
	return trial.Eventually(func() error {
		if ctx.Err() != nil {
			return trial.GiveUp(ctx.Err())
		}
		link, err := w.Server.Resolve(page)
		if err == nil && link.Commit == "" {
			err = fmt.Errorf("%s is not mirrored\n%s", page, w.Server.Log)
		}
		return err
	})
}

// Hosts are the host and port of the server and of all doubles.
func (w *World) Hosts() []string {
	hosts := []string{strings.TrimPrefix(w.Server.URL, "http://")}
	for _, site := range w.Sites {
		hosts = append(hosts, site.Host())
	}
	return hosts
}

// Restart starts the server again on the same data folder. Its address is another one then.
func (w *World) Restart(ctx context.Context) error {
	if err := w.Server.Stop(syscall.SIGTERM); err != nil {
		return err
	}
	return w.startServer(ctx)
}

// Download returns a file that the server hands out below /extension/.
func (w *World) Download(ctx context.Context, name string) (content []byte, err error) {
	err = trial.Eventually(func() error {
		content, err = get(ctx, w.Server.URL+"/extension/"+name)
		return err
	})
	return content, err
}

func get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := trial.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", address, response.StatusCode, content)
	}
	return content, err
}

// Unpack downloads a package of the extension and unpacks it into a new folder below dir.
func (w *World) Unpack(ctx context.Context, name, dir string) (folder string, err error) {
	content, err := w.Download(ctx, name)
	if err != nil {
		return "", err
	}
	reader, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if folder, err = os.MkdirTemp(dir, "extension-"); err != nil {
		return "", err
	}
	return folder, os.CopyFS(folder, reader)
}

// Resolve returns the link of a page as the server says it, "" and the code of the problem where
// there is none.
func (w *World) Resolve(page string) (link, code string, err error) {
	answer, err := w.Server.Resolve(page)
	if problem := (*trial.Problem)(nil); errors.As(err, &problem) {
		return "", problemCode(problem.Body), nil
	}
	return answer.URL, "", err
}

// Close stops the server and the doubles.
func (w *World) Close() error {
	var errs []error
	if w.Server != nil {
		errs = append(errs, w.Server.Stop(syscall.SIGTERM))
	}
	for _, site := range w.Sites {
		if site.Demo != nil {
			errs = append(errs, site.Demo.Close())
		}
	}
	return errors.Join(errs...)
}

// escape is for a value of a query.
func escape(text string) string { return url.QueryEscape(text) }
