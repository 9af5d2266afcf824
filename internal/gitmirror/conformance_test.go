package gitmirror

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/resolver"
	"example.com/signpost/syncer"
)

// canaryPhrase opens the canary key.
const canaryPhrase = "canary-passphrase-7b1e"

// way is how objects come: both engines do the same, whatever they come by.
type way struct{ engine, transport string }

var ways = []way{
	{siteconfig.EngineGit, "http"},
	{siteconfig.EngineGit, "ssh"},
	{siteconfig.EngineGoGit, "http"},
	{siteconfig.EngineGoGit, "ssh"},
}

// world is a mirror of a repository that the double of Bitbucket serves.
type world struct {
	*fixture
	way    way
	double *bitbuckettest.Server
	key    string // the SSH key of the account, encrypted, in PEM form
}

// eachWay runs a test on each engine, over HTTP and over SSH.
func eachWay(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for _, way := range ways {
		t.Run(way.engine+" over "+way.transport, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, way, Options{}))
		})
	}
}

// newWorld starts a double with an empty repository whose HEAD names main.
func newWorld(t testing.TB, way way, o Options) *world {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, private, err := ed25519.GenerateKey(nil)
	must(err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(canaryPhrase))
	must(err)
	public, err := ssh.NewPublicKey(private.Public())
	must(err)

	dir := t.TempDir()
	double, err := bitbuckettest.Start(bitbuckettest.Options{ContextPath: "/bitbucket", Dir: dir, SSH: true, CaptchaAfter: 3})
	must(err)
	t.Cleanup(func() { must(double.Close()) })
	_, err = double.AddUser(bitbuckettest.User{
		Name: canaryUser, Password: canaryPassword, SSHKeys: []string{string(ssh.MarshalAuthorizedKey(public))},
	})
	must(err)
	_, err = double.AddProject(bitbuckettest.Project{Key: "PRJ"})
	must(err)
	made, err := double.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "repo", Readers: []string{canaryUser}, History: &bitbuckettest.History{}})
	must(err)

	data := t.TempDir()
	o.Root, o.Tmp = filepath.Join(data, "mirrors"), filepath.Join(data, "tmp")
	m, err := New(o)
	must(err)
	t.Cleanup(func() { must(m.Close()) })
	m.Configure(Settings{Engine: way.engine})
	w := &world{way: way, double: double, key: string(pem.EncodeToMemory(block))}
	w.fixture = &fixture{
		Mirrors: m,
		origin:  &origin{t: t, dir: filepath.Join(dir, "repositories", fmt.Sprint(made.ID)), clock: 1577836800},
		data:    data,
		id:      bitbucket.RepoID{Connection: "bitbucket", Number: 42},
		ask:     func() syncer.FetchRequest { return w.requestOf("prj/repo") },
	}
	return w
}

// requestOf is what the syncer would ask of a repository.
func (w *world) requestOf(address string) syncer.FetchRequest {
	if w.way.transport == "ssh" {
		return syncer.FetchRequest{
			Repo:     w.id,
			CloneURL: "ssh://git@" + w.double.SSHAddr() + "/" + address + ".git",
			SSH: &siteconfig.SSHCredential{
				PrivateKey: siteconfig.NewSecret(w.key),
				Passphrase: siteconfig.NewSecret(canaryPhrase),
				KnownHosts: w.double.KnownHosts(),
			},
		}
	}
	return requestFor(w.id, w.double.URL()+"/scm/"+address+".git")
}

// fault makes something go wrong with requests for the list ("GET") or the pack ("POST") over HTTP, or
// with all over SSH.
func (w *world) fault(f bitbuckettest.Fault) (heal func()) {
	f.Kind = bitbuckettest.KindGit
	if w.way.transport == "ssh" {
		f.Kind, f.Method = bitbuckettest.KindSSH, ""
	}
	return w.double.Fault(f)
}

