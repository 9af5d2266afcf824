package rest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxGitRefusals is how many logins of git may fail before the first that succeeds. Five in a
// row lock the account of whoever has the name.
const maxGitRefusals = 3

// gitLogin knows whether git may log in with the token as the password of the configured user.
// REST sends the token alone, so what REST proves says nothing about the name beside it: a wrong
// name is a failed login.
type gitLogin struct {
	first chan struct{} // holds one: until a login succeeded, one request tries it, not all at once
	tries chan struct{} // holds maxGitRefusals: so many are without an answer at most

	// patience is how long others wait for the answer to a try before one of them tries too. A single
	// repository whose git never answers must not keep the whole connection waiting.
	patience time.Duration

	mu       sync.Mutex
	accepted bool // a login succeeded
	alone    bool // the token was accepted alone where the login was refused: so the name is wrong
	refusals int  // since the beginning, where neither is true
}

// firstLoginTime is the patience of a client. A login is answered with the list of refs, which takes a large
// repository on a busy server some seconds.
const firstLoginTime = 10 * time.Second

func newGitLogin() gitLogin {
	return gitLogin{first: make(chan struct{}, 1), tries: make(chan struct{}, maxGitRefusals), patience: firstLoginTime}
}

// isSettled tells that requests need not wait for each other.
func (l *gitLogin) isSettled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted || l.over()
}

// isOver tells that the token goes out alone from now on: that cannot lock anybody.
func (l *gitLogin) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over()
}

// over is isOver with mu held.
func (l *gitLogin) over() bool {
	return l.alone || !l.accepted && l.refusals >= maxGitRefusals
}

func (l *gitLogin) succeeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted, l.refusals = true, 0
}

// failed notes a login that was refused, and whether the token alone was accepted in its place.
// Where it was not, too, an old Bitbucket can have said so of a repository that the account may not
// read. After a login that succeeded that tells nothing.
func (l *gitLogin) failed(alone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alone = l.alone || alone; !alone {
		l.refusals++
	}
}

// forgive lets git log in once more: somebody may have mended the account.
func (l *gitLogin) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals = min(l.refusals, maxGitRefusals-1)
}

// enter waits while another request tries a login that has not succeeded yet, but not for ever.
func (l *gitLogin) enter(ctx context.Context) (leave func(), err error) {
	if l.isSettled() {
		return func() {}, nil
	}
	for _, place := range []chan struct{}{l.first, l.tries} {
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			if place == l.tries {
				<-l.first
			}
			return nil, ctx.Err()
		}
	}
	next := sync.OnceFunc(func() { <-l.first })
	overdue := time.AfterFunc(l.patience, next)
	leave = func() {
		overdue.Stop()
		<-l.tries
		next()
	}
	if l.isSettled() { // by the one that was waited for
		leave()
		return func() {}, nil
	}
	return leave, nil
}

// named tells that git sends a token with a user name.
func (c *credential) named() bool { return c.token != "" && c.username != "" }

// sendGit sends a request of git. Where Bitbucket refuses the token as the password of the
// user, it is sent alone: Bitbucket then takes it, or has refused more than the name.
func (c *Client) sendGit(r *http.Request) (*http.Response, error) {
	login := &c.credential.git
	if !c.credential.named() || !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
		return c.sendPaced(r)
	}
	leave, err := login.enter(r.Context())
	if err != nil {
		closeBody(r)
		return nil, c.describe(r.Context(), "git", err)
	}
	defer leave()
	if login.isOver() {
		return c.sendPaced(c.withTokenAlone(r))
	}
	resp, err := c.sendPaced(r)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusOK:
		login.succeeded()
		return resp, nil
	case !isRefusedLogin(resp):
		return resp, nil
	case r.Body != nil && r.Body != http.NoBody: // it is spent; and such a request follows a login that succeeded
		return resp, nil
	}
	second, err := c.sendPaced(c.withTokenAlone(r))
	if err != nil {
		login.failed(false)
		return resp, nil //nolint:nilerr // the first answer stands
	}
	alone := second.StatusCode == http.StatusOK || second.Header.Get(headerUser) != ""
	login.failed(alone)
	if alone {
		resp, second = second, resp
	}
	_ = second.Body.Close() // nobody reads it
	return resp, nil
}

// withTokenAlone is a request of git that logs in as REST does.
func (c *Client) withTokenAlone(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	c.credential.authorizeREST(r)
	return r
}

// isRefusedLogin tells a login that failed from an account that lacks a permission.
func isRefusedLogin(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized && resp.Header.Get(headerUser) == ""
}
