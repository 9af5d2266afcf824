package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

// history gives the origin a bit of everything that a repository can have.
func (o *origin) history() (commit string) {
	o.t.Helper()
	o.commit("refs/heads/main", map[string]string{"README.md": "hello", "cmd/a.go": "package a", "link@": "cmd/a.go"})
	commit = o.commit("refs/heads/main", map[string]string{"deep/er/est.txt": "x", "sub/module!": "1f8ac10f23c5b5bc1167bda84b833e5c057a77d2"})
	o.commit("refs/heads/feature/one", map[string]string{"one": "1"})
	o.git("update-ref", "refs/heads/solo", commit)
	o.git("tag", "light", commit)
	o.git("tag", "-a", "-m", "v1", "v1.0", commit)
	o.git("tag", "-a", "-m", "again", "v1.0-again", "v1.0")
	o.git("update-ref", "refs/pull-requests/1/from", commit)
	return commit
}

func TestFetchClones(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	got := f.fetch(t)
	f.checkSame(t)
	if !got.Cloned || !got.Changed || got.Empty || got.DefaultBranch != "main" || got.RefsDigest == "" || got.SizeBytes == 0 {
		t.Errorf("result %+v", got)
	}
	if runGit(t, f.mirror(), "", "for-each-ref", "refs/pull-requests") != "" {
		t.Error("refs of pull requests are mirrored")
	}
}

func TestFetchWithoutNewsWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	first := f.fetch(t)
	before := treeState(t, f.data)
	f.origin.takeRequests()

	request := f.request()
	request.RefsDigest = first.RefsDigest
	got, err := f.Fetch(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got.Changed || got.Cloned || got.RefsDigest != first.RefsDigest || got.DefaultBranch != "main" || got.SizeBytes != first.SizeBytes {
		t.Errorf("result %+v after %+v", got, first)
	}
	if requests := f.origin.takeRequests(); len(requests) != 1 {
		t.Errorf("requests %v, want one", requests)
	}
	if after := treeState(t, f.data); after != before {
		t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
	}

	t.Run("and without a digest it looks closer, and changes nothing either", func(t *testing.T) {
		mirror := treeState(t, f.mirror())
		if got := f.fetch(t); got.Changed {
			t.Errorf("result %+v", got)
		}
		if after := treeState(t, f.mirror()); after != mirror {
			t.Errorf("the mirror was written:\n%s\nbefore:\n%s", after, mirror)
		}
	})
	t.Run("but a mirror that lost a ref is mended all the same", func(t *testing.T) {
		runGit(t, f.mirror(), "", "update-ref", "-d", "refs/tags/light")
		got, err := f.Fetch(t.Context(), request)
		if err != nil || !got.Changed {
			t.Errorf("result %+v, %v", got, err)
		}
		f.checkSame(t)
	})
	t.Run("and so is one that lost its folder", func(t *testing.T) {
		if err := os.RemoveAll(f.mirror()); err != nil {
			t.Fatal(err)
		}
		got, err := f.Fetch(t.Context(), request)
		if err != nil || !got.Cloned {
			t.Errorf("result %+v, %v", got, err)
		}
		f.checkSame(t)
	})
}

