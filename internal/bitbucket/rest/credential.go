package rest

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// credential is what a Client logs in with, and what became of it.
type credential struct {
	token    string // "" when a password is used
	username string
	password string

	mu      sync.Mutex
	refusal error     // not nil: do not send it
	since   time.Time // of refusal
	suspect bool      // not proven yet, or not since a pause, or refused for git: ask whether it holds before the next use

	proving chan struct{} // holds one: several proofs at once could be several wrong logins
	git     gitLogin
}

func newCredential(o Options) (*credential, error) {
	c := &credential{
		token: o.Token.Reveal(), username: o.Username, password: o.Password.Reveal(),
		suspect: true, proving: make(chan struct{}, 1), git: newGitLogin(),
	}
	for name, value := range map[string]string{"token": c.token, "username": c.username, "password": c.password} {
		if strings.ContainsFunc(value, unicode.IsControl) {
			return nil, errors.New("the " + name + " holds a line break or another control character: remove it")
		}
	}
	if strings.Contains(c.username, ":") {
		return nil, errors.New("the username holds a colon, which HTTP cannot send: use the user's name as Bitbucket shows it in its profile")
	}
	if r := o.Refused; r != nil {
		c.refusal, c.since = recalled(*r), r.At
	}
	return c, nil
}

// recalled is the error of a refusal that was remembered.
func recalled(r syncer.Refusal) error {
	is := []error{bitbucket.ErrUnauthorized}
	if r.Captcha {
		is = []error{bitbucket.ErrCaptcha, bitbucket.ErrForbidden}
	}
	return &answerError{text: r.Said, is: is}
}

// none tells that there is nothing to log in with.
func (c *credential) none() bool { return c.token == "" && (c.username == "" || c.password == "") }

// authorizeREST adds the credential to a request to the REST API. Tokens of projects and
// repositories are accepted as Bearer only.
func (c *credential) authorizeREST(r *http.Request) {
	switch {
	case c.none():
	case c.token != "":
		r.Header.Set("Authorization", "Bearer "+c.token)
	default:
		r.SetBasicAuth(c.username, c.password)
	}
}

// authorizeGit adds the credential to a request of git. A token goes out as the password
// of its user where the user is known: this is documented since 5.5, Bearer only for
// current versions. Bearer is what remains once that login is over.
func (c *credential) authorizeGit(r *http.Request) {
	if c.named() && !c.git.isOver() {
		r.SetBasicAuth(c.username, c.token)
		return
	}
	c.authorizeREST(r)
}

// refuse remembers that the credential must not be sent again, and tells whether that is
// news. The first refusal stays.
func (c *credential) refuse(err error, at time.Time) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal != nil {
		return false
	}
	c.refusal, c.since = err, at
	return true
}

// refused returns why the credential must not be sent, or nil.
func (c *credential) refused() error {
	err, _ := c.refusedSince()
	return err
}

func (c *credential) refusedSince() (error, time.Time) { //nolint:revive,staticcheck // the error is what is asked for
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusal, c.since
}

// forgive forgets a refusal. The credential is asked about once before it is used again.
func (c *credential) forgive() {
	c.git.forgive()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal != nil {
		c.refusal, c.since, c.suspect = nil, time.Time{}, true
	}
}

func (c *credential) setSuspect(suspect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspect = suspect
}

func (c *credential) isSuspect() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.suspect
}

// tokensSince is the version that brought access tokens. On an older one a token is just
// a wrong password.
var tokensSince = bitbucket.Version{Major: 5, Minor: 5}

// tokenProblem returns ErrTokensUnsupported when a token is to be used on too old a Bitbucket.
func (c *credential) tokenProblem(v bitbucket.Version) error {
	if c.token == "" || v == (bitbucket.Version{}) || v.AtLeast(tokensSince.Major, tokensSince.Minor) {
		return nil
	}
	return &answerError{
		text: "Bitbucket " + v.String() + " has no access tokens; use username and password",
		is:   []error{bitbucket.ErrTokensUnsupported},
	}
}
