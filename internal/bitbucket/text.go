package bitbucket

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxURLLength is the length in bytes of the longest URL that is read: 8 KiB, which is
// more than Tomcat, that Bitbucket runs on, takes for a request's head.
const maxURLLength = 8 << 10

// The reasons for ErrInvalidURL. They quote nothing of the URL, in which a password can
// stand anywhere.
var (
	errEmpty       = invalidURL("it is empty")
	errTooLong     = invalidURL("it has more than 8192 bytes")
	errControl     = invalidURL("it holds a control character")
	errUTF8        = invalidURL("it is not valid UTF-8")
	errEscape      = invalidURL("it holds a percent sign without two hexadecimal digits")
	errDotSegment  = invalidURL(`it holds a "." or ".." segment`)
	errInvalidHost = invalidURL("it has no valid host or port")
	errScheme      = invalidURL("it must begin with https://, http:// or ssh://, or be like git@host:key/slug.git")
)

// The reason for ErrUnsupportedPage.
var errPage = fmt.Errorf("%w: only pages of repositories, projects and the search have one", ErrUnsupportedPage)

func invalidURL(reason string) error { return fmt.Errorf("%w: %s", ErrInvalidURL, reason) }

// unknownHost says which host no connection has. A password with a raw slash, question or
// number sign makes its user look like a host; it leaves an "@" in what follows, and then
// nothing is quoted.
func unknownHost(host string, rest ...string) error {
	const longestName = 253 + len(":65535") // RFC 1035, section 2.3.4
	for _, part := range rest {
		if strings.Contains(part, "@") || len(host) > longestName {
			return fmt.Errorf("%w: check its scheme, host, port and context path", ErrUnknownHost)
		}
	}
	return fmt.Errorf("%w: check scheme, host, port and context path of %q", ErrUnknownHost, host)
}

// checkText refuses what no part of a URL may hold: too much of it, bytes that are no
// UTF-8, and control characters, raw or percent-encoded.
func checkText(raw string) error {
	if raw == "" {
		return errEmpty
	}
	if len(raw) > maxURLLength {
		return errTooLong
	}
	ascii := true
	for i := range len(raw) {
		switch c := raw[i]; {
		case c < ' ' || c == 0x7f:
			return errControl
		case c == '%':
			if isControlEscape(raw[i:]) {
				return errControl
			}
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii {
		return nil
	}
	if !utf8.ValidString(raw) {
		return errUTF8
	}
	for _, r := range raw {
		if 0x80 <= r && r < 0xa0 {
			return errControl
		}
	}
	return nil
}

// isControlEscape tells whether s, which begins with "%", begins with an escaped control
// character: of ASCII, or U+0080 to U+009F, which are two bytes in UTF-8.
func isControlEscape(s string) bool {
	c, ok := unescape(s)
	if !ok {
		return false
	}
	if c == 0xc2 {
		c, ok = unescape(s[3:])
		return ok && 0x80 <= c && c < 0xa0
	}
	return c < ' ' || c == 0x7f
}

// unescape returns the byte of the percent escape that s begins with.
func unescape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := hexValue(s[1]), hexValue(s[2])
	return high<<4 | low, high|low < 16
}

// hexValue returns the value of a hexadecimal digit, and 255 for another byte.
func hexValue(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// decode resolves the percent escapes of s once, and the plus signs of a query value. It
// does not copy what needs no decoding. The error is errEscape or errUTF8.
func decode(s string, plusIsSpace bool) (string, error) {
	if strings.IndexByte(s, '%') < 0 && (!plusIsSpace || strings.IndexByte(s, '+') < 0) {
		return s, nil
	}
	var decoded strings.Builder
	decoded.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			c, ok := unescape(s[i:])
			if !ok {
				return "", errEscape
			}
			decoded.WriteByte(c)
			i += 2
		case c == '+' && plusIsSpace:
			decoded.WriteByte(' ')
		default:
			decoded.WriteByte(c)
		}
	}
	if !utf8.ValidString(decoded.String()) {
		return "", errUTF8
	}
	return decoded.String(), nil
}

// cleanPath decodes a path and makes one slash of a run of them, also of encoded ones. It
// refuses dot segments, of which no decoding brings new ones.
func cleanPath(raw string) (string, error) {
	path, err := decode(raw, false)
	if err != nil {
		return "", err
	}
	return cleanSegments(path)
}

// cleanSegments does to a decoded path what cleanPath says.
func cleanSegments(path string) (string, error) {
	if strings.Contains(path, "//") {
		path = squeezeSlashes(path)
	}
	if hasDotSegment(path) {
		return "", errDotSegment
	}
	return path, nil
}

func hasDotSegment(path string) bool {
	for {
		segment, _, _ := strings.Cut(path, "/")
		if segment == "." || segment == ".." {
			return true
		}
		i := strings.Index(path, "/.")
		if i < 0 {
			return false
		}
		path = path[i+1:]
	}
}

func squeezeSlashes(path string) string {
	squeezed := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			squeezed = append(squeezed, path[i])
		}
	}
	return string(squeezed)
}
