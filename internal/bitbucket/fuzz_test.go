package bitbucket_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"example.com/signpost/internal/bitbucket"
	"github.com/google/go-cmp/cmp"
)

// checkLocation checks what is true of every Location of world.
func checkLocation(t *testing.T, l bitbucket.Location) {
	t.Helper()
	for _, name := range append([]string{l.Connection}, l.Others...) {
		if name != "one" && name != "two" {
			t.Errorf("connection %q is not configured", name)
		}
	}
	if slices.Contains(l.Others, l.Connection) {
		t.Errorf("connection %q is among the others too", l.Connection)
	}
	texts := map[string]string{
		"Key": l.Key, "Slug": l.Slug, "Revision": l.Revision, "Path": l.Path, "Commit": l.Commit, "Since": l.Since,
		"Source": l.Source, "Target": l.Target, "File": l.File,
	}
	for field, text := range texts {
		for segment := range strings.SplitSeq(text, "/") {
			if segment == "." || segment == ".." || (segment == "" && text != "") {
				t.Errorf("%s %q has the segment %q", field, text, segment)
			}
		}
	}
	texts["Query"] = l.Query
	for field, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%s %q is not UTF-8 without control characters", field, text)
		}
	}
	for _, lines := range l.Lines {
		if lines.Start < 1 || lines.End < lines.Start {
			t.Errorf("lines %+v are not positive and ordered", lines)
		}
	}
	if (l.Line > 0) != (l.Side != bitbucket.SideNone) || l.Line < 0 || (l.Line > 0 && l.File == "") {
		t.Errorf("line %d of file %q is on side %d", l.Line, l.File, l.Side)
	}
	if l.Until && l.Revision == "" {
		t.Error("until without a revision")
	}
	if l.PullRequest < 0 || l.TargetRepository < 0 {
		t.Errorf("negative number: pull request %d, target repository %d", l.PullRequest, l.TargetRepository)
	}
	checkPage(t, l)
}

// checkPage checks that a Location has what its page needs, and nothing of another page.
func checkPage(t *testing.T, l bitbucket.Location) {
	t.Helper()
	rest := l // what remains when the page's own fields are taken out
	rest.Connection, rest.Others, rest.Page = "", nil, 0
	has := func(field string, ok bool) {
		if !ok {
			t.Errorf("page %d lacks %s: %+v", l.Page, field, l)
		}
	}
	if l.Page != bitbucket.PageSearch {
		has("Key", l.Key != "")
		rest.Key = ""
	}
	if l.Page != bitbucket.PageSearch && l.Page != bitbucket.PageProject {
		has("Slug", l.Slug != "")
		rest.Slug = ""
	}
	switch l.Page {
	case bitbucket.PageRepository, bitbucket.PageOther:
		rest.Revision, rest.Until = "", false
	case bitbucket.PagePath:
		has("Path", l.Path != "")
		rest.Revision, rest.Until, rest.Path, rest.Directory, rest.Lines = "", false, "", false, nil
	case bitbucket.PageDiff:
		has("Path", l.Path != "")
		rest.Revision, rest.Until, rest.Path, rest.Directory, rest.Since = "", false, "", false, ""
	case bitbucket.PageCommits:
		rest.Revision, rest.Until, rest.Path, rest.Directory = "", false, "", false
	case bitbucket.PageCommit:
		has("Commit", l.Commit != "")
		rest.Commit, rest.Since, rest.PullRequest = "", "", 0
		rest.File, rest.Side, rest.Line = "", 0, 0
	case bitbucket.PageCompare:
		rest.Source, rest.Target, rest.TargetRepository = "", "", 0
	case bitbucket.PagePullRequest:
		has("PullRequest", l.PullRequest > 0)
		rest.PullRequest, rest.File, rest.Side, rest.Line = 0, "", 0, 0
	case bitbucket.PageSearch:
		rest.Query = ""
	case bitbucket.PageProject, bitbucket.PageBranches, bitbucket.PageTags:
	default:
		t.Errorf("unknown page %d", l.Page)
	}
	if diff := cmp.Diff(bitbucket.Location{}, rest); diff != "" {
		t.Errorf("page %d has fields of another page (-want +got):\n%s", l.Page, diff)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, c := range linkCases(f) {
		f.Add(c.url)
	}
	f.Add("https://bitbucket.example.com//projects//PRJ/repos/repo/browse/a//b/?at=&amp;until=x+y&untilPath=/c/#3-1-2,0,7")
	f.Add("https://[::1]:443/projects/PRJ")
	f.Add("git@[::1]:7999/prj/repo.git")
	f.Add("https://bitbucket.example.com/projects/PRJ/repos/repo/commits/a%2Fb/comment/4?since=%C2%A0#x?f=0")
	servers := world(f)
	f.Fuzz(func(t *testing.T, raw string) {
		location, err := servers.ParseURL(raw)
		if err == nil {
			checkLocation(t, location)
			return
		}
		if !errors.Is(err, bitbucket.ErrInvalidURL) && !errors.Is(err, bitbucket.ErrUnknownHost) &&
			!errors.Is(err, bitbucket.ErrUnsupportedPage) {
			t.Errorf("ParseURL(%q): error %v is none of the three", raw, err)
		}
		if diff := cmp.Diff(bitbucket.Location{}, location); diff != "" {
			t.Errorf("ParseURL(%q): a location beside the error %v", raw, err)
		}
		if !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
			t.Errorf("ParseURL(%q): error %q cannot be printed", raw, err)
		}
	})
}

func FuzzParseBaseURL(f *testing.F) {
	for _, raw := range []string{
		"https://bitbucket.example.com", "HTTP://Bitbucket.Example.COM.:80//a/b//", "https://[::1]:8443/x",
		"https://u:p@h/?q#f", "https://h/%2e%2e", "http://h:0443", "https://h/../..",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		b, err := bitbucket.ParseBaseURL(raw)
		if err != nil {
			return
		}
		again, err := bitbucket.ParseBaseURL(b.String())
		if err != nil || again != b {
			t.Fatalf("ParseBaseURL(%q) = %+v, whose String parses to %+v, %v", raw, b, again, err)
		}
		if b.HostName() == "" || strings.HasSuffix(b.String(), "/") {
			t.Errorf("ParseBaseURL(%q) = %+v", raw, b)
		}
		// An address that passes is one whose URLs are found.
		servers := bitbucket.NewServers([]bitbucket.Server{{Name: "one", Addresses: []bitbucket.BaseURL{b}}})
		for _, spelling := range []string{raw, b.String()} {
			location, err := servers.ParseURL(strings.TrimRight(spelling, "/") + "/projects/PRJ/repos/repo")
			if err != nil || location.Connection != "one" {
				t.Errorf("ParseURL below %q: %+v, %v", spelling, location, err)
			}
		}
	})
}
