package sourcegraph_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"example.com/signpost/internal/sourcegraph"
)

func FuzzParseInstance(f *testing.F) {
	for _, raw := range []string{
		"https://sourcegraph.example.com", "HTTP://H.Example.:80//a/b//", "https://[::1]:8443/x", "https://u:p@h/?q#f",
		"https://sourcegraph.com", "https://about.SOURCEGRAPH.com.", "https://h/%2e%2e", "https://sourcegraph.com..", "https://h:0443",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		i, err := sourcegraph.ParseInstance(raw)
		if err != nil {
			if !errors.Is(err, sourcegraph.ErrInvalidInstance) && !errors.Is(err, sourcegraph.ErrSourcegraphDotCom) {
				t.Errorf("ParseInstance(%q): error %v is none of the two", raw, err)
			}
			if !i.IsZero() {
				t.Errorf("ParseInstance(%q) = %q beside the error %v", raw, i, err)
			}
			return
		}
		again, err := sourcegraph.ParseInstance(i.String())
		if err != nil || again != i {
			t.Fatalf("ParseInstance(%q) = %q, which parses to %q, %v", raw, i, again, err)
		}
		u, err := url.Parse(i.String())
		if err != nil {
			t.Fatalf("ParseInstance(%q) = %q: %v", raw, i, err)
		}
		if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("ParseInstance(%q) = %q, which is no plain address", raw, i)
		}
		if host := "." + u.Hostname(); strings.HasSuffix(strings.ToLower(strings.TrimRight(host, ".")), ".sourcegraph.com") {
			t.Errorf("ParseInstance(%q) = %q", raw, i)
		}
		if strings.HasSuffix(i.String(), "/") {
			t.Errorf("ParseInstance(%q) = %q ends in a slash", raw, i)
		}
		checkLinks(t, i, "h.example/PRJ/repo", "main", "a", "b", 1, 2)
	})
}

// instances are what FuzzLink chooses from: with and without path and port.
var instances = []string{
	"https://sourcegraph.example.com", "http://sg.example:8080/code/search", "https://[2001:db8::1]:8443/a", "https://h.example/~x/@y",
}

func FuzzLink(f *testing.F) {
	f.Add("h.example/PRJ/repo", "main", "cmd/a.go", "feature/x", 10, 15, uint8(0))
	f.Add("h/~A@b/-", "a/../b@c", "../../x y#z?", "..", 0, 0, uint8(1))
	f.Add("..", "%2e%2e", ".%2E/\\..\\", "/../", -1, 7, uint8(2))
	f.Add("//evil.example/x", "//", "\x00\xff", "?#", 1, 1, uint8(3))
	f.Add("a/b", "-", "-/-", "...", 1<<40, 1, uint8(1))
	f.Fuzz(func(t *testing.T, repo, rev, path, other string, start, end int, which uint8) {
		checkLinks(t, instance(t, instances[int(which)%len(instances)]), repo, rev, path, other, start, end)
	})
}

// checkLinks checks that each link of an instance stays on it, whatever it is made of.
func checkLinks(t *testing.T, i sourcegraph.Instance, repo, rev, file, other string, start, end int) {
	t.Helper()
	name := sourcegraph.RepoName(repo)
	for _, link := range []string{
		i.RepositoryURL(name, rev),
		i.BlobURL(name, rev, file, start, end),
		i.TreeURL(name, rev, file),
		i.CommitURL(name, rev),
		i.CommitsURL(name, rev, file),
		i.BranchesURL(name),
		i.TagsURL(name),
		i.CompareURL(name, rev, other),
		i.CompareURL(name, "", other),
	} {
		if link != "" {
			checkLink(t, i, link)
			continue
		}
		// Only a name that no link can hold has none.
		for part := range strings.SplitSeq(repo, "/") {
			if part == "." || part == ".." {
				return
			}
		}
		if strings.Trim(repo, "/") != "" {
			t.Errorf("no link to %q", repo)
		}
	}
	search := i.SearchURL(other)
	checkLink(t, i, search)
	if u, err := url.Parse(search); err != nil || u.Query().Get("q") != other {
		t.Errorf("search %q does not hold %q: %v", search, other, err)
	}
}

func checkLink(t *testing.T, i sourcegraph.Instance, link string) {
	t.Helper()
	primary, err := url.Parse(i.String())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatalf("link %q: %v", link, err)
	}
	if u.Scheme != primary.Scheme || u.Host != primary.Host || u.User != nil || u.Fragment != "" {
		t.Errorf("link %q leaves %s", link, i)
	}
	if !strings.HasPrefix(link, i.String()+"/") {
		t.Errorf("link %q does not begin with %s", link, i)
	}
	joined, err := url.JoinPath(link)
	if err != nil {
		t.Fatalf("link %q: %v", link, err)
	}
	cleaned, err := url.Parse(joined)
	if err != nil {
		t.Fatalf("link %q, normalised %q: %v", link, joined, err)
	}
	resolved := primary.ResolveReference(u)
	for how, p := range map[string]string{
		"as it is":             u.EscapedPath(),
		"decoded":              u.Path,
		"joined":               cleaned.Path,
		"cleaned":              path.Clean(u.Path),
		"cleaned, not decoded": path.Clean(u.EscapedPath()),
		"resolved":             resolved.Path,
		"as browsers read it":  browserPath(u.EscapedPath()),
	} {
		if !strings.HasPrefix(p, primary.Path+"/") || strings.HasPrefix(p, "//") {
			t.Errorf("link %q leaves the path of %s: %s %q", link, i, how, p)
		}
	}
	if got := browserPath(u.EscapedPath()); got != u.EscapedPath() {
		t.Errorf("link %q is not normal: browsers read its path as %q", link, got)
	}
	for _, c := range []byte(link) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			t.Errorf("link %q holds the raw byte %#x", link, c)
		}
	}
}

// browserPath resolves dot segments as the URL Standard does, for which escaped dots are
// dots and backslashes are slashes (https://url.spec.whatwg.org/#path-state).
func browserPath(escaped string) string {
	var segments []string
	all := strings.Split(strings.ReplaceAll(escaped, `\`, "/"), "/")[1:]
	for n, segment := range all {
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".":
			if n == len(all)-1 {
				segments = append(segments, "")
			}
		case "..":
			segments = segments[:max(len(segments)-1, 0)]
			if n == len(all)-1 {
				segments = append(segments, "")
			}
		default:
			segments = append(segments, segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}
