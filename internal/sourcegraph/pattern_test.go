package sourcegraph_test

import (
	"regexp"
	"strings"
	"testing"

	"example.com/signpost/internal/sourcegraph"
)

func pattern(t testing.TB, text string) sourcegraph.PathPattern {
	t.Helper()
	p, err := sourcegraph.ParsePathPattern(text)
	if err != nil {
		t.Fatalf("ParsePathPattern(%q): %v", text, err)
	}
	return p
}

func TestPathPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, pattern, wantName, wantQuery string }{
		{"the default", "", "h.example/~ALICE/My.Repo", `repo:^h\.example/~ALICE/`},
		{"the default, written out", "{host}/{projectKey}/{repositorySlug}", "h.example/~ALICE/My.Repo", `repo:^h\.example/~ALICE/`},
		{"text before", "bb/{projectKey}/{repositorySlug}", "bb/~ALICE/My.Repo", `repo:^bb/~ALICE/`},
		{"text all around", "a+b.{projectKey}/x-{repositorySlug}.git", "a+b.~ALICE/x-My.Repo.git", `repo:^a\+b\.~ALICE/`},
		{"a component between", "{projectKey}/x/{repositorySlug}", "~ALICE/x/My.Repo", `repo:^~ALICE/`},
		{"the host twice", "{host}/{host}/{projectKey}/{repositorySlug}", "h.example/h.example/~ALICE/My.Repo", `repo:^h\.example/h\.example/~ALICE/`},
		{"a key that ends no component", "{host}/{projectKey}-{repositorySlug}", "h.example/~ALICE-My.Repo", ""},
		{"the slug first", "{repositorySlug}/{projectKey}/x", "My.Repo/~ALICE/x", ""},
		{"the slug before and after", "{repositorySlug}/{projectKey}/{repositorySlug}", "My.Repo/~ALICE/My.Repo", ""},
		{"no key", "{host}/{repositorySlug}", "h.example/My.Repo", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := pattern(t, c.pattern)
			if got := string(p.RepoName("h.example", "~ALICE", "My.Repo")); got != c.wantName {
				t.Errorf("RepoName: got %q, want %q", got, c.wantName)
			}
			query, ok := p.ProjectQuery("h.example", "~ALICE")
			if query != c.wantQuery || ok != (c.wantQuery != "") {
				t.Errorf("ProjectQuery: got %q, %v, want %q", query, ok, c.wantQuery)
			}
		})
	}
}

func TestTheZeroPathPatternIsTheDefault(t *testing.T) {
	t.Parallel()
	var zero sourcegraph.PathPattern
	if zero != pattern(t, "") || zero.String() != sourcegraph.DefaultPathPattern {
		t.Errorf("the zero pattern is %q", zero)
	}
	if got := zero.RepoName("h", "K", "s"); got != "h/K/s" {
		t.Errorf("RepoName: got %q", got)
	}
}

func TestPlaceholdersInKeysStay(t *testing.T) {
	t.Parallel()
	if got := pattern(t, "").RepoName("h", "{repositorySlug}", "s"); got != "h/{repositorySlug}/s" {
		t.Errorf("RepoName: got %q", got)
	}
}

func TestProjectQueryHasNoWhiteSpace(t *testing.T) {
	t.Parallel()
	got, _ := pattern(t, "").ProjectQuery("h", "a b(")
	if want := `repo:^h/a\x{20}b\(/`; got != want {
		t.Errorf("ProjectQuery: got %q, want %q", got, want)
	}
}

func TestParsePathPatternSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, pattern, want string }{
		{"an unknown placeholder", "{host}/{project}/{repositorySlug}", `unknown placeholder "{project}": use {host}, {projectKey} or {repositorySlug}`},
		{"a placeholder in another case", "{Host}/{projectKey}/{repositorySlug}", `unknown placeholder "{Host}"`},
		{"an empty placeholder", "{}/{repositorySlug}", `unknown placeholder "{}"`},
		{"nested braces", "{{host}}/{repositorySlug}", `unknown placeholder "{{host}"`},
		{"an open brace", "{host}/{repositorySlug", "brace without its counterpart"},
		{"a closing brace", "host}/{repositorySlug}", "brace without its counterpart"},
		{"no slug", "{host}/{projectKey}", "add {repositorySlug}"},
		{"an at sign", "a@b/{repositorySlug}", "remove"},
		{"white space", "a b/{repositorySlug}", "remove"},
		{"a control character", "a\x01/{repositorySlug}", "remove"},
		{"bytes that are no UTF-8", "a\xff/{repositorySlug}", "remove"},
		{"a slash at the start", "/{repositorySlug}", "empty component"},
		{"a slash at the end", "{repositorySlug}/", "empty component"},
		{"two slashes", "{host}//{repositorySlug}", "empty component"},
		{"a lone hyphen", "{host}/-/{repositorySlug}", `component "-"`},
		{"dots", "{host}/../{repositorySlug}", `component ".."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sourcegraph.ParsePathPattern(c.pattern)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParsePathPattern(%q): error %v, want %q in it", c.pattern, err, c.want)
			}
		})
	}
}

func FuzzPathPattern(f *testing.F) {
	for _, text := range []string{
		"", sourcegraph.DefaultPathPattern, "bb/{projectKey}-{repositorySlug}", "{repositorySlug}.{host}", "{{host}}", "a{b", "-/./{x}",
	} {
		f.Add(text, "h.example", "~ALICE", "repo")
	}
	f.Fuzz(func(t *testing.T, text, host, key, slug string) {
		p, err := sourcegraph.ParsePathPattern(text)
		if err != nil {
			return
		}
		if text != "" && p.String() != text {
			t.Errorf("ParsePathPattern(%q).String() = %q", text, p)
		}
		name := string(p.RepoName(host, key, slug))
		if !strings.Contains(name, slug) {
			t.Errorf("name %q lacks the slug %q", name, slug)
		}
		if p.RepoName("h.example", "PRJ", "repo") == p.RepoName("h.example", "PRJ", "other") {
			t.Errorf("pattern %q gives two repositories one name", text)
		}
		query, ok := p.ProjectQuery(host, key)
		if !ok {
			return
		}
		expression, found := strings.CutPrefix(query, "repo:")
		prefix, err := regexp.Compile(expression)
		if !found || err != nil {
			t.Fatalf("query %q holds no regular expression: %v", query, err)
		}
		if strings.ContainsAny(query, " \t\r\n") {
			t.Errorf("query %q holds white space", query)
		}
		if !prefix.MatchString(name) {
			t.Errorf("query %q does not find %q", query, name)
		}
	})
}
