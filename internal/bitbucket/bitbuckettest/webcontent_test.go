package bitbuckettest_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// awkward are names that a page must neither obey nor garble.
var awkward = []string{
	"a b.txt", "a#b.txt", "a?b=c&d.txt", "100%.txt", "100%25.txt", "a+b.txt", `"quoted'.txt`, "<script>alert(1)<!-- x", "größe.txt", "日本語.txt",
	"tab\tand\nline", "{{.}}", "a;b,c@d$e!f~g*h(i).txt", "-- x", ":(glob)*",
}

func awkwardWorld(t *testing.T, version, context string) *bitbuckettest.Server {
	t.Helper()
	s, err := bitbuckettest.Start(bitbuckettest.Options{Version: version, ContextPath: context, PagesWithoutLogin: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if _, err := s.AddUser(bitbuckettest.User{Name: "eve", DisplayName: `<img src=x onerror="alert(1)">`}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddProject(bitbuckettest.Project{Key: "PRJ", Name: "</script><b>Project", Description: "<i>"}); err != nil {
		t.Fatal(err)
	}
	first, second := map[string]bitbuckettest.File{}, map[string]bitbuckettest.File{}
	for _, name := range awkward {
		first["dir & <b>/"+name] = bitbuckettest.Text("one " + name + "\n</pre><script>alert(1)</script>\n")
		second["dir & <b>/"+name] = bitbuckettest.Text("two " + name + "\n</pre><script>alert(1)</script>\n")
	}
	if _, err := s.AddRepository(bitbuckettest.Repository{Project: "PRJ", Slug: "application", Name: "<u>App", History: &bitbuckettest.History{Commits: []bitbuckettest.Commit{
		{Message: "Begin", Files: first},
		{Branch: `feature/<x>&"y'`, From: "main", Message: "</title><script>alert(1)</script>", Files: second},
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddPullRequest("PRJ/application", bitbuckettest.PullRequest{From: `feature/<x>&"y'`, Title: "<script>alert(1)</script>", Description: "<b>bold</b>"}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAwkwardNamesArriveAndDoNothing(t *testing.T) {
	t.Parallel()
	for version, context := range map[string]string{"4.14": "", "5.15.1": "/ctx", "7.21": "", "9.4": "/git/bitbucket"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := awkwardWorld(t, version, context)
			home := "/projects/PRJ/repos/application"
			for _, path := range []string{
				"/projects", "/projects/PRJ", "/plugins/servlet/search?q=%3Cscript%3Ealert(1)%3C/script%3E", home, home + "/commits", home + "/branches",
				home + "/pull-requests", home + "/pull-requests/1", home + "/pull-requests/1/diff", home + "/pull-requests/1/commits", home + "/%3Cscript%3E",
				home + "/compare?sourceBranch=" + url.QueryEscape(`feature/<x>&"y'`), home + "/browse?at=%3Cscript%3E",
			} {
				checkLinks(t, path, fetchPage(t, s, path, ""), context)
			}
			directory := fetchPage(t, s, home+"/browse/dir%20&%20%3Cb%3E?at="+url.QueryEscape(`feature/<x>&"y'`), "")
			links := directory.all("a[data-double-entry]")
			if got := texts(links); !cmp.Equal(sorted(got), sorted(awkward)) {
				t.Errorf("the directory has %q", got)
			}
			for _, link := range links {
				name := text(link)
				file := fetchPage(t, s, strings.TrimPrefix(attribute(link, "href"), context), "")
				checkLinks(t, name, file, context)
				rows := texts(file.all("pre"))
				want := append(strings.Split("two "+name, "\n"), "</pre><script>alert(1)</script>")
				if !cmp.Equal(rows, want) {
					t.Errorf("%q shows %q, want %q", name, rows, want)
				}
				diff := fetchPage(t, s, strings.TrimPrefix(attribute(file.all("a[data-double-mode=diff]")[0], "href"), context), "")
				if rows := texts(diff.all(".double-added")); len(rows) == 0 || !strings.Contains(rows[0], strings.Split("two "+name, "\n")[0]) {
					t.Errorf("the diff of %q shows %q", name, rows)
				}
			}
			tree := fetchPage(t, s, home+"/pull-requests/1/diff", "").all("a[data-double-open]")
			var opened []string
			for _, link := range tree {
				path, err := url.PathUnescape(strings.TrimPrefix(attribute(link, "href"), "#"))
				if err != nil || path != text(link) || path != attribute(link, "data-double-open") {
					t.Errorf("%q opens %q: %v", text(link), path, err)
				}
				opened = append(opened, strings.TrimPrefix(path, "dir & <b>/"))
			}
			if !cmp.Equal(sorted(opened), sorted(awkward)) {
				t.Errorf("the pull request changes %q", opened)
			}
		})
	}
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func TestDiffsShowWhatHappened(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{PagesWithoutLogin: true})
	hashes, err := s.Push("PRJ/app", bitbuckettest.History{Commits: []bitbuckettest.Commit{
		{Label: "first", Files: map[string]bitbuckettest.File{
			"changed": bitbuckettest.Text("a\nb\n-- c\n++ d\n"), "gone": bitbuckettest.Text("x\n"), "end": bitbuckettest.Text("no end"),
			"mode": bitbuckettest.Text("m\n"), "kind": bitbuckettest.Text("k\n"), "binary": bitbuckettest.Text("\x00a"),
			"far": bitbuckettest.Text(strings.Repeat("same\n", 40)), "empty": bitbuckettest.Text(""), "sub": bitbuckettest.Submodule(strings.Repeat("5", 40)),
		}},
		{Label: "second", Delete: []string{"gone"}, Files: map[string]bitbuckettest.File{
			"changed": bitbuckettest.Text("a\nB\n-- C\ndiff --git a/x b/x\n"), "end": bitbuckettest.Text("no end at all"), "new \"name\"": bitbuckettest.Text("n\n"),
			"mode": bitbuckettest.Executable("m\n"), "kind": bitbuckettest.Symlink("changed"), "binary": bitbuckettest.Text("\x00b"),
			"far": bitbuckettest.Text("first\n" + strings.Repeat("same\n", 38) + "last\n"), "empty": bitbuckettest.Executable(""), "sub": bitbuckettest.Submodule(strings.Repeat("6", 40)),
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	read := func(p page) map[string]string {
		shown := map[string]string{}
		for _, change := range p.all("section[data-double-file-at]") {
			path := attribute(change, "data-double-file-at")
			summary := texts(selectAll(change, ".aui-lozenge"))[0]
			for _, row := range selectAll(change, "[data-double-row]") {
				if strings.Contains(attribute(row, "class"), "double-context") {
					continue
				}
				summary += " " + attribute(row, "data-double-row") + "|" + text(selectAll(row, "pre")[0])
			}
			summary += strings.Repeat(" …", len(selectAll(change, ".double-skipped")))
			for _, note := range selectAll(change, ".double-note") {
				summary += " " + text(note)
			}
			if before := shown[path]; before != "" {
				summary = before + ", " + summary
			}
			shown[path] = summary
		}
		return shown
	}
	want := map[string]string{
		"changed": "Modified f=2|b f=3|-- c f=4|++ d t=2|B t=3|-- C t=4|diff --git a/x b/x", "gone": "Deleted f=1|x", "end": "Modified f=1|no end t=1|no end at all",
		"mode": "Modified", "kind": "Deleted f=1|k, Added t=1|changed", "binary": "Modified Binary file", "new \"name\"": "Added t=1|n",
		"far": "Modified t=1|first f=39|same f=40|same t=40|last …", "empty": "Modified",
		"sub": "Modified f=1|Subproject commit " + strings.Repeat("5", 40) + " t=1|Subproject commit " + strings.Repeat("6", 40),
	}
	home := "/projects/PRJ/repos/app"
	if diff := cmp.Diff(want, read(fetchPage(t, s, home+"/commits/"+hashes["second"], ""))); diff != "" {
		t.Errorf("the commit (-want +got):\n%s", diff)
	}
	root := read(fetchPage(t, s, home+"/commits/"+hashes["first"], ""))
	if got := root["gone"]; len(root) != 9 || got != "Added t=1|x" {
		t.Errorf("the first commit: %d files, %q", len(root), got)
	}
	since := read(fetchPage(t, s, home+"/commits/"+hashes["second"]+"?since="+hashes["second"], ""))
	if len(since) != 0 {
		t.Errorf("a commit since itself changed %v", since)
	}
}

// Every address of the link cases answers with the status that it had when the pages had no content.
func TestAddressesOfTheLinkCasesHavePages(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{
		"file-slash-encoded": 400, "page-admin": 404, "page-root": 302, "repo-moved": 302, "repo-other-connection": 404, "repo-unknown": 404,
		"host-context-missing": 404, // is another place on the same server
	}
	cases, err := os.ReadFile("../../../resolver/testdata/link-cases.tsv")
	if err != nil {
		t.Fatal(err)
	}
	w := startLinkWorld(t, bitbuckettest.LinkWorldOptions{})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(w.CertificatePEM()))
	transport := &http.Transport{Proxy: http.ProxyURL(w.Proxy.ProxyURL()), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	asked := 0
	for line := range strings.SplitSeq(string(cases), "\n") {
		fields := strings.Split(line, "\t")
		if len(fields) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		address, err := url.Parse(w.Substitute(fields[1]))
		if err != nil || address.Scheme != "https" || strings.Contains(address.Path, "/scm/") ||
			!slices.Contains([]string{"bitbucket.example.com", "stash.example.com", "code.example.org:8443"}, strings.ToLower(address.Host)) {
			continue
		}
		asked++
		want := statuses[fields[0]]
		if want == 0 {
			want = http.StatusOK
		}
		address.User, address.Fragment = nil, ""
		for _, anonymous := range []bool{false, true} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String(), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if !anonymous {
				req.SetBasicAuth(w.Bot.Username, w.Bot.Password)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			toLogin := strings.Contains(res.Header.Get("Location"), "/login?next=")
			switch {
			case anonymous && fields[0] != "page-login" && fields[0] != "page-root" && want != 400 && fields[0] != "host-context-missing":
				if res.StatusCode != http.StatusFound || !toLogin {
					t.Errorf("%s: %s for nobody: %s", fields[0], address, res.Status)
				}
			case res.StatusCode != want || toLogin:
				t.Errorf("%s: %s: %s, want %d", fields[0], address, res.Status, want)
			}
		}
	}
	if asked < 80 {
		t.Errorf("only %d addresses were asked for", asked)
	}
}

func TestAssetsNeedNoLogin(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{ContextPath: "/ctx"})
	for path, contentType := range map[string]string{"/s/double.css": "text/css", "/s/double.js": "text/javascript"} {
		res := request(t, s, path, "")
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), contentType) {
			t.Errorf("%s: %s %s", path, res.Status, res.Header.Get("Content-Type"))
		}
		content, err := io.ReadAll(res.Body)
		if err != nil || len(content) == 0 {
			t.Errorf("%s: %d bytes, %v", path, len(content), err)
		}
		for _, misuse := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "://"} {
			if rest := strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", ""); strings.Contains(rest, misuse) {
				t.Errorf("%s has %s", path, misuse)
			}
		}
	}
}

func TestPagesObeyTheAccount(t *testing.T) {
	t.Parallel()
	s := start(t, bitbuckettest.Options{})
	for credential, want := range map[string]bool{asReader: false, "admin:admin secret": true} {
		for _, path := range []string{"/dashboard", "/projects/PRJ"} {
			p := fetchPage(t, s, path, credential)
			if got := strings.Contains(text(p.root), "hidden"); got != want || !strings.Contains(text(p.root), "app") {
				t.Errorf("%s as %s: shows what is hidden: %t, want %t", path, credential, got, want)
			}
		}
	}
}
