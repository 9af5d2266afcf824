package api

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/gorilla/mux"
)

func (s *Server) registerGoRoutes(r *mux.Router) {
	s.handle(r, "go", "/go", http.MethodGet, s.handleGo)
}

// handleGo redirects to the link. People read its errors, so they are pages.
func (s *Server) handleGo(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the address of a private page stays here
	raw := r.URL.Query().Get("url")
	if raw == "" {
		return s.writePage(w, r, errMissingURL)
	}
	result, err := s.resolver.Resolve(r.Context(), raw)
	if clientGone(w, r, err) {
		return err
	}
	if err != nil {
		return s.writePage(w, r, err)
	}
	header.Set("Location", result.Link.URL)
	w.WriteHeader(http.StatusFound)
	return nil
}

const pageStyle = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto 0;padding:0 1rem}h1{font-size:1.4rem}p.id{opacity:.6;font-size:.85rem}`

var (
	page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} – Signpost</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Detail}}</p>
{{with .Reason}}<p>Reason: {{.}}</p>
{{end}}<p class="id">{{.Code}}{{with .RequestID}}, request {{.}}{{end}}</p>
</main>
</body>
</html>
`))
	pagePolicy = stylePolicy(pageStyle)
)

// stylePolicy is the policy of a page that has this style and nothing else.
func stylePolicy(style string) string {
	digest := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}

// writePage writes the problem of err as a page. It holds nothing of the request.
func (s *Server) writePage(w http.ResponseWriter, r *http.Request, err error) error {
	p := s.describe(w, r, err)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.WriteHeader(p.Status)
	_ = page.Execute(w, struct { // fails only when the client has gone
		Problem
		Style template.CSS
	}{p, pageStyle})
	return nil
}
