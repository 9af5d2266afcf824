package bitbuckettest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

const refsPath = "/scm/prj/app.git/info/refs?service=git-upload-pack"

// remote is the address of a repository with the reader's credential in it.
func remote(s *bitbuckettest.Server, repository string) string {
	return strings.Replace(s.URL(), "://", "://reader:reader%20secret@", 1) + "/scm/" + repository
}

func TestGitWithoutCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for _, path := range []string{refsPath, "/scm/prj/none.git/info/refs?service=git-upload-pack"} {
		for _, credential := range []string{"", "reader:wrong"} {
			res := request(t, s, path, credential)
			if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != `Basic realm="Atlassian Bitbucket"` {
				t.Errorf("%s as %q: %s %q", path, credential, res.Status, res.Header.Get("WWW-Authenticate"))
			}
		}
	}
}

func TestGitTellsFailuresInItsOwnWay(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	if err := s.Change("PRJ/attic", func(r *bitbuckettest.Repository) { r.State = "OFFLINE" }); err != nil {
		t.Fatal(err)
	}
	for _, repository := range []string{"prj/none.git", "prj/hidden.git", "prj/attic.git", "none/app.git"} {
		res := request(t, s, "/scm/"+repository+"/info/refs?service=git-upload-pack", asReader)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := "001e# service=git-upload-pack\n00000071ERR Repository not found\nThe requested repository does not exist, or you do not have permission to\naccess it."
		if res.StatusCode != http.StatusOK || string(body) != want {
			t.Errorf("%s: %s %q", repository, res.Status, body)
		}
		out, err := git(t, "/", "ls-remote", remote(s, repository))
		if err == nil || !strings.Contains(out, "fatal: remote error: Repository not found") {
			t.Errorf("%s: %v %s", repository, err, out)
		}
	}
	if res := request(t, s, "/scm/prj/app.git/info/refs?service=git-receive-pack", asReader); res.StatusCode != http.StatusForbidden {
		t.Errorf("a push: %s", res.Status)
	}
	for _, path := range []string{"/scm/prj/app.git/info/refs", "/scm/prj/app.git/HEAD", "/scm/prj", "/scm/"} {
		if res := request(t, s, path, asReader); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	off := start(t, bitbuckettest.Options{HTTPOff: true})
	if res := request(t, off, refsPath, asReader); res.StatusCode != http.StatusNotFound {
		t.Errorf("git over http where it is off: %s", res.Status)
	}
}

func TestGitSpellings(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{Version: "7.21"})
	for _, repository := range []string{"prj/app.git", "PRJ/APP.git", "prj/app", "~first.last/app.git", "~FIRST.LAST/notes", "prj/my.dotted-REPO.git"} {
		if out, err := git(t, "/", "ls-remote", remote(s, repository)); err != nil {
			t.Errorf("%s: %v %s", repository, err, out)
		}
	}
}

