package resolver

import (
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
)

// TestLinkCases resolves every case, first cold, then warm, in several worlds.
func TestLinkCases(t *testing.T) {
	t.Parallel()
	cases := linkCases(t, "testdata/link-cases.tsv")

	t.Run("with everything mirrored", func(t *testing.T) {
		t.Parallel()
		runLinkCases(t, newTestResolver(t, linkWorld()), cases, nil)
	})
	t.Run("with everything mirrored and a Bitbucket that knows no path", func(t *testing.T) {
		t.Parallel()
		w := linkWorld()
		w.bitbucketPath = linkWorld().bitbucketFails(bitbucket.ErrUnavailable).bitbucketPath
		runLinkCases(t, newTestResolver(t, w), cases, nil)
	})
	t.Run("with nothing mirrored", func(t *testing.T) {
		t.Parallel()
		repo := primaryURL + "/bitbucket.example.com/PRJ/repo"
		runLinkCases(t, newTestResolver(t, linkWorld().unmirrored()), cases, map[string]linkCase{
			// Without a mirror nobody tells that a branch and a tag share a name, or the hash of an awkward name.
			"rev-both-tag":    {"want_url": repo + "@v1"},
			"rev-both-branch": {"want_url": repo + "@v1"},
			"file-tag-both":   {"want_url": repo + "@v1/-/blob/cmd/a.go"},
			"rev-at-sign":     {"want_url": repo + "@release%402", "exact": "false"},
		})
	})
	t.Run("with an empty index", func(t *testing.T) {
		t.Parallel()
		w := linkWorld()
		r := newTestResolver(t, w, func(o *Options) { o.Repositories = worldLookup{world: w, everything: true} })
		r.ReplaceIndex(nil)
		runLinkCases(t, r, cases, map[string]linkCase{
			// A project's canonical spelling comes from the index; Sourcegraph searches without case.
			"project-context": {"want_url": primaryURL + "/search?q=repo%3A%5Ebb%2Fteam%2F"},
			"user":            {"want_url": primaryURL + "/search?q=repo%3A%5Ebitbucket%5C.example%5C.com%2F~alice%2F"},
		})
	})
}

// TestMoreCases covers the corners of docs/links.md, section 5, and the other fields of links.
func TestMoreCases(t *testing.T) {
	t.Parallel()
	w := linkWorld()
	w.repos[bitbucket.RepoID{Connection: "one", Number: 1}].paths["rootmod"] = bitbucket.PathSubmodule
	runLinkCases(t, newTestResolver(t, w), linkCases(t, "testdata/more-cases.tsv"), nil)
}

func runLinkCases(t *testing.T, r *Resolver, cases []linkCase, differences map[string]linkCase) {
	for _, c := range cases {
		t.Run(c["id"], func(t *testing.T) {
			t.Parallel()
			want := linkCase{}
			for _, from := range []linkCase{c, differences[c["id"]]} {
				maps.Copy(want, from)
			}
			cold, err := r.Resolve(t.Context(), c["url"])
			checkLinkCase(t, want, cold, err)
			if err != nil || t.Failed() {
				return
			}
			warm, err := r.Resolve(t.Context(), c["url"])
			if err != nil {
				t.Fatalf("Resolve again: %v", err)
			}
			if !warm.Hit && !strings.HasPrefix(c["id"], "uncached-") {
				t.Error("Resolve again: not from the cache")
			}
			if diff := cmp.Diff(cold.Link, warm.Link); diff != "" {
				t.Errorf("Resolve again (-cold +warm):\n%s", diff)
			}
			if diff := cmp.Diff(string(cold.JSON), string(warm.JSON)); diff != "" {
				t.Errorf("JSON again (-cold +warm):\n%s", diff)
			}
		})
	}
}

// checkLinkCase compares an answer with the columns that the case has; a cell "*" is not compared.
func checkLinkCase(t *testing.T, want linkCase, got Result, err error) {
	t.Helper()
	if code, ok := strings.CutPrefix(want["want_url"], "!"); ok {
		if errorCodes[code] == nil {
			t.Fatalf("the case has the unknown code %q", code)
		}
		if !errors.Is(err, errorCodes[code]) {
			t.Errorf("Resolve(%.200q): error %v, want %v", want["url"], err, errorCodes[code])
		}
		if got.Link != nil || got.JSON != nil {
			t.Errorf("Resolve(%.200q): a link beside the error: %s", want["url"], got.JSON)
		}
		return
	}
	if err != nil {
		t.Fatalf("Resolve(%.200q): %v", want["url"], err)
	}
	l := got.Link
	have := linkCase{
		"want_url": l.URL, "want_kind": l.Kind, "exact": strconv.FormatBool(l.Exact),
		"revision": l.Revision, "commit": l.Commit, "path": l.Path, "lines": linesText(l.Lines),
		"notes": strconv.Itoa(len(l.Notes)),
	}
	for column, value := range want {
		if kind, ok := strings.CutPrefix(column, "links."); ok {
			have[column] = strings.TrimPrefix(l.Links[kind], primaryURL)
			want[column] = strings.TrimPrefix(value, primaryURL)
		}
	}
	for column, value := range have {
		if w, ok := want[column]; ok && w != "*" && w != value {
			t.Errorf("Resolve(%.200q): %s = %q, want %q", want["url"], column, value, w)
		}
	}
	if l.Exact != (len(l.Notes) == 0) {
		t.Errorf("exact is %t beside the notes %q", l.Exact, l.Notes)
	}
	if l.Links[l.Kind] != l.URL {
		t.Errorf("links.%s = %q, want url", l.Kind, l.Links[l.Kind])
	}
	if (l.Commit != "" && l.Links[kindPermalink] == "" && l.Kind != kindCompare) || (l.Commit == "" && l.Links[kindPermalink] != "") {
		t.Errorf("commit %q beside the permalink %q", l.Commit, l.Links[kindPermalink])
	}
	var decoded Link
	if err := json.Unmarshal(got.JSON, &decoded); err != nil {
		t.Fatalf("the JSON of the link: %v", err)
	}
	if diff := cmp.Diff(*l, decoded); diff != "" {
		t.Errorf("the JSON differs from the link (-link +JSON):\n%s", diff)
	}
	if !strings.HasSuffix(string(got.JSON), "}\n") {
		t.Errorf("the JSON does not end in a line feed: %q", got.JSON)
	}
	if got.MaxAge <= 0 || got.MaxAge > maxAge {
		t.Errorf("MaxAge = %v, want more than 0 and at most %v", got.MaxAge, maxAge)
	}
}

func linesText(lines []bitbucket.LineRange) string {
	var parts []string
	for _, l := range lines {
		parts = append(parts, strconv.Itoa(l.Start)+"-"+strconv.Itoa(l.End))
	}
	return strings.Join(parts, ",")
}
