package sourcegraph

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Instance is the address of a Sourcegraph, the only source of links. The zero Instance
// is not set, and builds no links: its methods return "". Instances are equal exactly
// when their addresses are the same.
type Instance struct{ base string }

// ParseInstance reads and normalises the address of an instance: lower-case scheme and
// host, no default port, no trailing dot, no slash at the end; a path is kept. The error is
// ErrSourcegraphDotCom, or ErrInvalidInstance wrapped with what to do. It echoes nothing
// of raw, which may hold a password.
func ParseInstance(raw string) (Instance, error) {
	if raw == "" {
		return Instance{}, invalidInstance("it is empty: write it as https://sourcegraph.example.com")
	}
	for _, r := range raw {
		switch {
		case r <= ' ' || r == 0x7f:
			return Instance{}, invalidInstance("remove the white space or control character in it")
		case r == '\\':
			return Instance{}, invalidInstance(`write "/" for the backslash in it`)
		case r > 0x7f:
			// Browsers fold look-alike letters and dots of Unicode into ASCII, so that such a
			// name could still be sourcegraph.com.
			return Instance{}, invalidInstance("it holds characters beyond ASCII: write the host name in its xn-- form")
		}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || (scheme != "http" && scheme != "https") {
		return Instance{}, invalidInstance("it must begin with https:// or http://")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	switch {
	case strings.Contains(authority, "@"):
		return Instance{}, invalidInstance("remove the user info: what stands before the @")
	case strings.Contains(path, "?"):
		return Instance{}, invalidInstance("remove the query: the ? and what follows it")
	case strings.Contains(path, "#"):
		return Instance{}, invalidInstance("remove the fragment: the # and what follows it")
	}
	host, err := normalHost(scheme, authority)
	if err != nil {
		return Instance{}, err
	}
	var base strings.Builder
	base.WriteString(scheme + "://" + host)
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case segment == "":
			continue
		case segment == "." || segment == "..":
			return Instance{}, invalidInstance(`write the path without "." and ".."`)
		case strings.ContainsFunc(segment, func(r rune) bool { return !isPathByte(byte(r)) }):
			return Instance{}, invalidInstance("its path may hold letters, digits and -._~!$&'()*+,;=:@ only")
		}
		base.WriteString("/" + segment)
	}
	return Instance{base: base.String()}, nil
}

// String returns the address without a slash at its end.
func (i Instance) String() string { return i.base }

// IsZero tells that no address is set.
func (i Instance) IsZero() bool { return i.base == "" }

func invalidInstance(mend string) error {
	return fmt.Errorf("%w: %s", ErrInvalidInstance, mend)
}

// normalHost reads and normalises host and port of an authority without user info.
func normalHost(scheme, authority string) (string, error) {
	name, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		name, port = authority[:i], authority[i+1:]
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", invalidInstance("the address within [ ] must be an IPv6 address without a zone")
		}
		name = "[" + addr.String() + "]"
	} else {
		for label := range strings.SplitSeq(name, ".") {
			if label == "" || strings.ContainsFunc(label, func(r rune) bool { return !isHostByte(byte(r)) }) {
				return "", invalidInstance("it needs a host name after ://, such as sourcegraph.example.com")
			}
		}
	}
	if name == "sourcegraph.com" || strings.HasSuffix(name, ".sourcegraph.com") {
		return "", ErrSourcegraphDotCom
	}
	if port == "" {
		return name, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", invalidInstance("its port must be a number from 1 to 65535")
	}
	if (scheme == "https" && number == 443) || (scheme == "http" && number == 80) {
		return name, nil
	}
	return name + ":" + strconv.FormatUint(number, 10), nil
}

// isHostByte tells whether a label of a host name may hold c. Intranets have underscores.
func isHostByte(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' }

// isPathByte tells whether the path of an instance may hold c: what RFC 3986 lets stand
// in a segment, without escapes, which could spell slashes and dots.
func isPathByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
