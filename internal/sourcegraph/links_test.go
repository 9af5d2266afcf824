package sourcegraph_test

import (
	"testing"

	"example.com/signpost/internal/sourcegraph"
)

func instance(t testing.TB, raw string) sourcegraph.Instance {
	t.Helper()
	i, err := sourcegraph.ParseInstance(raw)
	if err != nil {
		t.Fatalf("ParseInstance(%q): %v", raw, err)
	}
	return i
}

func TestLinks(t *testing.T) {
	t.Parallel()
	i := instance(t, "https://sg.example/code")
	const r = "h.example/PRJ/repo"
	for _, c := range []struct{ name, got, want string }{
		{"a repository", i.RepositoryURL(r, ""), "/h.example/PRJ/repo"},
		{"a repository at a branch", i.RepositoryURL(r, "feature/x"), "/h.example/PRJ/repo@feature/x"},
		{"a personal repository", i.RepositoryURL("h.example/~ALICE/dotfiles", ""), "/h.example/~ALICE/dotfiles"},
		{"a name with special characters", i.RepositoryURL("h:7/~a@b/r s", ""), "/h%3A7/~a%40b/r%20s"},
		{"a name with a lone hyphen", i.RepositoryURL("a/-/b", ""), "/a/%2D/b"},
		{"a revision with special characters", i.RepositoryURL(r, "a@b/c#d/e+f/g%h/i?j"), "/h.example/PRJ/repo@a%40b/c%23d/e+f/g%25h/i%3Fj"},
		{"a revision with a lone hyphen", i.RepositoryURL(r, "a/-/b"), "/h.example/PRJ/repo@a/%2D/b"},
		{"a revision that is a lone hyphen", i.RepositoryURL(r, "-"), "/h.example/PRJ/repo@%2D"},
		{"a file", i.BlobURL(r, "", "cmd/a.go", 0, 0), "/h.example/PRJ/repo/-/blob/cmd/a.go"},
		{"a file at a branch with lines", i.BlobURL(r, "main", "a.go", 10, 15), "/h.example/PRJ/repo@main/-/blob/a.go?L10-15"},
		{"a line", i.BlobURL(r, "", "a.go", 10, 0), "/h.example/PRJ/repo/-/blob/a.go?L10"},
		{"a range of one line", i.BlobURL(r, "", "a.go", 10, 10), "/h.example/PRJ/repo/-/blob/a.go?L10"},
		{"no line", i.BlobURL(r, "", "a.go", 0, 10), "/h.example/PRJ/repo/-/blob/a.go"},
		{"a file with special characters", i.BlobURL(r, "", "docs/a b#c?.md", 4, 4), "/h.example/PRJ/repo/-/blob/docs/a%20b%23c%3F.md?L4"},
		{"what stays as it is", i.BlobURL(r, "", "AZaz09-_.!~*'()+", 0, 0), "/h.example/PRJ/repo/-/blob/AZaz09-_.!~*'()+"},
		{"what is escaped", i.BlobURL(r, "", " \"#$%&,:;<=>?@[\\]^`{|}\x7f", 0, 0), "/h.example/PRJ/repo/-/blob/%20%22%23%24%25%26%2C%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D%7F"},
		{"unicode", i.BlobURL(r, "größe", "ünï", 0, 0), "/h.example/PRJ/repo@gr%C3%B6%C3%9Fe/-/blob/%C3%BCn%C3%AF"},
		{"bytes that are no UTF-8", i.BlobURL(r, "", "a\xffb", 0, 0), "/h.example/PRJ/repo/-/blob/a%FFb"},
		{"slashes at the ends", i.BlobURL("/h//r/", "/x//y/", "//a//b/", 0, 0), "/h/r@x/y/-/blob/a/b"},
		{"a file without a path is the root", i.BlobURL(r, "main", "", 3, 3), "/h.example/PRJ/repo@main"},
		{"a directory", i.TreeURL(r, "main", "cmd/"), "/h.example/PRJ/repo@main/-/tree/cmd"},
		{"the root", i.TreeURL(r, "main", ""), "/h.example/PRJ/repo@main"},
		{"a commit", i.CommitURL(r, "12345678"), "/h.example/PRJ/repo/-/commit/12345678"},
		{"a commit by a ref", i.CommitURL(r, "feature/x"), "/h.example/PRJ/repo/-/commit/feature/x"},
		{"no commit", i.CommitURL(r, ""), "/h.example/PRJ/repo"},
		{"commits", i.CommitsURL(r, "", ""), "/h.example/PRJ/repo/-/commits"},
		{"commits of a path at a branch", i.CommitsURL(r, "main", "docs/plus+sign.md"), "/h.example/PRJ/repo@main/-/commits/docs/plus+sign.md"},
		{"branches", i.BranchesURL(r), "/h.example/PRJ/repo/-/branches"},
		{"tags", i.TagsURL(r), "/h.example/PRJ/repo/-/tags"},
		{"a comparison", i.CompareURL(r, "main", "feature/x@y"), "/h.example/PRJ/repo/-/compare/main...feature/x%40y"},
		{"a comparison with the default branch", i.CompareURL(r, "", "x"), "/h.example/PRJ/repo/-/compare/HEAD...x"},
		{"a comparison without a head", i.CompareURL(r, "main", ""), "/h.example/PRJ/repo"},
		{"a search", i.SearchURL("repo:^a\\.b/~C/ x+y"), "/search?q=repo%3A%5Ea%5C.b%2F~C%2F%20x%2By"},
		{"a search for nothing", i.SearchURL(""), "/search?q="},

		{"a path with dots links the repository", i.BlobURL(r, "main", "a/../../../b", 3, 3), "/h.example/PRJ/repo@main"},
		{"a directory with a dot links the repository", i.TreeURL(r, "main", "./a"), "/h.example/PRJ/repo@main"},
		{"commits of a path with dots are those of the repository", i.CommitsURL(r, "main", ".."), "/h.example/PRJ/repo@main/-/commits"},
		{"a revision with dots is left out", i.BlobURL(r, "a/../b", "c", 0, 0), "/h.example/PRJ/repo/-/blob/c"},
		{"a commit with dots links the repository", i.CommitURL(r, ".."), "/h.example/PRJ/repo"},
		{"a comparison with dots links the repository", i.CompareURL(r, "../a", "b"), "/h.example/PRJ/repo"},
		{"names with dots are no dot segments", i.BlobURL("a/..b", "x..", ".c/...", 0, 0), "/a/..b@x../-/blob/.c/..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if want := "https://sg.example/code" + c.want; c.got != want {
				t.Errorf("got  %s\nwant %s", c.got, want)
			}
		})
	}
}