func TestFetchIntoAFolderThatLooksLikeAPattern(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.history()
	data := filepath.Join(t.TempDir(), "[data] *?{a,b}")
	m, err := New(Options{Root: filepath.Join(data, "mirrors"), Tmp: filepath.Join(data, "tmp")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	f := &fixture{Mirrors: m, origin: o, data: data, id: bitbucket.RepoID{Connection: "bitbucket", Number: 42}}
	f.fetch(t)
	f.checkSame(t)
	commit := o.commit("refs/heads/main", map[string]string{"new": "1"})
	f.fetch(t)
	f.checkSame(t)
	if got, err := f.ResolveRef(t.Context(), f.id, commit[:9]); err != nil || got != commit {
		t.Errorf("ResolveRef: %q, %v", got, err)
	}
}

// treeState lists every file below dir with its size and time.
func treeState(t testing.TB, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&s, path, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

// TestFetchFollows changes the origin in one way after another, on one mirror.
func TestFetchFollows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(o *origin)
	}{
		{"a push", func(o *origin) { o.commit("refs/heads/main", map[string]string{"new": "1"}) }},
		{"a forced push", func(o *origin) {
			o.git("update-ref", "refs/heads/main", "refs/heads/main~1")
			o.commit("refs/heads/main", map[string]string{"forced": "1"})
		}},
		{"a branch that is reset to an old commit", func(o *origin) { o.git("update-ref", "refs/heads/main", "refs/heads/main~1") }},
		{"an unrelated history", func(o *origin) {
			o.commit("refs/heads/other", map[string]string{"z": "1"})
			o.git("update-ref", "refs/heads/main", "refs/heads/other")
		}},
		{"a removed branch", func(o *origin) { o.git("update-ref", "-d", "refs/heads/feature/one") }},
		{"a removed tag", func(o *origin) { o.git("tag", "-d", "v1.0") }},
		{"a moved tag", func(o *origin) { o.git("tag", "-f", "light", "refs/heads/feature/one") }},
		{"a light tag that becomes an annotated one", func(o *origin) { o.git("tag", "-f", "-a", "-m", "x", "light", "main") }},
		{"a folder of branches that becomes a branch", func(o *origin) {
			o.git("update-ref", "-d", "refs/heads/feature/one")
			o.git("update-ref", "refs/heads/feature", "refs/heads/main")
		}},
		{"a branch that becomes a folder of branches", func(o *origin) {
			o.git("update-ref", "-d", "refs/heads/solo")
			o.git("update-ref", "refs/heads/solo/line", "refs/heads/feature/one")
		}},
		{"a default branch that is renamed", func(o *origin) {
			o.git("update-ref", "refs/heads/trunk", "refs/heads/main")
			o.git("symbolic-ref", "HEAD", "refs/heads/trunk")
			o.git("update-ref", "-d", "refs/heads/main")
		}},
		{"another default branch, with the refs as they were", func(o *origin) { o.git("symbolic-ref", "HEAD", "refs/heads/feature/one") }},
		{"all refs gone but one", func(o *origin) {
			for name := range strings.Lines(o.git("for-each-ref", "--format=%(refname)", "refs/tags")) {
				o.git("update-ref", "-d", strings.TrimSpace(name))
			}
			o.git("update-ref", "-d", "refs/heads/feature/one")
			o.git("update-ref", "-d", "refs/heads/solo")
		}},
	} {
		for _, storage := range []string{"packed", "loose"} {
			t.Run(c.name+", after "+storage+" refs", func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.origin.history()
				before := f.fetch(t)
				if storage == "loose" {
					loosen(t, f.mirror())
				}
				c.change(f.origin)
				request := f.request()
				request.RefsDigest = before.RefsDigest
				got, err := f.Fetch(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Changed || got.Cloned || got.RefsDigest == before.RefsDigest {
					t.Errorf("result %+v", got)
				}
				f.checkSame(t)
				if left := looseRefs(t, f.mirror()); len(left) > 0 {
					t.Errorf("left below refs: %v", left)
				}
			})
		}
	}
}

// loosen makes every ref of a mirror a file of its own, as the git program writes them.
func loosen(t testing.TB, dir string) {
	t.Helper()
	refs := refsOf(t, dir)
	if err := os.Remove(filepath.Join(dir, packedRefsFile)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(refs) {
		hash, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		runGit(t, dir, "", "update-ref", name, hash)
	}
	if got := refsOf(t, dir); got != refs {
		t.Fatalf("refs changed:\n%s\nwant:\n%s", got, refs)
	}
}

// looseRefs returns what lies below refs, without refs/heads and refs/tags themselves.
func looseRefs(t testing.TB, dir string) []string {
	t.Helper()
	var left []string
	err := filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if rel != "refs" && rel != "refs/heads" && rel != "refs/tags" {
			left = append(left, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestFetchEmptyRepository(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	request := f.request()
	request.DefaultBranch = "trunk"
	got, err := f.Fetch(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Cloned || !got.Empty || got.DefaultBranch != "trunk" {
		t.Errorf("result %+v", got)
	}
	f.checkWhole(t)
	if _, err := f.ResolveRef(t.Context(), f.id, ""); !errors.Is(err, resolver.ErrRefNotFound) {
		t.Errorf("ResolveRef: %v", err)
	}
	if name, err := f.DefaultBranch(t.Context(), f.id); name != "" || err != nil {
		t.Errorf("DefaultBranch: %q, %v", name, err)
	}

	request.RefsDigest = got.RefsDigest
	if got, err = f.Fetch(t.Context(), request); err != nil || got.Changed || !got.Empty {
		t.Errorf("second fetch: %+v, %v", got, err)
	}
	f.origin.history()
	if got, err = f.Fetch(t.Context(), request); err != nil || !got.Changed || got.Empty || got.DefaultBranch != "main" {
		t.Errorf("after the first push: %+v, %v", got, err)
	}
	f.checkSame(t)
}

func TestFetchRepositoryThatBecomesEmpty(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	refs := refsOf(t, f.mirror())

	t.Run("one odd answer takes no ref", func(t *testing.T) {
		answers := 0
		f.origin.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
			answers++
			if answers > 1 {
				return false
			}
			w.Header().Set("Content-Type", advertisementType)
			_, _ = w.Write([]byte("001e# service=git-upload-pack\n00000000"))
			return true
		})
		_, err := f.Fetch(t.Context(), f.request())
		wantErr(t, err, bitbucket.ErrUnavailable)
		if got := refsOf(t, f.mirror()); got != refs {
			t.Errorf("refs:\n%s\nwant:\n%s", got, refs)
		}
	})
	t.Run("nor do many, while Bitbucket says that there are branches", func(t *testing.T) {
		f.origin.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", advertisementType)
			_, _ = w.Write([]byte("001e# service=git-upload-pack\n00000000"))
			return true
		})
		for _, answer := range []struct {
			has  bool
			err  error
			want error
		}{{true, nil, bitbucket.ErrUnavailable}, {false, bitbucket.ErrNotBitbucket, bitbucket.ErrNotBitbucket}} {
			request := f.request()
			request.HasBranches = func(context.Context) (bool, error) { return answer.has, answer.err }
			_, err := f.Fetch(t.Context(), request)
			wantErr(t, err, answer.want)
			if got := refsOf(t, f.mirror()); got != refs {
				t.Errorf("refs:\n%s\nwant:\n%s", got, refs)
			}
		}
	})
	t.Run("two equal answers are believed", func(t *testing.T) {
		f.origin.setFault(nil)
		for line := range strings.Lines(f.origin.git("for-each-ref", "--format=%(refname)")) {
			f.origin.git("update-ref", "-d", strings.TrimSpace(line))
		}
		f.origin.takeRequests()
		got := f.fetch(t)
		if !got.Changed || !got.Empty || got.Cloned {
			t.Errorf("result %+v", got)
		}
		if requests := f.origin.takeRequests(); len(requests) != 2 {
			t.Errorf("requests %v, want two", requests)
		}
		f.checkSame(t)
	})
}

func TestFetchUnbornHead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.commit("refs/heads/develop", map[string]string{"a": "1"})
	request := f.request()
	request.DefaultBranch = "main"
	got, err := f.Fetch(t.Context(), request)
	if err != nil || got.DefaultBranch != "main" || got.Empty {
		t.Errorf("result %+v, %v", got, err)
	}
	f.checkSame(t) // HEAD names main, which is not there
	if _, err := f.ResolveRef(t.Context(), f.id, ""); !errors.Is(err, resolver.ErrRefNotFound) {
		t.Errorf("ResolveRef of HEAD: %v", err)
	}
	if _, err := f.ResolveRef(t.Context(), f.id, "develop"); err != nil {
		t.Error(err)
	}
}

func TestFetchManyRefs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	var s strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&s, "create refs/heads/many/b%d %s\ncreate refs/tags/many/t%d %s\n", i, commit, i, commit)
	}
	runGit(t, f.origin.dir, s.String(), "update-ref", "--stdin")
	f.fetch(t)
	f.checkSame(t)

	// Most go: asked twice, then believed.
	s.Reset()
	for i := range 900 {
		fmt.Fprintf(&s, "delete refs/heads/many/b%d\ndelete refs/tags/many/t%d\n", i, i)
	}
	runGit(t, f.origin.dir, s.String(), "update-ref", "--stdin")
	f.origin.takeRequests()
	f.fetch(t)
	f.checkSame(t)
	if requests := f.origin.takeRequests(); len(requests) != 2 {
		t.Errorf("requests %v, want the list twice and no pack", requests)
	}
}

func TestFetchOddRefNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	kept := []string{
		`refs/heads/a"$;><&#_=!|.,b`, "refs/heads/ünïcode/分支", "refs/heads/-dash", "refs/heads/x@y", "refs/heads/refs/heads/main",
		"refs/heads/" + commit, "refs/tags/%2e%2e", "refs/tags/a'b", "refs/heads/abcdef0", "refs/tags/main",
	}
	for _, name := range kept {
		f.origin.git("update-ref", name, commit)
	}
	left := []string{"refs/heads/HEAD", "refs/tags/HEAD"}
	for _, name := range left {
		f.origin.git("update-ref", name, commit)
	}
	f.fetch(t)
	got := runGit(t, f.mirror(), "", "for-each-ref", "--format=%(refname)")
	for _, name := range kept {
		if !slices.Contains(strings.Split(got, "\n"), name) {
			t.Errorf("%s is missing", name)
		}
		if c, err := f.ResolveRef(t.Context(), f.id, name); err != nil || c != commit {
			t.Errorf("ResolveRef(%q) = %q, %v", name, c, err)
		}
	}
	for _, name := range left {
		if slices.Contains(strings.Split(got, "\n"), name) {
			t.Errorf("%s is mirrored", name)
		}
	}
	f.checkWhole(t)
}

