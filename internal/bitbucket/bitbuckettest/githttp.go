package bitbuckettest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Texts that git shows, as recorded from 5.x and newer.
const (
	gitNotFound = "Repository not found\nThe requested repository does not exist, or you do not have permission to\naccess it."
	gitCaptcha  = "CAPTCHA required\nYour Bitbucket account has been locked. To unlock it and log in again you must\n" +
		"solve a CAPTCHA. This is typically caused by too many attempts to login with an\n" +
		"incorrect password. The account lock prevents your SCM client from accessing\n" +
		"Bitbucket and its mirrors until it is solved, even if you enter your password\ncorrectly.\n\n" +
		"If you are currently logged in to Bitbucket via a browser you may need to\n" +
		"logout and then log back in in order to solve the CAPTCHA.\n\nVisit Bitbucket at %s for more details."
	gitMoved = "The repository has moved, please update your configuration:\n%s\n"
)

// git answers the smart HTTP protocol below /scm.
func (c *call) git(authentication error) {
	s := c.server
	service := strings.Join(c.parts[min(len(c.parts), 3):], "/")
	reading := service == "info/refs" && c.r.Method == http.MethodGet && c.query.Get("service") == "git-upload-pack" ||
		service == "git-upload-pack" && c.r.Method == http.MethodPost
	writing := service == "info/refs" && c.query.Get("service") == "git-receive-pack" || service == "git-receive-pack"
	switch {
	case s.opts.HTTPOff || !reading && !writing:
		c.tomcatError(http.StatusNotFound, "Not Found", "The requested resource is not available.")
		return
	case errors.Is(authentication, errCaptcha):
		c.gitError(fmt.Sprintf(gitCaptcha, s.baseURL))
		return
	case errors.Is(authentication, errBasicOff):
		c.text(http.StatusForbidden, "", errBasicOff.message+"\n")
		return
	case authentication != nil:
		c.gitLogin()
		return
	}
	r, notice := s.gitRepository(c.parts[1], c.parts[2], c.caller)
	switch {
	case r == nil && c.caller.anonymous():
		c.gitLogin() // so that nobody learns what exists
	case r == nil:
		c.gitError(gitNotFound)
	case writing:
		c.text(http.StatusForbidden, "", "You do not have permission to push to this repository.\n")
	case service == "info/refs":
		c.advertise(r)
	default:
		c.uploadPack(r, notice)
	}
}

func (c *call) gitLogin() {
	c.w.Header().Set("WWW-Authenticate", `Basic realm="Atlassian Bitbucket"`)
	c.text(http.StatusUnauthorized, "", "Authentication required\n")
}

// gitRepository finds the repository of a clone address, a moved one from 5.0 on too, or
// nil. The notice is what git shows of a former address; Bitbucket also shows it where .git is missing.
func (s *Server) gitRepository(project, slug string, who caller) (r *repository, notice string) {
	slug, dotGit := strings.CutSuffix(slug, ".git")
	s.mu.RLock()
	defer s.mu.RUnlock()
	address := strings.ToLower(project + "/" + slug)
	r = s.byAddress[address]
	if personal, ok := strings.CutPrefix(project, "~"); ok && r == nil {
		if p := s.personalProject(personal); p != nil {
			r = s.byAddress[strings.ToLower(p.Key+"/"+slug)]
		}
	}
	outdated := !dotGit
	if r == nil && s.switches.aliases {
		outdated = true
		r = s.aliases[address]
		if p := s.projectAliases[strings.ToLower(project)]; r == nil && p != nil {
			r = s.byAddress[strings.ToLower(p.Key+"/"+slug)]
		}
	}
	if r == nil || !s.mayRead(who, r) || r.State != "AVAILABLE" {
		return nil, ""
	}
	if outdated && s.switches.aliases {
		notice = fmt.Sprintf(gitMoved, s.baseURL+"/scm/"+strings.ToLower(r.project.Key)+"/"+r.Slug+".git")
	}
	return r, notice
}

// gitError answers 200 with a packet that git shows as "remote error".
func (c *call) gitError(message string) {
	c.r.Body.Close() //nolint:errcheck // nothing of it is needed
	var b bytes.Buffer
	contentType := "application/x-git-upload-pack-result"
	if strings.HasSuffix(c.path, "/info/refs") {
		service := c.query.Get("service")
		contentType = "application/x-" + service + "-advertisement"
		b.WriteString(packet("# service=" + service + "\n"))
		b.WriteString(flushPacket)
	}
	b.WriteString(packet("ERR " + message))
	c.w.Header().Set("Cache-Control", "no-cache")
	c.bytes(http.StatusOK, contentType, b.Bytes())
}

const flushPacket = "0000"

