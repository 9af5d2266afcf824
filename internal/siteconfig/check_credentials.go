package siteconfig

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"example.com/signpost/internal/bitbucket"
)

// credentials reads what the connection authenticates with.
func (c *checker) credentials(n *node, connection *Connection) {
	connection.Token = c.secret(n, "token")
	connection.Password = c.secret(n, "password")
	if text, v := c.text(n, "username"); v != nil {
		connection.Username = text
		if strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, ":") {
			c.fault(v, "must not hold a colon or a control character, which no login can: correct it")
		}
	}
	// Whether a key is given counts, not whether its value is good: one problem each.
	_, token := c.given(n, "token")
	_, username := c.given(n, "username")
	password, hasPassword := c.given(n, "password")
	switch {
	case token && hasPassword && c.bad[password]:
	case token && hasPassword:
		c.warn(password, "is not used, because the token is: remove the one or the other")
		connection.Password = Secret{}
	case token:
	case hasPassword && !username:
		c.fault(password, "needs a username beside it: add it")
	case username && !hasPassword:
		c.fault(n, "has a username and nothing to log in with: add a token (Bitbucket 5.5 and newer) or a password (older versions)")
	case !hasPassword:
		c.fault(n, "has no credentials: add a token (Bitbucket 5.5 and newer) or a username and a password (older versions)")
	}
	c.sshCredential(n, connection)
}

// given tells whether a key has a value other than the empty text.
func (c *checker) given(n *node, name string) (*node, bool) {
	v := n.get(name)
	return v, v != nil && (!v.isString() || v.text() != "")
}

// sshCredential reads the key for git over SSH.
func (c *checker) sshCredential(n *node, connection *Connection) {
	v := c.value(n, "gitSSHCredential")
	if v == nil {
		if connection.GitURLType == "ssh" && n.get("gitSSHCredential") == nil {
			c.fault(n.get("gitURLType"), `needs gitSSHCredential with a privateKey beside it when it is "ssh": add it, or use "http"`)
		}
		return
	}
	credential := &connection.GitSSH
	credential.PrivateKey = c.secret(v, "privateKey")
	credential.Passphrase = c.secret(v, "passphrase")
	if text, known := c.text(v, "knownHosts"); known != nil {
		credential.KnownHosts = text
		c.knownHosts(known, text)
	}
	if strings.TrimSpace(credential.KnownHosts) == "" && connection.GitURLType == "ssh" && !c.bad[v.get("knownHosts")] {
		c.warn(v, "has no knownHosts, and nothing is fetched over SSH until it has: add what `ssh-keyscan -p 7999 %s` prints, once the administrator of the Bitbucket has confirmed it",
			sshHost(n))
	}
	key := c.value(v, "privateKey")
	if key == nil {
		return
	}
	if credential.PrivateKey.IsZero() {
		if key.isString() && key.text() == "" {
			c.fault(key, "is empty: put the private key in PEM form, or that form in base64")
		}
		return
	}
	c.privateKey(v, key, credential)
}

// sshHost returns the likely name of a connection's SSH server.
func sshHost(n *node) string {
	if v := n.get("url"); v != nil && v.isString() {
		if base, err := bitbucket.ParseBaseURL(v.text()); err == nil {
			return base.HostName()
		}
	}
	return "HOST"
}

// privateKey checks the key and leaves it in PEM form.
func (c *checker) privateKey(n, v *node, credential *SSHCredential) {
	text := []byte(credential.PrivateKey.Reveal())
	if !bytes.Contains(text, []byte("-----BEGIN")) {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			c.fault(v, `must be a private key in PEM form (from "-----BEGIN" on, with \n for each line break) or that form in base64`)
			return
		}
		text = decoded
	}
	// The ssh program refuses a key whose last line does not end.
	text = append(bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), '\n')
	credential.PrivateKey = NewSecret(string(text))
	var err error
	if passphrase := credential.Passphrase; passphrase.IsZero() {
		_, err = ssh.ParseRawPrivateKey(text)
	} else {
		_, err = ssh.ParseRawPrivateKeyWithPassphrase(text, []byte(passphrase.Reveal()))
		if err != nil {
			if _, plain := ssh.ParseRawPrivateKey(text); plain == nil {
				c.warn(n.get("passphrase"), "is not used, because the private key is not encrypted: remove it")
				credential.Passphrase = Secret{}
				return
			}
		}
	}
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
	case errors.As(err, &missing):
		if p := n.get("passphrase"); p == nil || !c.bad[p] {
			c.fault(v, "is encrypted: add its passphrase to gitSSHCredential")
		}
	case errors.Is(err, x509.IncorrectPasswordError) && !credential.Passphrase.IsZero():
		c.fault(n.get("passphrase"), "does not open the private key: correct it")
	default:
		c.fault(v, "is not a private key that can be read: put one in PEM form, as ssh-keygen makes it, or that form in base64")
	}
}

// knownHosts checks that each line names a host and its key.
func (c *checker) knownHosts(v *node, text string) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if _, _, _, _, _, err := ssh.ParseKnownHosts([]byte(line)); err != nil {
			c.fault(v, "has as line %d no line of known_hosts: write host, key type and key, as ssh-keyscan prints them", number)
			return
		}
	}
}
