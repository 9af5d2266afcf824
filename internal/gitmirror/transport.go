package gitmirror

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"example.com/signpost/internal/bitbucket"
)

const (
	advertisementType = "application/x-git-upload-pack-advertisement"
	packResultType    = "application/x-git-upload-pack-result"

	// maxAdvertisement bounds the list of refs: three million of them are about 256 MB.
	maxAdvertisement = 256 << 20
	// maxErrorBody is how much of an error page is looked at.
	maxErrorBody = 4 << 10
	maxRedirects = 5
	// firstByte is how many times the idle time an answer may take to begin.
	firstByte = 5
)

// guard sends the requests of one fetch. It adds the credential to what goes to the clone
// address's own origin, lets nothing go elsewhere, gives up on silence, and recognizes
// answers that are not git's. go-git wraps errors so that they cannot be told apart; so the guard
// keeps the first one, and failure returns it.
type guard struct {
	base      http.RoundTripper
	authorize func(*http.Request) // may be nil
	origin    string
	scope     string // path that all repositories of this Bitbucket are below, with a slash at its end
	idle      time.Duration

	bytes atomic.Int64 // of bodies
	firstFailure

	mu        sync.Mutex
	redirects int
}

// newGuard returns the guard for fetches from cloneURL.
func newGuard(base http.RoundTripper, authorize func(*http.Request), cloneURL *url.URL, idle time.Duration) *guard {
	// B/scm/KEY/SLUG.git: redirects of a renamed repository stay below B/scm/, those to a login page do not.
	scope := path.Dir(path.Dir(path.Clean("/" + cloneURL.Path)))
	return &guard{
		base:      base,
		authorize: authorize,
		origin:    originOf(cloneURL),
		scope:     strings.TrimSuffix(scope, "/") + "/",
		idle:      idle,
	}
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if !g.inside(req.URL) {
		return nil, g.fail(redirectError(req.URL))
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	// The base transport may hold the request back for its rate limit, so the wait counts from
	// the moment when it wants a connection; until then there is a longer bound. And a Bitbucket
	// under load queues git requests for minutes: its first byte may take longer than the next ones.
	silence := time.AfterFunc(2*firstByte*g.idle, func() { cancel(errIdle) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { silence.Reset(firstByte * g.idle) }})
	give := func(err error) (*http.Response, error) {
		silence.Stop()
		cancel(nil)
		return nil, g.fail(err)
	}

	out := req.Clone(ctx) // a RoundTripper leaves its request as it is
	out.Header.Del("Authorization")
	if g.authorize != nil {
		g.authorize(out)
	}
	resp, err := g.base.RoundTrip(out)
	if err != nil {
		return give(g.broken(ctx, err))
	}
	body := &guardedBody{ReadCloser: resp.Body, guard: g, ctx: ctx, cancel: cancel, silence: silence}
	resp.Body = body
	resp.Request = req // without the credential
	if isRedirect(resp.StatusCode) {
		if err := g.checkRedirect(req, resp); err != nil {
			_ = body.Close()
			return give(err)
		}
		return resp, nil
	}
	if err := g.checkAnswer(req, resp); err != nil {
		_ = body.Close()
		return give(err)
	}
	silence.Stop() // until the next read
	return resp, nil
}

// checkAnswer returns an error unless resp is an answer of git. It may look into the
// body of a POST, and puts back what it read.
func (g *guard) checkAnswer(req *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		start, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return statusError(resp, string(start), g.authorize != nil, time.Now())
	}
	want := advertisementType
	if req.Method == http.MethodPost {
		want = packResultType
	}
	got, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	got = strings.ToLower(strings.TrimSpace(got))
	if got != want {
		text := "the answer is not git's"
		if strings.Contains(got, "html") {
			text = "the answer is a web page, as of a login or of a proxy, and not git's"
		}
		return &remoteError{
			kind: bitbucket.ErrNotBitbucket,
			text: text + "; check the connection's url, single sign-on and proxies before the Bitbucket",
		}
	}
	if req.Method == http.MethodPost {
		return peekErrLine(resp)
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: maxAdvertisement}
	return nil
}

