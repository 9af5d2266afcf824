package resolver

import (
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
)

func TestALineOfAFileThatItsSideLacksIsNotExact(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	// The mirror has both commits of the pull request; the file was renamed in it.
	repo := w.repos[repoID]
	repo.refs["refs/heads/from"], repo.refs["refs/heads/to"] = hashFrom, hashTo
	r := newTestResolver(t, w)
	for fragment, want := range map[string]bool{
		"cmd/a.go?t=3": true, "cmd/a.go?f=3": true, "cmd/renamed.go?t=3": false, "cmd/renamed.go?f=3": false,
	} {
		link := mustResolve(t, r, repoURL+"/pull-requests/7/diff#"+fragment).Link
		if link.Exact != want || link.Exact != (len(link.Notes) == 0) {
			t.Errorf("#%s: exact %t, notes %q, want exact %t", fragment, link.Exact, link.Notes, want)
		}
	}
}

func TestTheFileOfACommitThatARefNamesIsTheOneAtItsHash(t *testing.T) {
	t.Parallel()
	r := newTestResolver(t, linkWorld())
	link := mustResolve(t, r, repoURL+"/commits/refs/heads/main#cmd/a.go").Link
	if got := link.Links[kindBlob]; !strings.Contains(got, "@"+hashMain+"/-/blob/cmd/a.go") {
		t.Errorf("links.blob = %s, want the file at %s, as in %s", got, hashMain, link.URL)
	}
	link = mustResolve(t, r, repoURL+"/commits/refs/heads/main?since=v1.0").Link
	if want := "/-/compare/v1.0..." + hashMain; !strings.HasSuffix(link.URL, want) {
		t.Errorf("%s, want it to end in %s", link.URL, want)
	}
	link = mustResolve(t, r, repoURL+"/commits/dddddddd#cmd/a.go").Link
	if got := link.Links[kindBlob]; !strings.Contains(got, "@dddddddd/-/blob/") {
		t.Errorf("links.blob = %s, want the short hash kept", got)
	}
}

// git looks for HEAD, full refs and full hashes before branches and tags, and Sourcegraph asks git.
func TestABranchWithANameThatGitReadsOtherwiseKeepsItsFullName(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	for _, short := range []string{"HEAD", "refs/tags/v1", strings.Repeat("9", 40)} {
		w.repos[bitbucket.RepoID{Connection: "one", Number: 1}].refs[headsPrefix+short] = hashFeature
	}
	r := newTestResolver(t, w)
	for at, want := range map[string]string{
		"refs/heads/HEAD":                              "refs/heads/HEAD",
		"refs/heads/refs/tags/v1":                      "refs/heads/refs/tags/v1",
		"refs/heads/" + strings.Repeat("9", 40):        "refs/heads/" + strings.Repeat("9", 40),
		"refs/heads/main":                              "main",
		"refs/tags/v1.0":                               "v1.0",
		"refs/heads/" + strings.Repeat("9", 39) + "-x": strings.Repeat("9", 39) + "-x",
	} {
		link := mustResolve(t, r, repoURL+"/browse/cmd/a.go?at="+at).Link
		if link.Revision != want || !strings.Contains(link.URL, "/repo@"+want+"/-/blob/") {
			t.Errorf("at=%s: %s, want the revision %s", at, link.URL, want)
		}
	}
}

func TestATagThatIsCalledAfterADateIsNoShortHash(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.repos[repoID].refs["refs/tags/20240131"] = hashV10
	r := newTestResolver(t, w)
	for page, want := range map[string]string{
		"/commits/20240131":                              "/-/commit/" + hashV10,
		"/commits/20240131?since=v1":                     "/-/compare/v1..." + hashV10,
		"/diff/cmd/a.go?until=20240131":                  "@20240131/-/commits/cmd/a.go",
		"/commits/12345678":                              "/-/commit/12345678",
		"/commits/12345678ABCDEF":                        "/-/commit/12345678ABCDEF", // unknown to this mirror
		"/diff/cmd/a.go?until=12345678":                  "/-/commit/12345678",
		"/diff/cmd/a.go?until=" + hashFrom:               "/-/commit/" + hashFrom,
		"/diff/cmd/a.go?until=refs/pull-requests/7/from": "@" + hashFrom + "/-/commits/cmd/a.go",
	} {
		if got := mustResolve(t, r, repoURL+page).Link.URL; !strings.HasSuffix(got, "/PRJ/repo"+want) {
			t.Errorf("%s: %s, want it to end in %s", page, got, want)
		}
	}
}

func TestAComparisonWithAnUnknownHashHasAPermalink(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.repos[repoID].refs["refs/heads/from"] = hashFrom // the target of the pull request is not fetched yet
	r := newTestResolver(t, w)
	for page, want := range map[string]string{
		"/commits/" + hashMain + "?since=" + hashTo:                       "/-/compare/" + hashTo + "..." + hashMain,
		"/compare/diff?sourceBranch=feature/x&targetBranch=" + hashTo:     "/-/compare/" + hashTo + "..." + hashFeature,
		"/pull-requests/7/overview":                                       "/-/compare/" + hashTo + "..." + hashFrom,
		"/compare/diff?sourceBranch=feature/x&targetBranch=just-pushed":   "", // a name may move
		"/compare/diff?sourceBranch=just-pushed&targetBranch=" + hashMain: "",
	} {
		link := mustResolve(t, r, repoURL+page).Link
		if got := link.Links[kindPermalink]; !strings.HasSuffix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: permalink %q beside the commit %q, want it to end in %q", page, got, link.Commit, want)
		}
	}
}
