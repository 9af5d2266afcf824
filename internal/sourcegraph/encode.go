package sourcegraph

import "strings"

const upperHex = "0123456789ABCDEF"

// appendComponent appends s as encodeURIComponent writes it, except that the bytes of
// also stay. Bytes that are no UTF-8 are escaped one by one.
func appendComponent(dst []byte, s, also string) []byte {
	for i := range len(s) {
		c := s[i]
		if isAlphanumeric(c) || strings.IndexByte("-_.!~*'()", c) >= 0 || strings.IndexByte(also, c) >= 0 {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

// appendPath appends a repository name, a revision or a path: split on "/", each part
// encoded, "+" left as it is. A part that is just "-" would end the name or revision for
// Sourcegraph, so it is escaped. Empty parts are dropped.
func appendPath(dst []byte, s string) []byte {
	first := true
	for part := range strings.SplitSeq(s, "/") {
		if part == "" {
			continue
		}
		if !first {
			dst = append(dst, '/')
		}
		first = false
		if part == "-" {
			dst = append(dst, "%2D"...)
			continue
		}
		dst = appendComponent(dst, part, "+")
	}
	return dst
}

// holds tells whether s names anything that a link can hold: it has a part that is not
// empty, and no part "." or "..", because browsers resolve these, escaped or not, and
// would leave the instance's path.
func holds(s string) bool {
	named := false
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return false
		}
		named = named || part != ""
	}
	return named
}
