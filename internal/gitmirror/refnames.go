package gitmirror

import "strings"

const (
	headsPrefix = "refs/heads/"
	tagsPrefix  = "refs/tags/"

	// maxRefComponent leaves room for ".lock" in the 255 bytes that a file name may have.
	maxRefComponent = 250
)

// mirrored tells whether a ref belongs into a mirror: branches and tags do. refs/pull-requests is
// Bitbucket's own, has no contract, and can be most of a repository's size.
func mirrored(name string) bool {
	return strings.HasPrefix(name, headsPrefix) || strings.HasPrefix(name, tagsPrefix)
}

// shortName returns the name of a branch or a tag without refs/heads/ or refs/tags/.
func shortName(name string) string {
	if s, ok := strings.CutPrefix(name, headsPrefix); ok {
		return s
	}
	return strings.TrimPrefix(name, tagsPrefix)
}

// usableRef tells whether a full ref name can be kept: git-check-ref-format's rules, no
// component that is too long for a file name, and no branch or tag called HEAD, which would make
// HEAD ambiguous.
func usableRef(name string) bool {
	if !strings.HasPrefix(name, "refs/") || shortName(name) == "HEAD" ||
		strings.HasSuffix(name, ".") || strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte("~^:?*[\\", c) >= 0 {
			return false
		}
	}
	components := strings.Split(name, "/")
	for _, c := range components {
		if c == "" || c[0] == '.' || strings.HasSuffix(c, ".lock") || len(c) > maxRefComponent {
			return false
		}
	}
	return len(components) > 2
}
