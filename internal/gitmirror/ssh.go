package gitmirror

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/syncer"
)

const (
	sshDialTimeout = 30 * time.Second
	// sshLoginTimeout bounds the handshake and the login.
	sshLoginTimeout = time.Minute
	// maxSSHComplaint bounds what is kept of a session's standard error.
	maxSSHComplaint = 4 << 10
)

// sshRemote is a repository that is reached over SSH, by one connection for the fetch. No ssh program
// is needed, and the key stays in this process.
type sshRemote struct {
	address  string // host:port
	user     string
	path     string
	identity *sshIdentity
	idle     time.Duration

	client  *ssh.Client
	session *sshSession // that listed, and has not been asked for a pack; nil for none
	bytes   atomic.Int64

	firstFailure
}

// newSSHRemote returns the remote of a request. It connects at the first list.
func (m *Mirrors) newSSHRemote(u *url.URL, request *syncer.FetchRequest) (*sshRemote, error) {
	if request.SSH == nil || request.SSH.PrivateKey.IsZero() {
		return nil, errors.New("FetchRequest needs SSH for an ssh address")
	}
	identity, err := m.identities.of(*request.SSH, m.tmp)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	user := u.User.Username()
	if user == "" {
		user = "git"
	}
	return &sshRemote{
		address:  net.JoinHostPort(u.Hostname(), port),
		user:     user,
		path:     u.Path,
		identity: identity,
		idle:     m.idle,
	}, nil
}

// list implements remote.
func (r *sshRemote) list(ctx context.Context) (*packp.AdvRefs, error) {
	r.forget()
	adv, err := r.advertised(ctx)
	if err != nil {
		r.drop()
		return nil, fmt.Errorf("list refs: %w", explain(ctx, r, err))
	}
	return adv, nil
}