func TestGitAdvertisesWhatBitbucketDoes(t *testing.T) {
	t.Parallel()
	for version, lazy := range map[string]bool{"4.14": false, "6.10": false, "7.0": true, "9.4": true} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := startWithGit(t, bitbuckettest.Options{Version: version})
			if _, err := s.Push("~FIRST.LAST/app", bitbuckettest.History{Commits: []bitbuckettest.Commit{{Branch: "fix", From: "v1.0"}}}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.AddPullRequest("PRJ/app", bitbuckettest.PullRequest{From: "feature/x"}); err != nil {
				t.Fatal(err)
			}
			fork, err := s.AddPullRequest("PRJ/app", bitbuckettest.PullRequest{From: "fix", FromRepository: "~FIRST.LAST/app"})
			if err != nil {
				t.Fatal(err)
			}
			names := func() []string {
				out, err := git(t, "/", "ls-remote", "--symref", remote(s, "prj/app.git"))
				if err != nil {
					t.Fatal(out)
				}
				var names []string
				for line := range strings.Lines(out) {
					_, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
					names = append(names, name)
				}
				return names
			}
			plain := []string{"HEAD", "HEAD", "refs/heads/feature/x", "refs/heads/main"}
			pulls := []string{"refs/pull-requests/1/from", "refs/pull-requests/1/merge", "refs/pull-requests/2/from", "refs/pull-requests/2/merge"}
			tags := []string{"refs/tags/release/1.1", "refs/tags/release/1.1^{}", "refs/tags/v1.0"}
			written := append(append(append([]string{}, plain...), pulls...), tags...)
			first := written
			if lazy {
				first = append(append([]string{}, plain...), tags...)
			}
			if diff := cmp.Diff(first, names()); diff != "" {
				t.Errorf("refs before anybody looked (-want +got):\n%s", diff)
			}
			for _, number := range []string{"1", "2"} {
				if status, p := get(t, s, "/rest/api/1.0/projects/PRJ/repos/app/pull-requests/"+number, asReader); status != http.StatusOK {
					t.Fatal(p)
				}
			}
			if diff := cmp.Diff(written, names()); diff != "" {
				t.Errorf("refs after a look (-want +got):\n%s", diff)
			}
			out, err := git(t, "/", "ls-remote", remote(s, "prj/app.git"), "refs/pull-requests/2/from")
			if err != nil || !strings.HasPrefix(out, fork.FromCommit) {
				t.Errorf("the fork's commit: %v %s, want %s", err, out, fork.FromCommit)
			}
			// Pull requests follow their branches until they are closed.
			hashes, err := s.Push("PRJ/app", bitbuckettest.History{Commits: []bitbuckettest.Commit{{Branch: "feature/x", Label: "new"}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.ClosePullRequest("PRJ/app", 1, false); err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteBranch("PRJ/app", "feature/x"); err != nil {
				t.Fatal(err)
			}
			_, p := get(t, s, "/rest/api/1.0/projects/PRJ/repos/app/pull-requests/1", asReader)
			if got := p["fromRef"].(map[string]any)["latestCommit"]; got != hashes["new"] || p["state"] != "DECLINED" || p["open"] != false {
				t.Errorf("the declined pull request: %v %v, want %s", p["state"], got, hashes["new"])
			}
			if err := s.Delete("~FIRST.LAST/app"); err != nil {
				t.Fatal(err)
			}
			_, p = get(t, s, "/rest/api/1.0/projects/PRJ/repos/app/pull-requests/2", asReader)
			if from := p["fromRef"].(map[string]any); from["repository"] != nil || from["latestCommit"] != fork.FromCommit {
				t.Errorf("from a fork that is gone: %v", from)
			}
		})
	}
}

func TestOldPullRequestsCarryChangesets(t *testing.T) {
	t.Parallel()
	s := startWithGit(t, bitbuckettest.Options{Version: "4.0", ChangesetRefs: true})
	if _, err := s.AddPullRequest("PRJ/app", bitbuckettest.PullRequest{From: "feature/x"}); err != nil {
		t.Fatal(err)
	}
	_, p := get(t, s, "/rest/api/1.0/projects/PRJ/repos/app/pull-requests/1", asReader)
	from := p["fromRef"].(map[string]any)
	if from["latestCommit"] != nil || len(from["latestChangeset"].(string)) != 40 {
		t.Errorf("fromRef: %v", from)
	}
}

func TestGitProtocolByVersion(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		s := startWithGit(t, bitbuckettest.Options{Version: version})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+refsPath, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("reader", "reader secret")
		req.Header.Set("Git-Protocol", "version=2")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close() //nolint:errcheck,gosec // read to its end
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(body), "version 2"); got == older(version, "5.13") {
			t.Errorf("%s speaks version 2: %v", version, got)
		}
		if got := strings.Contains(string(body), "filter"); got == older(version, "7.13") {
			t.Errorf("%s offers partial clones: %v", version, got)
		}
		if got := res.Header.Get("Content-Type"); got != "application/x-git-upload-pack-advertisement" {
			t.Errorf("%s: Content-Type %q", version, got)
		}
	}
}

