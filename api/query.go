package api

import (
	"strings"
)

// queryValue returns the first value of a parameter, "" if there is none: what
// url.Values.Get would (a fuzz test holds it to that), without reading the parameters that
// nobody asked for, and in one pass over the one that counts.
func queryValue(query, name string) string {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(part, "=")
		if key != name && !spells(key, name) {
			continue
		}
		if value, ok := unescape(value); ok {
			return value
		}
	}
	return ""
}

// spells tells whether key is an escaped spelling of name.
func spells(key, name string) bool {
	key, ok := unescape(key)
	return ok && key == name
}

// unescape reads a part of a query. It is false for a broken escape, and for a semicolon,
// which net/url takes for an error, too.
func unescape(s string) (string, bool) {
	var room [512]byte // enough for most, so that only the result lies on the heap
	text := room[:0]
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ';':
			return "", false
		case '+':
			text = append(text, ' ')
		case '%':
			if len(s)-i < 3 || unhex[s[i+1]] < 0 || unhex[s[i+2]] < 0 {
				return "", false
			}
			text = append(text, byte(unhex[s[i+1]]<<4|unhex[s[i+2]]))
			i += 2
		default:
			text = append(text, c)
		}
	}
	return string(text), true
}

// unhex is the value of each hexadecimal digit, and -1 for every other byte.
var unhex = func() (values [256]int16) {
	for c := range values {
		values[c] = -1
	}
	for i, c := range "0123456789abcdef" {
		values[c] = int16(i)
	}
	for i, c := range "ABCDEF" {
		values[c] = int16(10 + i)
	}
	return values
}()
