package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/api"
	extension "example.com/signpost/extension-assets"
	"example.com/signpost/internal/gitmirror"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/store"
	"example.com/signpost/internal/webhook"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// requestTime is how long a request may take. drainTime is how long those that are being
// answered may take after a stop was asked for: none is cut off, also none that has just begun.
// Most service managers wait for 30 s before they kill.
const (
	requestTime = 25 * time.Second
	drainTime   = requestTime + 3*time.Second
)

// Options says how the program runs.
type Options struct {
	DataDir    string            // required
	ConfigFile string            // "": the configuration lives in the database
	Listen     string            // address of the HTTP server; used by Start only
	AdminToken siteconfig.Secret // zero: the administrators' part of the API is closed
	Version    string            // of this program
	Logger     *slog.Logger      // discards if nil
}

// App is the whole program but for its flags. New opens it, Start serves, Stop ends it;
// commands that do not serve call New and Stop. Its methods are for one goroutine, but
// for those of the parts it hands out.
type App struct {
	opts      Options
	log       *slog.Logger
	registry  *prometheus.Registry
	publisher *siteconfig.Publisher
	records   *store.Store
	resolver  *resolver.Resolver
	syncer    *syncer.Syncer
	hosts     *connections
	mirrors   *gitmirror.Mirrors
	webhooks  *webhook.Receiver
	states    *connectionStates
	extension *extension.Publisher
	signed    *signedXPI

	indexed  atomic.Bool // the index is loaded
	server   *http.Server
	listener net.Listener
	failed   chan error // what ended the server by itself
	cleanups []cleanup
}

// cleanup undoes one step of New or Start.
type cleanup struct {
	name string
	run  func(ctx context.Context) error
}

func (a *App) onStop(name string, run func(ctx context.Context) error) {
	a.cleanups = append(a.cleanups, cleanup{name, run})
}

// New opens the data folder, reads the configuration and the index, and connects the
// parts. It starts nothing and asks nobody. After an error everything is closed again.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.publisher.Load(ctx); err != nil {
		return nil, err
	}
	if err := a.loadIndex(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// open is New but for the configuration and the index, which are not read yet.
func open(ctx context.Context, o Options) (_ *App, err error) {
	if o.DataDir == "" {
		return nil, fmt.Errorf("%w: it has no name; give one with --data", ErrDataFolder)
	}
	a := &App{
		opts:     o,
		log:      cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		registry: prometheus.NewRegistry(),
		failed:   make(chan error, 1),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.openStorage(ctx); err != nil {
		return nil, err
	}
	a.connectParts()
	return a, nil
}

// Start takes the address and serves: API, listings and fetches. It returns when the
// server answers.
func (a *App) Start(ctx context.Context) error {
	handler, err := api.New(api.Options{
		Resolver:      a.resolver,
		Configuration: a.publisher,
		Repositories:  a.syncer,
		Webhooks:      a.webhooks,
		Connections:   a.states,
		Extension:     a.extension,
		Metrics:       a.registry,
		AdminToken:    a.opts.AdminToken,
		NotReady:      a.notReady,
		Timeout:       requestTime,
		Logger:        a.log,
	})
	if err != nil {
		return err
	}
	if err := a.listen(ctx); err != nil {
		return err
	}
	if err := a.startSyncing(ctx); err != nil {
		return err
	}
	a.checkMirrors(ctx)
	a.runExtension(ctx)
	a.watchConfig(ctx)
	a.server = &http.Server{
		Handler:           handler.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       requestTime,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10, // a URL of 8 KiB, percent-encoded, fits twice
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("the HTTP server ended: %w", err)
		}
	}()
	a.onStop("HTTP server", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		if err := a.server.Shutdown(ctx); err != nil {
			_ = a.server.Close()
			return fmt.Errorf("requests were cut off: %w", err)
		}
		return nil
	})
	a.log.InfoContext(ctx, "serving", "address", a.URL(), "data", a.opts.DataDir, "version", a.opts.Version)
	a.warnWhatIsMissing(ctx)
	return nil
}

// listen takes the address, unless it is taken already.
func (a *App) listen(ctx context.Context) (err error) {
	if a.listener != nil {
		return nil
	}
	a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.opts.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", a.opts.Listen, err)
	}
	a.onStop("listener", func(context.Context) error {
		if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// URL returns the address of the server, as this machine reaches it. Only after Start.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Run starts, waits until ctx ends or the server fails, and stops. A context that ends is
// no error.
func (a *App) Run(ctx context.Context) error {
	err := a.Start(ctx)
	switch {
	case stopped(ctx, err):
		err = nil
	case err == nil:
		select {
		case <-ctx.Done():
			a.log.InfoContext(ctx, "stopping")
		case err = <-a.failed:
		}
	}
	return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
}

// Stop ends everything that was begun, the last first. It may be called at any time, and
// again.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	for _, c := range slices.Backward(a.cleanups) {
		if err := c.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping, %s: %w", c.name, err))
		}
	}
	a.cleanups = nil
	return errors.Join(errs...)
}

func (a *App) openStorage(ctx context.Context) error {
	folder, err := openDataFolder(a.opts.DataDir)
	if err != nil {
		return err
	}
	a.onStop("data folder", func(context.Context) error { return folder.close() })
	key, err := folder.secretKey()
	if err != nil {
		return err
	}
	a.records, err = store.Open(ctx, store.Options{Path: folder.file("signpost.db"), Key: key, Logger: a.log})
	if err != nil {
		return err
	}
	a.onStop("database", func(context.Context) error { return a.records.Close() })
	if err := a.makeExtension(folder); err != nil {
		return err
	}
	return a.openMirrors(folder)
}

func (a *App) warnWhatIsMissing(ctx context.Context) {
	config := a.publisher.Current()
	a.publisher.LogWarnings(ctx)
	if config.Primary.IsZero() {
		a.log.WarnContext(ctx, "no primary URL is set: every answer is primary_url_not_set; set it with signpost config set-primary URL, or PUT /api/v1/primary-url")
	}
	if len(config.Connections) == 0 {
		a.log.WarnContext(ctx, "no connection is configured: add bitbucketServer to the site configuration")
	}
	if config.ExternalURL == "" {
		a.log.InfoContext(ctx, "the browser extension is not handed out: set externalURL in the site configuration to the address of this server as browsers reach it")
	}
	if a.opts.AdminToken.IsZero() {
		a.log.InfoContext(ctx, "the administrators' part of the API is closed: set SIGNPOST_ADMIN_TOKEN to open it")
	}
}
