package siteconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"unicode"
)

// A secret is a text of its own, or says where it is: "env:NAME" or "file:PATH".
const (
	envPrefix  = "env:"
	filePrefix = "file:"
)

// maxSecretBytes is how long a secret in a file may be; a private key has a few thousand bytes.
const maxSecretBytes = 64 << 10

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ownSettings are environment variables of Signpost itself. As a secret of a connection
// they would be sent to whatever host its url names.
var ownSettings = map[string]bool{"SIGNPOST_ADMIN_TOKEN": true, "SIGNPOST_DATABASE_URL": true}

// isReference tells that a text says where a secret is, and so is none itself.
func isReference(text string) bool {
	if name, ok := strings.CutPrefix(text, envPrefix); ok {
		return envName.MatchString(name)
	}
	path, ok := strings.CutPrefix(text, filePrefix)
	return ok && path != "" && !strings.ContainsFunc(path, unicode.IsControl)
}

// secret returns the secret that a key holds or points to; the zero Secret when the key is
// absent or empty, or when a problem says what is wrong with it.
func (c *checker) secret(n *node, key string) Secret {
	v := c.value(n, key)
	if !v.isString() || v.text() == "" {
		return Secret{}
	}
	value, mend := c.reveal(v.text())
	if mend == "" && isReference(v.text()) && isPlaceholder(strings.TrimSpace(value)) {
		mend = fmt.Sprintf("takes its value from %s, which still holds a placeholder, as its angle brackets tell: put the secret there", v.text())
	}
	if mend == "" && key != "privateKey" {
		mend = lineMend(value, key)
	}
	if mend != "" {
		c.bad[v] = true
		c.fault(v, "%s", mend)
		return Secret{}
	}
	return NewSecret(value)
}

// reveal follows a reference; a mend says what is wrong with it.
func (c *checker) reveal(text string) (value, mend string) {
	if strings.TrimSpace(text) == mask {
		return "", quoted(mask) + " only stands for a secret that is not shown: type the secret"
	}
	if name, ok := strings.CutPrefix(text, envPrefix); ok {
		if !envName.MatchString(name) {
			return "", `is not "env:" and the name of an environment variable: correct the name`
		}
		if ownSettings[name] {
			return "", fmt.Sprintf("must not be %s, which is a setting of Signpost itself: use another variable", name)
		}
		if value, ok = c.LookupEnv(name); !ok || value == "" {
			return "", fmt.Sprintf("takes its value from the environment variable %s, which is not set: set it where Signpost is started", name)
		}
		return value, ""
	}
	path, ok := strings.CutPrefix(text, filePrefix)
	if !ok {
		return text, ""
	}
	if !isReference(text) {
		return "", `is not "file:" and the path of a file: correct the path`
	}
	content, err := c.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "takes its value from a file that does not exist: correct the path, or make the file"
	case errors.Is(err, fs.ErrPermission):
		return "", "takes its value from a file that Signpost may not read: give its account the permission to"
	case errors.Is(err, errNotAFile):
		return "", "takes its value from something that is not a plain file: give the path of a file"
	case err != nil:
		return "", "takes its value from a file that cannot be read: check the path and the disk"
	case len(content) > maxSecretBytes:
		return "", fmt.Sprintf("takes its value from a file of more than %d bytes, which no secret has: correct the path", maxSecretBytes)
	}
	if value = strings.TrimRight(string(content), "\r\n"); value == "" {
		return "", "takes its value from a file that is empty: write the secret into it"
	}
	return value, ""
}

// lineMend says what is wrong with a secret that must fit on a line, "" when nothing is.
func lineMend(value, key string) string {
	switch {
	case strings.ContainsFunc(value, unicode.IsControl):
		return "holds a line break or another control character: remove it"
	case key == "token" && strings.ContainsFunc(value, unicode.IsSpace):
		return "holds white space, which no token does: remove it"
	}
	return ""
}

var errNotAFile = errors.New("not a regular file")

// readSecretFile reads a file, at most one byte more than a secret may have. It does not
// open what is no file: a pipe could keep it waiting.
func readSecretFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotAFile
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // read only: nothing can be lost
	return io.ReadAll(io.LimitReader(file, maxSecretBytes+1))
}
