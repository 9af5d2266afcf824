package gitmirror

import (
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

var overSSH = way{siteconfig.EngineGit, "ssh"}

// newHostKey returns the public key of some other host.
func newHostKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newKey returns a private key that nobody knows, in PEM form.
func newKey(t testing.TB) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func TestSSHErrors(t *testing.T) {
	t.Parallel()
	closed := func(t *testing.T) string { // an address where nobody listens
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		return l.Addr().String()
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, w *world, r *syncer.FetchRequest)
		want   []error
		text   string
	}{
		{"a host that nobody vouched for", func(_ *testing.T, _ *world, r *syncer.FetchRequest) { r.SSH.KnownHosts = "" }, []error{bitbucket.ErrUntrustedHost}, "add this line to knownHosts of gitSSHCredential: ["},
		{"another host's key", func(t *testing.T, w *world, r *syncer.FetchRequest) {
			r.SSH.KnownHosts = knownhosts.Line([]string{w.double.SSHAddr()}, newHostKey(t))
		}, []error{bitbucket.ErrUntrustedHost}, "another key than knownHosts has (ssh-ed25519 SHA256:"},
		{"a revoked key", func(_ *testing.T, w *world, r *syncer.FetchRequest) {
			r.SSH.KnownHosts += "\n@revoked * " + strings.SplitN(w.double.KnownHosts(), " ", 2)[1]
		}, []error{bitbucket.ErrUntrustedHost}, "revoked"},
		{"a key that no account has", func(t *testing.T, _ *world, r *syncer.FetchRequest) {
			r.SSH.PrivateKey, r.SSH.Passphrase = siteconfig.NewSecret(newKey(t)), siteconfig.Secret{}
		}, []error{bitbucket.ErrUnauthorized, bitbucket.ErrKeyRefused}, "refused the SSH key"},
		{"a wrong passphrase", func(_ *testing.T, _ *world, r *syncer.FetchRequest) {
			r.SSH.Passphrase = siteconfig.NewSecret("canary-wrong")
		}, nil, "passphrase"},
		{"no key", func(_ *testing.T, _ *world, r *syncer.FetchRequest) { r.SSH = nil }, nil, "SSH"},
		{"SSH that is switched off", func(t *testing.T, _ *world, r *syncer.FetchRequest) {
			r.CloneURL = "ssh://git@" + closed(t) + "/prj/repo.git"
		}, []error{bitbucket.ErrUnavailable}, "switched off"},
		{"no such repository", func(_ *testing.T, w *world, r *syncer.FetchRequest) { r.CloneURL = w.requestOf("prj/none").CloneURL }, []error{bitbucket.ErrNotFound}, "may not read"},
		{"a repository of others", func(t *testing.T, w *world, _ *syncer.FetchRequest) {
			if err := w.double.SetReaders("PRJ/repo", []string{}); err != nil {
				t.Fatal(err)
			}
		}, []error{bitbucket.ErrNotFound}, "may not read"},
		{"a name that a shell would read", func(_ *testing.T, w *world, r *syncer.FetchRequest) {
			r.CloneURL = w.requestOf("prj/$(touch%20x)';id;'").CloneURL
		}, []error{bitbucket.ErrNotFound}, "may not read"},
		{"a server that hangs up", func(_ *testing.T, w *world, _ *syncer.FetchRequest) {
			w.fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectReset})
		}, []error{bitbucket.ErrUnavailable}, ""},
		{"a list that breaks off", func(_ *testing.T, w *world, _ *syncer.FetchRequest) {
			w.fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectCut, After: 200})
		}, []error{bitbucket.ErrUnavailable}, ""},
		{"a pack that breaks off", func(_ *testing.T, w *world, _ *syncer.FetchRequest) {
			w.fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectCut, After: 2000})
		}, []error{bitbucket.ErrUnavailable}, ""},
		{"a server that never answers", func(_ *testing.T, w *world, _ *syncer.FetchRequest) {
			w.fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectHang})
		}, []error{bitbucket.ErrUnavailable, errIdle}, "gave up waiting"},
		{"a pack that stops", func(_ *testing.T, w *world, _ *syncer.FetchRequest) {
			w.fault(bitbuckettest.Fault{Effect: bitbuckettest.EffectStall, After: 2000})
		}, []error{bitbucket.ErrUnavailable, errIdle}, "gave up waiting"},
	} {
		for _, engine := range []string{siteconfig.EngineGit, siteconfig.EngineGoGit} {
			t.Run(c.name+", "+engine, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, way{engine, "ssh"}, Options{})
				w.origin.history()
				w.fetch(t)
				before := treeState(t, w.mirror())
				w.origin.commit("refs/heads/main", map[string]string{"new": noise(10_000, 3)})
				request := w.request()
				c.change(t, w, &request)
				usual := w.idle
				if slices.Contains(c.want, errIdle) {
					w.idle = 500 * time.Millisecond // nobody else uses it now; the other fetches may take their time
				}
				_, err := w.Fetch(t.Context(), request)
				w.idle = usual
				wantErr(t, err, c.want...)
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %q, want it to say %q", err, c.text)
				}
				if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "PRIVATE") {
					t.Errorf("the error tells a secret: %q", err)
				}
				w.checkTmpEmpty(t)
				if after := treeState(t, w.mirror()); after != before {
					t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
				}
				w.double.ClearFaults()
				if err := w.double.SetReaders("PRJ/repo", []string{canaryUser}); err != nil {
					t.Fatal(err)
				}
				w.fetch(t)
				w.checkSame(t)
			})
		}
	}
}

// TestSSHFromASilentServer dials one that accepts and never says a word, not even its version.
func TestSSHFromASilentServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overSSH, Options{IdleTimeout: 300 * time.Millisecond})
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	request := w.request()
	request.CloneURL = "ssh://git@" + l.Addr().String() + "/prj/repo.git"
	_, err = w.Fetch(t.Context(), request)
	wantErr(t, err, bitbucket.ErrUnavailable)
}

// TestSSHHostKeysThatAreKnown lists the ways in which a line can name the server.
func TestSSHHostKeysThatAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overSSH, Options{})
	w.origin.history()
	key := strings.SplitN(w.double.KnownHosts(), " ", 2)[1]
	_, port, err := net.SplitHostPort(w.double.SSHAddr())
	if err != nil {
		t.Fatal(err)
	}
	rsaHost := "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
	for name, lines := range map[string]string{
		"by address and port":            w.double.KnownHosts(),
		"by a hash":                      knownhosts.HashHostname("[127.0.0.1]:"+port) + " " + key,
		"by a pattern":                   "[127.0.0.*]:" + port + " " + key,
		"among others":                   "# Bitbucket\n\nother.example.com " + key + "\n" + w.double.KnownHosts() + "\n",
		"beside a key that is not there": "[127.0.0.1]:" + port + " " + rsaHost + "\n" + w.double.KnownHosts(),
	} {
		request := w.request()
		request.SSH.KnownHosts = lines
		if _, err := w.Fetch(t.Context(), request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.checkSame(t)
}

// TestSSHOpensAKeyOnce, since a passphrase takes as long to try as its maker wanted.
func TestSSHOpensAKeyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overSSH, Options{})
	w.origin.history()
	first := w.fetch(t)
	request := w.request()
	request.RefsDigest = first.RefsDigest
	for range 3 {
		if got, err := w.Fetch(t.Context(), request); err != nil || got.Changed {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	w.identities.mu.Lock()
	defer w.identities.mu.Unlock()
	if n := len(w.identities.known); n != 1 {
		t.Errorf("%d keys were opened, want one, once", n)
	}
}
