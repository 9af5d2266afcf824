package api

import (
	"net/http"

	"github.com/gorilla/mux"
)

func (s *Server) registerHealthRoutes(r *mux.Router) {
	s.handle(r, "healthz", "/healthz", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		return writeJSON(w, http.StatusOK, Health{Status: Ok})
	})
	s.handle(r, "readyz", "/readyz", http.MethodGet, s.handleReady)
}

// handleReady tells whether links can be given: the index is loaded and the primary URL is set.
func (s *Server) handleReady(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	reasons := s.notReady()
	if s.config.Current().Primary.IsZero() {
		reasons = append(reasons, "the primary URL is not set")
	}
	if len(reasons) > 0 {
		return writeJSON(w, http.StatusServiceUnavailable, Health{Status: NotReady, Reasons: reasons})
	}
	return writeJSON(w, http.StatusOK, Health{Status: Ok})
}
