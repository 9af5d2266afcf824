package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/signpost/internal/bitbucket"
)

const (
	dialTimeout  = 30 * time.Second
	tlsTimeout   = 15 * time.Second
	idleTimeout  = 90 * time.Second
	maxIdleConns = 16
	// gitHeaderTimeout bounds the wait for the first byte of git. A Bitbucket under load
	// queues git requests for minutes before it refuses them.
	gitHeaderTimeout = 10 * time.Minute
)

// newTransport returns the transport that everything of a connection goes through: its
// trust, its proxy, its limits of time.
func newTransport(o Options) (*http.Transport, error) {
	probe, err := http.NewRequest(http.MethodGet, o.BaseURL.String(), nil) //nolint:noctx // is never sent
	if err != nil {
		return nil, errors.New("rest: BaseURL is no URL")
	}
	if _, err := o.Proxy(probe); err != nil {
		// The error of net/http quotes the variable, which may hold a password.
		return nil, errors.New("the proxy in the environment (HTTP_PROXY, HTTPS_PROXY) is not a valid URL: correct or unset it")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CertificatePEM != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool() // a system without roots: the own certificate must do
		}
		if !roots.AppendCertsFromPEM([]byte(o.CertificatePEM)) {
			return nil, errors.New("the certificate holds none that can be read: paste it whole, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----")
		}
		config.RootCAs = roots
	}
	return &http.Transport{
		Proxy:                  o.Proxy,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		ResponseHeaderTimeout:  o.Timeout,
		MaxResponseHeaderBytes: 1 << 20,
	}, nil
}

// gitTransport returns a transport with the same trust and proxy for requests whose
// answers take as long as they take.
func gitTransport(t *http.Transport) *http.Transport {
	git := t.Clone()
	git.ResponseHeaderTimeout = gitHeaderTimeout
	return git
}

// errNoAnswer is the cause of an attempt that took longer than Options.Timeout.
var errNoAnswer = errors.New("no whole answer in time")

// attempt sends each attempt of one question: paced, counted, and with its own deadline,
// so that the time spent waiting for the rate limit does not eat up that of the answer.
type attempt struct {
	client *Client
	op     string
	path   string // of the question
	probe  bool   // it asks whether the credential holds
}

// RoundTrip implements http.RoundTripper.
func (a attempt) RoundTrip(r *http.Request) (*http.Response, error) {
	c := a.client
	if err := c.turn(r.Context()); err != nil {
		return nil, err
	}
	if r.Header.Get("Authorization") != "" {
		// Once more after the wait: what was refused meanwhile is not sent by all who waited, and what may have become
		// wrong during a pause is sent by one of them first.
		if err := c.stillHolds(r.Context(), a.probe); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), c.opts.Timeout, errNoAnswer)
	began := time.Now()
	resp, err := c.base.RoundTrip(r.WithContext(ctx))
	c.observe(a.op, resp, time.Since(began))
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		err = errNoAnswer
	}
	c.noteAnswer(r.Context(), subjectOf(a.op, a.path), c.cleaner.clean(r.Method+" "+apiPath+a.path), began, resp, err)
	if err != nil {
		cancel()
		return nil, err
	}
	c.heed(resp, began)
	resp.Body = &timedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel}
	return resp, nil
}

// turn waits until a request may go out. It does not wait for a Bitbucket that does not answer.
func (c *Client) turn(ctx context.Context) error {
	if err := c.circuit.check(); err != nil {
		return err
	}
	if err := c.pacer.wait(ctx); err != nil {
		return err
	}
	return c.circuit.check()
}

// timedBody ends the deadline of an attempt when its body is closed.
type timedBody struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // it is the body's own
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), errNoAnswer) {
		err = errNoAnswer
	}
	return n, err
}

// Close implements io.Closer.
func (b *timedBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

func (c *Client) observe(op string, resp *http.Response, d time.Duration) {
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	c.opts.Observe(op, status, d)
}

// Transport returns what sends the requests of git: the connection's trust, proxy and rate
// limit, no credential, no retry and no redirect. A request that carries a credential
// (AuthorizeGit) is not sent once Bitbucket refused it, nor is a token to a Bitbucket that
// has none.
func (c *Client) Transport() http.RoundTripper { return gitRoundTripper{c} }

type gitRoundTripper struct{ client *Client }

// RoundTrip implements http.RoundTripper.
func (g gitRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	c := g.client
	authorized := r.Header.Get("Authorization") != ""
	if authorized {
		if err := c.admit(r.Context()); err != nil {
			closeBody(r)
			return nil, err
		}
	}
	resp, err := c.sendGit(r)
	if err != nil {
		return nil, err
	}
	if authorized && isRefusedLogin(resp) {
		// Either the credential is wrong, or an old Bitbucket says so of a repository that
		// the account may not read. REST tells the two apart, before the next fetch.
		c.credential.setSuspect(true)
	}
	return resp, nil
}

// sendPaced sends a request of git when the connection's rate allows it.
func (c *Client) sendPaced(r *http.Request) (*http.Response, error) {
	if err := c.turn(r.Context()); err != nil {
		closeBody(r)
		return nil, c.describe(r.Context(), "git", err)
	}
	if r.Header.Get("Authorization") != "" {
		// Once more after the wait; see attempt.
		if err := c.admit(r.Context()); err != nil {
			closeBody(r)
			return nil, err
		}
	}
	began := time.Now()
	resp, err := c.git.RoundTrip(r)
	c.observe("git", resp, time.Since(began))
	c.noteAnswer(r.Context(), gitSubjectOf(r.URL.Path), "git", began, resp, err)
	if err != nil {
		return nil, c.describe(r.Context(), "git", err)
	}
	c.heed(resp, began)
	return resp, nil
}

// heed lets what follows wait if an answer asks for it. All that waits goes out at the same moment, so the credential is
// proven first: it may have become wrong, and a few wrong logins lock the account.
func (c *Client) heed(resp *http.Response, began time.Time) {
	if c.pacer.heed(resp, began) {
		c.credential.setSuspect(true)
	}
}

// closeBody does what a RoundTripper owes to a request that it does not send.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing was read from it
	}
}

// AuthorizeGit adds the credential to a request of git: Bearer for a token without a user
// name, Basic otherwise. A request to another origin, or outside the context path, stays
// as it is.
func (c *Client) AuthorizeGit(r *http.Request) {
	if r.URL != nil && c.owns(r.URL) {
		c.credential.authorizeGit(r)
	}
}

// owns tells whether u lies below the connection's base URL. Nothing else gets its credential.
func (c *Client) owns(u *url.URL) bool {
	origin, err := bitbucket.ParseBaseURL(u.Scheme + "://" + u.Host)
	base := c.opts.BaseURL
	return err == nil && u.Opaque == "" &&
		origin.Scheme == base.Scheme && origin.Host == base.Host &&
		strings.HasPrefix(u.Path, base.Path+"/") && !hasDotSegment(u.Path)
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
