package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

// How many repositories a page has.
const (
	defaultPage = 50
	maxPage     = 200
)

func (s *Server) registerRepositoryRoutes(r *mux.Router) {
	s.handle(r, "repositories", "/api/v1/repositories", http.MethodGet, s.adminOnly(s.handleRepositories))
	s.handle(r, "repository", "/api/v1/repositories/{id}", http.MethodGet, s.adminOnly(s.handleRepository))
	s.handle(r, "sync_repository", "/api/v1/repositories/{id}/sync", http.MethodPost, s.adminOnly(s.handleSyncRepository))
}

func (s *Server) handleRepositories(w http.ResponseWriter, r *http.Request) error {
	query, err := repositoryQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := s.repositories.Repositories(r.Context(), query)
	if err != nil {
		return err
	}
	answer := RepositoryPage{Repositories: make([]Repository, 0, len(page.Repositories))}
	for i := range page.Repositories {
		answer.Repositories = append(answer.Repositories, repository(&page.Repositories[i]))
	}
	if n := len(page.Repositories); page.More && n > 0 {
		answer.NextCursor = cursorBehind(page.Repositories[n-1].ID)
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (s *Server) handleRepository(w http.ResponseWriter, r *http.Request) error {
	id, err := repositoryID(r)
	if err != nil {
		return err
	}
	found, err := s.repositories.Repository(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, repository(&found))
}

func (s *Server) handleSyncRepository(w http.ResponseWriter, r *http.Request) error {
	id, err := repositoryID(r)
	if err != nil {
		return err
	}
	if err := s.repositories.SyncRepository(r.Context(), id); err != nil {
		return err
	}
	s.log.InfoContext(r.Context(), "a fetch was asked for", "repository", id.String())
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// repositoryQuery reads the parameters of a list. Those that are empty are not given.
func repositoryQuery(raw string) (syncer.RepositoryQuery, error) {
	values, err := url.ParseQuery(raw)
	if err != nil { // a page that begins where nobody asked for it would be followed for ever
		return syncer.RepositoryQuery{}, &requestError{"The parameters cannot be read: percent-encode their values."}
	}
	q := syncer.RepositoryQuery{Text: values.Get("q"), Limit: defaultPage}
	if limit := values.Get("limit"); limit != "" {
		q.Limit, err = strconv.Atoi(limit)
		if err != nil || q.Limit < 1 || q.Limit > maxPage {
			return syncer.RepositoryQuery{}, &requestError{fmt.Sprintf("limit: a number from 1 to %d is needed.", maxPage)}
		}
	}
	if cursor := values.Get("cursor"); cursor != "" {
		id, ok := readCursor(cursor)
		if !ok {
			return syncer.RepositoryQuery{}, &requestError{"cursor: this is no nextCursor of a list. Leave it out for the first page, and send back what the answer says for the next."}
		}
		q.After = id
	}
	return withState(q, values.Get("state"))
}

// withState narrows a query to what the parameter state takes.
func withState(q syncer.RepositoryQuery, state string) (syncer.RepositoryQuery, error) {
	states := syncer.MirrorStates()
	switch {
	case state == "":
	case state == "missing":
		q.Missing = true
	case state == "selected":
		q.States = slices.DeleteFunc(states, func(s syncer.MirrorState) bool { return s == syncer.MirrorNone })
	case slices.Contains(states, syncer.MirrorState(state)):
		q.States = []syncer.MirrorState{syncer.MirrorState(state)}
	default:
		names := []string{"selected", "missing"}
		for _, s := range states {
			names = append(names, string(s))
		}
		return syncer.RepositoryQuery{}, &requestError{"state: one of " + strings.Join(names, ", ") + " is needed."}
	}
	return q, nil
}

// repositoryID reads the id of a path. What cannot be one is as unknown as one that no repository has.
func repositoryID(r *http.Request) (bitbucket.RepoID, error) {
	text, err := url.PathUnescape(mux.Vars(r)["id"]) // paths are matched as they were sent
	if err != nil {
		return bitbucket.RepoID{}, syncer.ErrNoRecord
	}
	id, ok := parseRepositoryID(text)
	if !ok {
		return bitbucket.RepoID{}, syncer.ErrNoRecord
	}
	return id, nil
}

// formatRepositoryID writes an id as it stands in paths. The names of connections have no colon.
func formatRepositoryID(id bitbucket.RepoID) string {
	return id.Connection + ":" + strconv.FormatInt(id.Number, 10)
}

// parseRepositoryID reads what formatRepositoryID writes, in no other spelling.
func parseRepositoryID(text string) (id bitbucket.RepoID, ok bool) {
	connection, number, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	id = bitbucket.RepoID{Connection: connection, Number: n}
	if err != nil || n < 0 || formatRepositoryID(id) != text || connection == "" {
		return bitbucket.RepoID{}, false
	}
	for _, c := range []byte(connection) {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return bitbucket.RepoID{}, false
		}
	}
	return id, true
}

// repository writes a repository in the API's form.
func repository(r *syncer.RepositoryStatus) Repository {
	answer := Repository{
		ID:              formatRepositoryID(r.ID),
		Connection:      r.ID.Connection,
		Number:          r.ID.Number,
		ProjectKey:      r.Key,
		Slug:            r.Slug,
		Name:            r.Name,
		ProjectName:     r.ProjectName,
		SourcegraphName: string(r.SourcegraphName),
		Personal:        r.Personal,
		Archived:        r.Archived,
		Fork:            r.Fork,
		State:           string(r.State),
		Selected:        r.Selected,
		Reason:          r.Reason,
		MissingSince:    inSeconds(r.MissingSince),
		Mirror: Mirror{
			State:         MirrorState(r.MirrorState),
			LastFetch:     inSeconds(r.Mirror.LastFetch),
			LastChange:    inSeconds(r.Mirror.LastChange),
			NextFetch:     inSeconds(r.Mirror.NextFetch),
			Failures:      r.Mirror.Failures,
			Error:         r.Mirror.Error,
			SizeBytes:     r.Mirror.SizeBytes,
			DefaultBranch: r.Mirror.DefaultBranch,
		},
	}
	for _, a := range r.Former {
		answer.FormerAddresses = append(answer.FormerAddresses, a.String())
	}
	return answer
}

func inSeconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
