package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/internal/webhook"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// Resolver turns a Bitbucket URL into a link. Package resolver fills it in.
type Resolver interface {
	Resolve(ctx context.Context, rawURL string) (resolver.Result, error)
}

// Configuration is the site configuration that runs. siteconfig.Publisher fills it in.
type Configuration interface {
	// Current returns the configuration in effect.
	Current() *siteconfig.Config
	// Text returns the newest text, its secrets in the clear.
	Text(ctx context.Context) (siteconfig.StoredVersion, error)
	// Check returns the problems of a text whose secrets may be masked.
	Check(ctx context.Context, text string) (siteconfig.Problems, error)
	// Put stores a text as the successor of a version and puts it into effect. Errors are
	// siteconfig.ErrInvalid (with the problems), ErrConflict and ErrReadOnly.
	Put(ctx context.Context, text string, expected int64, author string) (*siteconfig.Config, siteconfig.Problems, error)
}

// Repositories are those that the connections know. syncer.Syncer fills it in.
type Repositories interface {
	// Repositories returns a page.
	Repositories(ctx context.Context, q syncer.RepositoryQuery) (syncer.RepositoryPage, error)
	// Repository returns one, or syncer.ErrNoRecord.
	Repository(ctx context.Context, id bitbucket.RepoID) (syncer.RepositoryStatus, error)
	// SyncRepository asks for a fetch. Errors are syncer.ErrNoRecord, a *syncer.NotSelectedError and
	// syncer.ErrNotStarted.
	SyncRepository(ctx context.Context, id bitbucket.RepoID) error
}

// Webhooks acts on the deliveries of webhooks. webhook.Receiver fills it in.
type Webhooks interface {
	// Admit tells, before the body is read, whether it is worth reading; done means that the
	// answer needs no body.
	Admit(connection string, h webhook.Header) (done bool, err error)
	// Receive acts on a delivery. Its errors are those of package webhook, and that of ctx.
	Receive(ctx context.Context, connection string, h webhook.Header, body []byte) (webhook.Outcome, error)
}

// Options says what a Server works with.
type Options struct {
	Resolver      Resolver             // required
	Configuration Configuration        // required
	Repositories  Repositories         // nil: the paths about them are not there
	Connections   Connections          // nil: the paths about them are not there
	Metrics       *prometheus.Registry // required: what /metrics shows; the server adds its own
	Extension     Extension            // nil: no packages are handed out
	Webhooks      Webhooks             // no connection takes deliveries if nil
	AdminToken    siteconfig.Secret    // zero: the administrators' part of the API is closed
	NotReady      func() []string      // reasons why the server is not ready yet; may be nil
	Logger        *slog.Logger         // discards if nil
	Timeout       time.Duration        // of one request; 30 s if zero
	Now           func() time.Time     // time.Now if nil
}

// Server answers the HTTP API. It is safe for concurrent use.
type Server struct {
	resolver     Resolver
	config       Configuration
	repositories Repositories
	connections  Connections
	extension    Extension
	webhooks     Webhooks
	bodies       *webhookBodies
	admin        *adminAccess
	notReady     func() []string
	log          *slog.Logger
	timeout      time.Duration
	metrics      *requestMetrics
	registry     *prometheus.Registry
	handler      http.Handler
}

// New returns a Server. It serves nothing by itself: give its Handler to an http.Server
// with timeouts.
func New(o Options) (*Server, error) {
	if o.Resolver == nil || o.Configuration == nil || o.Metrics == nil {
		return nil, errors.New("api: Options needs Resolver, Configuration and Metrics")
	}
	if o.Webhooks == nil {
		o.Webhooks = noWebhooks{}
	}
	if o.NotReady == nil {
		o.NotReady = func() []string { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		resolver:     o.Resolver,
		config:       o.Configuration,
		repositories: o.Repositories,
		connections:  o.Connections,
		extension:    o.Extension,
		webhooks:     o.Webhooks,
		bodies:       newWebhookBodies(),
		admin:        newAdminAccess(o.AdminToken, o.Now),
		notReady:     o.NotReady,
		log:          cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		timeout:      cmp.Or(o.Timeout, 30*time.Second),
		registry:     o.Metrics,
	}
	var err error
	if s.metrics, err = newRequestMetrics(o.Metrics); err != nil {
		return nil, err
	}
	s.handler = s.observe(s.cors(s.resolveFirst(withContext(s.routes()))))
	return s, nil
}

// Handler returns the whole API. Mount it at the root: it answers every path, unknown ones
// with a problem.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	// Paths count as they were sent: mux would redirect odd ones to what it takes them for,
	// which escapes them twice, turns a POST into a GET and sends CONNECT to another host.
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	s.registerResolveRoutes(r) // first: mux tries the routes in order
	s.registerGoRoutes(r)
	s.registerHealthRoutes(r)
	s.registerMetricsRoutes(r)
	s.registerPrimaryURLRoutes(r)
	s.registerSiteConfigRoutes(r)
	if s.repositories != nil {
		s.registerRepositoryRoutes(r)
	}
	s.registerWebhookRoutes(r)
	if s.connections != nil {
		s.registerConnectionRoutes(r)
	}
	s.registerExtensionRoutes(r)
	s.registerContractRoutes(r)
	r.NotFoundHandler = s.problems("none", func(http.ResponseWriter, *http.Request) error { return errNoSuchPath })
	r.MethodNotAllowedHandler = s.problems("none", func(w http.ResponseWriter, req *http.Request) error {
		w.Header().Set("Allow", allowedMethods(r, req))
		return errMethodNotAllowed
	})
	return r
}

// handlerFunc answers a request or returns an error before it has written anything.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// handle registers a route. GET routes answer HEAD too, which mux leaves to its user.
func (s *Server) handle(r *mux.Router, name, path, method string, h handlerFunc) {
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	r.Handle(path, s.problems(name, h)).Methods(methods...)
}

// problems runs h and writes its error as a problem.
func (s *Server) problems(route string, h handlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setRoute(w, route)
		switch err := h(w, r); {
		case err == nil:
		case clientGone(w, r, err):
			w.WriteHeader(statusClientGone)
		default:
			s.writeProblem(w, r, err)
		}
	})
}

// allowedMethods lists the methods that some route takes on the request's path, for the
// Allow header that RFC 9110 wants beside a 405.
func allowedMethods(router *mux.Router, r *http.Request) string {
	var allow string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
		try := r.Clone(r.Context())
		try.Method = method
		var match mux.RouteMatch
		if router.Match(try, &match) && match.MatchErr == nil {
			if allow != "" {
				allow += ", "
			}
			allow += method
		}
	}
	return allow
}
