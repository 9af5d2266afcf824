package bitbuckettest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// caller is who sends a request. The zero caller is anonymous.
type caller struct {
	user  *user        // nil for a token of a project or repository, and for nobody
	scope *scopedToken // such a token
	token bool         // an access token was used, of whatever kind
}

// noCaller is who sends no credential.
var noCaller caller

func (c caller) anonymous() bool { return c.user == nil && c.scope == nil }

// name is what X-AUSERNAME holds and clone links carried. For tokens without a user it is
// not known; the double leaves it empty.
func (c caller) name() string {
	if c.user == nil {
		return ""
	}
	return c.user.Name
}

// scopedToken is an access token of a project or of a repository.
type scopedToken struct {
	project    *project
	repository *repository // nil for a token of the whole project
}

// AddProjectToken gives a project (its key) an access token. Versions before 7.18 do not accept it.
func (s *Server) AddProjectToken(key, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[strings.ToLower(key)]
	if p == nil {
		return fmt.Errorf("bitbuckettest: there is no project %s", key)
	}
	s.scopedTokens[token] = scopedToken{project: p}
	return nil
}

// AddRepositoryToken gives a repository (KEY/slug) an access token, likewise.
func (s *Server) AddRepositoryToken(address, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.repositoryAt(address)
	if err != nil {
		return err
	}
	s.scopedTokens[token] = scopedToken{project: r.project, repository: r}
	return nil
}

// authentication schemes, as a Request records them.
const (
	schemeBasic  = "Basic"
	schemeBearer = "Bearer"
)

func schemeOf(r *http.Request) string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme
}

// authenticate finds out who sends a request. It counts failed logins, and ends the run
// of failures after a good one.
func (s *Server) authenticate(r *http.Request, kind Kind) (caller, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch scheme := schemeOf(r); {
	case strings.EqualFold(scheme, schemeBasic):
		name, password, ok := r.BasicAuth()
		if !ok {
			return caller{}, errWrongPassword
		}
		return s.login(name, password, kind)
	case strings.EqualFold(scheme, schemeBearer) && s.switches.tokens:
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return s.bearer(strings.TrimSpace(token), kind)
	default: // a scheme that this version does not know is no attempt to log in
		return caller{}, nil
	}
}

// login is called with mu held.
func (s *Server) login(name, password string, kind Kind) (caller, error) {
	if s.opts.BasicAuthOff {
		return caller{}, errBasicOff
	}
	if scope, ok := s.scopedTokens[password]; ok && kind == KindGit && name == "x-token-auth" && s.switches.projectTokens {
		return caller{scope: &scope, token: true}, nil
	}
	u := s.users[strings.ToLower(name)]
	if u == nil {
		return caller{}, errWrongPassword
	}
	if s.opts.CaptchaAfter > 0 && u.failures >= s.opts.CaptchaAfter {
		return caller{}, errCaptcha
	}
	switch {
	case password != "" && password == u.Password:
		u.failures = 0
		return caller{user: u}, nil
	case s.switches.tokens && s.tokenCounts(kind) && slices.Contains(u.Tokens, password):
		return caller{user: u, token: true}, nil
	}
	u.failures++
	return caller{}, errWrongPassword
}

// bearer is called with mu held. A wrong token belongs to nobody, so it locks nobody.
func (s *Server) bearer(token string, kind Kind) (caller, error) {
	if token != "" && s.tokenCounts(kind) {
		for _, u := range s.users {
			if slices.Contains(u.Tokens, token) {
				return caller{user: u, token: true}, nil
			}
		}
		if scope, ok := s.scopedTokens[token]; ok && s.switches.projectTokens {
			return caller{scope: &scope, token: true}, nil
		}
	}
	return caller{}, errWrongPassword
}

func (s *Server) tokenCounts(kind Kind) bool { return kind != KindWeb || !s.switches.tokensOnlyForAPI }

// mayRead tells whether the caller sees a repository. Called with mu held.
func (s *Server) mayRead(c caller, r *repository) bool {
	switch {
	case r.Public || r.project.Public || s.mayAdmin(c, r.project):
		return true
	case c.scope != nil:
		return c.scope.project == r.project && (c.scope.repository == nil || c.scope.repository == r)
	case c.user == nil:
		return false
	case r.Readers != nil:
		return containsFold(r.Readers, c.user.Name)
	default:
		return r.project.Readers == nil || containsFold(r.project.Readers, c.user.Name)
	}
}

// maySee tells whether the caller sees a project: also by one repository in it.
// Called with mu held.
func (s *Server) maySee(c caller, p *project) bool {
	switch {
	case p.Public || s.mayAdmin(c, p):
		return true
	case c.scope != nil:
		return c.scope.project == p
	case c.user != nil && (p.Readers == nil || containsFold(p.Readers, c.user.Name)):
		return true
	}
	for _, r := range s.repositories {
		if r.project == p && (r.Public || c.user != nil && containsFold(r.Readers, c.user.Name)) {
			return true
		}
	}
	return false
}

// mayAdmin tells whether the caller administers a project.
func (s *Server) mayAdmin(c caller, p *project) bool {
	return c.user != nil && (c.user.Admin || c.user == p.owner)
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(other, name) })
}