// advertised opens a session and reads its refs.
func (r *sshRemote) advertised(ctx context.Context) (*packp.AdvRefs, error) {
	r.drop()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	session, err := r.start()
	if err != nil {
		return nil, err
	}
	r.session = session
	adv := packp.NewAdvRefs()
	err = adv.Decode(&cappedBody{ReadCloser: session, left: maxAdvertisement})
	var line *pktline.ErrorLine
	switch {
	case errors.As(err, &line):
		return nil, r.fail(errLineError(line.Text))
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, session.complaint()
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return packp.NewAdvRefs(), nil
	case err != nil:
		return nil, err
	}
	if adv.IsEmpty() {
		return packp.NewAdvRefs(), nil // JGit tells what it can even of an empty repository
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	return adv, nil
}

// open implements remote. It goes on in the session that listed, and begins another one where that was used
// already.
func (r *sshRemote) open(ctx context.Context, request *packp.UploadPackRequest) (io.ReadCloser, error) {
	r.forget()
	if r.session == nil {
		if _, err := r.advertised(ctx); err != nil {
			return nil, err
		}
	}
	session := r.session
	r.session = nil
	response, err := session.uploadPack(request)
	if err != nil {
		session.close()
		return nil, err
	}
	return response, nil
}

// connect dials and logs in, unless that was done before.
func (r *sshRemote) connect(ctx context.Context) error {
	if r.client != nil {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: sshDialTimeout, KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", r.address)
	if err != nil {
		return r.fail(sshDialError(r.address, err))
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var hostKey error
	config := &ssh.ClientConfig{
		User:              r.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(r.identity.signer)},
		HostKeyAlgorithms: r.identity.algorithms(r.address),
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			if err := r.identity.hosts(address, remote, key); err != nil {
				hostKey = hostKeyError(address, key, err)
				return hostKey
			}
			return nil
		},
		ClientVersion: "SSH-2.0-Signpost",
	}
	_ = conn.SetDeadline(time.Now().Add(min(sshLoginTimeout, firstByte*r.idle))) // fails on closed connections alone
	c, channels, requests, err := ssh.NewClientConn(conn, r.address, config)
	switch {
	case hostKey != nil:
		err = hostKey
	case err != nil:
		err = sshLoginError(r.address, err)
	}
	if err != nil {
		stop()
		_ = conn.Close()
		return r.fail(err)
	}
	_ = conn.SetDeadline(time.Time{})
	r.client = ssh.NewClient(c, channels, requests)
	return nil
}

// start starts git-upload-pack on the server.
func (r *sshRemote) start() (*sshSession, error) {
	s := &sshSession{remote: r}
	s.silence = time.AfterFunc(firstByte*r.idle, func() {
		s.silent.Store(true)
		_ = r.client.Close()
	})
	session, err := r.client.NewSession()
	if err != nil {
		s.silence.Stop()
		return nil, r.fail(s.broken(err))
	}
	s.session = session
	session.Stderr = &s.said
	if s.in, err = session.StdinPipe(); err == nil {
		if s.out, err = session.StdoutPipe(); err == nil {
			err = session.Start("git-upload-pack " + quoteForShell(r.path))
		}
	}
	s.silence.Stop()
	if err != nil {
		s.close()
		return nil, r.fail(s.broken(err))
	}
	s.first = true
	return s, nil
}

// quoteForShell quotes as git does for the command of a session.
func quoteForShell(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// drop ends a session that listed and is not needed any more.
func (r *sshRemote) drop() {
	if r.session != nil {
		r.session.close()
		r.session = nil
	}
}

// close implements remote.
func (r *sshRemote) close() {
	r.drop()
	if r.client != nil {
		_ = r.client.Close()
	}
}

// received implements remote.
func (r *sshRemote) received() int64 { return r.bytes.Load() }

// sshSession is one run of git-upload-pack on the server.
type sshSession struct {
	remote  *sshRemote
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	said    complaint
	silence *time.Timer
	silent  atomic.Bool
	first   bool // nothing was read since something was asked
	asked   bool // for a pack
}

// Read reads what the server sends, and gives up on silence. The time between two reads does not count.
func (s *sshSession) Read(p []byte) (int, error) {
	wait := s.remote.idle
	if s.first {
		wait *= firstByte
	}
	s.silence.Reset(wait)
	n, err := s.out.Read(p)
	s.silence.Stop()
	s.remote.bytes.Add(int64(n))
	if n > 0 {
		s.first = false
	}
	if err != nil && !errors.Is(err, io.EOF) || s.silent.Load() {
		err = s.remote.fail(s.broken(err))
	}
	return n, err
}

// Close implements io.Closer.
func (s *sshSession) Close() error {
	s.close()
	return nil
}

func (s *sshSession) close() {
	s.silence.Stop()
	if s.session == nil {
		return
	}
	if !s.asked && s.in != nil {
		_, _ = s.in.Write(pktline.FlushPkt) // so git-upload-pack ends by itself, and the server logs no error
	}
	_ = s.session.Close()
}

// uploadPack sends a request and reads what comes before the pack.
func (s *sshSession) uploadPack(request *packp.UploadPackRequest) (io.ReadCloser, error) {
	s.asked, s.first = true, true
	s.silence.Reset(firstByte * s.remote.idle)
	err := writeRequest(s.in, request)
	s.silence.Stop()
	if err != nil {
		if said := s.complaintNow(); said != nil {
			return nil, s.remote.fail(said)
		}
		return nil, s.remote.fail(s.broken(err))
	}
	buffered := bufio.NewReader(s)
	start, err := buffered.Peek(8)
	if len(start) == 8 && string(start[4:]) == "ERR " {
		lines := pktline.NewScanner(buffered)
		lines.Scan()
		if line, ok := errors.AsType[*pktline.ErrorLine](lines.Err()); ok {
			return nil, s.remote.fail(errLineError(line.Text))
		}
	}
	if len(start) == 0 && err != nil {
		return nil, s.complaint()
	}
	response := packp.NewUploadPackResponse(request)
	body := struct {
		io.Reader
		io.Closer
	}{buffered, s}
	if err := response.Decode(body); err != nil {
		return nil, err
	}
	return response, nil
}

// writeRequest writes a request of one round: what is wanted, what is there, and that this is all.
func writeRequest(w io.WriteCloser, request *packp.UploadPackRequest) error {
	if err := request.Validate(); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, 32<<10)
	if err := request.UploadRequest.Encode(buffered); err != nil {
		return err
	}
	if err := request.UploadHaves.Encode(buffered, false); err != nil {
		return err
	}
	if err := pktline.NewEncoder(buffered).EncodeString("done\n"); err != nil {
		return err
	}
	return errors.Join(buffered.Flush(), w.Close())
}

// complaint returns the error for a session that ended without an answer: what it said, if anything.
func (s *sshSession) complaint() error {
	s.silence.Reset(s.remote.idle)
	_ = s.session.Wait() // until all of standard error is here
	s.silence.Stop()
	if said := s.complaintNow(); said != nil {
		return s.remote.fail(said)
	}
	return io.ErrUnexpectedEOF
}

func (s *sshSession) complaintNow() error {
	said := strings.TrimSpace(s.said.String())
	if said == "" {
		return nil
	}
	return errLineError(strings.TrimSpace(strings.TrimPrefix(said, "fatal:")))
}

// broken returns the error for a connection that ended with err.
func (s *sshSession) broken(err error) error {
	if s.silent.Load() {
		return networkError(fmt.Errorf("%w (%s)", errIdle, s.remote.idle))
	}
	return networkError(err)
}

// complaint keeps the beginning of what a session writes to standard error. Safe for concurrent use.
type complaint struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p[:min(len(p), max(0, maxSSHComplaint-c.text.Len()))])
	return len(p), nil
}

// String returns what was kept.
func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// sshDialError returns the error for a server that cannot be reached.
func sshDialError(address string, err error) *remoteError {
	e := networkError(err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		e.text = fmt.Sprintf("nobody answers at %s: SSH may be switched off on that Bitbucket, or its SSH base URL is wrong; ask its administrator, or set gitURLType to \"http\"", address)
	}
	return e
}

// sshLoginError returns the error for a handshake that failed. The library has no type for a refused key.
func sshLoginError(address string, err error) *remoteError {
	switch text := err.Error(); {
	case strings.Contains(text, "unable to authenticate"):
		return &remoteError{
			kind: errors.Join(bitbucket.ErrKeyRefused, bitbucket.ErrUnauthorized),
			text: "Bitbucket refused the SSH key; add its public key to the account that Signpost uses, or as an access key, or correct privateKey of gitSSHCredential",
		}
	case strings.Contains(text, "no common algorithm"):
		return &remoteError{
			kind: bitbucket.ErrUnavailable,
			text: fmt.Sprintf("the SSH server of %s cannot do what is asked of it; knownHosts may have a kind of key that it has not: %s", address, printable(text, 300)),
		}
	}
	return networkError(err)
}
