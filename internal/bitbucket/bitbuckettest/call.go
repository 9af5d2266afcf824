package bitbuckettest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	jsonType = "application/json;charset=UTF-8"
	htmlType = "text/html;charset=UTF-8"

	maxRequestBody = 64 << 20
)

// call is one request while it is answered.
type call struct {
	server *Server
	w      *responseWriter
	r      *http.Request
	kind   Kind
	path   string   // escaped, below the context path
	parts  []string // its segments, decoded
	query  url.Values
	caller caller
	fault  *Fault
	style  jsonStyle
}

// ServeHTTP answers a request as Bitbucket does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBody)
	c := &call{
		server: s,
		w:      &responseWriter{ResponseWriter: w},
		r:      r,
		kind:   KindWeb,
		style:  jsonStyle{extraKeys: s.opts.ExtraKeys, nullForAbsent: s.opts.NullForAbsent},
	}
	record := Request{
		Time: s.now(), Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		UserAgent: r.UserAgent(), GitProtocol: r.Header.Get("Git-Protocol"), Scheme: schemeOf(r),
		Encoding: r.Header.Get("Content-Encoding"), ContentType: r.Header.Get("Content-Type"),
	}
	count := s.requestsSum.Add(1)
	concurrent := s.concurrent.Add(1) - 1
	s.running.path(record.Path, 1)
	defer func() {
		s.concurrent.Add(-1)
		s.running.path(record.Path, -1)
		s.running.count(c.kind, -1)
		record.Kind, record.Status, record.Bytes = c.kind, c.w.status, c.w.written
		record.Authenticated, record.User = !c.caller.anonymous(), c.caller.name()
		s.requests.add(record)
		c.w.release()
	}()

	path, inside := strings.CutPrefix(r.URL.EscapedPath(), s.opts.ContextPath)
	if !inside || path != "" && path[0] != '/' {
		s.running.count(c.kind, 1)
		c.tomcatError(http.StatusNotFound, "Not Found", "The requested resource is not available.")
		return
	}
	c.path = path
	switch {
	case strings.HasPrefix(path, "/rest/"):
		c.kind = KindREST
	case strings.HasPrefix(path, "/scm/"):
		c.kind = KindGit
	}
	s.running.count(c.kind, 1)
	if live := s.faults.find(c.kind, r.Method, path, r.URL.RawQuery); live != nil {
		record.FaultIndex = live.index
		fault := live.Fault
		c.fault = &fault
		if c.suffer() {
			return
		}
	}
	// Tomcat refuses these before Bitbucket sees them.
	if lower := strings.ToLower(path); strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c") {
		c.tomcatError(http.StatusBadRequest, "Bad Request", "Invalid URI: [The encoded slash character is not allowed]")
		return
	}
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			c.tomcatError(http.StatusBadRequest, "Bad Request", "Invalid URI: ["+err.Error()+"]")
			return
		}
		c.parts = append(c.parts, decoded)
	}
	c.query = r.URL.Query()
	caller, err := s.authenticate(r, c.kind)
	if c.has(EffectAnonymous) {
		caller, err = noCaller, nil
	}
	c.caller = caller
	c.headers(count, concurrent)
	if err == nil && c.limited() {
		return
	}
	switch c.kind {
	case KindREST:
		c.rest(err)
	case KindGit:
		c.git(err)
	default:
		c.web(err)
	}
}

