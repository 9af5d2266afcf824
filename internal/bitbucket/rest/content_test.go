package rest

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket"
)

var app = bitbucket.Address{Key: "WEB", Slug: "app"}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	const at = "projects/WEB/repos/app/"
	newer, older := file(t, 200, "default-branch.json"), file(t, 200, "branches-default.json")
	noSuch := body(404, `{"errors":[{"context":null,"message":"none","exceptionName":"com.atlassian.bitbucket.repository.NoDefaultBranchException"}]}`)
	for _, c := range []struct {
		name, version string
		r             routes
		want          string
		wantErr       []error
		asked         []string
	}{
		{"in the new form", "8.0.0", routes{at + "default-branch": newer}, "release/2", nil, []string{at + "default-branch"}},
		{"in the old form, where the new one is not there", "7.6.0", routes{at + "branches/default": older}, "release/2", nil, []string{at + "default-branch", at + "branches/default"}},
		{"in the old form on an old version", "4.0.0", routes{at + "branches/default": older}, "release/2", nil, []string{at + "branches/default"}},
		{"in both forms when the version is unknown", "?", routes{at + "branches/default": older}, "release/2", nil, []string{at + "default-branch", at + "branches/default"}},
		{"by its full name alone", "4.0.0", routes{at + "branches/default": body(200, `{"id":"refs/heads/x/y"}`)}, "x/y", nil, nil},
		{"of an empty repository", "4.0.0", routes{at + "branches/default": body(204, ``)}, "", []error{bitbucket.ErrEmptyRepository}, nil},
		{"of an empty repository in the new form", "9.4.0", routes{at + "default-branch": body(204, ``)}, "", []error{bitbucket.ErrEmptyRepository}, []string{at + "default-branch"}},
		{"of an empty repository that only the old form tells", "7.6.0", routes{at + "branches/default": body(204, ``)}, "", []error{bitbucket.ErrEmptyRepository}, nil},
		{"that does not exist", "9.4.0", routes{at + "default-branch": noSuch, at + "branches/default": noSuch}, "", []error{bitbucket.ErrNotFound}, nil},
		{"without a name", "4.0.0", routes{at + "branches/default": body(200, `{}`)}, "", []error{bitbucket.ErrUnavailable}, nil},
		{"when Bitbucket fails", "9.4.0", routes{at + "default-branch": body(501, ``)}, "", []error{bitbucket.ErrUnavailable}, []string{at + "default-branch"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.version, c.r)
			got, err := newClient(t, s.base()).DefaultBranch(t.Context(), app)
			wantError(t, err, c.wantErr)
			if got != c.want {
				t.Errorf("DefaultBranch: %q, want %q", got, c.want)
			}
			if diff := cmp.Diff(c.asked, s.asked()); c.asked != nil && diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHasBranches(t *testing.T) {
	t.Parallel()
	const at = "projects/WEB/repos/app/branches"
	none := body(200, `{"size":0,"limit":1,"isLastPage":true,"values":[],"start":0}`)
	for _, c := range []struct {
		name    string
		r       routes
		want    bool
		wantErr []error
	}{
		{"with some", routes{at: body(200, `{"size":1,"limit":1,"isLastPage":false,"values":[{"id":"refs/heads/main"}],"start":0,"nextPageStart":1}`)}, true, nil},
		{"with none, and no default branch", routes{at: none, at + "/default": body(204, ``)}, false, nil},
		{"with none, and a default branch that is not there", routes{at: none}, false, nil},
		{"with a list that is empty, and a default branch", routes{at: none, at + "/default": file(t, 200, "branches-default.json")}, true, nil},
		{"with a list that is empty, when Bitbucket fails then", routes{at: none, at + "/default": body(501, ``)}, false, []error{bitbucket.ErrUnavailable}},
		{"that does not exist", routes{at: file(t, 404, "error-404-repository.json")}, false, []error{bitbucket.ErrNotFound}},
		{"behind a login page", routes{at: file(t, 200, "login.html")}, false, []error{bitbucket.ErrNotBitbucket}},
		{"when Bitbucket fails", routes{at: body(501, ``)}, false, []error{bitbucket.ErrUnavailable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "8.19", c.r)
			got, err := newClient(t, s.base()).HasBranches(t.Context(), app)
			wantError(t, err, c.wantErr)
			if got != c.want {
				t.Errorf("HasBranches: %v, want %v", got, c.want)
			}
		})
	}
}

func TestPathKind(t *testing.T) {
	t.Parallel()
	const at = "projects/WEB/repos/app/browse"
	for _, c := range []struct {
		name, rev, path string
		answer          http.HandlerFunc
		want            bitbucket.PathKind
		wantErr         []error
		asked           string
	}{
		{"of a file", "refs/heads/a+b/c d", "cmd/a b/x#?%+&;.go", body(200, `{"type":"FILE"}`), bitbucket.PathFile, nil, at + "/cmd/a%20b/x%23%3F%25+&%3B.go?at=refs%2Fheads%2Fa%2Bb%2Fc+d&type=true"},
		{"of a directory", "main", "/cmd/", body(200, `{"type":"DIRECTORY"}`), bitbucket.PathDirectory, nil, at + "/cmd?at=main&type=true"},
		{"of a submodule", "", "third party", body(200, `{"type":"SUBMODULE"}`), bitbucket.PathSubmodule, nil, at + "/third%20party?type=true"},
		{"of the root", "", "", body(200, `{"type":"DIRECTORY"}`), bitbucket.PathDirectory, nil, at + "?type=true"},
		{"by its lines", "", "a", body(200, `{"lines":[{"text":"x"}],"start":0,"size":1,"isLastPage":true}`), bitbucket.PathFile, nil, at + "/a?type=true"},
		{"by its children", "", "a", body(200, `{"path":{},"children":{"values":[]}}`), bitbucket.PathDirectory, nil, at + "/a?type=true"},
		{"in UTF-8", "", "дир/ü", body(200, `{"type":"FILE"}`), bitbucket.PathFile, nil, at + "/%D0%B4%D0%B8%D1%80/%C3%BC?type=true"},
		{"of something new", "", "a", body(200, `{"type":"SYMLINK"}`), 0, []error{bitbucket.ErrUnavailable}, at + "/a?type=true"},
		{"of nothing", "", "a", body(404, ``), 0, []error{bitbucket.ErrNotFound}, at + "/a?type=true"},
		{"of a commit that is not there", "0000000", "a", body(400, `{"errors":[{"context":null,"message":"m","exceptionName":"com.atlassian.bitbucket.commit.NoSuchCommitException"}]}`), 0, []error{bitbucket.ErrNotFound}, at + "/a?at=0000000&type=true"},
		{"of an empty repository", "", "a", body(204, ``), 0, []error{bitbucket.ErrNotFound, bitbucket.ErrEmptyRepository}, at + "/a?type=true"},
		{"that climbs", "", "a/../b", nil, 0, []error{bitbucket.ErrNotFound}, ""},
		{"with an empty segment", "", "a//b", nil, 0, []error{bitbucket.ErrNotFound}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "8.0.0", routes{"*": c.answer})
			got, err := newClient(t, s.base()).PathKind(t.Context(), app, c.rev, c.path)
			wantError(t, err, c.wantErr)
			if got != c.want {
				t.Errorf("PathKind: %v, want %v", got, c.want)
			}
			var want []string
			if c.asked != "" {
				want = []string{c.asked}
			}
			if diff := cmp.Diff(want, s.asked()); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPullRequest(t *testing.T) {
	t.Parallel()
	const a, b = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	want := bitbucket.PullRequest{
		Number: 3,
		From:   bitbucket.PullRequestRef{Ref: "refs/heads/feature/x", Commit: a, Repository: app, Number: 7},
		To:     bitbucket.PullRequestRef{Ref: "refs/heads/main", Commit: b, Repository: app, Number: 7},
	}
	forked, deleted := want, want
	forked.From.Repository, forked.From.Number = bitbucket.Address{Key: "~FIRST.LAST", Slug: "app"}, 9
	deleted.From.Repository, deleted.From.Number = bitbucket.Address{}, 0
	for _, c := range []struct {
		name    string
		number  int64
		answer  http.HandlerFunc
		want    bitbucket.PullRequest
		wantErr []error
		says    string
	}{
		{"with the old word for commits", 3, file(t, 200, "pull-request-4.x-changeset.json"), want, nil, ""},
		{"of a fork", 3, file(t, 200, "pull-request-fork.json"), forked, nil, ""},
		{"of a fork that is gone", 3, file(t, 200, "pull-request-fork-deleted.json"), deleted, nil, ""},
		{"that is not there", 3, body(404, `{"errors":[{"context":null,"message":"m","exceptionName":"com.atlassian.bitbucket.pull.NoSuchPullRequestException"}]}`), bitbucket.PullRequest{}, []error{bitbucket.ErrNotFound}, ""},
		{"that is another one", 3, body(200, `{"id":4,"fromRef":{"latestCommit":"`+a+`"},"toRef":{"latestCommit":"`+b+`"}}`), bitbucket.PullRequest{}, []error{bitbucket.ErrUnavailable}, "not about pull request 3"},
		{"without a side", 3, body(200, `{"id":3,"fromRef":{"latestCommit":"`+a+`"}}`), bitbucket.PullRequest{}, []error{bitbucket.ErrUnavailable}, "does not name the commits"},
		{"with hashes that are none", 3, body(200, `{"id":3,"fromRef":{"latestCommit":"../x"},"toRef":{"latestCommit":"`+b+`"}}`), bitbucket.PullRequest{}, []error{bitbucket.ErrUnavailable}, "does not name the commits"},
		{"that is nothing", 3, body(204, ``), bitbucket.PullRequest{}, []error{bitbucket.ErrUnavailable}, ""},
		{"of number 0", 0, nil, bitbucket.PullRequest{}, []error{bitbucket.ErrNotFound}, "counted from 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "8.0.0", routes{"projects/WEB/repos/app/pull-requests/3": c.answer})
			got, err := newClient(t, s.base()).PullRequest(t.Context(), app, c.number)
			wantError(t, err, c.wantErr, c.says)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
