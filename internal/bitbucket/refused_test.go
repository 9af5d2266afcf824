package bitbucket_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
)

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, url string
		want      error
	}{
		{"nothing", "", bitbucket.ErrInvalidURL},
		{"white space", " \t\n", bitbucket.ErrInvalidURL},
		{"a megabyte", repo + "/browse/" + strings.Repeat("a", 1<<20), bitbucket.ErrInvalidURL},
		{"8193 bytes", (repo + "?x=" + strings.Repeat("a", 8193))[:8193], bitbucket.ErrInvalidURL},
		{"a foreign scheme", "ftp://bitbucket.example.com/projects/PRJ/repos/repo", bitbucket.ErrInvalidURL},
		{"javascript with a comment", "javascript://bitbucket.example.com/%0aalert(1)", bitbucket.ErrInvalidURL},
		{"a scheme-relative address", "//evil.example/projects/PRJ", bitbucket.ErrInvalidURL},
		{"one slash after the scheme", "https:/bitbucket.example.com/projects/PRJ", bitbucket.ErrInvalidURL},
		{"no host", "https:///projects/PRJ", bitbucket.ErrInvalidURL},
		{"a port without a host", "https://:443/projects/PRJ", bitbucket.ErrInvalidURL},
		{"a host that is one dot", "https://./projects/PRJ", bitbucket.ErrInvalidURL},
		{"a backslash in the host", `https://bitbucket.example.com\@evil.example/projects/PRJ`, bitbucket.ErrInvalidURL},
		{"a backslash after the host", `https://bitbucket.example.com\projects\PRJ`, bitbucket.ErrInvalidURL},
		{"an escape in the host", "https://bitbucket%2Eexample.com/projects/PRJ", bitbucket.ErrInvalidURL},
		{"white space in the host", "https://bitbucket.example.com /projects/PRJ", bitbucket.ErrInvalidURL},
		{"a port that is no number", "https://bitbucket.example.com:x/projects/PRJ", bitbucket.ErrInvalidURL},
		{"port 0", "https://bitbucket.example.com:0/projects/PRJ", bitbucket.ErrInvalidURL},
		{"a port beyond 16 bits", "https://bitbucket.example.com:65979/projects/PRJ", bitbucket.ErrInvalidURL},
		{"an open bracket", "https://[::1/projects/PRJ", bitbucket.ErrInvalidURL},
		{"a zone", "https://[fe80::1%25eth0]/projects/PRJ", bitbucket.ErrInvalidURL},
		{"NUL", repo + "/browse/a\x00b", bitbucket.ErrInvalidURL},
		{"a line feed", repo + "/browse/a\nb", bitbucket.ErrInvalidURL},
		{"DEL", repo + "/browse/a\x7fb", bitbucket.ErrInvalidURL},
		{"DEL, encoded", repo + "/browse/a%7Fb", bitbucket.ErrInvalidURL},
		{"U+0085", repo + "/browse/a\u0085b", bitbucket.ErrInvalidURL},
		{"U+0085, encoded", repo + "/browse/a%c2%85b", bitbucket.ErrInvalidURL},
		{"an encoded line feed in at", repo + "?at=a%0Ab", bitbucket.ErrInvalidURL},
		{"an encoded line feed in the fragment", repo + "#a%0Ab", bitbucket.ErrInvalidURL},
		{"an encoded line feed in a parameter without a meaning", repo + "?x=%0A", bitbucket.ErrInvalidURL},
		{"an encoded line feed after a bad escape", repo + "?x=%%0A", bitbucket.ErrInvalidURL},
		{"raw bytes that are no UTF-8", repo + "/browse/\xff", bitbucket.ErrInvalidURL},
		{"a surrogate, encoded", repo + "/browse/%ED%A0%80", bitbucket.ErrInvalidURL},
		{"an overlong slash", repo + "/browse/a%C0%AFb", bitbucket.ErrInvalidURL},
		{"at that is no UTF-8", repo + "?at=%FF", bitbucket.ErrInvalidURL},
		{"a file in the fragment that is no UTF-8", repo + "/pull-requests/7/diff#%FF", bitbucket.ErrInvalidURL},
		{"a bad escape in at", repo + "?at=100%", bitbucket.ErrInvalidURL},
		{"a bad escape in the slug", "https://bitbucket.example.com/projects/PRJ/repos/r%2", bitbucket.ErrInvalidURL},
		{"a dot segment", repo + "/browse/./a", bitbucket.ErrInvalidURL},
		{"a dot segment at the end", repo + "/browse/a/..", bitbucket.ErrInvalidURL},
		{"a half-encoded dot segment", repo + "/browse/.%2e/a", bitbucket.ErrInvalidURL},
		{"a dot segment between encoded slashes", repo + "/browse/a%2F..%2Fb", bitbucket.ErrInvalidURL},
		{"a dot segment as key", "https://bitbucket.example.com/projects/../repos/repo", bitbucket.ErrInvalidURL},
		{"a dot segment in at", repo + "?at=a/../b", bitbucket.ErrInvalidURL},
		{"a dot segment in path", repo + "/commits?path=%2e%2e%2fa", bitbucket.ErrInvalidURL},
		{"a dot segment in untilPath", repo + "/browse/a?until=x&untilPath=..", bitbucket.ErrInvalidURL},
		{"a dot segment in a file of the fragment", repo + "/pull-requests/7/diff#a/../b?t=3", bitbucket.ErrInvalidURL},
		{"a dot segment of a foreign host", "https://elsewhere.example/a/../b", bitbucket.ErrInvalidURL},
		{"an address like that of mail", "mailto:a@b.example:x/y", bitbucket.ErrInvalidURL},
		{"an scp-like address without a user", "bitbucket.example.com:prj/repo.git", bitbucket.ErrInvalidURL},
		{"an scp-like address with a password", "git:pw@bitbucket.example.com:prj/repo.git", bitbucket.ErrInvalidURL},
		{"an scp-like address without a colon", "git@bitbucket.example.com/prj/repo.git", bitbucket.ErrInvalidURL},
		{"an scp-like address with dots", "git@bitbucket.example.com:../repo.git", bitbucket.ErrInvalidURL},
		{"ssh with a bad port", "ssh://git@bitbucket.example.com:x/prj/repo.git", bitbucket.ErrInvalidURL},

		{"a known host as user", "https://bitbucket.example.com:443@evil.example/projects/PRJ/repos/repo", bitbucket.ErrUnknownHost},
		{"a known host as the first of two users", "https://a@bitbucket.example.com@evil.example/projects/PRJ", bitbucket.ErrUnknownHost},
		{"a known host in the fragment", "https://evil.example#@bitbucket.example.com/projects/PRJ", bitbucket.ErrUnknownHost},
		{"a known host in the query", "https://evil.example?@bitbucket.example.com/projects/PRJ", bitbucket.ErrUnknownHost},
		{"a look-alike of a Kelvin sign", "https://bitbuc\u212Aet.example.com/projects/PRJ", bitbucket.ErrUnknownHost},
		{"a look-alike of wide letters", "https://\uFF42itbucket.example.com/projects/PRJ", bitbucket.ErrUnknownHost},
		{"two trailing dots", "https://bitbucket.example.com../projects/PRJ", bitbucket.ErrInvalidURL},
		{"a host below", "https://x.bitbucket.example.com/projects/PRJ", bitbucket.ErrUnknownHost},
		{"half a context path", "https://code.example.org:8443/git/projects/TEAM/repos/service", bitbucket.ErrUnknownHost},
		{"a context path as a mere prefix", "https://code.example.org:8443/git/bitbucketx/projects/TEAM", bitbucket.ErrUnknownHost},
		{"a context path in another case", "https://code.example.org:8443/Git/bitbucket/projects/TEAM", bitbucket.ErrUnknownHost},
		{"http beside https", "http://code.example.org:8443/git/bitbucket/projects/TEAM", bitbucket.ErrUnknownHost},
		{"scp to an unknown host", "git@evil.example:prj/repo.git", bitbucket.ErrUnknownHost},

		{"nothing below the context path", "https://code.example.org:8443/git/bitbucket", bitbucket.ErrUnsupportedPage},
		{"no key", "https://bitbucket.example.com/projects/", bitbucket.ErrUnsupportedPage},
		{"no user", "https://bitbucket.example.com/users", bitbucket.ErrUnsupportedPage},
		{"no slug", "https://bitbucket.example.com/projects/PRJ/repos/", bitbucket.ErrUnsupportedPage},
		{"a page of a project", "https://bitbucket.example.com/projects/PRJ/settings", bitbucket.ErrUnsupportedPage},
		{"another servlet", "https://bitbucket.example.com/plugins/servlet/oauth", bitbucket.ErrUnsupportedPage},
		{"the REST API", "https://bitbucket.example.com/rest/api/1.0/projects/PRJ/repos/repo", bitbucket.ErrUnsupportedPage},
		{"a clone address without a slug", "https://bitbucket.example.com/scm/prj", bitbucket.ErrUnsupportedPage},
		{"a clone address whose slug is .git", "https://bitbucket.example.com/scm/prj/.git", bitbucket.ErrUnsupportedPage},
		{"a page of git over http", "https://bitbucket.example.com/scm/prj/repo.git/info/refs", bitbucket.ErrUnsupportedPage},
		{"ssh without a slug", "ssh://git@bitbucket.example.com:7999/prj", bitbucket.ErrUnsupportedPage},
		{"scp without a path", "git@bitbucket.example.com:", bitbucket.ErrUnsupportedPage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := world(t).ParseURL(c.url)
			if !errors.Is(err, c.want) {
				t.Errorf("ParseURL(%.200q) = %+v, error %v, want %v", c.url, got, err, c.want)
			}
		})
	}
}

