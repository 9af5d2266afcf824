package bitbucket_test

import (
	"testing"

	"example.com/signpost/internal/bitbucket"
	"github.com/google/go-cmp/cmp"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, raw string
		want      bitbucket.BaseURL
		wantError string
	}{
		{"a host", "https://bitbucket.example.com", bitbucket.BaseURL{Scheme: "https", Host: "bitbucket.example.com"}, ""},
		{"a slash at the end", "https://bitbucket.example.com/", bitbucket.BaseURL{Scheme: "https", Host: "bitbucket.example.com"}, ""},
		{"upper case", "HTTP://BitBucket.Example.COM/Ctx", bitbucket.BaseURL{Scheme: "http", Host: "bitbucket.example.com", Path: "/Ctx"}, ""},
		{"a context path of several segments", "https://h:8443//a/b.c/~d//", bitbucket.BaseURL{Scheme: "https", Host: "h:8443", Path: "/a/b.c/~d"}, ""},
		{"the default port of https", "https://h:443", bitbucket.BaseURL{Scheme: "https", Host: "h"}, ""},
		{"the default port of http", "http://h:0080", bitbucket.BaseURL{Scheme: "http", Host: "h"}, ""},
		{"the default port of the other scheme", "http://h:443", bitbucket.BaseURL{Scheme: "http", Host: "h:443"}, ""},
		{"an empty port", "http://h:", bitbucket.BaseURL{Scheme: "http", Host: "h"}, ""},
		{"a trailing dot", "https://h.example.:8443", bitbucket.BaseURL{Scheme: "https", Host: "h.example:8443"}, ""},
		{"an IPv6 address", "https://[2001:DB8:0::1]:8443/x", bitbucket.BaseURL{Scheme: "https", Host: "[2001:db8::1]:8443", Path: "/x"}, ""},
		{"nothing", "", bitbucket.BaseURL{}, "is empty: write the address of the Bitbucket, such as https://bitbucket.example.com"},
		{"no scheme", "bitbucket.example.com", bitbucket.BaseURL{}, "must begin with https:// or http://"},
		{"ssh", "ssh://git@h", bitbucket.BaseURL{}, "must begin with https:// or http://"},
		{"no host", "https:///x", bitbucket.BaseURL{}, "has no valid host: it must look like bitbucket.example.com or bitbucket.example.com:8443"},
		{"a bad host", "https://a,b", bitbucket.BaseURL{}, "has no valid host: it must look like bitbucket.example.com or bitbucket.example.com:8443"},
		{"an empty label", "https://a..b", bitbucket.BaseURL{}, "has no valid host: it must look like bitbucket.example.com or bitbucket.example.com:8443"},
		{"an escape in the host", "https://a%2eb", bitbucket.BaseURL{}, "has no valid host: it must look like bitbucket.example.com or bitbucket.example.com:8443"},
		{"a bad port", "https://h:99999", bitbucket.BaseURL{}, "has no valid port: it must look like bitbucket.example.com or bitbucket.example.com:8443"},
		{"a query", "https://h/?a", bitbucket.BaseURL{}, "holds a query: remove the ? and what follows it"},
		{"a fragment", "https://h#a", bitbucket.BaseURL{}, "holds a fragment: remove the # and what follows it"},
		{"user info", "https://u:p@h", bitbucket.BaseURL{}, "holds user info: remove what stands before the @, and use the keys for credentials"},
		{"white space", "https://h ", bitbucket.BaseURL{}, "holds white space or a control character: remove it"},
		{"a backslash", `https://h\a`, bitbucket.BaseURL{}, `holds a backslash: write "/"`},
		{"an international host", "https://bücket.example", bitbucket.BaseURL{}, "holds characters beyond ASCII: write the host name in its xn-- form"},
		{"dots", "https://h/a/../b", bitbucket.BaseURL{}, `has a "." or ".." in its context path: write the path without it`},
		{"an escape", "https://h/%2e%2e", bitbucket.BaseURL{}, "has a context path with characters other than letters, digits and -._~!$&'()*+,=:@"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := bitbucket.ParseBaseURL(c.raw)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != c.wantError {
				t.Errorf("ParseBaseURL(%q): error %q, want %q", c.raw, message, c.wantError)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("ParseBaseURL(%q) (-want +got):\n%s", c.raw, diff)
			}
		})
	}
}

func TestHostNameHasNoPort(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://h.example:8443/x": "h.example",
		"https://h.example":        "h.example",
		"https://[::1]:8443":       "::1",
	} {
		if got := base(t, raw).HostName(); got != want {
			t.Errorf("HostName of %s: got %q, want %q", raw, got, want)
		}
	}
}

