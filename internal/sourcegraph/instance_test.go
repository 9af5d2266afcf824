package sourcegraph_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/signpost/internal/sourcegraph"
)

func TestParseInstance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, want string }{
		{"https", "https://sourcegraph.example.com", "https://sourcegraph.example.com"},
		{"http", "http://sourcegraph.example.com", "http://sourcegraph.example.com"},
		{"a slash at the end", "https://sourcegraph.example.com/", "https://sourcegraph.example.com"},
		{"upper case", "HTTPS://SourceGraph.Example.COM/Path", "https://sourcegraph.example.com/Path"},
		{"a path", "https://h.example//code/search~1//", "https://h.example/code/search~1"},
		{"a port", "https://h.example:8443", "https://h.example:8443"},
		{"the default port of https", "https://h.example:443/", "https://h.example"},
		{"the default port of http", "http://h.example:0080", "http://h.example"},
		{"an empty port", "http://h.example:", "http://h.example"},
		{"a trailing dot", "https://h.example.", "https://h.example"},
		{"a host without dots", "http://localhost:7080", "http://localhost:7080"},
		{"an IPv6 address", "https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"},
		{"a host that begins like sourcegraph.com", "https://sourcegraph.company.example", "https://sourcegraph.company.example"},
		{"a host that ends like sourcegraph.com", "https://mysourcegraph.com", "https://mysourcegraph.com"},
		{"sourcegraph.com in the path", "https://h.example/sourcegraph.com", "https://h.example/sourcegraph.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := sourcegraph.ParseInstance(c.raw)
			if err != nil {
				t.Fatalf("ParseInstance(%q): %v", c.raw, err)
			}
			if got.String() != c.want {
				t.Errorf("ParseInstance(%q) = %q, want %q", c.raw, got, c.want)
			}
		})
	}
}

func TestParseInstanceRefusesSourcegraphDotCom(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"https://sourcegraph.com", "http://sourcegraph.com/", "https://SourceGraph.Com", "https://sourcegraph.com.",
		"https://sourcegraph.com:443", "https://sourcegraph.com:8443/x", "https://www.sourcegraph.com",
		"https://about.sourcegraph.com", "https://a.b.sourcegraph.com./", "https://sourcegraph.com:",
	} {
		got, err := sourcegraph.ParseInstance(raw)
		if !errors.Is(err, sourcegraph.ErrSourcegraphDotCom) || !got.IsZero() {
			t.Errorf("ParseInstance(%q) = %q, error %v, want %v", raw, got, err, sourcegraph.ErrSourcegraphDotCom)
		}
	}
}

func TestParseInstanceSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, want string }{
		{"nothing", "", "write it as https://sourcegraph.example.com"},
		{"no scheme", "sourcegraph.example.com", "must begin with https:// or http://"},
		{"another scheme", "javascript://h.example", "must begin with https:// or http://"},
		{"a scheme-relative address", "//h.example", "must begin with https:// or http://"},
		{"no host", "https://", "needs a host name"},
		{"no host before the path", "https:///x", "needs a host name"},
		{"no host before the port", "https://:443", "needs a host name"},
		{"two trailing dots", "https://h.example..", "needs a host name"},
		{"an escape in the host", "https://sourcegraph%2ecom", "needs a host name"},
		{"a comma in the host", "https://a,b", "needs a host name"},
		{"an open bracket", "https://[::1", "IPv6"},
		{"a zone", "https://[fe80::1%25eth0]", "IPv6"},
		{"a port that is no number", "https://h.example:x", "port must be"},
		{"port 0", "https://h.example:0", "port must be"},
		{"a port beyond 16 bits", "https://h.example:65536", "port must be"},
		{"a query", "https://h.example/?q=1", "remove the query"},
		{"an empty query", "https://h.example?", "remove the query"},
		{"a fragment", "https://h.example/#a", "remove the fragment"},
		{"user info", "https://alice:s3cret@h.example", "remove the user info"},
		{"white space before", " https://h.example", "remove the white space"},
		{"white space inside", "https://h.example/a b", "remove the white space"},
		{"a line feed", "https://h.example/\n", "remove the white space or control character"},
		{"DEL", "https://h.example/\x7f", "control character"},
		{"a backslash", `https://h.example\x`, `write "/"`},
		{"wide letters that browsers fold", "https://\uFF53ourcegraph.com", "xn--"},
		{"an ideographic full stop that browsers fold", "https://sourcegraph\u3002com", "xn--"},
		{"bytes that are no UTF-8", "https://h.example/\xff", "xn--"},
		{"dots in the path", "https://h.example/a/../b", `without "." and ".."`},
		{"an escape in the path", "https://h.example/%2e%2e", "letters, digits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := sourcegraph.ParseInstance(c.raw)
			if !errors.Is(err, sourcegraph.ErrInvalidInstance) || !got.IsZero() {
				t.Fatalf("ParseInstance(%q) = %q, error %v, want %v", c.raw, got, err, sourcegraph.ErrInvalidInstance)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseInstance(%q): error %q does not say %q", c.raw, err, c.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("ParseInstance(%q): error %q echoes user info", c.raw, err)
			}
		})
	}
}
