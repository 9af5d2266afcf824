package bitbucket

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// BaseURL is an address of a Bitbucket with its context path, normalised: lower-case
// scheme and host, no default port, no trailing dot, no slash at the end. Two addresses
// are the same exactly when they are equal.
type BaseURL struct {
	Scheme string // "http" or "https"
	Host   string // host name, with its port unless it is the scheme's default
	Path   string // context path, "" or "/a/b"
}

// ParseBaseURL reads the address of a Bitbucket. Its error says what is wrong in words
// that fit into a sentence about a configuration key, and echoes nothing of raw, which
// may hold a password.
func ParseBaseURL(raw string) (BaseURL, error) {
	if raw == "" {
		return BaseURL{}, errors.New("is empty: write the address of the Bitbucket, such as https://bitbucket.example.com")
	}
	for _, r := range raw {
		switch {
		case r <= ' ' || r == 0x7f:
			return BaseURL{}, errors.New("holds white space or a control character: remove it")
		case r == '\\':
			return BaseURL{}, errors.New(`holds a backslash: write "/"`)
		case r > 0x7f:
			return BaseURL{}, errors.New("holds characters beyond ASCII: write the host name in its xn-- form")
		}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || (scheme != "http" && scheme != "https") {
		return BaseURL{}, errors.New("must begin with https:// or http://")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	switch {
	case strings.Contains(authority, "@"):
		return BaseURL{}, errors.New("holds user info: remove what stands before the @, and use the keys for credentials")
	case strings.Contains(path, "?"):
		return BaseURL{}, errors.New("holds a query: remove the ? and what follows it")
	case strings.Contains(path, "#"):
		return BaseURL{}, errors.New("holds a fragment: remove the # and what follows it")
	}
	host, err := normalHost(scheme, authority)
	if err != nil {
		return BaseURL{}, fmt.Errorf("%w: it must look like bitbucket.example.com or bitbucket.example.com:8443", err)
	}
	var context strings.Builder
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case segment == "":
			continue
		case segment == "." || segment == "..":
			return BaseURL{}, errors.New(`has a "." or ".." in its context path: write the path without it`)
		case strings.ContainsFunc(segment, func(r rune) bool { return !isContextPathByte(byte(r)) }):
			return BaseURL{}, errors.New("has a context path with characters other than letters, digits and -._~!$&'()*+,=:@")
		}
		context.WriteString("/" + segment)
	}
	return BaseURL{Scheme: scheme, Host: host, Path: context.String()}, nil
}

// isContextPathByte tells whether a context path may hold c: what RFC 3986 lets stand in
// a segment, without escapes and without ";", at which Tomcat cuts a segment off.
func isContextPathByte(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("-._~!$&'()*+,=:@", c) >= 0
}

// String returns the address without a slash at its end.
func (b BaseURL) String() string { return b.Scheme + "://" + b.Host + b.Path }

// HostName returns the host without its port: what {host} stands for. An IPv6 address
// comes without its brackets.
func (b BaseURL) HostName() string { return (&url.URL{Host: b.Host}).Hostname() }

var (
	errHost = errors.New("has no valid host")
	errPort = errors.New("has no valid port")
)

// normalHost reads host and port of an authority without user info, and returns them as
// BaseURL.Host holds them. A name beyond ASCII stays as it is: no connection has one.
func normalHost(scheme, authority string) (string, error) {
	name, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		name, port = authority[:i], authority[i+1:]
	}
	name, err := normalHostName(name)
	if err != nil {
		return "", err
	}
	number, err := portNumber(port)
	if err != nil {
		return "", err
	}
	if number == 0 || (scheme == "https" && number == 443) || (scheme == "http" && number == 80) {
		return name, nil
	}
	return name + ":" + strconv.Itoa(number), nil
}

// normalHostName returns a host name in lower case without a trailing dot, an IPv6
// address in its shortest form within brackets.
func normalHostName(name string) (string, error) {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", errHost
		}
		return "[" + addr.String() + "]", nil
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
		return "", errHost
	}
	lower := []byte(name)
	for i, c := range lower {
		switch {
		case 'A' <= c && c <= 'Z':
			// Only ASCII: U+212A, the Kelvin sign, is no "k" in a host name.
			lower[i] = c + 'a' - 'A'
		case isLetter(c), isDigit(c), c == '-', c == '.', c == '_', c >= 0x80:
		default:
			return "", errHost
		}
	}
	return string(lower), nil
}

// portNumber reads a port; "" is 0, the scheme's default.
func portNumber(port string) (int, error) {
	if port == "" {
		return 0, nil
	}
	n := 0
	for i := range len(port) {
		if !isDigit(port[i]) {
			return 0, errPort
		}
		if n = n*10 + int(port[i]-'0'); n > 65535 {
			return 0, errPort
		}
	}
	if n == 0 {
		return 0, errPort
	}
	return n, nil
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
