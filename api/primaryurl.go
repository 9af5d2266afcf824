package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"example.com/signpost/internal/siteconfig"
)

const maxPrimaryURLBody = 16 << 10 // bytes

func (s *Server) registerPrimaryURLRoutes(r *mux.Router) {
	s.handle(r, "primary_url", "/api/v1/primary-url", http.MethodGet, s.adminOnly(s.handleGetPrimaryURL))
	s.handle(r, "put_primary_url", "/api/v1/primary-url", http.MethodPut, s.adminOnly(s.handlePutPrimaryURL))
}

func (s *Server) handleGetPrimaryURL(w http.ResponseWriter, _ *http.Request) error {
	return writePrimaryURL(w, s.config.Current())
}

// handlePutPrimaryURL edits the one key in the newest text. Without If-Match an edit that
// somebody else overtook is made again on their text: no change of theirs is lost by it.
func (s *Server) handlePutPrimaryURL(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		PrimaryURL *string `json:"primaryURL"`
	}
	if err := readJSON(w, r, maxPrimaryURLBody, &body); err != nil {
		return err
	}
	if body.PrimaryURL == nil || strings.TrimSpace(*body.PrimaryURL) == "" { // "" would take every link away
		return &requestError{"primaryURL: the address of your Sourcegraph instance is needed."}
	}
	expected, given, err := ifMatch(r)
	if err != nil {
		return err
	}
	for range 10 {
		stored, err := s.config.Text(r.Context())
		if err != nil && !errors.Is(err, siteconfig.ErrNoVersion) {
			return err
		}
		if given && stored.Version != expected {
			return siteconfig.ErrConflict
		}
		text, err := siteconfig.SetPrimaryURL(stored.Text, *body.PrimaryURL)
		if err != nil {
			return err
		}
		config, problems, err := s.config.Put(r.Context(), text, stored.Version, author)
		switch {
		case errors.Is(err, siteconfig.ErrConflict) && !given:
			continue
		case errors.Is(err, siteconfig.ErrInvalid):
			return &invalidConfigError{problems}
		case err != nil:
			return err
		}
		s.log.InfoContext(r.Context(), "primary URL set", "primary_url", config.Primary.String(), "version", config.Version)
		return writePrimaryURL(w, config)
	}
	return siteconfig.ErrConflict
}

func writePrimaryURL(w http.ResponseWriter, config *siteconfig.Config) error {
	w.Header().Set("ETag", etag(config.Version))
	return writeJSON(w, http.StatusOK, PrimaryURL{PrimaryURL: config.Primary.String()})
}
