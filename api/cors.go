package api

import (
	"net/http"
	"slices"

	"github.com/rs/cors"
)

// cors lets the pages of the configured Bitbuckets, and no others, read what the resolve
// API answers. The origins are looked up for each request, so that a new configuration
// counts at once. The administrators' part of the API is for no page of another origin.
func (s *Server) cors(next http.Handler) http.Handler {
	c := cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool {
			return slices.Contains(s.config.Current().CORSOrigins, origin)
		},
		AllowedMethods:      []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:      []string{"Accept", "Content-Type", requestIDHeader},
		ExposedHeaders:      []string{"Cache-Status", "ETag", "Retry-After", requestIDHeader},
		MaxAge:              600,
		AllowPrivateNetwork: true, // a Bitbucket page asks a server of the intranet
	})
	shared := c.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == resolvePath {
			if r.Method == http.MethodOptions {
				setRoute(w, "preflight")
			}
			shared.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
