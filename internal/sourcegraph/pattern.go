package sourcegraph

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// RepoName is the name of a repository on Sourcegraph: bitbucket.example.com/PRJ/repo.
type RepoName string

// DefaultPathPattern is Sourcegraph's own default of repositoryPathPattern.
const DefaultPathPattern = "{host}/{projectKey}/{repositorySlug}"

// The placeholders of a repositoryPathPattern.
const (
	hostPlaceholder = "{host}"
	keyPlaceholder  = "{projectKey}"
	slugPlaceholder = "{repositorySlug}"
)

// PathPattern is a repositoryPathPattern. It does not change; patterns are equal exactly
// when they are written alike. The zero PathPattern is the default.
type PathPattern struct{ pattern string }

// ParsePathPattern reads a pattern; "" is the default. Unknown placeholders, a pattern
// that cannot tell repositories apart (without {repositorySlug}), and one that gives names
// Sourcegraph cannot hold, are errors whose text fits into a sentence about the
// configuration key. {projectKey} may be missing, as on Sourcegraph: where slugs are unique,
// such a pattern serves.
func ParsePathPattern(pattern string) (PathPattern, error) {
	if pattern == "" {
		return PathPattern{}, nil
	}
	for literal, placeholder := range parts(pattern) {
		if strings.ContainsAny(literal, "{}") {
			return PathPattern{}, errors.New("has a brace without its counterpart: placeholders are " +
				hostPlaceholder + ", " + keyPlaceholder + " and " + slugPlaceholder)
		}
		switch placeholder {
		case "", hostPlaceholder, keyPlaceholder, slugPlaceholder:
		default:
			return PathPattern{}, fmt.Errorf("has the unknown placeholder %.60q: use %s, %s or %s",
				placeholder, hostPlaceholder, keyPlaceholder, slugPlaceholder)
		}
		if strings.ContainsFunc(literal, func(r rune) bool {
			return r == '@' || r == '\\' || r == unicode.ReplacementChar || unicode.IsSpace(r) || unicode.IsControl(r)
		}) {
			return PathPattern{}, errors.New(`has a character that no name on Sourcegraph holds: remove "@", backslashes, white space and control characters`)
		}
	}
	if !strings.Contains(pattern, slugPlaceholder) {
		return PathPattern{}, errors.New("gives all repositories of a project one name: add " + slugPlaceholder)
	}
	for component := range strings.SplitSeq(pattern, "/") {
		switch component {
		case "":
			return PathPattern{}, errors.New(`has an empty component: write it without a "/" at its ends and without "//"`)
		case "-", ".", "..":
			return PathPattern{}, fmt.Errorf("has the component %q, which no name on Sourcegraph holds: remove it", component)
		}
	}
	return PathPattern{pattern: pattern}, nil
}

// String returns the pattern as it is written in a configuration.
func (p PathPattern) String() string { return cmp.Or(p.pattern, DefaultPathPattern) }

// RepoName fills the pattern in.
func (p PathPattern) RepoName(host, projectKey, slug string) RepoName {
	var name strings.Builder
	name.Grow(len(host) + len(projectKey) + len(slug) + len(p.pattern) + 2)
	for literal, placeholder := range parts(p.String()) {
		name.WriteString(literal)
		switch placeholder {
		case hostPlaceholder:
			name.WriteString(host)
		case keyPlaceholder:
			name.WriteString(projectKey)
		case slugPlaceholder:
			name.WriteString(slug)
		}
	}
	return RepoName(name.String())
}

// ProjectQuery returns the search query repo:^PREFIX/ that finds the repositories of a
// project, regexp-quoted; false where the pattern gives no prefix of its own to a project:
// {projectKey} must be the end of a component, and {repositorySlug} must come after it.
func (p PathPattern) ProjectQuery(host, projectKey string) (string, bool) {
	before, after, ok := strings.Cut(p.String(), keyPlaceholder)
	if !ok || strings.Contains(before, slugPlaceholder) ||
		!strings.HasPrefix(after, "/") || !strings.Contains(after, slugPlaceholder) {
		return "", false
	}
	prefix := strings.ReplaceAll(before, hostPlaceholder, host) + projectKey + "/"
	return "repo:^" + quoteRegexp(prefix), true
}

// quoteRegexp quotes s for a regular expression within a search query, where white space
// would end it. A byte that is no UTF-8, which no expression holds, becomes U+FFFD.
func quoteRegexp(s string) string {
	var quoted strings.Builder
	for _, r := range regexp.QuoteMeta(s) {
		if unicode.IsSpace(r) {
			fmt.Fprintf(&quoted, `\x{%x}`, r)
			continue
		}
		quoted.WriteRune(r)
	}
	return quoted.String()
}

// parts yields the pattern from left to right as pairs of literal text and the
// placeholder after it, braces included; the last pair has no placeholder. A brace
// without its counterpart stays in the literal text.
func parts(pattern string) func(yield func(literal, placeholder string) bool) {
	return func(yield func(literal, placeholder string) bool) {
		for pattern != "" {
			opening := strings.IndexByte(pattern, '{')
			length := strings.IndexByte(pattern[max(opening, 0):], '}')
			if opening < 0 || length < 0 {
				yield(pattern, "")
				return
			}
			end := opening + length + 1
			if !yield(pattern[:opening], pattern[opening:end]) {
				return
			}
			pattern = pattern[end:]
		}
	}
}
