package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/mux"
)

// Limits of a batch.
const (
	maxBatch     = 100
	maxBatchBody = 4 << 20 // bytes; 100 URLs of 8 KiB, escaped, fit several times
	batchWorkers = 8
)

const resolvePath = "/api/v1/resolve"

func (s *Server) registerResolveRoutes(r *mux.Router) {
	s.handle(r, "resolve", resolvePath, http.MethodGet, s.handleResolve)
	s.handle(r, "resolve_batch", resolvePath, http.MethodPost, s.handleResolveBatch)
}

// resolveFirst answers GET of the resolve path and leaves the rest to next. Nearly all
// requests are of that kind, and mux takes longer to find their route than the resolver
// takes for their answer.
func (s *Server) resolveFirst(next http.Handler) http.Handler {
	resolve := s.problems("resolve", s.handleResolve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == resolvePath && r.URL.RawPath == "" {
			resolve.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) handleResolve(w http.ResponseWriter, r *http.Request) error {
	raw := queryValue(r.URL.RawQuery, "url")
	if raw == "" {
		return errMissingURL
	}
	result, err := s.resolver.Resolve(requestContext(w, r), raw)
	if err != nil {
		return err
	}
	header := w.Header()
	header["Content-Type"] = contentTypeJSON
	header["Cache-Control"] = maxAge(result.MaxAge)
	header["Cache-Status"] = cacheStatus(result.Hit)
	_, _ = w.Write(result.JSON) // fails only when the client has gone
	return nil
}

// Header values that every answer shares; never changed.
var (
	contentTypeJSON = []string{"application/json"}
	cacheHit        = []string{"signpost; hit"}
	cacheMiss       = []string{"signpost; fwd=miss"}
	maxAges         = func() (values [61][]string) {
		for s := range values {
			values[s] = []string{"private, max-age=" + strconv.Itoa(s)}
		}
		return values
	}()
)

func cacheStatus(hit bool) []string {
	if hit {
		return cacheHit
	}
	return cacheMiss
}

func maxAge(d time.Duration) []string {
	s := int(d / time.Second)
	if s >= 0 && s < len(maxAges) {
		return maxAges[s]
	}
	return []string{"private, max-age=" + strconv.Itoa(max(s, 0))}
}

// batchResult is one result of a batch: a link as the resolver encoded it, or a problem.
type batchResult struct {
	Input string          `json:"input"`
	Link  json.RawMessage `json:"link,omitempty"`
	Error *Problem        `json:"error,omitempty"`
}

func (s *Server) handleResolveBatch(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		URLs []*string `json:"urls"`
	}
	if err := readJSON(w, r, maxBatchBody, &body); err != nil {
		return err
	}
	if len(body.URLs) == 0 || len(body.URLs) > maxBatch {
		return &requestError{fmt.Sprintf("urls: 1 to %d URLs are needed, here are %d.", maxBatch, len(body.URLs))}
	}
	for i, u := range body.URLs {
		if u == nil {
			return &requestError{fmt.Sprintf("urls[%d]: null is not a URL.", i)}
		}
	}
	id := w.Header().Get(requestIDHeader)
	admin := s.admin.holds(r)
	results := make([]batchResult, len(body.URLs))
	failures := batchFailures{byCode: make(map[ProblemCode][]error)}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(batchWorkers, len(results)) {
		workers.Go(func() {
			for i := range next {
				results[i] = s.resolveOne(r, id, *body.URLs[i], admin, &failures)
			}
		})
	}
	for i := range results {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := r.Context().Err(); errors.Is(err, context.Canceled) {
		return err // nobody reads the results
	}
	for code, failed := range failures.byCode {
		s.log.ErrorContext(r.Context(), "resolving some of a batch failed", "request_id", id, "code", code, "failed", len(failed), "err", failed[0])
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, struct {
		Results []batchResult `json:"results"`
	}{results})
}

// batchFailures are what an operator must know of a batch: a line for each code, however many
// of the URLs need a Bitbucket that is down.
type batchFailures struct {
	mu     sync.Mutex
	byCode map[ProblemCode][]error
}

func (f *batchFailures) add(code ProblemCode, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byCode[code] = append(f.byCode[code], err)
}

func (s *Server) resolveOne(r *http.Request, id, raw string, admin bool, failures *batchFailures) (answer batchResult) {
	answer.Input = raw
	defer func() { // a panic in a goroutine of its own would end the process
		if cause := recover(); cause != nil {
			s.logPanic(r, id, cause)
			p := problemFor(errPanic, false)
			answer = batchResult{Input: raw, Error: &p}
		}
	}()
	if raw == "" {
		p := problemFor(errMissingURL, admin)
		answer.Error = &p
		return answer
	}
	result, err := s.resolver.Resolve(r.Context(), raw)
	if err != nil {
		p := problemFor(err, admin)
		if p.Status >= http.StatusInternalServerError && p.Code != PrimaryURLNotSet {
			failures.add(p.Code, err)
		}
		answer.Error = &p
		return answer
	}
	answer.Link = bytes.TrimSpace(result.JSON)
	return answer
}
