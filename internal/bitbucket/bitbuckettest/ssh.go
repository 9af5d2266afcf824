package bitbuckettest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// KindSSH is git over SSH: the Method of such a request is "SSH" and its Path that of the repository.
// A client that gave up, or whose key no account has, is one without a Path that is not Authenticated.
// Of the effects of a Fault there are EffectSlow, EffectHang, EffectReset, EffectCut and EffectStall.
const KindSSH Kind = "ssh"

// sshServer is the SSH server of a Bitbucket: accounts log in with their keys, and git-upload-pack is all
// that they can run.
type sshServer struct {
	server   *Server
	listener net.Listener
	config   *ssh.ServerConfig
	hostKey  ssh.PublicKey
	done     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// startSSH starts the SSH server on a free port of the loopback interface.
func (s *Server) startSSH() error {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("bitbuckettest: SSH: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return fmt.Errorf("bitbuckettest: SSH: %w", err)
	}
	t := &sshServer{server: s, hostKey: signer.PublicKey(), conns: map[net.Conn]struct{}{}}
	t.config = &ssh.ServerConfig{ServerVersion: "SSH-2.0-SSHD-CORE-DOUBLE", PublicKeyCallback: t.login}
	t.config.AddHostKey(signer)
	if t.listener, err = listenOn("127.0.0.1:0"); err != nil {
		return fmt.Errorf("bitbuckettest: SSH: %w", err)
	}
	s.ssh = t
	t.done.Go(t.accept)
	return nil
}

// SSHAddr returns the host and port of the SSH server, "" without Options.SSH.
func (s *Server) SSHAddr() string {
	if s.ssh == nil {
		return ""
	}
	return s.ssh.listener.Addr().String()
}

// KnownHosts returns the line of known_hosts for the SSH server, "" without Options.SSH.
func (s *Server) KnownHosts() string {
	if s.ssh == nil {
		return ""
	}
	return knownhosts.Line([]string{s.SSHAddr()}, s.ssh.hostKey)
}

// SetSSHKeys replaces the public keys of an account: lines of authorized_keys.
func (s *Server) SetSSHKeys(name string, keys ...string) error {
	return s.changeUser(name, func(u *user) { u.SSHKeys = keys })
}

func (t *sshServer) close() error {
	err := t.listener.Close()
	t.mu.Lock()
	t.ended = true
	for conn := range t.conns {
		_ = conn.Close() // cuts off what runs
	}
	t.mu.Unlock()
	t.done.Wait()
	return err
}

func (t *sshServer) accept() {
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return // Close
		}
		t.mu.Lock()
		if t.ended {
			_ = conn.Close()
		} else {
			t.conns[conn] = struct{}{}
			t.done.Go(func() { t.serve(conn) })
		}
		t.mu.Unlock()
	}
}

// login finds the account that has a key.
func (t *sshServer) login(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	t.server.mu.RLock()
	defer t.server.mu.RUnlock()
	for name, u := range t.server.users {
		for _, line := range u.SSHKeys {
			known, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err == nil && bytes.Equal(known.Marshal(), key.Marshal()) {
				return &ssh.Permissions{Extensions: map[string]string{"account": name}}, nil
			}
		}
	}
	return nil, errors.New("no account has this key")
}

// serve is one connection.
func (t *sshServer) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		t.mu.Lock()
		delete(t.conns, conn)
		t.mu.Unlock()
	}()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	login, channels, requests, err := ssh.NewServerConn(conn, t.config)
	if err != nil {
		t.server.requests.add(Request{Time: t.server.now(), Kind: KindSSH, Method: "SSH"})
		return
	}
	_ = conn.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests)
	ctx, cancel := context.WithCancel(context.Background())
	var sessions sync.WaitGroup
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, asked, err := offered.Accept()
		if err != nil {
			break
		}
		sessions.Go(func() { t.session(ctx, conn, login.Permissions.Extensions["account"], channel, asked) })
	}
	cancel() // the client has gone
	sessions.Wait()
}