func TestThereIsNoLink(t *testing.T) {
	t.Parallel()
	i := instance(t, "https://sg.example")
	for name, got := range map[string]string{
		"without an instance":                "" + sourcegraph.Instance{}.RepositoryURL("a", "") + sourcegraph.Instance{}.BlobURL("a", "", "b", 1, 2),
		"for a search without an instance":   sourcegraph.Instance{}.SearchURL("a"),
		"for commits without an instance":    sourcegraph.Instance{}.CommitsURL("a", "", "") + sourcegraph.Instance{}.BranchesURL("a"),
		"for a compare without an instance":  sourcegraph.Instance{}.CompareURL("a", "b", "c"),
		"without a name":                     i.RepositoryURL("", "main") + i.BlobURL("", "", "b", 1, 2) + i.TagsURL(""),
		"for a name of slashes":              i.RepositoryURL("//", ""),
		"for a name with dots":               i.RepositoryURL("a/../b", "") + i.CommitsURL("..", "", "") + i.CompareURL("./a", "b", "c"),
		"for the commit of a name with dots": i.CommitURL("a/.", "b") + i.TreeURL("..", "", "") + i.BranchesURL(".."),
	} {
		if got != "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestCanNameRevision(t *testing.T) {
	t.Parallel()
	for rev, want := range map[string]bool{
		"": true, "main": true, "feature/x-y": true, "-x": true, "a..b": true, "refs/heads/größe": true,
		"release@2": false, "a/-/b": false, "-": false, "a/-": false, "..": false, "a/./b": false,
	} {
		if got := sourcegraph.CanNameRevision(rev); got != want {
			t.Errorf("CanNameRevision(%q) = %v, want %v", rev, got, want)
		}
	}
}