func TestConformanceClone(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		w.origin.history()
		got := w.fetch(t)
		w.checkSame(t)
		if !got.Cloned || !got.Changed || got.Empty || got.DefaultBranch != "main" || got.SizeBytes == 0 || got.Received == 0 || got.Engine != w.way.engine {
			t.Errorf("result %+v", got)
		}
		if runGit(t, w.mirror(), "", "for-each-ref", "refs/pull-requests") != "" {
			t.Error("refs of pull requests are mirrored")
		}
		if config := runGit(t, w.mirror(), "", "config", "--local", "--list"); strings.Contains(config, "remote.") || strings.Contains(config, "url") {
			t.Errorf("the mirror's configuration names a remote:\n%s", config)
		}
		commit, err := w.ResolveRef(t.Context(), w.id, "refs/tags/v1.0-again")
		if err != nil || commit != w.origin.git("rev-parse", "v1.0^{commit}") {
			t.Errorf("ResolveRef of a tag of a tag: %s, %v", commit, err)
		}
		if kind, err := w.PathKind(t.Context(), w.id, commit, "sub/module"); err != nil || kind != bitbucket.PathSubmodule {
			t.Errorf("PathKind of a submodule: %v, %v", kind, err)
		}
		if kind, err := w.PathKind(t.Context(), w.id, commit, "link"); err != nil || kind != bitbucket.PathFile {
			t.Errorf("PathKind of a symbolic link: %v, %v", kind, err)
		}

		request := w.request()
		request.RefsDigest = got.RefsDigest
		before := treeState(t, w.data)
		w.double.ClearRequests()
		again, err := w.Fetch(t.Context(), request)
		if err != nil || again.Changed || again.Engine != "" {
			t.Errorf("without news: %+v, %v", again, err)
		}
		if after := treeState(t, w.data); after != before {
			t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
		}
		if n := w.double.RequestCount(); w.way.transport == "http" && n != 1 {
			t.Errorf("%d requests to find no news, want one", n)
		}
	})
}

// TestConformanceFollow changes the repository in one way after another, on one mirror.
func TestConformanceFollow(t *testing.T) {
	lfs := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("5", 64) + "\nsize 12345\n"
	changes := []struct {
		name   string
		change func(o *origin)
	}{
		{"a push", func(o *origin) { o.commit("refs/heads/main", map[string]string{"new": "1"}) }},
		{"a large file that changes a little", func(o *origin) {
			o.commit("refs/heads/main", map[string]string{"large": strings.Repeat("line of a large file\n", 20_000)})
		}},
		{"and again", func(o *origin) {
			o.commit("refs/heads/main", map[string]string{"large": strings.Repeat("line of a large file\n", 20_000) + "end\n"})
		}},
		{"a forced push", func(o *origin) {
			o.git("update-ref", "refs/heads/main", "refs/heads/main~1")
			o.commit("refs/heads/main", map[string]string{"forced": "1"})
		}},
		{"a folder of branches that becomes a branch", func(o *origin) {
			o.git("update-ref", "-d", "refs/heads/feature/one")
			o.commit("refs/heads/feature", map[string]string{"flat": "1"})
		}},
		{"and a folder again", func(o *origin) {
			o.git("update-ref", "-d", "refs/heads/feature")
			o.commit("refs/heads/feature/two", map[string]string{"deep": "1"})
		}},
		{"a moved tag", func(o *origin) { o.git("tag", "-f", "light", o.commit("refs/heads/main", map[string]string{"t": "1"})) }},
		{"a light tag that becomes an annotated one", func(o *origin) { o.git("tag", "-f", "-a", "-m", "x", "light", "main") }},
		{"a tag of a tree and a tag of a blob", func(o *origin) {
			o.git("tag", "tree", "main^{tree}")
			o.git("tag", "-a", "-m", "x", "blob", "main:README.md")
		}},
		{"symbolic links, submodules and pointers of LFS", func(o *origin) {
			o.commit("refs/heads/main", map[string]string{
				"big.bin": lfs, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "to/nowhere@": "../../etc/passwd",
				"other!": strings.Repeat("2", 40), ".gitmodules": "[submodule \"other\"]\n\tpath = other\n\turl = ../other.git\n",
			})
		}},
		{"odd names", func(o *origin) {
			for _, name := range []string{"ünï-cödé/日本", "a@b", "x'y\"z", "per%cent", "$(id)", "-n", "#1", "{a,b}", strings.Repeat("n", 200), "v1.0", "refs/heads/main", "main.lock.d"} {
				o.git("update-ref", "refs/heads/"+name, "refs/heads/main")
				o.commit("refs/heads/"+name, map[string]string{"odd": name})
			}
		}},
		{"a default branch that is renamed", func(o *origin) {
			o.git("update-ref", "refs/heads/trunk", "refs/heads/main")
			o.git("symbolic-ref", "HEAD", "refs/heads/trunk")
			o.git("update-ref", "-d", "refs/heads/main")
		}},
		{"a removed tag", func(o *origin) { o.git("tag", "-d", "v1.0") }},
		{"an unrelated history", func(o *origin) {
			o.commit("refs/heads/island", map[string]string{"z": "1"})
			o.git("update-ref", "refs/heads/trunk", "refs/heads/island")
		}},
		{"all refs gone but one", func(o *origin) {
			for name := range strings.Lines(o.git("for-each-ref", "--format=%(refname)", "refs/tags", "refs/heads")) {
				if name = strings.TrimSpace(name); name != "refs/heads/trunk" {
					o.git("update-ref", "-d", name)
				}
			}
		}},
	}
	eachWay(t, func(t *testing.T, w *world) {
		w.origin.history()
		digest := w.fetch(t).RefsDigest
		for _, c := range changes {
			c.change(w.origin)
			request := w.request()
			request.RefsDigest = digest
			got, err := w.Fetch(t.Context(), request)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !got.Changed || got.Cloned || got.RefsDigest == digest {
				t.Errorf("%s: result %+v", c.name, got)
			}
			if left := looseRefs(t, w.mirror()); len(left) > 0 {
				t.Errorf("%s: left below refs: %v", c.name, left)
			}
			digest = got.RefsDigest
			w.checkSame(t)
			if t.Failed() {
				t.Fatalf("after %s", c.name)
			}
		}
	})
}

