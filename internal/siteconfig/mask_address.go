package siteconfig

import (
	"regexp"
	"strings"
)

// schemelessUserInfo is name:password@ at the beginning of an address without a scheme.
var schemelessUserInfo = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]*[^\s/\\:@?=]+:[^@\s]+@`)

// queryParameter is a parameter in the query of an address.
var queryParameter = regexp.MustCompile(`([?&])([A-Za-z_][\w.-]*)=([^&#\s]+)`)

// headerValue is what the Authorization header of HTTP holds.
var headerValue = regexp.MustCompile(`(?i)^\s*(?:bearer|basic)\s+\S`)

// maskAddress hides the user info and the secret parameters of an address that is a value of
// its own. Here a password may hold what ends it in an address that is spelt correctly: the
// value ends where its quotes do.
func maskAddress(text string) string {
	text = queryParameter.ReplaceAllStringFunc(text, func(match string) string {
		parts := queryParameter.FindStringSubmatch(match)
		if !isSecretName(parts[2]) {
			return match
		}
		return parts[1] + parts[2] + "=" + mask
	})
	last := strings.LastIndexByte(text, '@')
	if last < 0 {
		return text
	}
	for at := 0; ; {
		i := strings.Index(text[at:], "://")
		if i < 0 {
			break
		}
		scheme := text[at : at+i]
		at += i + len("://")
		authority := text[at:]
		if end := strings.IndexAny(authority, "/?#"); end >= 0 {
			authority = authority[:end]
		}
		info, _, hasInfo := strings.Cut(authority, "@")
		// The colons of an IPv6 address stand within brackets.
		_, port, hasPort := strings.Cut(authority[strings.LastIndexByte(authority, ']')+1:], ":")
		switch {
		case hasInfo && strings.HasSuffix(scheme, "ssh") && !strings.Contains(info, ":"):
		case at < last && (hasInfo || hasPort && strings.Trim(port, "0123456789") != ""):
			// Up to the last "@": one can be a part of the password as well as of the path.
			return text[:at] + mask + text[last:]
		}
	}
	if match := schemelessUserInfo.FindString(text); match != "" && !strings.Contains(text, "://") {
		return mask + text[last:]
	}
	return text
}
