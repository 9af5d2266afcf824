package api

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

const requestIDHeader = "X-Request-Id"

// responseWriter remembers what became of a response. It is the one thing that is made for
// each request, so the request's context and the value of a header lie in it, too.
type responseWriter struct {
	http.ResponseWriter
	route  string
	status int
	begun  time.Time
	id     [1]string // of the request
	ctx    deadline
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func setRoute(w http.ResponseWriter, name string) {
	if rw := unwrap(w); rw != nil {
		rw.route = name
	}
}

func routeName(w http.ResponseWriter) string {
	if rw := unwrap(w); rw != nil {
		return rw.route
	}
	return ""
}

func unwrap(w http.ResponseWriter) *responseWriter {
	for {
		switch v := w.(type) {
		case *responseWriter:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// observe is the outermost handler: it gives each request an id and a deadline, recovers
// panics, and logs and counts what was answered. The log holds neither query nor
// headers: they tell which private pages somebody reads. Answers of the resolve API that
// went well are logged at debug level, so that a busy server does not log every page view.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		rw := &responseWriter{
			ResponseWriter: w,
			begun:          begun,
			id:             [1]string{requestID(r.Header.Get(requestIDHeader))},
			ctx:            deadline{Context: r.Context(), at: begun.Add(s.timeout)},
		}
		header := w.Header()
		header[requestIDHeader] = rw.id[:]
		header["X-Content-Type-Options"] = noSniff
		s.metrics.inFlight.Inc()
		defer s.observed(rw, r)
		next.ServeHTTP(rw, r)
	})
}

// requestContext returns the context of a request whose handler is inside observe. It is
// that of the request itself only after withContext, which copies the request.
func requestContext(w http.ResponseWriter, r *http.Request) context.Context {
	if rw := unwrap(w); rw != nil {
		return &rw.ctx
	}
	return r.Context()
}

// withContext gives next the request with its context.
func withContext(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(requestContext(w, r)))
	})
}

// observed ends what observe began. It recovers panics, so it must be deferred itself.
func (s *Server) observed(rw *responseWriter, r *http.Request) {
	defer rw.ctx.end()
	s.metrics.inFlight.Dec()
	if cause := recover(); cause != nil {
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(cause)
		}
		s.logPanic(r, rw.id[0], cause)
		if rw.status == 0 {
			s.writeProblem(rw, r, errPanic)
		}
	}
	elapsed := time.Since(rw.begun)
	s.metrics.observe(rw.route, rw.status, elapsed)
	s.logRequest(r, rw, rw.id[0], elapsed)
}

var noSniff = []string{"nosniff"}

// statusClientGone is the status of a request whose client did not wait for the answer. It
// is for log and metrics only, and not one of HTTP: nobody reads it.
const statusClientGone = 499

// clientGone tells whether err came about because the client closed the connection. That
// is no failure of the server: browsers do it whenever somebody leaves a page.
func clientGone(w http.ResponseWriter, r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(requestContext(w, r).Err(), context.Canceled)
}

func (s *Server) logRequest(r *http.Request, rw *responseWriter, id string, elapsed time.Duration) {
	level := slog.LevelInfo
	switch {
	case rw.status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	case rw.status < http.StatusBadRequest && r.Method != http.MethodPut, rw.status == statusClientGone:
		level = slog.LevelDebug
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	s.log.Log(r.Context(), level, "request", "request_id", id, "method", r.Method, "route", rw.route, "status", rw.status, "duration", elapsed)
}

func (s *Server) logPanic(r *http.Request, id string, cause any) {
	s.log.ErrorContext(r.Context(), "panic while answering a request", "request_id", id, "cause", cause, "stack", string(debug.Stack()))
}

// requestID returns the id that a client or proxy sent, if it is one that a log can hold,
// or a new one.
func requestID(sent string) string {
	if len(sent) == 0 || len(sent) > 64 {
		return strconv.FormatUint(rand.Uint64()|1<<63, 36)
	}
	for i := range len(sent) {
		c := sent[i]
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return strconv.FormatUint(rand.Uint64()|1<<63, 36)
		}
	}
	return sent
}