// TestConformanceSmallUpdatesAreSmall sees that an engine that can complete a pack is sent the difference alone.
func TestConformanceSmallUpdatesAreSmall(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		var noise strings.Builder
		for n := range 20_000 {
			fmt.Fprintf(&noise, "%x\n", n*n*7919)
		}
		w.origin.commit("refs/heads/main", map[string]string{"large": noise.String()})
		clone := w.fetch(t)
		w.origin.commit("refs/heads/main", map[string]string{"large": noise.String() + "one line more\n"})
		update := w.fetch(t)
		w.checkSame(t)
		t.Logf("received %d bytes for the clone, %d for one line", clone.Received, update.Received)
		if w.way.engine == siteconfig.EngineGit && update.Received > clone.Received/10 {
			t.Errorf("received %d bytes for one line, and %d for all", update.Received, clone.Received)
		}
	})
}

func TestConformanceEmpty(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		got := w.fetch(t)
		if !got.Cloned || !got.Empty {
			t.Errorf("an empty repository: %+v", got)
		}
		w.checkWhole(t)
		w.origin.history()
		if got = w.fetch(t); !got.Changed || got.Empty || got.DefaultBranch != "main" {
			t.Errorf("after the first push: %+v", got)
		}
		w.checkSame(t)
		for line := range strings.Lines(w.origin.git("for-each-ref", "--format=%(refname)")) {
			w.origin.git("update-ref", "-d", strings.TrimSpace(line))
		}
		if got = w.fetch(t); !got.Changed || !got.Empty {
			t.Errorf("a repository that became empty: %+v", got)
		}
		w.checkSame(t)
		if _, err := w.ResolveRef(t.Context(), w.id, ""); !errors.Is(err, resolver.ErrRefNotFound) {
			t.Errorf("ResolveRef: %v", err)
		}
	})
}

