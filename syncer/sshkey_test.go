package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// sshRepo is a repository with an SSH address on a host of its own.
func sshRepo(number int64, address string) bitbucket.Repository {
	r := repo(number, address)
	r.CloneSSH = "ssh://git@ssh.example.com:7999/" + strings.ToLower(address) + ".git"
	return r
}

func sshConnection() siteconfig.Connection {
	return connectionOf("bitbucket", func(c *siteconfig.Connection) {
		c.GitURLType = "ssh"
		c.GitSSH = siteconfig.SSHCredential{
			PrivateKey: siteconfig.NewSecret("canary-key"), Passphrase: siteconfig.NewSecret("canary-phrase"), KnownHosts: "hosts",
		}
	})
}

// TestARefusedKeyPausesFetchesAndNotListings tells the whole way: refused, paused, one that finds out, accepted.
func TestARefusedKeyPausesFetchesAndNotListings(t *testing.T) {
	t.Parallel()
	b := newBench(t, sshConnection())
	b.host.serve(sshRepo(1, "PRJ/a"), sshRepo(2, "PRJ/b"))
	b.listNow(t, "bitbucket")
	refused, fetches := true, 0
	b.mirrors.fetch = func(_ context.Context, request FetchRequest) (FetchResult, error) {
		fetches++
		if request.SSH == nil || request.SSH.KnownHosts != "hosts" || request.Transport != nil || request.Authorize != nil ||
			!strings.HasPrefix(request.CloneURL, "ssh://git@ssh.example.com:7999/prj/") {
			t.Errorf("request %+v", request)
		}
		if refused {
			return FetchResult{}, fmt.Errorf("canary-key with canary-phrase: %w", errors.Join(bitbucket.ErrKeyRefused, bitbucket.ErrUnauthorized))
		}
		return FetchResult{Changed: true}, nil
	}
	fetch := func(number int64, want outcome, tried int) fetched {
		t.Helper()
		before := fetches
		f, err := b.fetch(t.Context(), id(number), fetchOptions{asked: true})
		if err != nil || f.outcome != want || fetches-before != tried {
			t.Errorf("fetch: %v (%s), %v after %d tries; want %v after %d", f.outcome, f.problem, err, fetches-before, want, tried)
		}
		if strings.Contains(f.problem, "canary") {
			t.Errorf("the problem tells the key: %s", f.problem)
		}
		return f
	}
	due := func() int { return len(b.usable([]Due{{ID: id(1)}, {ID: id(2)}})) }

	if f := fetch(1, outcomeFailed, 1); !strings.Contains(f.problem, "SSH key") {
		t.Errorf("problem %q", f.problem)
	}
	if f := fetch(2, outcomePostponed, 0); !strings.Contains(f.problem, "12:15 UTC") {
		t.Errorf("problem %q, want when it goes on", f.problem)
	}
	if n := due(); n != 0 {
		t.Errorf("%d fetches would be queued during the pause", n)
	}
	status, err := b.list(t.Context(), b.connection("bitbucket"), nil)
	if err != nil || status.LastComplete.IsZero() || !strings.Contains(status.Error, "SSH key") {
		t.Errorf("status of the connection: %+v, %v; want a complete listing, and what is the matter with the key", status, err)
	}

	b.clock = b.clock.Add(keyPause)
	if n := due(); n != 2 {
		t.Errorf("%d fetches would be queued after the pause, want 2", n)
	}
	fetch(1, outcomeFailed, 1) // one finds out
	fetch(2, outcomePostponed, 0)

	refused = false
	b.clock = b.clock.Add(keyPause)
	fetch(1, outcomeChanged, 1)
	fetch(2, outcomeChanged, 1)

	refused = true
	fetch(1, outcomeFailed, 1)
	b.clock = b.clock.Add(-2 * time.Hour) // set back: the pause is not two hours longer
	fetch(2, outcomeFailed, 1)

	next := sshConnection()
	next.GitSSH.PrivateKey = siteconfig.NewSecret("another")
	b.SetConfig(&siteconfig.Config{MaxConcurrentClones: 2, Connections: []siteconfig.Connection{next}})
	refused = false
	fetch(2, outcomeChanged, 1)
}

// TestOverSSHTheCredentialOfRESTDoesNotMatter to git, which has a key.
func TestOverSSHTheCredentialOfRESTDoesNotMatter(t *testing.T) {
	t.Parallel()
	b := newBench(t, sshConnection())
	b.host.serve(sshRepo(1, "PRJ/a"))
	b.listNow(t, "bitbucket")
	b.connection("bitbucket").credential.refuse(bitbucket.ErrUnauthorized)
	b.host.account = func() (string, error) { return "", bitbucket.ErrUnauthorized }
	if f, err := b.fetch(t.Context(), id(1), fetchOptions{asked: true}); err != nil || f.outcome != outcomeCloned {
		t.Errorf("fetch: %+v, %v", f, err)
	}
}

func TestCloneURLOverSSH(t *testing.T) {
	t.Parallel()
	conn := sshConnection()
	for _, c := range []struct {
		name, given, want string
		err               error
	}{
		{"on another host, as known hosts guard it", "ssh://git@ssh.elsewhere.example.com:7999/prj/app.git", "ssh://git@ssh.elsewhere.example.com:7999/prj/app.git", nil},
		{"SSH is off", "", "", errNoSSH},
		{"another scheme", "https://bitbucket.example.com/scm/prj/app.git", "", errNoSSH},
		{"no host", "ssh:///prj/app.git", "", errNoSSH},
	} {
		r := repo(1, "PRJ/app")
		r.CloneSSH = c.given
		if got, err := cloneURL(&conn, r); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, err, c.want, c.err)
		}
	}
	if got := inWords(errNoSSH, &conn); !strings.Contains(got, "switched off") {
		t.Errorf("in words: %s", got)
	}
}

// TestTheLineForKnownHostsIsWhole, also that of the longest key that there usually is.
func TestTheLineForKnownHostsIsWhole(t *testing.T) {
	t.Parallel()
	line := "[bitbucket.example.com]:7999 ssh-rsa " + strings.Repeat("A", 716)
	err := fmt.Errorf("fetch PRJ/repo: list refs: %w: %s; add this line: %s", bitbucket.ErrUntrustedHost, strings.Repeat("why, ", 60), line)
	if got := inWords(err, &siteconfig.Connection{}); !strings.HasSuffix(got, line+")") {
		t.Errorf("the line is cut: %s", got)
	}
	if got := inWords(errors.New(strings.Repeat("x", 5000)), &siteconfig.Connection{}); len(got) > 500 {
		t.Errorf("another error has %d bytes", len(got))
	}
}
