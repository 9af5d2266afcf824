package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// cors lets the pages of the configured Bitbuckets and the extension of this server, and no
// others, read what the resolve API answers and which addresses the extension works with. The
// origins are looked up for each request, so that a new configuration counts at once. The
// administrators' part of the API is for no page of another origin.
//
// In Firefox the extension has another origin in every profile; it needs none here, since its
// background page may read from the hosts of its permissions.
func (s *Server) cors(next http.Handler) http.Handler {
	c := cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool {
			return slices.Contains(s.config.Current().CORSOrigins, origin) || s.isExtension(origin)
		},
		AllowedMethods:      []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:      []string{"Accept", "Content-Type", requestIDHeader},
		ExposedHeaders:      []string{"Cache-Status", "ETag", "Retry-After", requestIDHeader},
		MaxAge:              600,
		AllowPrivateNetwork: true, // a Bitbucket page asks a server of the intranet
	})
	shared := c.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == resolvePath || r.URL.Path == extensionConfigPath {
			if r.Method == http.MethodOptions {
				setRoute(w, "preflight")
			}
			shared.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isExtension tells whether an origin is that of the extension that this server hands out.
func (s *Server) isExtension(origin string) bool {
	id, ok := strings.CutPrefix(origin, "chrome-extension://")
	current := s.currentPackages()
	return ok && current != nil && id == current.ChromeID
}
