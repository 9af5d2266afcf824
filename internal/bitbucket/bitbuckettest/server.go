package bitbuckettest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options says which Bitbucket to be. The zero value is an 8.19 on a free port of the
// loopback interface.
type Options struct {
	Version     string   // "4.14" or "7.21.3"; 8.19 if empty
	Listen      string   // address to listen on; "127.0.0.1:0" if empty
	ContextPath string   // "" or "/git/bitbucket"
	BaseURL     string   // the address that links carry, with the context path; that of the listener if empty
	TLS         bool     // speak https with a certificate of an own authority
	TLSHosts    []string // names and addresses that the certificate is for, beside localhost and 127.0.0.1
	Dir         string   // where repositories lie; a temporary folder that Close removes if empty
	Logger      *slog.Logger
	Now         func() time.Time // time.Now if nil; for the rate limit and the headers

	HTTPOff        bool   // no clone links and no git over http
	SSH            bool   // serve git over SSH on a free port of the loopback interface
	SSHOff         bool   // no ssh clone links
	SSHBaseURL     string // that of the SSH server if it runs, otherwise "ssh://git@host:7999" with the host of BaseURL, if empty
	CloneLinkOrder string // "http" or "ssh" says which link comes first; "" differs from repository to repository

	// PageLimits lowers the caps on limit=: "projects", "repositories", "users", "branches", "tags",
	// "pullrequests", "commits", "lines", "files", or "all".
	PageLimits map[string]int
	// ShortPages makes a listing take limit rows and then drop those that the account may
	// not see: pages are short or empty. Otherwise it goes on until the page is full, as
	// recorded of 7.x. In both, nextPageStart counts the dropped rows.
	ShortPages bool

	CaptchaAfter  int  // failed logins in a row until a CAPTCHA is due; 5 if 0, never if negative
	BasicAuthOff  bool // basic authentication is refused with 403
	HideInvisible bool // what an account may not see is 404 and not 401
	MovedStatus   int  // of the redirect from a former address; 301 if 0

	RateLimit         RateLimit // of versions from 6.6 on
	ChangesetRefs     bool      // pull requests carry latestChangeset alone, as in Stash
	ExtraKeys         bool      // an unknown key in every object of every answer
	NullForAbsent     bool      // null instead of leaving a key out
	PagesWithoutLogin bool      // the web pages need no login; REST and git do
	KeepRequests      int       // how many requests are remembered; 4096 if 0
}

// Server is a running double. Close it.
type Server struct {
	opts     Options
	version  version
	switches switches
	log      *slog.Logger
	now      func() time.Time
	git      gitProgram
	dir      string
	ownDir   bool

	ssh      *sshServer // nil unless Options.SSH
	listener net.Listener
	http     *http.Server
	served   chan struct{} // closed when the listener's goroutine has ended
	closing  chan struct{} // closed by Close, for requests that hang
	close    sync.Once
	tls      *authority
	url      string
	baseURL  string

	mu               sync.RWMutex // guards what follows
	users            map[string]*user
	projects         map[string]*project
	projectAliases   map[string]*project // former keys, without case
	repositories     []*repository
	byID             map[int64]*repository
	byAddress        map[string]*repository // key/slug, without case
	aliases          map[string]*repository // former key/slug, without case
	sorted           []*repository          // in the order of listings; nil when stale
	scopedTokens     map[string]scopedToken
	lastUserID       int64
	lastProjectID    int64
	lastRepositoryID int64
	webhooks         []*webhook
	lastWebhookID    int64

	delivered   deliveryLog
	requests    requestLog
	faults      faultList
	buckets     buckets
	requestsSum atomic.Int64 // for X-AREQUESTID
	concurrent  atomic.Int64
	running     running
}

// Start starts a Bitbucket without users, projects and repositories.
func Start(o Options) (*Server, error) {
	o.Version = cmp.Or(o.Version, "8.19")
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:0")
	o.CaptchaAfter = cmp.Or(o.CaptchaAfter, 5)
	o.MovedStatus = cmp.Or(o.MovedStatus, http.StatusMovedPermanently)
	o.KeepRequests = cmp.Or(o.KeepRequests, 4096)
	o.ContextPath = strings.TrimSuffix(o.ContextPath, "/")
	if o.ContextPath != "" && !strings.HasPrefix(o.ContextPath, "/") {
		return nil, fmt.Errorf("bitbuckettest: the context path %q does not begin with a slash", o.ContextPath)
	}
	v, err := parseVersion(o.Version)
	if err != nil {
		return nil, fmt.Errorf("bitbuckettest: %w", err)
	}
	s := &Server{
		opts:           o,
		version:        v,
		switches:       switchesOf(v),
		log:            cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		now:            o.Now,
		dir:            o.Dir,
		served:         make(chan struct{}),
		closing:        make(chan struct{}),
		users:          map[string]*user{},
		projects:       map[string]*project{},
		projectAliases: map[string]*project{},
		byID:           map[int64]*repository{},
		byAddress:      map[string]*repository{},
		aliases:        map[string]*repository{},
		scopedTokens:   map[string]scopedToken{},
		requests:       requestLog{size: o.KeepRequests},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start() (err error) {
	if s.dir == "" {
		s.ownDir = true
		if s.dir, err = os.MkdirTemp("", "bitbuckettest-"); err != nil {
			return fmt.Errorf("bitbuckettest: %w", err)
		}
	}
	if s.git, err = newGitProgram(filepath.Join(s.dir, "home")); err != nil {
		return err
	}
	if s.opts.TLS {
		if s.tls, err = newAuthority(s.opts.TLSHosts); err != nil {
			return err
		}
	}
	if s.listener, err = listenOn(s.opts.Listen); err != nil {
		return fmt.Errorf("bitbuckettest: %w", err)
	}
	if s.opts.SSH {
		if err := s.startSSH(); err != nil {
			return err
		}
	}
	scheme := "http"
	listener := s.listener
	if s.tls != nil {
		scheme = "https"
		listener = s.tls.listen(listener)
	}
	s.url = scheme + "://" + s.listener.Addr().String() + s.opts.ContextPath
	s.baseURL = strings.TrimSuffix(cmp.Or(s.opts.BaseURL, s.url), "/")
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the double of Bitbucket stopped", "err", err)
		}
	}()
	return nil
}

// listenOn listens on a TCP address.
func listenOn(address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
}

// URL returns the address of the listener with the context path, without a slash at the end.
func (s *Server) URL() string { return s.url }

// BaseURL returns the address that links carry: Options.BaseURL, or URL.
func (s *Server) BaseURL() string { return s.baseURL }

// Addr returns the host and port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Version returns the version that application-properties tells.
func (s *Server) Version() string { return s.version.String() }

// HasTokens tells whether the version knows access tokens.
func (s *Server) HasTokens() bool { return s.switches.tokens }

// CertificatePEM returns the certificate of the authority that signed the server's, "" without TLS.
func (s *Server) CertificatePEM() string {
	if s.tls == nil {
		return ""
	}
	return s.tls.pem
}

// Close stops the server, cutting off what runs, and removes its temporary folder. It can
// be called twice.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		if s.http != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if s.http.Shutdown(ctx) != nil {
				err = s.http.Close()
			}
			<-s.served
		} else if s.listener != nil {
			err = s.listener.Close()
		}
		if s.ssh != nil {
			err = errors.Join(err, s.ssh.close())
		}
		s.delivered.wait()
		if s.ownDir && s.dir != "" {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	})
	return err
}