func TestConformanceTenThousandRefs(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		commit := w.origin.history()
		var script strings.Builder
		for n := range 5_000 {
			fmt.Fprintf(&script, "create refs/heads/user-%d/topic %s\ncreate refs/tags/build-%d %s\n", n, commit, n, commit)
		}
		runGit(t, w.origin.dir, script.String(), "update-ref", "--stdin")
		w.origin.git("pack-refs", "--all") // ten thousand files are slow to read
		w.fetch(t)
		w.checkSame(t)
		script.Reset()
		for n := range 10 { // of their own, so that there are tips to tell
			w.origin.commit(fmt.Sprintf("refs/heads/user-%d/topic", n), map[string]string{"n": fmt.Sprint(n)})
		}
		for n := range 100 {
			fmt.Fprintf(&script, "delete refs/tags/build-%d\n", n)
		}
		runGit(t, w.origin.dir, script.String(), "update-ref", "--stdin")
		if got := w.fetch(t); !got.Changed || got.Cloned {
			t.Errorf("result %+v", got)
		}
		w.checkSame(t)
	})
}

// TestConformanceBranchCalledHEAD leaves such a branch out and takes the rest, as it does with names that
// no file can have.
func TestConformanceBranchCalledHEAD(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		w.origin.history()
		w.origin.git("update-ref", "refs/heads/HEAD", "refs/heads/feature/one")
		w.fetch(t)
		w.origin.commit("refs/heads/HEAD", map[string]string{"more": "1"})
		w.origin.commit("refs/heads/main", map[string]string{"more": "1"})
		w.fetch(t)
		w.checkWhole(t)
		refs := runGit(t, w.mirror(), "", "for-each-ref", "--format=%(refname)")
		if strings.Contains(refs, "refs/heads/HEAD") || !strings.Contains(refs, "refs/heads/main") {
			t.Errorf("refs of the mirror:\n%s", refs)
		}
		if got, err := w.ResolveRef(t.Context(), w.id, ""); err != nil || got != w.origin.git("rev-parse", "refs/heads/main") {
			t.Errorf("HEAD leads to %s, %v", got, err)
		}
	})
}

// TestConformanceMovedWhileFetching moves a branch by force between the list and the pack.
func TestConformanceMovedWhileFetching(t *testing.T) {
	for _, engine := range []string{siteconfig.EngineGit, siteconfig.EngineGoGit} {
		for _, kind := range []string{"clone", "update"} {
			t.Run(engine+", "+kind, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.Configure(Settings{Engine: engine})
				f.origin.history()
				if kind == "update" {
					f.fetch(t)
				}
				f.origin.commit("refs/heads/main", map[string]string{"a": "1"}) // nothing else leads to it
				f.origin.takeRequests()
				moved := false
				f.origin.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPost && !moved {
						moved = true
						f.origin.git("update-ref", "refs/heads/main", "refs/heads/main~1")
						f.origin.commit("refs/heads/main", map[string]string{"b": "1"})
					}
					return false
				})
				if got := f.fetch(t); !got.Changed || got.DefaultBranch != "main" {
					t.Errorf("result %+v", got)
				}
				f.checkSame(t)
				if requests := f.origin.takeRequests(); len(requests) != 4 {
					t.Errorf("requests %v, want two lists and two packs", requests)
				}
			})
		}
	}
}

// TestConformanceMirrorWithoutABase takes from a mirror what its history needs and its tips do not.
func TestConformanceMirrorWithoutABase(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world) {
		var noise strings.Builder
		for n := range 5_000 {
			fmt.Fprintf(&noise, "%x\n", n*n*7919)
		}
		w.origin.commit("refs/heads/main", map[string]string{"large": noise.String(), "other": "1"})
		w.fetch(t)
		first, err := packFiles(w.mirror(), ".pack")
		if err != nil || len(first) != 1 {
			t.Fatalf("packs %v, %v", first, err)
		}
		w.origin.commit("refs/heads/main", map[string]string{"other": "2"})
		w.fetch(t)
		for _, file := range []string{first[0], strings.TrimSuffix(first[0], ".pack") + ".idx"} {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		w.origin.commit("refs/heads/main", map[string]string{"large": noise.String() + "one line more\n"})
		got := w.fetch(t)
		if w.way.engine == siteconfig.EngineGit {
			if !got.Cloned {
				t.Errorf("result %+v, want a new clone", got)
			}
			w.checkSame(t)
		}
	})
}