func TestParseURLFindsTheServer(t *testing.T) {
	t.Parallel()
	servers := bitbucket.NewServers([]bitbucket.Server{
		{Name: "root", Addresses: []bitbucket.BaseURL{base(t, "https://h.example"), base(t, "http://h.example:7990"), base(t, "https://[::1]:8443")}},
		{Name: "deep", Addresses: []bitbucket.BaseURL{base(t, "https://h.example/a/b")}},
		{Name: "flat", Addresses: []bitbucket.BaseURL{base(t, "https://h.example/a"), base(t, "http://old.example")}},
		{Name: "late", Addresses: []bitbucket.BaseURL{base(t, "https://h.example/a"), base(t, "https://other.example:8443")}},
	})
	for _, c := range []struct {
		name, url, want string
		others          []string
	}{
		{"without a context path", "https://h.example/projects/P", "root", nil},
		{"by an alias", "http://h.example:7990/projects/P", "root", nil},
		{"in upper case", "HTTPS://H.Example:443/projects/P", "root", nil},
		{"with a trailing dot", "https://h.example.:0443/projects/P", "root", nil},
		{"at an IPv6 address in another spelling", "https://[0:0::0001]:8443/projects/P", "root", nil},
		{"the longest context path wins", "https://h.example/a/b/projects/P", "deep", nil},
		{"a shorter context path", "https://h.example/a/projects/P", "flat", nil},
		{"an encoded context path", "https://h.example/%61/b/projects/P", "deep", nil},
		{"slashes before the context path", "https://h.example//a//b//projects/P", "deep", nil},
		{"of two servers with one address the first", "https://h.example/a/users/u", "flat", nil},
		{"ssh knows the host name alone", "ssh://git@h.example:7999/p/r.git", "root", []string{"deep", "flat", "late"}},
		{"ssh without user and port, in upper case", "SSH://H.Example./p/r", "root", []string{"deep", "flat", "late"}},
		{"scp by the name of an alias", "git@old.example:p/r.git", "flat", nil},
		{"scp to a server with a port", "git@other.example:7999/p/r.git/", "late", nil},
		{"scp to an IPv6 address", "git@[::1]:7999/p/r.git", "root", nil},
		{"scp with a slash first", "git@old.example:/~u/r", "flat", nil},
		{"scp with a key of digits", "git@old.example:12/r.git", "flat", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := servers.ParseURL(c.url)
			if err != nil {
				t.Fatalf("ParseURL(%q): %v", c.url, err)
			}
			if got.Connection != c.want {
				t.Errorf("ParseURL(%q): connection %q, want %q", c.url, got.Connection, c.want)
			}
			if diff := cmp.Diff(c.others, got.Others); diff != "" {
				t.Errorf("ParseURL(%q): others (-want +got):\n%s", c.url, diff)
			}
		})
	}
}

func TestParseURLReadsCloneAddresses(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"http":                         "https://bitbucket.example.com/scm/~u/r.x.git",
		"http with an encoded tilde":   "https://bitbucket.example.com/scm/%7Eu/r.x",
		"http with user and slash":     "https://a@bitbucket.example.com/scm/~u/r.x.git/",
		"ssh":                          "ssh://git@bitbucket.example.com:7999/~u/r.x.git",
		"ssh without a port":           "ssh://bitbucket.example.com/~u/r.x/",
		"ssh with noise":               "ssh://git@bitbucket.example.com/~u/r.x.git?a#b",
		"scp":                          "git@bitbucket.example.com:~u/r.x.git",
		"scp with a port":              "git@bitbucket.example.com:7999/~u/r.x.git",
		"scp with a port and a slash":  "git@bitbucket.example.com:7999/~u/r.x/",
		"scp with runs of slashes":     "git@bitbucket.example.com:7999//~u//r.x.git//",
		"scp with a port and noise":    "git@bitbucket.example.com:7999/~u/r.x.git?a/b#c",
		"scp with another user's name": "u-1.x@BITBUCKET.example.com.:~u/r.x.git",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := bitbucket.Location{
				Connection: "one", Page: bitbucket.PageRepository, Address: bitbucket.Address{Key: "~u", Slug: "r.x"},
			}
			got, err := world(t).ParseURL(url)
			if err != nil {
				t.Fatalf("ParseURL(%q): %v", url, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ParseURL(%q) (-want +got):\n%s", url, diff)
			}
		})
	}
}

func TestTheZeroServersKnowNoHost(t *testing.T) {
	t.Parallel()
	for _, url := range []string{repo, "ssh://git@bitbucket.example.com/p/r.git"} {
		if _, err := new(bitbucket.Servers).ParseURL(url); err == nil {
			t.Errorf("ParseURL(%q): no error", url)
		}
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bitbucket.Version{
		"7.21.0":      {Major: 7, Minor: 21},
		"7.21.3-rc1":  {Major: 7, Minor: 21, Patch: 3},
		"9.4":         {Major: 9, Minor: 4},
		"10":          {Major: 10},
		"4.14.4.2":    {Major: 4, Minor: 14, Patch: 4},
		"8.19-SNAP.1": {Major: 8, Minor: 19},
		"5.":          {Major: 5},
	} {
		got, err := bitbucket.ParseVersion(raw)
		if err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v, want %v", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "x", "-1", ".5", "v7.0", "123456789012.1"} {
		if got, err := bitbucket.ParseVersion(raw); err == nil {
			t.Errorf("ParseVersion(%q) = %v, want an error", raw, got)
		}
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	t.Parallel()
	v := bitbucket.Version{Major: 5, Minor: 16, Patch: 1}
	if !v.AtLeast(5, 16) || !v.AtLeast(5, 5) || !v.AtLeast(4, 20) || v.AtLeast(5, 17) || v.AtLeast(6, 0) {
		t.Errorf("%v is ordered wrong", v)
	}
	if (bitbucket.Version{}).AtLeast(4, 0) {
		t.Error("the unknown version is at least 4.0")
	}
	if got := v.String(); got != "5.16.1" {
		t.Errorf("String: got %q", got)
	}
	if got := (bitbucket.Version{}).String(); got != "unknown" {
		t.Errorf("String of the unknown version: got %q", got)
	}
}