func TestGitEmptyRepository(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.0", "9.4"} {
		s := start(t, bitbuckettest.Options{Version: version})
		dir := filepath.Join(t.TempDir(), "clone")
		if out, err := git(t, "/", "clone", "--quiet", "--bare", remote(s, "prj/my.dotted-repo.git"), dir); err != nil {
			t.Errorf("%s: clone of an empty repository: %v %s", version, err, out)
		}
		res := request(t, s, "/rest/api/1.0/projects/PRJ/repos/My.Dotted-repo/branches/default", asReader)
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusNoContent || len(body) > 0 {
			t.Errorf("%s: branches/default: %s %q %v", version, res.Status, body, err)
		}
		for path, want := range map[string]int{"/branches": 200, "/tags": 200, "/commits": 404, "/browse": 404} {
			if status, answer := get(t, s, "/rest/api/1.0/projects/PRJ/repos/My.Dotted-repo"+path, asReader); status != want || want == 200 && answer["size"] != 0.0 {
				t.Errorf("%s: %s: %d %v", version, path, status, answer)
			}
		}
	}
}

func TestGitTakesCompressedRequests(t *testing.T) {
	t.Parallel()
	s := startWithGit(t, bitbuckettest.Options{})
	want := "ce4f9fe64c9bbade17b9a5ae683c35aed6bccd01"
	var body bytes.Buffer
	packer := gzip.NewWriter(&body)
	fmt.Fprintf(packer, "0032want %s\n00000009done\n", want)
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	for encoding, status := range map[string]int{"gzip": 200, "br": 400} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/scm/prj/app.git/git-upload-pack", bytes.NewReader(body.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("reader", "reader secret")
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		req.Header.Set("Content-Encoding", encoding)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close() //nolint:errcheck,gosec // read to its end
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status || status == 200 && !bytes.HasPrefix(answer, []byte("0008NAK\nPACK")) {
			t.Errorf("%s: %s %q", encoding, res.Status, answer[:min(40, len(answer))])
		}
	}
}

func TestGitClonesFromASlowServer(t *testing.T) {
	t.Parallel()
	s := startWithGit(t, bitbuckettest.Options{})
	s.Fault(bitbuckettest.Fault{Kind: bitbuckettest.KindGit, Delay: time.Millisecond})
	if out, err := git(t, "/", "clone", "--quiet", remote(s, "prj/app.git"), filepath.Join(t.TempDir(), "clone")); err != nil {
		t.Error(out)
	}
}

