package gitmirror

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// sshIdentity is a connection's key and what it knows of hosts, ready to be used. Safe for concurrent use.
type sshIdentity struct {
	signer ssh.Signer
	hosts  ssh.HostKeyCallback
}

// sshIdentities keeps what was read of credentials: to open a key with its passphrase takes as long as its maker
// wanted it to take. Safe for concurrent use.
type sshIdentities struct {
	mu    sync.Mutex
	known map[siteconfig.SSHCredential]*sshIdentity
}

// maxIdentities is more than the connections of a configuration; what is left of former ones goes with the rest.
const maxIdentities = 100

// of returns the identity of a credential. tmp is a folder for a file that lives as long as the call.
func (s *sshIdentities) of(c siteconfig.SSHCredential, tmp string) (*sshIdentity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[c]; found != nil {
		return found, nil
	}
	made, err := newIdentity(c, tmp)
	if err != nil {
		return nil, err
	}
	if s.known == nil || len(s.known) >= maxIdentities {
		s.known = make(map[siteconfig.SSHCredential]*sshIdentity)
	}
	s.known[c] = made
	return made, nil
}

// forget drops the keys: a new configuration may have others.
func (s *sshIdentities) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = nil
}

func newIdentity(c siteconfig.SSHCredential, tmp string) (*sshIdentity, error) {
	pem := []byte(c.PrivateKey.Reveal())
	defer clear(pem)
	var id sshIdentity
	var err error
	if c.Passphrase.IsZero() {
		id.signer, err = ssh.ParsePrivateKey(pem)
	} else {
		phrase := []byte(c.Passphrase.Reveal())
		defer clear(phrase)
		id.signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, phrase)
	}
	if err != nil { // its text is not repeated: what it quotes of a key is not ours to know
		return nil, errors.New("the private key of gitSSHCredential cannot be read; check it, and its passphrase")
	}
	if id.hosts, err = readKnownHosts(c.KnownHosts, tmp); err != nil {
		return nil, err
	}
	return &id, nil
}

// readKnownHosts returns what checks host keys. The library reads files alone.
func readKnownHosts(lines, tmp string) (ssh.HostKeyCallback, error) {
	f, err := os.CreateTemp(tmp, tmpPrefix+"hosts-")
	if err != nil {
		return nil, fmt.Errorf("read knownHosts: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(lines)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read knownHosts: %w", err)
	}
	check, err := knownhosts.New(f.Name())
	if err != nil {
		return nil, errors.New("knownHosts of gitSSHCredential has a line that cannot be read; write host, key type and key, as ssh-keyscan prints them")
	}
	return check, nil
}

// algorithms returns the names of the signatures that the host at address may prove its key by. A server
// with several keys would show another one than the one that is known. None when nothing is known of it.
func (id *sshIdentity) algorithms(address string) []string {
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var unknown *knownhosts.KeyError
	if !errors.As(id.hosts(address, &net.TCPAddr{}, nobody), &unknown) {
		return nil
	}
	var names []string
	for _, want := range unknown.Want {
		switch format := want.Key.Type(); format {
		case ssh.KeyAlgoRSA:
			// The last is all that Bitbucket 4 can; it is the known key that is trusted, and not the hash.
			names = append(names, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA)
		default:
			names = append(names, format)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

// rank puts the one weak algorithm last.
func rank(algorithm string) int {
	if algorithm == ssh.KeyAlgoRSA {
		return 1
	}
	return 0
}

// hostKeyError says why a host key was not accepted. err is the check's.
func hostKeyError(address string, offered ssh.PublicKey, err error) *remoteError {
	e := &remoteError{kind: bitbucket.ErrUntrustedHost}
	shown := offered.Type() + " " + ssh.FingerprintSHA256(offered)
	host := knownhosts.Normalize(address)
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		e.text = fmt.Sprintf("the SSH server of %s shows a key that knownHosts marks as revoked (%s); nothing was sent to it", host, shown)
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		e.text = fmt.Sprintf("the SSH server of %s is not in knownHosts; it shows the key %s: if the administrator of the Bitbucket confirms that, "+
			"add this line to knownHosts of gitSSHCredential: %s", host, shown, knownHostsLine(host, offered))
	case errors.As(err, &unknown):
		e.text = fmt.Sprintf("the SSH server of %s shows another key than knownHosts has (%s): somebody is in between, or the key was changed; "+
			"ask the administrator of the Bitbucket before you replace the line", host, shown)
	default:
		e.text = fmt.Sprintf("the key of the SSH server of %s was not accepted (%s)", host, shown)
	}
	return e
}

// knownHostsLine returns the line of known_hosts for a key.
func knownHostsLine(host string, key ssh.PublicKey) string {
	return host + " " + string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}
