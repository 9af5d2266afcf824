package extension_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	extension "example.com/signpost/extension-assets"
)

// validPattern is the grammar of match patterns of Chromium and Firefox as far as the extension uses it: no star in
// the host, and a path.
var validPattern = regexp.MustCompile(`^https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?/[^?#\\\s]*\*$`)

// matches tells whether a pattern matches an address, ports aside when the pattern has none.
func matches(pattern string, page *url.URL) bool {
	scheme, rest, _ := strings.Cut(pattern, "://")
	host, path, _ := strings.Cut(rest, "/")
	if scheme != page.Scheme || host != page.Host && host != strings.TrimSuffix(page.Host, ":"+page.Port()) {
		return false
	}
	parts := strings.Split("/"+path, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(page.EscapedPath())
}

// FuzzConfiguration: whatever the addresses, they are refused in words, or the patterns are valid and match the pages,
// and what is built in is what was given.
func FuzzConfiguration(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://signpost.example.com", "https://bitbucket.example.com"},
		{"http://[::1]:7080", "http://[2001:db8::1]:7990/ctx"},
		{"https://s.example.com:8443/signpost", "https://b_1.example.com/a-._~!$&'()*+,=:@/b"},
		{"http://127.0.0.1:7080/", "HTTP://BITBUCKET:80//ctx//"},
		{"https://s", "https://b/</script>"},
		{"https://s\u2028", "https://ü.example.com"},
		{"", "https://b"},
	} {
		f.Add(seed[0], seed[1])
	}
	key, err := testKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, server, bitbucketURL string) {
		p, err := extension.Build(extension.Input{
			Configuration: extension.Configuration{ServerURL: server, BitbucketURLs: []string{bitbucketURL}},
			Version:       "1.0.1", Key: key, Source: plain(),
		})
		if err != nil {
			return
		}
		for _, b := range extension.Browsers {
			m := manifestOf(t, p, b)
			patterns := append([]string{}, m.HostPermissions...)
			for _, script := range m.Scripts {
				patterns = append(patterns, script.Matches...)
			}
			for _, pattern := range patterns {
				if !validPattern.MatchString(pattern) {
					t.Errorf("%s: the pattern %q is not valid", b, pattern)
				}
			}
			page, err := url.Parse(p.Configuration.BitbucketURLs[0] + "/projects/PRJ/repos/app/browse")
			if err != nil {
				t.Fatal(err)
			}
			for _, list := range [][]string{m.HostPermissions, m.Scripts[0].Matches} {
				matched := false
				for _, pattern := range list {
					matched = matched || matches(pattern, page)
				}
				if !matched {
					t.Errorf("%s: none of %q matches %s", b, list, page)
				}
			}
			_, literal, _ := strings.Cut(unpacked(p, string(b)+"/builtin.js"), "export const builtin = ")
			var got extension.Configuration
			if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(literal), ";")), &got); err != nil || got.ServerURL != p.Configuration.ServerURL {
				t.Errorf("%s: built in is %s; %v", b, literal, err)
			}
		}
		for _, name := range []string{"policies/chrome.mobileconfig", "policies/edge.mobileconfig", extension.UpdatesXML} {
			if err := wellFormed(content(t, p, name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
