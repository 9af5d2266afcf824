package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	extension "example.com/signpost/extension-assets"
)

// Extension has the packages of the browser extension. extension.Publisher fills it in. Safe for
// concurrent use.
type Extension interface {
	// Packages returns those to hand out, and waits while the first are being built. Errors are
	// extension.ErrNoServerURL, ErrNoBitbucket, ErrAddress and ErrNotBuilt.
	Packages(ctx context.Context) (*extension.Packages, error)
	// Current returns those to hand out, nil for none. It waits for nothing.
	Current() *extension.Packages
}

const (
	extensionConfigPath = "/api/v1/extension/config"
	// packageWait is how long a request waits for the first packages.
	packageWait = 10 * time.Second
)

func (s *Server) registerExtensionRoutes(r *mux.Router) {
	s.handle(r, "extension_config", extensionConfigPath, http.MethodGet, s.handleExtensionConfig)
	if s.extension == nil {
		return
	}
	s.handle(r, "extension", "/extension", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Location", "extension/") // relative: a proxy may serve this below a path
		w.WriteHeader(http.StatusPermanentRedirect)
		return nil
	})
	s.handle(r, "extension", extension.Path, http.MethodGet, s.handleExtensionPage)
	s.handle(r, "extension_file", extension.Path+"{file:.+}", http.MethodGet, s.handleExtensionFile)
}

// handleExtensionConfig tells the extension which addresses it works with. Everybody may know them.
func (s *Server) handleExtensionConfig(w http.ResponseWriter, r *http.Request) error {
	config := s.config.Current()
	packed := extension.ConfigurationOf(config)
	answer := ExtensionConfig{ServerURL: packed.ServerURL, BitbucketURLs: packed.BitbucketURLs}
	if !config.Primary.IsZero() {
		answer.PrimaryURL = config.Primary.String()
	}
	if current := s.currentPackages(); current != nil {
		answer.Version = current.Version
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	digest := sha256.Sum256(body)
	header := w.Header()
	header["Content-Type"] = contentTypeJSON
	header.Set("Cache-Control", "public, max-age=60")
	header.Set("ETag", `"`+hex.EncodeToString(digest[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	return nil
}

func (s *Server) currentPackages() *extension.Packages {
	if s.extension == nil {
		return nil
	}
	return s.extension.Current()
}

// packages returns what there is to hand out.
func (s *Server) packages(w http.ResponseWriter, r *http.Request) (*extension.Packages, error) {
	ctx, cancel := context.WithTimeout(r.Context(), packageWait)
	defer cancel()
	packages, err := s.extension.Packages(ctx)
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
	}
	return packages, err
}

// handleExtensionFile hands a file out, to browsers without cookies and with whatever parameters they
// add. What is asked for by its edition may be kept for ever; the rest is asked for again each time, and
// then mostly answered with 304.
func (s *Server) handleExtensionFile(w http.ResponseWriter, r *http.Request) error {
	packages, err := s.packages(w, r)
	if err != nil {
		return err
	}
	file, ok := packages.File(mux.Vars(r)["file"])
	if !ok {
		return errNoSuchPath
	}
	header := w.Header()
	header.Set("Content-Type", file.ContentType)
	header.Set("Cache-Control", "no-cache")
	if edition := r.URL.Query().Get(extension.EditionParameter); edition != "" && edition == file.Edition {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	header.Set("ETag", file.ETag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.Content))
	return nil
}
