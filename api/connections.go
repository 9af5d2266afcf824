package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gorilla/mux"

	"example.com/signpost/internal/siteconfig"
)

const maxConnectionBody = 256 << 10 // bytes; an entry holds lists of repositories

// Connections are those of the site configuration. Safe for concurrent use.
type Connections interface {
	// Connections returns how they and the disk of their mirrors stand, in the configuration's order. It asks nobody.
	Connections(ctx context.Context) (ConnectionList, error)
	// CheckConnection tries the connection of that name on its Bitbucket; syncer.ErrNoConnection when
	// there is none. What goes wrong there is in the answer, without secrets.
	CheckConnection(ctx context.Context, name string) (ConnectionCheck, error)
	// CheckEntry does the same for the text of an entry of bitbucketServer, whose secrets may be masked.
	// siteconfig.ErrInvalid, with the problems, for one that cannot be used.
	CheckEntry(ctx context.Context, entry string) (ConnectionCheck, siteconfig.Problems, error)
}

// ConnectionCheckRequest names a connection to try, or holds an entry for one: exactly one of the two.
type ConnectionCheckRequest struct {
	Name  *string         `json:"name"`
	Entry json.RawMessage `json:"entry"`
}

func (s *Server) registerConnectionRoutes(r *mux.Router) {
	s.handle(r, "connections", "/api/v1/connections", http.MethodGet, s.adminOnly(s.handleConnections))
	s.handle(r, "check_connection", "/api/v1/connections/check", http.MethodPost, s.adminOnly(s.handleCheckConnection))
}

func (s *Server) handleConnections(w http.ResponseWriter, r *http.Request) error {
	all, err := s.connections.Connections(r.Context())
	if err != nil {
		return err
	}
	if all.Connections == nil {
		all.Connections = []Connection{} // [], not null
	}
	return writeJSON(w, http.StatusOK, all)
}

func (s *Server) handleCheckConnection(w http.ResponseWriter, r *http.Request) error {
	var request ConnectionCheckRequest
	if err := readJSON(w, r, maxConnectionBody, &request); err != nil {
		return err
	}
	entry := string(request.Entry)
	if entry == "null" {
		entry = ""
	}
	var (
		check    ConnectionCheck
		problems siteconfig.Problems
		err      error
	)
	switch {
	case (request.Name == nil) == (entry == ""):
		return &requestError{"One of name, of a connection of the site configuration, and entry, as bitbucketServer has it, is needed."}
	case request.Name != nil:
		check, err = s.connections.CheckConnection(r.Context(), *request.Name)
	case entry[0] != '{':
		return &requestError{"entry: an object is needed, as bitbucketServer has it."}
	default:
		check, problems, err = s.connections.CheckEntry(r.Context(), entry)
	}
	switch {
	case errors.Is(err, siteconfig.ErrInvalid):
		return &invalidConfigError{problems}
	case err != nil:
		return err
	}
	check.Warnings = configProblems(problems)
	return writeJSON(w, http.StatusOK, check)
}
