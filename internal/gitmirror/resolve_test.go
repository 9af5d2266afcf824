package gitmirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/resolver"
)

func TestResolveRef(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	o := f.origin
	commit := o.history()
	first := o.git("rev-parse", "main~1")
	feature := o.git("rev-parse", "refs/heads/feature/one")
	tree := o.git("rev-parse", "main^{tree}")
	blob := o.git("rev-parse", "main:README.md")
	tag := o.git("rev-parse", "refs/tags/v1.0")
	o.git("tag", "of-tree", tree)
	o.git("tag", "-a", "-m", "x", "of-blob", blob)
	o.git("update-ref", "refs/heads/both", commit)
	o.git("update-ref", "refs/tags/both", first)
	o.git("update-ref", "refs/heads/"+first[:8], commit)               // a branch that is called like a short hash
	o.git("update-ref", "refs/tags/"+strings.Repeat("d", 40), feature) // a tag that is called like a hash
	f.fetch(t)

	for _, c := range []struct {
		name, rev, want string
	}{
		{"nothing is HEAD", "", commit},
		{"HEAD is HEAD", "HEAD", commit},
		{"a full branch", "refs/heads/main", commit},
		{"a short branch", "main", commit},
		{"a branch with a slash", "feature/one", feature},
		{"a full tag", "refs/tags/light", commit},
		{"a short tag", "light", commit},
		{"an annotated tag is peeled", "v1.0", commit},
		{"a tag of a tag is peeled", "refs/tags/v1.0-again", commit},
		{"a branch comes before a tag", "both", commit},
		{"a full name says which", "refs/tags/both", first},
		{"a full hash", first, first},
		{"a full hash in capitals", strings.ToUpper(first), first},
		{"a short hash", first[:7], first},
		{"a longer short hash, odd", strings.ToUpper(first[:13]), first},
		{"a hash but for one digit", first[:39], first},
		{"a branch that is called like a short hash", first[:8], commit},
		{"a tag that is called like a hash of no commit", strings.Repeat("d", 40), feature},
		{"the hash of a tag object", tag, commit},
		{"an unknown name", "nope", ""},
		{"an unknown full name", "refs/heads/nope", ""},
		{"a ref of a pull request", "refs/pull-requests/1/from", ""},
		{"a folder of branches", "feature", ""},
		{"an unknown hash", strings.Repeat("0", 39) + "1", ""},
		{"an unknown short hash", "0000001", ""},
		{"a hash of six digits", first[:6], ""},
		{"41 digits", first + "0", ""},
		{"a tree's hash", tree, ""},
		{"a tree's short hash", tree[:10], ""},
		{"a blob's hash", blob, ""},
		{"a tag of a tree", "of-tree", ""},
		{"an annotated tag of a blob", "of-blob", ""},
		{"a way out", "../../HEAD", ""},
		{"git's syntax", "main~1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second time from memory
				got, err := f.ResolveRef(t.Context(), f.id, c.rev)
				if c.want == "" && !errors.Is(err, resolver.ErrRefNotFound) {
					t.Errorf("got %q, %v, want ErrRefNotFound", got, err)
				}
				if c.want != "" && (err != nil || got != c.want) {
					t.Errorf("got %q, %v, want %q", got, err, c.want)
				}
			}
		})
	}
}

