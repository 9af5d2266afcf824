package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"example.com/signpost/internal/siteconfig"
)

// adminAccess decides who may use the administrators' part of the API: who sends the
// admin token. Refused tokens are limited in rate for the whole server, since one token
// guards it; a right token is never refused for it.
type adminAccess struct {
	digest [sha256.Size]byte
	set    bool
	now    func() time.Time

	mu      sync.Mutex
	refused *rate.Limiter
}

func newAdminAccess(token siteconfig.Secret, now func() time.Time) *adminAccess {
	return &adminAccess{
		digest:  sha256.Sum256([]byte(token.Reveal())),
		set:     !token.IsZero(),
		now:     now,
		refused: rate.NewLimiter(rate.Every(time.Second), 20),
	}
}

// holds tells whether the request carries the admin token. Comparing digests takes the
// same time for every token of any length.
func (a *adminAccess) holds(r *http.Request) bool {
	if !a.set {
		return false
	}
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(digest[:], a.digest[:]) == 1
}

// check returns nil for a request that carries the admin token.
func (a *adminAccess) check(r *http.Request) error {
	if !a.set {
		return errAdminTokenNotSet
	}
	if a.holds(r) {
		return nil
	}
	if r.Header.Get("Authorization") == "" {
		return errUnauthorized // somebody who does not try is not slowed down
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.refused.AllowN(a.now(), 1) {
		return errTooManyAttempts
	}
	return errUnauthorized
}

// adminOnly runs h for requests that carry the admin token.
func (s *Server) adminOnly(h handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		if err := s.admin.check(r); err != nil {
			return err
		}
		return h(w, r)
	}
}