// TestFetchLeavesImpossibleNamesOut lets a server list names that no git would make.
func TestFetchLeavesImpossibleNamesOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.origin.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			return false
		}
		w.Header().Set("Content-Type", advertisementType)
		line := func(text string) { _, _ = fmt.Fprintf(w, "%04x%s", len(text)+4, text) }
		line("# service=git-upload-pack\n")
		_, _ = w.Write([]byte("0000"))
		line(commit + " HEAD\x00symref=HEAD:refs/heads/main ofs-delta side-band-64k agent=git/x\n")
		for _, name := range []string{
			"refs/heads/main", "refs/heads/main/below", "refs/heads/../../config", "refs/heads/.hidden", "refs/heads/a..b", "refs/heads/a.lock",
			"refs/heads/" + strings.Repeat("n", 300), "refs/heads/a\\b", "refs/heads/a//b", "refs/heads/a@{1}", "refs/heads/", "refs/tags/ok", "refs/heads/HEAD",
		} {
			line(commit + " " + name + "\n")
		}
		_, _ = w.Write([]byte("0000"))
		return true
	})
	f.fetch(t)
	if got, want := runGit(t, f.mirror(), "", "for-each-ref", "--format=%(refname)"), "refs/heads/main\nrefs/tags/ok"; got != want {
		t.Errorf("refs:\n%s\nwant:\n%s", got, want)
	}
	f.checkWhole(t)
}