func TestResolveRefAmbiguousShortHash(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	// Commits of these seconds have hashes that begin with the same seven digits.
	var hashes []string
	tree := runGit(t, f.origin.dir, "", "mktree")
	for i, second := range []int{1500013063, 1500016340} {
		stamp := fmt.Sprintf("T <t@example.com> %d +0000", second)
		commit := fmt.Sprintf("tree %s\nauthor %s\ncommitter %s\n\nx\n", tree, stamp, stamp)
		hash := runGit(t, f.origin.dir, commit, "hash-object", "-t", "commit", "-w", "--stdin")
		f.origin.git("update-ref", fmt.Sprintf("refs/heads/b%d", i), hash)
		hashes = append(hashes, hash)
	}
	const short = "2f5363c"
	if hashes[0][:7] != short || hashes[1][:7] != short || hashes[0] == hashes[1] {
		t.Fatalf("the commits are %v", hashes)
	}
	f.fetch(t)
	if got, err := f.ResolveRef(t.Context(), f.id, short); !errors.Is(err, resolver.ErrRefNotFound) {
		t.Errorf("got %q, %v, want ErrRefNotFound", got, err)
	}
	for _, hash := range hashes {
		if got, err := f.ResolveRef(t.Context(), f.id, hash[:20]); err != nil || got != hash {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestPathKind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.fetch(t)
	for _, c := range []struct {
		name, path string
		want       bitbucket.PathKind
	}{
		{"the root", "", bitbucket.PathDirectory},
		{"a file", "README.md", bitbucket.PathFile},
		{"a file in a folder", "cmd/a.go", bitbucket.PathFile},
		{"a folder", "deep/er", bitbucket.PathDirectory},
		{"a file deep down", "deep/er/est.txt", bitbucket.PathFile},
		{"a symbolic link is a file", "link", bitbucket.PathFile},
		{"a submodule", "sub/module", bitbucket.PathSubmodule},
		{"nothing", "nope", 0},
		{"nothing in a folder", "cmd/nope", 0},
		{"below a file", "README.md/x", 0},
		{"below a submodule", "sub/module/x", 0},
		{"below a symbolic link", "link/x", 0},
		{"another case", "readme.md", 0},
		{"a slash at the end", "cmd/", bitbucket.PathDirectory},
		{"dots", "cmd/../README.md", 0},
		{"an empty segment", "cmd//a.go", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := f.PathKind(t.Context(), f.id, commit, c.path)
			if c.want == 0 && !errors.Is(err, resolver.ErrPathNotFound) {
				t.Errorf("got %v, %v, want ErrPathNotFound", got, err)
			}
			if c.want != 0 && (err != nil || got != c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
	for name, commit := range map[string]string{
		"an unknown commit": strings.Repeat("1", 40),
		"no hash":           "main",
		"a tree":            f.origin.git("rev-parse", "main^{tree}"),
	} {
		if got, err := f.PathKind(t.Context(), f.id, commit, "README.md"); !errors.Is(err, resolver.ErrRefNotFound) {
			t.Errorf("%s: got %v, %v, want ErrRefNotFound", name, got, err)
		}
	}
}

// TestPathKindAgreesWithGit compares every path of a history of deltas and large folders with git's list.
func TestPathKindAgreesWithGit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	files := make(map[string]string)
	for i := range 1500 { // a tree of over 16 KiB, which go-git reads in another way
		files[fmt.Sprintf("wide/file-%d", i)] = "x"
	}
	f.origin.commit("refs/heads/main", files)
	for i := range 30 {
		f.origin.commit("refs/heads/main", map[string]string{fmt.Sprintf("wide/file-%d", i*7): "changed", fmt.Sprintf("d%d/e/f", i%3): fmt.Sprint(i)})
	}
	f.origin.git("repack", "-adfq", "--depth=50", "--window=50")
	f.fetch(t)
	for commit := range strings.FieldsSeq(f.origin.git("rev-list", "-3", "main")) {
		for line := range strings.Lines(runGit(t, f.mirror(), "", "ls-tree", "-r", "-t", commit)) {
			meta, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			want := bitbucket.PathFile
			if strings.Contains(meta, " tree ") {
				want = bitbucket.PathDirectory
			}
			if got, err := f.PathKind(t.Context(), f.id, commit, path); err != nil || got != want {
				t.Fatalf("%s at %s: got %v, %v, want %v", path, commit, got, err, want)
			}
		}
	}
}

func TestDefaultBranchOfTheMirror(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.origin.history()
	f.fetch(t)
	if got, err := f.DefaultBranch(t.Context(), f.id); err != nil || got != "main" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadWithoutMirror(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []bitbucket.RepoID{f.id, {Connection: "never-heard-of", Number: 1}} {
		if _, err := f.ResolveRef(t.Context(), id, "main"); !errors.Is(err, resolver.ErrNotMirrored) {
			t.Errorf("ResolveRef: %v", err)
		}
		if _, err := f.PathKind(t.Context(), id, strings.Repeat("1", 40), "a"); !errors.Is(err, resolver.ErrNotMirrored) {
			t.Errorf("PathKind: %v", err)
		}
		if _, err := f.DefaultBranch(t.Context(), id); !errors.Is(err, resolver.ErrNotMirrored) {
			t.Errorf("DefaultBranch: %v", err)
		}
	}
}

func TestConnectionNamesCannotLeaveTheFolder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	outside := filepath.Join(f.data, "1.git")
	for _, connection := range []string{"", ".", "..", "../mirrors", "a/b", `a\b`, "/abs", "a\x00b", tmpPrefix + "x"} {
		id := bitbucket.RepoID{Connection: connection, Number: 1}
		if _, err := f.Fetch(t.Context(), requestFor(id, f.origin.server.URL+originPath)); err == nil {
			t.Errorf("Fetch of %q succeeded", connection)
		}
		if _, err := f.ResolveRef(t.Context(), id, ""); err == nil || errors.Is(err, resolver.ErrNotMirrored) {
			t.Errorf("ResolveRef of %q: %v", connection, err)
		}
	}
	if _, err := f.ResolveRef(t.Context(), bitbucket.RepoID{Connection: "bitbucket"}, ""); err == nil {
		t.Error("the number 0 is accepted")
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("something was made outside")
	}
	if requests := f.origin.takeRequests(); len(requests) > 0 {
		t.Errorf("requests %v", requests)
	}
}

func TestReadObeysTheContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.fetch(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.PathKind(ctx, f.id, commit, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("PathKind: %v", err)
	}
}

func TestClosedMirrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	commit := f.origin.history()
	f.fetch(t)
	if _, err := f.PathKind(t.Context(), f.id, commit, ""); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PathKind(t.Context(), f.id, commit, ""); !errors.Is(err, ErrClosed) {
		t.Errorf("PathKind: %v", err)
	}
	if _, err := f.Fetch(t.Context(), f.request()); !errors.Is(err, ErrClosed) {
		t.Errorf("Fetch: %v", err)
	}
}
