package bitbucket_test

import (
	"testing"

	"example.com/signpost/internal/bitbucket"
	"github.com/google/go-cmp/cmp"
)

// repo is the address below which most URLs of the tests lie.
const repo = "https://bitbucket.example.com/projects/PRJ/repos/repo"

const (
	hashD = "dddddddddddddddddddddddddddddddddddddddd"
	hashE = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
)

func TestParseURLReadsEachPage(t *testing.T) {
	t.Parallel()
	type location = bitbucket.Location
	for _, c := range []struct {
		name, url string
		want      location // Connection "one" and PRJ/repo where there is no key
	}{
		{"the root", repo, location{Page: bitbucket.PageRepository}},
		{"browse without a path", repo + "/browse/", location{Page: bitbucket.PageRepository}},
		{"the root at a branch", repo + "?at=refs%2Fheads%2Fx", location{Page: bitbucket.PageRepository, Revision: "refs/heads/x"}},
		{"settings", repo + "/settings/permissions", location{Page: bitbucket.PageOther}},
		{"builds at a branch", repo + "/builds?at=x", location{Page: bitbucket.PageOther, Revision: "x"}},
		{"the list of pull requests", repo + "/pull-requests?state=OPEN", location{Page: bitbucket.PageOther}},
		{"a pull request whose id is no number", repo + "/pull-requests/new", location{Page: bitbucket.PageOther}},
		{"pull request 0", repo + "/pull-requests/0", location{Page: bitbucket.PageOther}},
		{"a pull request beyond 64 bits", repo + "/pull-requests/9223372036854775808", location{Page: bitbucket.PageOther}},
		{"an unknown tab of a pull request", repo + "/pull-requests/7/rebase", location{Page: bitbucket.PageOther}},
		{"raw without a path", repo + "/raw/", location{Page: bitbucket.PageOther}},
		{"diff without a path", repo + "/diff?until=x", location{Page: bitbucket.PageOther, Revision: "x", Until: true}},
		{"a page below branches", repo + "/branches/x", location{Page: bitbucket.PageOther}},
		{"a page below compare", repo + "/compare/other", location{Page: bitbucket.PageOther}},
		{"a page of a commit", repo + "/commits/" + hashD + "/builds", location{Page: bitbucket.PageOther}},
		{"a page of a commit of a pull request", repo + "/pull-requests/7/commits/" + hashD + "/builds", location{Page: bitbucket.PageOther}},
		{"pages are case-sensitive", repo + "/Browse/a", location{Page: bitbucket.PageOther}},

		{"a file", repo + "/browse/cmd/a.go", location{Page: bitbucket.PagePath, Path: "cmd/a.go"}},
		{"a directory", repo + "/browse/cmd/", location{Page: bitbucket.PagePath, Path: "cmd", Directory: true}},
		{"runs of slashes", repo + "//browse//cmd///a.go//?at=//x//y/", location{Page: bitbucket.PagePath, Path: "cmd/a.go", Directory: true, Revision: "x/y"}},
		{"encoded slashes", repo + "/browse/cmd%2Fb%2f%2Fa.go", location{Page: bitbucket.PagePath, Path: "cmd/b/a.go"}},
		{"decoding happens once", repo + "/browse/a%2525b%252Fc", location{Page: bitbucket.PagePath, Path: "a%25b%2Fc"}},
		{"a plus in a path", repo + "/browse/a+b", location{Page: bitbucket.PagePath, Path: "a+b"}},
		{"a raw space, semicolon and backslash", repo + `/browse/a b;c\d`, location{Page: bitbucket.PagePath, Path: `a b;c\d`}},
		{"names with dots", repo + "/browse/.a/..b/c../...", location{Page: bitbucket.PagePath, Path: ".a/..b/c../..."}},
		{"a raw file", repo + "/raw/a.go?at=x#3", location{Page: bitbucket.PagePath, Path: "a.go", Revision: "x", Lines: []bitbucket.LineRange{{Start: 3, End: 3}}}},
		{"until wins over at", repo + "/browse/a?at=x&until=y", location{Page: bitbucket.PagePath, Path: "a", Revision: "y", Until: true}},
		{"an empty until is none", repo + "/browse/a?at=x&until=", location{Page: bitbucket.PagePath, Path: "a", Revision: "x"}},
		{"an empty at is none", repo + "/browse/a?at=", location{Page: bitbucket.PagePath, Path: "a"}},
		{"until with another path", repo + "/browse/a?until=y&untilPath=b%2Fc%2Bd", location{Page: bitbucket.PagePath, Path: "b/c+d", Revision: "y", Until: true}},
		{"another path without until", repo + "/browse/a?untilPath=b", location{Page: bitbucket.PagePath, Path: "a"}},
		{"the first of a repeated parameter", repo + "/browse/a?at=x&at=y", location{Page: bitbucket.PagePath, Path: "a", Revision: "x"}},
		{"the first of a repeated parameter is empty", repo + "/browse/a?at&at=y", location{Page: bitbucket.PagePath, Path: "a"}},
		{"&amp; between parameters", repo + "/browse/a?x=1&amp;at=y", location{Page: bitbucket.PagePath, Path: "a", Revision: "y"}},
		{"a semicolon is no separator", repo + "/browse/a?at=y;until=z", location{Page: bitbucket.PagePath, Path: "a", Revision: "y;until=z"}},
		{"a plus in a value is a space", repo + "/browse/a?until=x&untilPath=b+c%2B", location{Page: bitbucket.PagePath, Path: "b c+", Revision: "x", Until: true}},
		{"an encoded parameter name", repo + "/browse/a?%61t=x", location{Page: bitbucket.PagePath, Path: "a", Revision: "x"}},
		{"a bad escape in a parameter without a meaning", repo + "/browse/a?x=%zz&%zz=1&at=y", location{Page: bitbucket.PagePath, Path: "a", Revision: "y"}},
		{"a bad escape in another page's parameter", repo + "/browse/a?sourceBranch=%zz", location{Page: bitbucket.PagePath, Path: "a"}},
		{"a bad escape in the fragment", repo + "/browse/a#%zz", location{Page: bitbucket.PagePath, Path: "a"}},
		{"dots in a fragment that is no path", repo + "/browse/a#..", location{Page: bitbucket.PagePath, Path: "a"}},

		{"a diff", repo + "/diff/a?until=y&since=z", location{Page: bitbucket.PageDiff, Path: "a", Revision: "y", Until: true, Since: "z"}},
		{"a diff without until", repo + "/diff/a?at=x", location{Page: bitbucket.PageDiff, Path: "a", Revision: "x"}},

		{"commits", repo + "/commits/", location{Page: bitbucket.PageCommits}},
		{"commits of a path", repo + "/commits?until=x&path=/a/b/", location{Page: bitbucket.PageCommits, Revision: "x", Until: true, Path: "a/b", Directory: true}},
		{"a commit", repo + "/commits/" + hashD + "?since=" + hashE, location{Page: bitbucket.PageCommit, Commit: hashD, Since: hashE}},
		{"a commit by a ref", repo + "/commits/refs%2Fheads%2Fx", location{Page: bitbucket.PageCommit, Commit: "refs/heads/x"}},
		{"a commit by a ref with raw slashes", repo + "/commits/feature/x/", location{Page: bitbucket.PageCommit, Commit: "feature/x"}},
		{"a comment of a commit", repo + "/commits/" + hashD + "/comment/4", location{Page: bitbucket.PageCommit, Commit: hashD}},
		{"a file of a commit", repo + "/commits/" + hashD + "#a/b#c?.md", location{Page: bitbucket.PageCommit, Commit: hashD, File: "a/b#c?.md"}},
		{"a comment on a file of a commit", repo + "/commits/" + hashD + "#a?commentId=3", location{Page: bitbucket.PageCommit, Commit: hashD, File: "a"}},
		{"a line of a file of a commit", repo + "/commits/" + hashD + "#a?f=3", location{Page: bitbucket.PageCommit, Commit: hashD, File: "a", Side: bitbucket.SideFrom, Line: 3}},

		{"branches", repo + "/branches/", location{Page: bitbucket.PageBranches}},
		{"tags", repo + "/tags?base=x", location{Page: bitbucket.PageTags}},

		{"compare", repo + "/compare/diff/?targetBranch=a%2Fb&sourceBranch=c&targetRepoId=12", location{Page: bitbucket.PageCompare, Source: "c", Target: "a/b", TargetRepository: 12}},
		{"compare with a target repository that is no number", repo + "/compare?sourceBranch=c&targetRepoId=x", location{Page: bitbucket.PageCompare, Source: "c"}},
		{"creating a pull request", repo + "/pull-requests?create&sourceBranch=c", location{Page: bitbucket.PageCompare, Source: "c"}},

		{"a pull request", repo + "/pull-requests/7", location{Page: bitbucket.PagePullRequest, PullRequest: 7}},
		{"a comment of a pull request", repo + "/pull-requests/7/overview?commentId=3", location{Page: bitbucket.PagePullRequest, PullRequest: 7}},
		{"a file of a pull request", repo + "/pull-requests/7/diff#/a+b%20c", location{Page: bitbucket.PagePullRequest, PullRequest: 7, File: "a+b c"}},
		{"a file of a pull request, old form", repo + "/pull-requests/7/diff/a/b", location{Page: bitbucket.PagePullRequest, PullRequest: 7, File: "a/b"}},
		{"a new line of a pull request", repo + "/pull-requests/7/diff#a?t=4", location{Page: bitbucket.PagePullRequest, PullRequest: 7, File: "a", Side: bitbucket.SideTo, Line: 4}},
		{"line 0 of a pull request", repo + "/pull-requests/7/diff#a?t=0", location{Page: bitbucket.PagePullRequest, PullRequest: 7, File: "a"}},
		{"a line without a number", repo + "/pull-requests/7/diff#a?t=", location{Page: bitbucket.PagePullRequest, PullRequest: 7, File: "a?t="}},
		{"a bad escape in a pull request's fragment", repo + "/pull-requests/7/diff#100%.md?t=4", location{Page: bitbucket.PagePullRequest, PullRequest: 7}},
		{"a commit of a pull request", repo + "/pull-requests/7/commits/" + hashD + "#a", location{Page: bitbucket.PageCommit, PullRequest: 7, Commit: hashD, File: "a"}},

		{"a project", "https://bitbucket.example.com/projects/PRJ/", location{Page: bitbucket.PageProject, Address: bitbucket.Address{Key: "PRJ"}}},
		{"a user", "https://bitbucket.example.com/users/a%40b", location{Page: bitbucket.PageProject, Address: bitbucket.Address{Key: "~a@b"}}},
		{"a personal repository in the users form", "https://bitbucket.example.com/users/a/repos/r/browse/b", location{Page: bitbucket.PagePath, Path: "b", Address: bitbucket.Address{Key: "~a", Slug: "r"}}},
		{"a personal repository in the projects form", "https://bitbucket.example.com/projects/%7Ea/repos/r/browse/b", location{Page: bitbucket.PagePath, Path: "b", Address: bitbucket.Address{Key: "~a", Slug: "r"}}},
		{"a search", "https://bitbucket.example.com/plugins/servlet/search/?q=a+b%2B..%2F", location{Page: bitbucket.PageSearch, Query: "a b+../"}},
		{"a search for nothing", "https://bitbucket.example.com/plugins/servlet/search", location{Page: bitbucket.PageSearch}},

		{"white space around", " \n" + repo + "\t", location{Page: bitbucket.PageRepository}},
		{"no slash before the query", repo + "?", location{Page: bitbucket.PageRepository}},
		{"an encoded page", "https://bitbucket.example.com/%70rojects%2FPRJ/repos/repo", location{Page: bitbucket.PageRepository}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := c.want
			want.Connection = "one"
			if want.Key == "" && want.Page != bitbucket.PageSearch {
				want.Address = bitbucket.Address{Key: "PRJ", Slug: "repo"}
			}
			got, err := world(t).ParseURL(c.url)
			if err != nil {
				t.Fatalf("ParseURL(%q): %v", c.url, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ParseURL(%q) (-want +got):\n%s", c.url, diff)
			}
			checkLocation(t, got)
		})
	}
}

