package bitbucket

import "strings"

// cutScheme splits a URL at "://". The scheme is "https", "http" or "ssh", and "" for any
// other URL, of which it returns nothing.
func cutScheme(raw string) (scheme, rest string) {
	for _, prefix := range []string{"https://", "http://", "ssh://"} {
		if len(raw) >= len(prefix) && strings.EqualFold(raw[:len(prefix)], prefix) {
			return prefix[:len(prefix)-len("://")], raw[len(prefix):]
		}
	}
	return "", ""
}

// cutAuthority splits what follows the scheme: host and port without user info, and the
// path with what follows it. Browsers end the authority of a web address at a backslash,
// other programs do not: where they could disagree on the host, there is none.
func cutAuthority(s string) (authority, rest string, err error) {
	authority = s
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		authority, rest = s[:i], s[i:]
	}
	if strings.IndexByte(authority, '\\') >= 0 {
		return "", "", errInvalidHost
	}
	// The last "@" ends the user info: https://known-host@evil.example is evil.example's.
	return authority[strings.LastIndexByte(authority, '@')+1:], rest, nil
}

// splitPort splits host and port. The colons of an IPv6 address stand within brackets.
func splitPort(authority string) (host, port string) {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i], authority[i+1:]
	}
	return authority, ""
}
