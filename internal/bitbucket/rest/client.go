package rest

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

var _ syncer.CodeHost = (*Client)(nil)

// Options says which Bitbucket a Client asks, and how.
type Options struct {
	Connection string            // name of the connection, for the ids of repositories; required
	BaseURL    bitbucket.BaseURL // required

	// The credential. A token goes out as Bearer; without one, user name and password go
	// out as Basic. With neither, the Client sees what anonymous visitors see.
	Token    siteconfig.Secret
	Username string // also beside a token, for git over HTTP
	Password siteconfig.Secret

	// Refused is what Bitbucket said of this credential before the process began: it is not sent until
	// ConfigurationChanged. Nil if it was not refused.
	Refused *syncer.Refusal
	// OnRefusal is told that Bitbucket refused the credential, once for each refusal and before anybody
	// else hears of it. It is called from any goroutine; may be nil.
	OnRefusal func(syncer.Refusal)

	// WebhookSecret is what webhooks are configured with: no error holds it.
	WebhookSecret siteconfig.Secret

	CertificatePEM  string // certificates that are trusted beside the system's; "" for none
	RequestsPerHour int    // REST and git over HTTP together, with bursts of 500; 0: no limit
	UserAgent       string // "signpost" if empty

	Timeout       time.Duration // of one attempt, its body included; 1 min if zero
	RetryMax      int           // attempts after the first; 5 if zero, none if negative
	RetryWaitMin  time.Duration // bound of the first wait between attempts, doubled each time; 200 ms if zero
	RetryWaitMax  time.Duration // bound of every such wait; 3 s if zero
	RateLimitWait time.Duration // first wait after a 429 that names none, doubled each time; 5 s if zero

	// Proxy picks the proxy of a request; that of the environment (HTTPS_PROXY, NO_PROXY, ...) if nil.
	Proxy func(*http.Request) (*url.URL, error)
	// Observe is told of every attempt: what it asked for ("repos", "pull-request", ...,
	// "git"), the status, 0 without an answer, and the time until its headers came. It is called from any
	// goroutine; may be nil.
	Observe func(op string, status int, d time.Duration)
	Logger  *slog.Logger // discards if nil
}

const (
	defaultTimeout       = time.Minute
	defaultRetryMax      = 5
	firstRetryWait       = 200 * time.Millisecond
	longestRetryWait     = 3 * time.Second
	defaultRateLimitWait = 5 * time.Second
)

// Client asks one Bitbucket. Close it when the connection is gone.
type Client struct {
	opts       Options
	credential *credential
	cleaner    cleaner
	pacer      *pacer
	circuit    *circuit
	maxBody    int64

	base http.RoundTripper // sends a question; tests put theirs here
	git  http.RoundTripper // the same without a limit of time for a whole answer

	version  versionCache
	archived archivedLabels
}

// New returns a Client that has not asked anything yet. The error says what is wrong with
// the options in words for whoever wrote the configuration.
func New(o Options) (*Client, error) {
	if o.Connection == "" || o.BaseURL.Scheme == "" || o.BaseURL.Host == "" {
		return nil, errors.New("rest: Options needs Connection and BaseURL")
	}
	o.UserAgent = cmp.Or(o.UserAgent, "signpost")
	o.Timeout = positive(o.Timeout, defaultTimeout)
	o.RetryMax = max(0, cmp.Or(o.RetryMax, defaultRetryMax))
	o.RetryWaitMin = positive(o.RetryWaitMin, firstRetryWait)
	o.RetryWaitMax = max(o.RetryWaitMin, positive(o.RetryWaitMax, longestRetryWait))
	o.RateLimitWait = positive(o.RateLimitWait, defaultRateLimitWait)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Observe == nil {
		o.Observe = func(string, int, time.Duration) {}
	}
	cred, err := newCredential(o)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts:       o,
		credential: cred,
		cleaner:    newCleaner(o),
		pacer:      newPacer(o.RequestsPerHour, o.RateLimitWait),
		maxBody:    maxBodyBytes,
		base:       transport,
		git:        gitTransport(transport),
	}
	c.circuit = &circuit{name: o.Connection, log: o.Logger, probe: c.askWhetherBack, hold: c.pacer.pausedUntil}
	return c, nil
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// ConfigurationChanged says that an administrator stored a site configuration that leaves
// this connection as it was. A credential that Bitbucket refused is tried once more: the
// account may have been unlocked there meanwhile.
func (c *Client) ConfigurationChanged() { c.credential.forgive() }

// Close closes the connections that lie idle, and ends the tries whether a Bitbucket that did
// not answer is back. Requests that run are not cut off.
func (c *Client) Close() {
	c.circuit.stop()
	for _, t := range []http.RoundTripper{c.base, c.git} {
		if t, ok := t.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
}