// session waits for the command of a session and runs it.
func (t *sshServer) session(ctx context.Context, conn net.Conn, account string, channel ssh.Channel, asked <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for request := range asked {
		if request.Type != "exec" {
			_ = request.Reply(request.Type == "env", nil)
			continue
		}
		var command struct{ Line string }
		if err := ssh.Unmarshal(request.Payload, &command); err != nil {
			_ = request.Reply(false, nil)
			return
		}
		_ = request.Reply(true, nil)
		go ssh.DiscardRequests(asked)
		status := t.run(ctx, conn, account, command.Line, channel)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

// run runs what a session asks for and returns its exit status.
func (t *sshServer) run(ctx context.Context, conn net.Conn, account, line string, channel ssh.Channel) uint32 {
	s := t.server
	verb, path, _ := strings.Cut(line, " ")
	path = strings.ReplaceAll(strings.ReplaceAll(strings.Trim(path, "'"), `'\''`, "'"), `'\!'`, "!")
	s.mu.RLock()
	who := caller{user: s.users[account]}
	s.mu.RUnlock()
	record := Request{Time: s.now(), Kind: KindSSH, Method: "SSH", Path: path, Authenticated: true, User: who.name()}
	out := &sshWriter{out: channel, ctx: ctx, closing: s.closing, hangUp: func() { _ = conn.Close() }}
	defer func() {
		record.Bytes = out.written
		s.requests.add(record)
	}()
	if live := s.faults.find(KindSSH, "SSH", path, ""); live != nil {
		record.FaultIndex = live.index
		switch out.fault = &live.Fault; {
		case live.Delay > 0 && !out.wait(live.Delay):
			return 1
		case live.Effect == EffectHang:
			out.wait(0)
			return 1
		case live.Effect == EffectReset:
			_ = conn.Close()
			return 1
		}
	}
	project, slug, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	r, notice := s.gitRepository(project, slug, who)
	switch {
	case verb != "git-upload-pack":
		_, _ = io.WriteString(channel.Stderr(), "You do not have permission to push to this repository.\n")
		return 1
	case !ok || r == nil:
		_, _ = io.WriteString(channel.Stderr(), gitNotFound+"\n")
		return 1
	case notice != "":
		_, _ = io.WriteString(channel.Stderr(), notice)
	}
	dir, err := s.ensured(r)
	if err != nil {
		_, _ = io.WriteString(channel.Stderr(), err.Error()+"\n")
		return 1
	}
	cmd := s.git.command(ctx, dir, "upload-pack", dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = channel, out, channel.Stderr()
	cmd.WaitDelay = 100 * time.Millisecond // standard input ends with the channel, which is closed afterwards
	if err := cmd.Run(); out.cut {
		return 1
	} else if err != nil && cmd.ProcessState == nil {
		return 1
	}
	return uint32(max(0, cmd.ProcessState.ExitCode()))
}

// sshWriter sends what a session answers, as far as a fault lets it.
type sshWriter struct {
	out     io.Writer
	ctx     context.Context //nolint:containedctx // the connection's
	closing <-chan struct{}
	fault   *Fault
	hangUp  func()
	written int64
	cut     bool
}

// Write implements io.Writer.
func (w *sshWriter) Write(p []byte) (int, error) {
	if f := w.fault; f != nil && (f.Effect == EffectCut || f.Effect == EffectStall) {
		limit := int64(f.After)
		if limit <= 0 {
			limit = 64
		}
		if left := limit - w.written; int64(len(p)) > left {
			n, _ := w.out.Write(p[:max(0, left)])
			w.written += int64(n)
			if f.Effect == EffectStall {
				w.wait(0)
			}
			w.cut = true
			w.hangUp() // now: git-upload-pack may wait for the client, who waits for more
			return n, errCut
		}
	}
	n, err := w.out.Write(p)
	w.written += int64(n)
	return n, err
}

// wait waits that long (0: for ever), and tells whether nobody gave up in the meantime.
func (w *sshWriter) wait(d time.Duration) bool {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-w.ctx.Done():
	case <-w.closing:
	}
	return false
}
