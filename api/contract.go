package api

import (
	_ "embed"
	"net/http"

	"github.com/gorilla/mux"
)

//go:embed openapi.yaml
var contract []byte

// Contract returns the OpenAPI document of this API. Do not change it.
func Contract() []byte { return contract }

func (s *Server) registerContractRoutes(r *mux.Router) {
	s.handle(r, "contract", "/api/v1/openapi.yaml", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(contract) // fails only when the client has gone
		return nil
	})
}