func TestFetchCutOffKeepsTheOldRefs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	before := treeState(t, f.mirror())

	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	f.origin.commit("refs/heads/main", map[string]string{"big": string(noise)})
	f.origin.git("update-ref", "-d", "refs/heads/feature/one") // must stay as long as the fetch fails
	for _, after := range []int{1, 8, 100, 60_000, 700_000, 1_000_000} {
		f.origin.cutPacks(after)
		_, err := f.Fetch(t.Context(), f.request())
		wantErr(t, err, bitbucket.ErrUnavailable)
		if now := treeState(t, f.mirror()); now != before {
			t.Fatalf("cut after %d bytes, the mirror is\n%s\nwant\n%s", after, now, before)
		}
		f.checkWhole(t)
	}
	f.origin.setWrap(nil)
	f.fetch(t)
	f.checkSame(t)
}

func TestFetchCutOffLeavesNoHalfMirror(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.origin.cutPacks(200)
	_, err := f.Fetch(t.Context(), f.request())
	wantErr(t, err, bitbucket.ErrUnavailable)
	if _, err := os.Stat(f.mirror()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a mirror: %v", err)
	}
	f.checkTmpEmpty(t)
	if _, err := f.ResolveRef(t.Context(), f.id, "main"); !errors.Is(err, resolver.ErrNotMirrored) {
		t.Errorf("ResolveRef: %v", err)
	}
}

func TestFetchCanceled(t *testing.T) {
	t.Parallel()
	for _, when := range []string{http.MethodGet, http.MethodPost} {
		t.Run("during the "+when, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.origin.history()
			ctx, cancel := context.WithCancel(t.Context())
			f.origin.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != when {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
				cancel()
				<-r.Context().Done()
				return true
			})
			_, err := f.Fetch(ctx, f.request())
			wantErr(t, err, context.Canceled)
			if _, err := os.Stat(f.mirror()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a mirror: %v", err)
			}
			f.checkTmpEmpty(t)
		})
	}
}

func TestFetchesOfOneRepositoryRunAfterOneAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.origin.setFault(func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(started); <-release })
		return false
	})
	results := make(chan bool, 2)
	fetch := func() {
		result, err := f.Fetch(t.Context(), f.request())
		if err != nil {
			t.Error(err)
		}
		results <- result.Cloned
	}
	go fetch()
	waitFor(t, "the first fetch", started)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Fetch(ctx, f.request())
	wantErr(t, err, context.Canceled)

	go fetch()
	close(release)
	if first, second := <-results, <-results; first == second {
		t.Errorf("cloned: %v and %v, want one of them", first, second)
	}
	f.checkSame(t)
}

func TestFetchProgress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	var mu sync.Mutex
	var lines []string
	request := f.request()
	request.Progress = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, text)
	}
	if _, err := f.Fetch(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "objects: 100%") {
		t.Errorf("progress:\n%s", all)
	}
}

func TestCredentialIsNowhereOnDisk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	request := f.request()
	request.CloneURL = strings.Replace(request.CloneURL, "http://", "http://"+canaryUser+":"+canaryPassword+"@", 1)
	if _, err := f.Fetch(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	f.origin.commit("refs/heads/main", map[string]string{"more": "1"})
	f.origin.cutPacks(10)
	_, err := f.Fetch(t.Context(), request)
	wantErr(t, err, bitbucket.ErrUnavailable)
	f.origin.setWrap(nil)
	f.fetch(t)

	err = filepath.WalkDir(f.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); path != f.data && mode&0o077 != 0 {
			t.Errorf("%s has mode %o", path, mode)
		}
		if d.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), canaryPassword) || strings.Contains(string(content), canaryUser) {
			t.Errorf("%s holds the credential", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(f.mirror(), "config"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(config), "remote") || strings.Contains(string(config), "url") {
		t.Errorf("the configuration of the mirror knows a remote:\n%s", config)
	}
}
