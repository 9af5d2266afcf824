package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"example.com/signpost/internal/siteconfig"
)

const (
	maxSiteConfigBody = 4 << 20       // bytes
	author            = "admin token" // of a version that came through this API
)

func (s *Server) registerSiteConfigRoutes(r *mux.Router) {
	s.handle(r, "site_config", "/api/v1/site-config", http.MethodGet, s.adminOnly(s.handleGetSiteConfig))
	s.handle(r, "put_site_config", "/api/v1/site-config", http.MethodPut, s.adminOnly(s.handlePutSiteConfig))
	s.handle(r, "check_site_config", "/api/v1/site-config/check", http.MethodPost, s.adminOnly(s.handleCheckSiteConfig))
	s.handle(r, "site_config_schema", "/api/v1/site-config/schema", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/schema+json")
		_, _ = w.Write(siteconfig.Schema()) // fails only when the client has gone
		return nil
	})
}

func (s *Server) handleGetSiteConfig(w http.ResponseWriter, r *http.Request) error {
	stored, err := s.config.Text(r.Context())
	if err != nil && !errors.Is(err, siteconfig.ErrNoVersion) {
		return err
	}
	w.Header().Set("ETag", etag(stored.Version))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(siteconfig.Mask(stored.Text))) // fails only when the client has gone
	return nil
}

func (s *Server) handlePutSiteConfig(w http.ResponseWriter, r *http.Request) error {
	expected, given, err := ifMatch(r)
	if err != nil {
		return err
	}
	if !given {
		return errPreconditionRequired
	}
	text, err := readBody(w, r, maxSiteConfigBody)
	if err != nil {
		return err
	}
	config, problems, err := s.config.Put(r.Context(), string(text), expected, author)
	switch {
	case errors.Is(err, siteconfig.ErrInvalid):
		return &invalidConfigError{problems}
	case err != nil:
		return err
	}
	s.log.InfoContext(r.Context(), "site configuration stored", "version", config.Version)
	w.Header().Set("ETag", etag(config.Version))
	return writeJSON(w, http.StatusOK, SiteConfigStored{Version: config.Version, Problems: configProblems(problems)})
}

func (s *Server) handleCheckSiteConfig(w http.ResponseWriter, r *http.Request) error {
	text, err := readBody(w, r, maxSiteConfigBody)
	if err != nil {
		return err
	}
	problems, err := s.config.Check(r.Context(), string(text))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, SiteConfigChecked{Valid: !problems.HasErrors(), Problems: configProblems(problems)})
}

// configProblems writes problems in the API's form; none are [], not null.
func configProblems(problems siteconfig.Problems) []ConfigProblem {
	list := make([]ConfigProblem, 0, len(problems))
	for _, p := range problems {
		list = append(list, ConfigProblem{
			Severity: ConfigProblemSeverity(p.Severity), Line: p.Line, Column: p.Column, Key: p.Key, Message: p.Message,
		})
	}
	return list
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// ifMatch reads the version that If-Match names. Weak and several tags, and "*", are
// refused: a change must name the one version that it was made on.
func ifMatch(r *http.Request) (version int64, given bool, err error) {
	value := strings.TrimSpace(r.Header.Get("If-Match"))
	if value == "" {
		return 0, false, nil
	}
	version, err = strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
	if err != nil || version < 0 || etag(version) != value {
		return 0, false, &requestError{`If-Match: one ETag as GET returned it is needed, such as "7".`}
	}
	return version, true, nil
}