func TestParseErrorsNeverHoldUserInfo(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"https://s3cret@elsewhere.example/projects/PRJ",
		"https://alice:s3cret@elsewhere.example/projects/PRJ",
		"https://alice:s3cret@bitbucket.example.com/dashboard",
		"https://alice:s3cret@bitbucket.example.com/projects/..",
		"https://alice:s3cret@bitbucket.example.com:x/projects/PRJ",
		"https://alice:s3cret@[::1/projects/PRJ",
		"https://alice:s3cret@/projects/PRJ",
		"https://alice:s3cret%0A@elsewhere.example/",
		"https://s3cret/x@elsewhere.example/projects/PRJ",
		"https://s3cret?x@elsewhere.example/projects/PRJ",
		"https://s3cret#x@elsewhere.example/projects/PRJ",
		"https://s3cret/%40@elsewhere.example/projects/PRJ",
		"https://alice:s3cret/x@elsewhere.example/projects/PRJ",
		`https://alice:s3cret\@elsewhere.example/projects/PRJ`,
		"ftp://alice:s3cret@bitbucket.example.com/",
		"ssh://alice:s3cret@elsewhere.example/prj/repo.git",
		"ssh://s3cret/@elsewhere.example/prj/repo.git",
		"alice:s3cret@elsewhere.example:prj/repo.git",
		"s3cret@elsewhere.example:prj/repo.git",
		"a@s3cret:x@elsewhere.example:prj/repo.git",
		"s3cret@bitbucket.example.com:repo.git",
	} {
		_, err := world(t).ParseURL(url)
		if err == nil {
			t.Errorf("ParseURL(%q): no error", url)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("ParseURL(%q): the error echoes user info: %v", url, err)
		}
	}
	for _, url := range []string{
		"https://alice:s3cret@bitbucket.example.com", "https://alice:s3cret@bitbucket.example.com:x", "https://s3cret/@x?y",
		"s3cret@bitbucket.example.com", "https://alice:s3cret@/", "https://alice:s3cret@h\x00",
	} {
		if _, err := bitbucket.ParseBaseURL(url); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("ParseBaseURL(%q): error %v", url, err)
		}
	}
}

func TestAnUnknownHostIsNamed(t *testing.T) {
	t.Parallel()
	_, err := world(t).ParseURL("https://alice@elsewhere.example:8443/projects/PRJ")
	if err == nil || !strings.Contains(err.Error(), `"elsewhere.example:8443"`) {
		t.Errorf("error %v does not name the host", err)
	}
}
