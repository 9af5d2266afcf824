package bitbuckettest_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

func startLinkWorld(t *testing.T, o bitbuckettest.LinkWorldOptions) *bitbuckettest.LinkWorld {
	t.Helper()
	w, err := bitbuckettest.StartLinkWorld(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// throughProxy is a client that reaches the names of a LinkWorld, with the bot's credential.
func throughProxy(t *testing.T, w *bitbuckettest.LinkWorld) func(url string) (int, string) {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(w.CertificatePEM())) {
		t.Fatal("the certificates are none")
	}
	transport := &http.Transport{
		Proxy:           http.ProxyURL(w.Proxy.ProxyURL()),
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return func(url string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(w.Bot.Username, w.Bot.Password)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
}

func TestLinkWorldIsTheWorldOfTheLinkCases(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.0", "5.16", "9.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := startLinkWorld(t, bitbuckettest.LinkWorldOptions{Version: version})
			ask := throughProxy(t, w)
			api := bitbuckettest.LinkWorldFirstURL + "/rest/api/1.0"
			paths := []string{"README.md", "cmd/a.go", "docs/a%20b%23c%3F.md", "docs/%C3%BCn%C3%AFcode.txt", "docs/100%25.md", "docs/plus+sign.md"}
			for _, at := range []string{
				"", "refs/heads/main", "refs/heads/v1", "refs/tags/v1", "refs/tags/v1.0", "refs/heads/release%402", "refs/heads/feature/x",
				strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("d", 40), strings.Repeat("e", 40), strings.Repeat("f", 40), "12345678",
			} {
				for kind, files := range map[string][]string{"FILE": paths, "DIRECTORY": {"cmd", "docs", "third_party"}, "SUBMODULE": {"third_party/lib"}} {
					for _, path := range files {
						status, body := ask(w.Substitute(api + "/projects/PRJ/repos/repo/browse/" + path + "?type=true&at=" + at))
						if want := `{"type":"` + kind + `"}`; status != http.StatusOK || body != want {
							t.Errorf("%s at %q: %d %s, want %s", path, at, status, body, want)
						}
					}
				}
				if status, _ := ask(w.Substitute(api + "/projects/PRJ/repos/repo/browse/.gitignore?type=true&at=" + at)); status != http.StatusNotFound {
					t.Errorf(".gitignore at %q: %d, want 404", at, status)
				}
			}
			hashes := map[string]bool{}
			for placeholder, hash := range w.Hashes {
				if len(hash) != len(placeholder) || hashes[hash] {
					t.Errorf("%s became %q", placeholder, hash)
				}
				hashes[hash] = true
			}
			for number, from := range map[string]string{"7": strings.Repeat("a", 40), "8": strings.Repeat("c", 40)} {
				_, body := ask(api + "/projects/PRJ/repos/repo/pull-requests/" + number)
				for _, want := range []string{from, strings.Repeat("b", 40)} {
					if !strings.Contains(body, `"latestCommit":"`+w.Substitute(want)+`"`) {
						t.Errorf("pull request %s lacks %s: %s", number, w.Substitute(want), body)
					}
				}
			}
			for url, want := range map[string]int{
				api + "/projects/PRJ/repos/My.Dotted-repo":                                              200,
				api + "/projects/~alice/repos/dotfiles":                                                 200,
				api + "/projects/~ALICE/repos/repo-fork":                                                200,
				api + "/projects/PRJ/repos/empty/branches/default":                                      204,
				api + "/projects/XCL/repos/secret":                                                      200,
				api + "/projects/PRJ/repos/nope":                                                        404,
				api + "/projects/PRJ/repos/repo/pull-requests/999":                                      404,
				bitbuckettest.LinkWorldAliasURL + "/rest/api/1.0/projects/prj/repos/repo":               200,
				bitbuckettest.LinkWorldSecondURL + "/rest/api/1.0/projects/TEAM/repos/service":          200,
				bitbuckettest.LinkWorldSecondURL + "/rest/api/1.0/users/bob/repos/notes":                200,
				"https://code.example.org:8443/rest/api/1.0/projects/TEAM/repos/service":                404,
				api + "/projects/OLD/repos/legacy":                                                      map[bool]int{true: 200, false: 404}[version != "4.0"],
				bitbuckettest.LinkWorldSecondURL + "/rest/api/1.0/projects/TEAM/repos/service/branches": 200,
			} {
				if status, body := ask(url); status != want {
					t.Errorf("%s: %d, want %d: %s", url, status, want, body)
				}
			}
			clone := cloneThroughProxy(t, w, "/scm/prj/repo.git")
			for _, gone := range []string{"a", "b", "c"} {
				if out, err := git(t, clone, "cat-file", "-e", w.Substitute(strings.Repeat(gone, 40))); err == nil {
					t.Errorf("a mirror has the hash of %s: %s", gone, out)
				}
			}
			for _, there := range []string{strings.Repeat("d", 40), strings.Repeat("e", 40), strings.Repeat("f", 40), "1234567890abcdef1234567890abcdef12345678"} {
				if out, err := git(t, clone, "cat-file", "-e", w.Substitute(there)); err != nil {
					t.Errorf("a mirror lacks the hash of %s: %s", there, out)
				}
			}
		})
	}
}

