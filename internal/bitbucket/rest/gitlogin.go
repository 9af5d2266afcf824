package rest

import (
	"context"
	"net/http"
	"strings"
	"sync"
)

// gitLogin knows whether git may log in with the token as the password of the configured user.
// REST sends the token alone, so what REST proves says nothing about the name beside it: a wrong
// name is a failed login, and five of them lock the account of whoever has that name.
type gitLogin struct {
	first chan struct{} // holds one: until an answer came, one request tries it, not all at once

	mu       sync.Mutex
	accepted bool
	refused  bool // the token goes out alone, as Bearer: that cannot lock anybody
}

func (l *gitLogin) set(accepted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted, l.refused = accepted, !accepted
}

func (l *gitLogin) state() (accepted, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted, l.refused
}

// named tells that git sends a token with a user name.
func (c *credential) named() bool { return c.token != "" && c.username != "" }

// admitGit returns r as it may be sent, and what is to be called with its answer, nil without
// one. It waits while another request tries the login for the first time.
func (c *credential) admitGit(ctx context.Context, r *http.Request) (send *http.Request, answered func(*http.Response), err error) {
	if !c.named() || !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
		return r, func(*http.Response) {}, nil
	}
	release := func() {}
	if accepted, _ := c.git.state(); !accepted {
		select {
		case c.git.first <- struct{}{}:
			release = func() { <-c.git.first }
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	accepted, refused := c.git.state()
	if refused {
		release()
		send = r.Clone(ctx)
		c.authorizeREST(send)
		return send, func(*http.Response) {}, nil
	}
	if accepted {
		release()
		release = func() {}
	}
	return r, func(resp *http.Response) {
		switch {
		case resp == nil:
		case resp.StatusCode == http.StatusOK:
			c.git.set(true)
		case isRefusedLogin(resp):
			c.git.set(false)
		}
		release()
	}, nil
}

// isRefusedLogin tells a login that failed from an account that lacks a permission.
func isRefusedLogin(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized && resp.Header.Get(headerUser) == ""
}