// packet frames a line as git's protocol does (gitprotocol-common, pkt-line).
func packet(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

// protocol is what the client asks for with Git-Protocol, where the version heeds it.
func (c *call) protocol() string {
	if !c.server.switches.protocolV2 {
		return ""
	}
	requested := c.r.Header.Get("Git-Protocol")
	if strings.ContainsFunc(requested, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return requested
}

func (c *call) speaksV2() bool {
	for part := range strings.SplitSeq(c.protocol(), ":") {
		if part == "version=2" {
			return true
		}
	}
	return false
}

// advertise answers info/refs.
func (c *call) advertise(r *repository) {
	c.runUploadPack(r, "application/x-git-upload-pack-advertisement", true, nil, c.w)
}

// uploadPack answers a negotiation, with the notice as progress where there is one.
func (c *call) uploadPack(r *repository, notice string) {
	body, err := requestBody(c.r)
	if err != nil {
		c.text(http.StatusBadRequest, "", "The body of the request cannot be read: "+err.Error()+"\n")
		return
	}
	var out io.Writer = c.w
	if notice != "" {
		head := make([]byte, 4096) // capabilities stand at the beginning
		n, err := io.ReadFull(body, head)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			c.text(http.StatusBadRequest, "", "The body of the request cannot be read: "+err.Error()+"\n")
			return
		}
		body = io.MultiReader(bytes.NewReader(head[:n]), body)
		if c.speaksV2() || bytes.Contains(head[:n], []byte("side-band")) {
			out = &noticeWriter{out: c.w, notice: notice}
		}
	}
	c.runUploadPack(r, "application/x-git-upload-pack-result", false, body, out)
}

// requestBody undoes the gzip that git uses for long requests.
func requestBody(r *http.Request) (io.Reader, error) {
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return r.Body, nil
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		return io.LimitReader(unpacked, maxRequestBody), nil
	default:
		return nil, fmt.Errorf("unknown content encoding %q", encoding)
	}
}

func (c *call) runUploadPack(r *repository, contentType string, advertise bool, in io.Reader, out io.Writer) {
	s := c.server
	dir, err := s.ensured(r)
	if err != nil {
		c.answer(nil, err)
		return
	}
	args := []string{"upload-pack", "--stateless-rpc"}
	if advertise {
		args = append(args, "--advertise-refs")
	}
	cmd := s.git.command(c.ctx(), dir, append(args, dir)...)
	if protocol := c.protocol(); protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	var stderr bytes.Buffer
	started := &startedWriter{out: out, start: func() {
		h := c.w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
		h.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
		h.Set("Pragma", "no-cache")
		c.w.WriteHeader(http.StatusOK)
		if advertise && !c.speaksV2() {
			_, _ = io.WriteString(c.w, packet("# service=git-upload-pack\n")+flushPacket)
		}
	}}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, started, &stderr
	err = cmd.Run()
	if rest, ok := out.(*noticeWriter); ok {
		rest.end()
	}
	if started.aborted != nil {
		panic(started.aborted)
	}
	switch {
	case err == nil && !started.done: // a negotiation that needs no answer
		started.begin()
	case err != nil && c.r.Context().Err() == nil:
		s.log.Debug("git upload-pack failed", "repository", r.ID, "err", err, "stderr", strings.TrimSpace(stderr.String()))
		if !started.done {
			c.gitError("upload-pack failed: " + strings.TrimSpace(stderr.String()))
		}
	}
}

// startedWriter calls start before the first byte. The goroutine of os/exec writes to it, so
// that a panic that cuts the answer off is kept for the handler's goroutine.
type startedWriter struct {
	out     io.Writer
	start   func()
	done    bool
	aborted any
}

func (w *startedWriter) begin() {
	if !w.done {
		w.done = true
		w.start()
	}
}

func (w *startedWriter) Write(p []byte) (n int, err error) {
	defer func() {
		if w.aborted = recover(); w.aborted != nil {
			err = errCut
		}
	}()
	w.begin()
	return w.out.Write(p)
}

// noticeWriter puts a progress text before the first packet of the side band.
type noticeWriter struct {
	out    io.Writer
	notice string
	buffer []byte
	done   bool
}

// end sends what is left of an answer that ended within a packet.
func (w *noticeWriter) end() {
	_, _ = w.out.Write(w.buffer) // fails only when the client has gone
	w.buffer = nil
}

func (w *noticeWriter) Write(p []byte) (int, error) {
	if w.done {
		return w.out.Write(p)
	}
	w.buffer = append(w.buffer, p...)
	at := 0
	for len(w.buffer)-at >= 4 {
		var length int
		if _, err := fmt.Sscanf(string(w.buffer[at:at+4]), "%04x", &length); err != nil {
			w.done = true // no packets: leave it alone
			break
		}
		if length < 4 {
			at += 4 // flush, delimiter
			continue
		}
		if len(w.buffer)-at < 5 {
			break
		}
		if band := w.buffer[at+4]; band == 1 || band == 2 {
			text := packet("\x02" + w.notice)
			w.buffer = append(w.buffer[:at:at], append([]byte(text), w.buffer[at:]...)...)
			w.done = true
			break
		}
		if len(w.buffer)-at < length {
			break
		}
		at += length
	}
	if w.done {
		at = len(w.buffer)
	}
	if _, err := w.out.Write(w.buffer[:at]); err != nil {
		return 0, err
	}
	w.buffer = w.buffer[at:]
	return len(p), nil
}