// peekErrLine returns the error that a pack's place holds, if any: go-git would turn it into text.
func peekErrLine(resp *http.Response) error {
	buffered := bufio.NewReader(resp.Body)
	start, _ := buffered.Peek(8) // a short answer is left for go-git to refuse
	if len(start) == 8 && string(start[4:]) == "ERR " {
		s := pktline.NewScanner(buffered)
		s.Scan()
		if line, ok := errors.AsType[*pktline.ErrorLine](s.Err()); ok {
			return errLineError(line.Text)
		}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{buffered, resp.Body}
	return nil
}

// checkRedirect lets a redirect pass if it leads the first request to another repository of
// the same Bitbucket. Bitbucket sends none for git today; proxies do, to login pages.
func (g *guard) checkRedirect(req *http.Request, resp *http.Response) error {
	target, err := resp.Location()
	if err != nil {
		return &remoteError{kind: bitbucket.ErrNotBitbucket, text: "the server redirects git without saying where to"}
	}
	g.mu.Lock()
	g.redirects++
	tooMany := g.redirects > maxRedirects
	g.mu.Unlock()
	switch {
	case tooMany:
		return &remoteError{kind: bitbucket.ErrNotBitbucket, text: "the server redirects git in circles; check the connection's url and proxies before the Bitbucket"}
	case req.Method != http.MethodGet || !g.inside(target) || !strings.HasSuffix(target.Path, "/info/refs"):
		return redirectError(target)
	}
	return nil
}

// inside tells whether u is below the git address of the Bitbucket that is fetched from.
func (g *guard) inside(u *url.URL) bool {
	return originOf(u) == g.origin && strings.HasPrefix(u.Path, g.scope) &&
		(path.Clean(u.Path) == u.Path || path.Clean(u.Path)+"/" == u.Path)
}

// redirectError names the target's origin only: path and query of a login redirect can hold tokens.
func redirectError(target *url.URL) *remoteError {
	return &remoteError{
		kind: bitbucket.ErrNotBitbucket,
		text: fmt.Sprintf("the server redirects git to a page of %s, which is a login page or another address; the credential was not sent there; "+
			"put the address that Bitbucket itself has into the connection's url", printable(originOf(target), 100)),
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// originOf returns scheme, host and port of u, in one spelling.
func originOf(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// broken returns the error for a request or an answer that ended with err.
func (g *guard) broken(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errIdle) {
		return networkError(fmt.Errorf("%w (%s)", errIdle, g.idle))
	}
	return networkError(err)
}

// forget makes what comes a new beginning.
func (g *guard) forget() {
	g.firstFailure.forget()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.redirects = 0
}

// received returns how many bytes of answers were read.
func (g *guard) received() int64 { return g.bytes.Load() }

// guardedBody reads an answer and gives up on silence. The time between two reads does not
// count: it is spent here, on the disk.
type guardedBody struct {
	io.ReadCloser
	guard   *guard
	ctx     context.Context // the request's, which lives as long as its body
	cancel  context.CancelCauseFunc
	silence *time.Timer
}

// Read reads, but not for ever.
func (b *guardedBody) Read(p []byte) (int, error) {
	b.silence.Reset(b.guard.idle)
	n, err := b.ReadCloser.Read(p)
	b.silence.Stop()
	b.guard.bytes.Add(int64(n))
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = b.guard.fail(b.guard.broken(b.ctx, err))
	}
	return n, err
}

// Close ends the request.
func (b *guardedBody) Close() error {
	b.silence.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// cappedBody refuses an answer that is longer than git's can be.
type cappedBody struct {
	io.ReadCloser
	left int64
}

// Read reads what is left of the bound.
func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &remoteError{kind: bitbucket.ErrNotBitbucket, text: "the list of refs is larger than a repository's can be"}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