func cloneThroughProxy(t *testing.T, w *bitbuckettest.LinkWorld, path string) string {
	t.Helper()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(w.CertificatePEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(bitbuckettest.LinkWorldFirstURL, "://", "://"+w.Bot.Username+":"+strings.ReplaceAll(w.Bot.Password, " ", "%20")+"@", 1) + path
	clone := filepath.Join(dir, "clone")
	if out, err := git(t, dir, "-c", "http.proxy="+w.Proxy.URL(), "-c", "http.sslCAInfo="+ca, "clone", "--quiet", "--bare", address, clone); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	return clone
}

func TestLinkWorldCanBeSeenBeforeTheMove(t *testing.T) {
	t.Parallel()
	w := startLinkWorld(t, bitbuckettest.LinkWorldOptions{Version: "4.14", BeforeMove: true})
	ask := throughProxy(t, w)
	api := bitbuckettest.LinkWorldFirstURL + "/rest/api/1.0/projects/"
	if status, body := ask(api + "OLD/repos/legacy"); status != http.StatusOK || !strings.Contains(body, `"id":1,`) {
		t.Errorf("before the move: %d %s", status, body)
	}
	if err := w.Move(); err != nil {
		t.Fatal(err)
	}
	if status, body := ask(api + "PRJ/repos/repo"); status != http.StatusOK || !strings.Contains(body, `"id":1,`) {
		t.Errorf("after the move: %d %s", status, body)
	}
	if status, _ := ask(api + "OLD/repos/legacy"); status != http.StatusNotFound {
		t.Errorf("the old address on 4.14 after the move: %d, want 404", status)
	}
}

func TestSubstituteLeavesLongRunsAlone(t *testing.T) {
	t.Parallel()
	w := startLinkWorld(t, bitbuckettest.LinkWorldOptions{})
	long := "https://bitbucket.example.com/?x=" + strings.Repeat("a", 100)
	if got := w.Substitute(long); got != long {
		t.Errorf("Substitute(%q) = %q", long, got)
	}
	url := "/commits/12345678?since=" + strings.Repeat("d", 40)
	want := "/commits/" + w.Hashes["12345678"] + "?since=" + w.Hashes[strings.Repeat("d", 40)]
	if got := w.Substitute(url); got != want {
		t.Errorf("Substitute(%q) = %q, want %q", url, got, want)
	}
	if !strings.HasPrefix(w.Hashes["1234567890abcdef1234567890abcdef12345678"], w.Hashes["12345678"]) {
		t.Error("the short hash is none of the long one")
	}
}

func TestDemoWorldHasThePagesThatItShows(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.14", "8.19"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w, err := bitbuckettest.StartDemoWorld(bitbuckettest.DemoWorldOptions{Version: version})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close() //nolint:errcheck // reported by the server's own test
			labels := map[string]bool{}
			for _, sample := range w.Samples {
				if labels[sample.Label] {
					t.Errorf("two samples are called %q", sample.Label)
				}
				labels[sample.Label] = true
				path, web := strings.CutPrefix(sample.URL, w.Server.BaseURL())
				if !web || strings.HasPrefix(path, "/scm/") {
					continue
				}
				if res := request(t, w.Server, path, ""); res.StatusCode != http.StatusOK {
					t.Errorf("%s: %s: %s", sample.Label, sample.URL, res.Status)
				}
			}
			if len(labels) < 18 {
				t.Errorf("%d samples, want at least 18", len(labels))
			}
			credential := w.Account.Username + ":" + w.Account.Password
			status, answer := get(t, w.Server, "/rest/api/1.0/repos?archived=ALL&limit=100", credential)
			if status != http.StatusOK || len(answer["values"].([]any)) != 7 {
				t.Errorf("repositories: %d %v", status, answer["size"])
			}
		})
	}
}