func TestGitFetchesWhatWasPushedLater(t *testing.T) {
	t.Parallel()
	s := startWithGit(t, bitbuckettest.Options{})
	clone := filepath.Join(t.TempDir(), "mirror")
	if out, err := git(t, "/", "clone", "--quiet", "--mirror", remote(s, "prj/app.git"), clone); err != nil {
		t.Fatal(out)
	}
	hashes, err := s.Push("PRJ/app", bitbuckettest.History{
		Commits: []bitbuckettest.Commit{{Label: "next", Message: "Next"}, {Label: "rewritten", Branch: "feature/x", From: "v1.0", Message: "Once more"}},
		Tags:    []bitbuckettest.Tag{{Name: "v2", Target: "next", Message: "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []error{
		s.SetBranch("PRJ/app", "copy", "main"), s.RenameBranch("PRJ/app", "copy", "copy/of/main"), s.SetDefaultBranch("PRJ/app", "copy/of/main"), s.DeleteTag("PRJ/app", "v1.0"),
	} {
		if change != nil {
			t.Fatal(change)
		}
	}
	if out, err := git(t, clone, "fetch", "--quiet", "--prune", "origin"); err != nil {
		t.Fatal(out)
	}
	out, err := git(t, clone, "for-each-ref", "--format=%(refname) %(objectname)")
	if err != nil {
		t.Fatal(out)
	}
	want := fmt.Sprintf("refs/heads/copy/of/main %s\nrefs/heads/feature/x %s\nrefs/heads/main %s\nrefs/tags/release/1.1 %s\nrefs/tags/v2 %s\n",
		hashes["next"], hashes["rewritten"], hashes["next"], hashes["refs/tags/release/1.1"], hashes["refs/tags/v2"])
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("refs (-want +got):\n%s", diff)
	}
	if hashes["refs/tags/v2^{}"] != hashes["next"] {
		t.Errorf("the tag's commit is %s, want %s", hashes["refs/tags/v2^{}"], hashes["next"])
	}
	out, err = git(t, "/", "ls-remote", "--symref", remote(s, "prj/app.git"), "HEAD")
	if err != nil || !strings.HasPrefix(out, "ref: refs/heads/copy/of/main\tHEAD\n") {
		t.Errorf("HEAD: %v %s", err, out)
	}
}

func TestContentByREST(t *testing.T) {
	t.Parallel()
	s := startWithGit(t, bitbuckettest.Options{})
	hashes, err := s.Push("PRJ/app", bitbuckettest.History{})
	if err != nil {
		t.Fatal(err)
	}
	head := hashes["refs/heads/main"]
	const app = "/rest/api/1.0/projects/PRJ/repos/app"
	for _, c := range []struct {
		path string
		want int
		part string
	}{
		{"/browse/README.md?type=true", 200, `{"type":"FILE"}`},
		{"/browse/link?type=true", 200, `{"type":"FILE"}`},
		{"/browse/cmd?type=true", 200, `{"type":"DIRECTORY"}`},
		{"/browse?type=true", 200, `{"type":"DIRECTORY"}`},
		{"/browse/third_party/lib?type=true", 200, `{"type":"SUBMODULE"}`},
		{"/browse/docs/%C3%BCn%C3%AFcode%20%22x%22.md?type=true", 200, `{"type":"FILE"}`},
		{"/browse/README.md?size=true&type=true", 200, `{"size":14}`},
		{"/browse/README.md?type", 200, `"lines":[{"text":"# App"},{"text":""},{"text":"Hello."}]`},
		{"/browse/cmd", 200, `"children":{"size":1,`},
		{"/browse/cmd/b.go?type=true&at=v1.0", 404, "NoSuchPathException"},
		{"/browse/cmd/b.go?type=true&at=feature/x", 200, "FILE"},
		{"/browse/cmd/b.go?type=true&at=refs/heads/feature/x", 200, "FILE"},
		{"/browse/cmd/a.go?type=true&at=" + head[:9], 200, "FILE"},
		{"/browse/cmd/*.go?type=true", 404, "NoSuchPathException"},
		{"/browse/README.md?at=main~1", 404, "NoSuchCommitException"},
		{"/browse/README.md?at=--all", 404, "NoSuchCommitException"},
		{"/browse/README.md?at=none", 404, "NoSuchCommitException"},
		{"/files", 200, `"values":["README.md","cmd/a.go","docs/ünïcode \"x\".md","link","run.sh","third_party/lib"]`},
		{"/files/cmd?at=v1.0", 200, `"values":["a.go"]`},
		{"/files/README.md", 400, "not a directory"},
		{"/raw/cmd/a.go?at=v1.0", 200, "package main\n"},
		{"/raw/cmd", 404, "NoSuchPathException"},
		{"/commits/" + head, 200, `"displayId":"` + head[:11] + `"`},
		{"/commits/" + head[:7], 200, head},
		{"/commits/main", 404, "NoSuchCommitException"},
		{"/commits?until=refs/heads/feature/x", 200, `"size":2,`},
		{"/commits?until=main&since=v1.0&merges=exclude", 200, `"size":2,`},
		{"/commits?path=cmd/b.go&until=feature/x", 200, `"size":1,`},
		{"/commits?limit=1&start=1", 200, `"isLastPage":false`},
		{"/tags/release/1.1", 200, `"displayId":"release/1.1","type":"TAG"`},
		{"/tags/none", 404, "NoSuchTagException"},
		{"/tags?filterText=V1", 200, `"size":1,`},
		{"/branches?orderBy=ALPHABETICAL", 200, `"displayId":"feature/x"`},
		{"/branches?orderBy=SIZE", 400, "SIZE"},
		{"/default-branch", 200, `{"id":"refs/heads/main","displayId":"main","type":"BRANCH"}`},
		{"/nothing", 404, "null for uri"},
		{"/pull-requests/x", 404, "null for uri"},
	} {
		res := request(t, s, app+c.path, asReader)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != c.want || !strings.Contains(string(body), c.part) {
			t.Errorf("%s: %s %s, want %d with %s", c.path, res.Status, body, c.want, c.part)
		}
	}
	if err := s.SetDefaultBranch("PRJ/app", "unborn"); err != nil {
		t.Fatal(err)
	}
	if status, answer := get(t, s, app+"/branches/default", asReader); status != http.StatusNotFound {
		t.Errorf("a default branch that is not there: %d %v", status, answer)
	}
}

func TestHistoriesThatGitCannotHold(t *testing.T) {
	t.Parallel()
	s := startWithGit(t, bitbuckettest.Options{})
	for name, h := range map[string]bitbuckettest.History{
		"a branch with two dots":  {Commits: []bitbuckettest.Commit{{Branch: "a..b"}}},
		"an unknown parent":       {Commits: []bitbuckettest.Commit{{From: "nowhere"}}},
		"an unknown merge":        {Commits: []bitbuckettest.Commit{{Merge: []string{"nowhere"}}}},
		"a tag of nothing":        {Tags: []bitbuckettest.Tag{{Name: "t", Target: "nowhere"}}},
		"a tag without a name":    {Tags: []bitbuckettest.Tag{{Target: "main"}}},
		"an author without an <>": {Commits: []bitbuckettest.Commit{{Author: "somebody"}}},
	} {
		if _, err := s.Push("PRJ/app", h); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, err := range map[string]error{
		"an unknown repository": func() error { _, err := s.Push("PRJ/none", bitbuckettest.History{}); return err }(),
		"an unknown branch":     s.DeleteBranch("PRJ/app", "none"),
		"a bad name":            s.RenameBranch("PRJ/app", "main", "a b"),
		"an unknown target":     s.SetBranch("PRJ/app", "x", "none"),
		"a renamed nothing":     s.Rename("PRJ/none", "PRJ/x"),
		"a taken address":       s.Rename("PRJ/app", "PRJ/hidden"),
		"an unknown project":    s.Rename("PRJ/app", "NONE/x"),
		"a project's key taken": s.RenameProject("PRJ", "OLD"),
		"a personal project":    s.RenameProject("~FIRST.LAST", "X"),
		"another slug":          s.Change("PRJ/app", func(r *bitbuckettest.Repository) { r.Slug = "x" }),
		"a second user":         func() error { _, err := s.AddUser(bitbuckettest.User{Name: "Admin"}); return err }(),
		"a second project":      func() error { _, err := s.AddProject(bitbuckettest.Project{Key: "prj"}); return err }(),
		"a second repository": func() error {
			_, err := s.AddRepository(bitbuckettest.Repository{Project: "prj", Slug: "APP"})
			return err
		}(),
		"a taken number": func() error {
			_, err := s.AddRepository(bitbuckettest.Repository{ID: 1, Project: "prj", Slug: "x"})
			return err
		}(),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRepositoriesCanBeDeletedWhileTheyArePushedTo would never end if one waited for the other.
func TestRepositoriesCanBeDeletedWhileTheyArePushedTo(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			address := fmt.Sprintf("PRJ/short-lived-%d", i)
			if _, err := s.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: strings.TrimPrefix(address, "PRJ/")}); err != nil {
				t.Error(err)
			}
			var users sync.WaitGroup
			users.Go(func() {
				_, _ = s.Push(address, bitbuckettest.History{Commits: []bitbuckettest.Commit{{}}}) // comes too late, or not
			})
			users.Go(func() {
				// Anything that takes as long as a push takes to begin.
				if err := s.SetDefaultBranch("PRJ/app", fmt.Sprintf("b%d", i)); err != nil {
					t.Error(err)
				}
				if err := s.Delete(address); err != nil {
					t.Error(err)
				}
			})
			users.Wait()
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a deletion and a push wait for each other")
	}
}

func TestGitIsNeeded(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := exec.LookPath("git"); err == nil {
		t.Fatal("git is found in an empty folder")
	}
	_, err := bitbuckettest.Start(bitbuckettest.Options{})
	if !errors.Is(err, bitbuckettest.ErrGitMissing) || !strings.Contains(err.Error(), "install it") {
		t.Errorf("without git: %v", err)
	}
}