// headers sets the headers that every answer has.
func (c *call) headers(count, concurrent int64) {
	h, now := c.w.Header(), c.server.now().UTC()
	h.Set("X-AREQUESTID", fmt.Sprintf("@DOUBLEx%dx%dx%d", now.Hour()*60+now.Minute(), count, concurrent))
	if c.server.switches.supportNumber {
		h.Set("X-ASEN", "SEN-00000000")
	}
	if !c.caller.anonymous() {
		h.Set("X-ASESSIONID", strconv.FormatInt(count*7919+104729, 36))
	}
	if u := c.caller.user; u != nil {
		h.Set("X-AUSERID", strconv.FormatInt(u.ID, 10))
		h.Set("X-AUSERNAME", escapeSegment(u.Name))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if c.kind == KindGit {
		return
	}
	h.Set("Pragma", "no-cache")
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Cache-Control", "no-cache, no-transform")
	if c.server.switches.lowerCaseVary {
		h.Set("Vary", "x-ausername,x-auserid,cookie,accept-encoding")
	} else {
		h.Set("Vary", "X-AUSERNAME,Accept-Encoding")
	}
}

// rest answers a request below /rest.
func (c *call) rest(authentication error) {
	if authentication != nil {
		c.answer(nil, authentication)
		return
	}
	c.answer(c.resource())
}

// answer writes what a resource returned.
func (c *call) answer(value any, err error) {
	var (
		failed  *restError
		unknown *unknownResource
		away    *moved
	)
	switch {
	case errors.As(err, &failed):
		if failed.status == http.StatusUnauthorized && c.caller.anonymous() {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="Atlassian Bitbucket"`)
		}
		c.json(failed.status, failed.body())
	case errors.As(err, &unknown):
		c.json(http.StatusNotFound, unknown.body())
	case errors.As(err, &away):
		c.redirect(c.server.opts.MovedStatus, away.location)
	case err != nil && (errors.Is(err, context.Canceled) || c.r.Context().Err() != nil):
		panic(http.ErrAbortHandler) // nobody is there any more
	case err != nil:
		c.server.log.Error("the double of Bitbucket failed", "path", c.path, "err", err)
		failure := restError{status: http.StatusInternalServerError, message: "An error occurred while processing the request: " + err.Error()}
		c.json(failure.status, failure.body())
	default:
		switch v := value.(type) {
		case created:
			c.json(http.StatusCreated, v.value)
		case noContent:
			c.w.WriteHeader(http.StatusNoContent)
		case rawFile:
			c.text(http.StatusOK, v.contentType, v.content)
		default:
			c.json(http.StatusOK, v)
		}
	}
}

func (c *call) json(status int, value any) {
	c.bytes(status, jsonType, c.style.append(nil, value))
}

func (c *call) text(status int, contentType, body string) {
	c.bytes(status, contentType, []byte(body))
}

func (c *call) bytes(status int, contentType string, body []byte) {
	if contentType == "" {
		contentType = "text/plain;charset=UTF-8"
	}
	if c.w.limit < 0 { // half of a REST answer
		c.w.limit = max(1, len(body)/2)
	}
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // fails only when the client has gone
	}
}

func (c *call) redirect(status int, location string) {
	c.w.Header().Set("Location", location)
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(status)
}

// tomcatError answers as Tomcat does where Bitbucket is not asked.
func (c *call) tomcatError(status int, title, message string) {
	c.text(status, htmlType, fmt.Sprintf(`<!doctype html><html lang="en"><head><title>HTTP Status %d – %s</title></head>`+
		`<body><h1>HTTP Status %d – %s</h1><hr class="line" /><p><b>Type</b> Status Report</p><p><b>Message</b> %s</p>`+
		`<hr class="line" /><h3>Apache Tomcat</h3></body></html>`, status, title, status, title, html.EscapeString(message)))
}

// responseWriter counts what is sent, and cuts an answer off where a Fault says so. It holds the
// last byte back until the request is remembered: who has a whole answer finds it in Requests.
type responseWriter struct {
	http.ResponseWriter
	status  int
	written int64
	held    []byte // the last byte, or none
	limit   int    // bytes until cut is called; 0 for no limit, -1 for "not decided"
	cut     func() // does not return
	pause   func() // between the pieces of an answer that trickles; nil otherwise
}

// trickled is how much of an answer that trickles is sent at a time.
const trickled = 8 << 10

// WriteHeader sends the headers, once.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *responseWriter) Write(p []byte) (int, error) {
	written := 0
	for w.pause != nil && len(p) > trickled {
		n, err := w.write(p[:trickled])
		written += n
		if err != nil {
			return written, err
		}
		w.Flush()
		w.pause()
		p = p[trickled:]
	}
	n, err := w.write(p)
	return written + n, err
}

func (w *responseWriter) write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	limit := w.limit
	if limit < 0 {
		limit = 64
	}
	if len(p) == 0 {
		return 0, nil
	}
	w.release()
	if w.cut != nil && w.written+int64(len(p)) >= int64(limit) {
		n, _ := w.ResponseWriter.Write(p[:max(0, int64(limit)-w.written)])
		w.written += int64(n)
		w.Flush()
		w.cut()
		return n, errCut
	}
	last := len(p) - 1
	n, err := w.ResponseWriter.Write(p[:last])
	if err == nil {
		w.held = append(w.held, p[last])
		n++
	}
	w.written += int64(n)
	return n, err
}

// release sends the byte that was held back.
func (w *responseWriter) release() {
	if len(w.held) > 0 {
		_, _ = w.ResponseWriter.Write(w.held) // fails only when the client has gone; the next write says so
		w.held = w.held[:0]
	}
}

// Flush sends what is buffered.
func (w *responseWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// millis is a time as REST answers hold it.
func millis(t time.Time) int64 { return t.UnixMilli() }