func TestParseURLReadsLines(t *testing.T) {
	t.Parallel()
	type lines = []bitbucket.LineRange
	for _, c := range []struct {
		name, fragment string
		want           lines
	}{
		{"one line", "12", lines{{Start: 12, End: 12}}},
		{"a range", "12-15", lines{{Start: 12, End: 15}}},
		{"a range of one line", "12-12", lines{{Start: 12, End: 12}}},
		{"a reversed range", "15-12", lines{{Start: 12, End: 15}}},
		{"three numbers", "1-3-5", lines{{Start: 1, End: 5}}},
		{"several ranges", "12,15-18,3", lines{{Start: 12, End: 12}, {Start: 15, End: 18}, {Start: 3, End: 3}}},
		{"an encoded comma", "12%2C15", lines{{Start: 12, End: 12}, {Start: 15, End: 15}}},
		{"leading zeros", "007", lines{{Start: 7, End: 7}}},
		{"line 0", "0", nil},
		{"a range from line 0", "0-5", nil},
		{"line 0 among others", "0,4", lines{{Start: 4, End: 4}}},
		{"words after a line", "12,L15", lines{{Start: 12, End: 12}}},
		{"a comment on a line", "12?commentId=3", lines{{Start: 12, End: 12}}},
		{"the form of other hosts", "L12", nil},
		{"an open range", "12-", nil},
		{"a sign", "+12", nil},
		{"a number beyond all files", "99999999999999999999", nil},
		{"nothing", "", nil},
		{"another number sign", "#12", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := world(t).ParseURL(repo + "/browse/a#" + c.fragment)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Lines); diff != "" {
				t.Errorf("lines of #%s (-want +got):\n%s", c.fragment, diff)
			}
		})
	}
}
