package extension_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	extension "example.com/signpost/extension-assets"
)

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	in := input(t, extension.Files)
	first := build(t, in)
	in.Configuration.BitbucketURLs = []string{"http://STASH.example.com:7990/ctx/", "https://bitbucket.example.com:443", "https://bitbucket.example.com"}
	in.Configuration.ServerURL += "/" // the same addresses, written otherwise
	second := build(t, in)
	same := func(x, y extension.File) bool {
		return x.Name == y.Name && x.ETag == y.ETag && x.ContentType == y.ContentType && x.Edition == y.Edition && bytes.Equal(x.Content, y.Content)
	}
	if !slices.EqualFunc(first.Files(), second.Files(), same) || len(first.Files()) == 0 {
		t.Errorf("handed out: %d files, then %d others", len(first.Files()), len(second.Files()))
	}
	if !slices.EqualFunc(first.Unpacked(), second.Unpacked(), same) || len(first.Unpacked()) == 0 {
		t.Errorf("unpacked: %d files, then %d others", len(first.Unpacked()), len(second.Unpacked()))
	}
}

func TestTheDigestIsOfAllButTheVersion(t *testing.T) {
	t.Parallel()
	digest := func(change func(in *extension.Input, source fstest.MapFS)) string {
		files := fstest.MapFS{}
		err := fs.WalkDir(plain(), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				var text []byte
				text, err = fs.ReadFile(plain(), name)
				files[name] = &fstest.MapFile{Data: text}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		in := input(t, files)
		change(&in, files)
		got, err := extension.Digest(in)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := digest(func(*extension.Input, fstest.MapFS) {})
	for name, c := range map[string]struct {
		change func(in *extension.Input, source fstest.MapFS)
		same   bool
	}{
		"the version":              {func(in *extension.Input, _ fstest.MapFS) { in.Version = "1.0.8" }, true},
		"the order of the aliases": {func(in *extension.Input, _ fstest.MapFS) { slices.Reverse(in.Configuration.BitbucketURLs) }, true},
		"a drawing":                {func(_ *extension.Input, s fstest.MapFS) { s["extension/icons/signpost.svg"].Data = []byte("<svg/>") }, true},
		"the server": {func(in *extension.Input, _ fstest.MapFS) {
			in.Configuration.ServerURL = "https://other.example.com"
		}, false},
		"a Bitbucket": {func(in *extension.Input, _ fstest.MapFS) {
			in.Configuration.BitbucketURLs = in.Configuration.BitbucketURLs[:1]
		}, false},
		"a script":   {func(_ *extension.Input, s fstest.MapFS) { s["extension/background.js"].Data = []byte("1") }, false},
		"a new file": {func(_ *extension.Input, s fstest.MapFS) { s["extension/new.js"] = &fstest.MapFile{} }, false},
		"the userscript": {func(_ *extension.Input, s fstest.MapFS) {
			s["userscript/main.js"].Data = append(s["userscript/main.js"].Data, '1')
		}, false},
	} {
		if got := digest(c.change); (got == first) != c.same {
			t.Errorf("%s: the digest is the same: %t, want %t", name, got == first, c.same)
		}
	}
}

func TestVersionsRiseWithTheirNumber(t *testing.T) {
	t.Parallel()
	for number, want := range map[int64]string{1: "1.0.1", 9_999: "1.0.9999", 10_000: "1.1.0", 10_001: "1.1.1", 123_456: "1.12.3456"} {
		if got := extension.VersionText(number); got != want {
			t.Errorf("VersionText(%d) = %s, want %s", number, got, want)
		}
	}
}

func TestArchivesHoldTheUnpackedExtension(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, extension.Files))
	for _, b := range extension.Browsers {
		want := map[string]string{}
		for _, file := range p.Unpacked() {
			if name, ok := strings.CutPrefix(file.Name, string(b)+"/"); ok {
				want[name] = string(file.Content)
			}
		}
		text := content(t, p, extension.ZipName(b))
		archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, entry := range archive.File {
			file, err := entry.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(file)
			if err != nil {
				t.Fatal(err)
			}
			got[entry.Name] = string(text)
			if entry.Mode() != 0o644 || entry.Modified.Year() != 1980 {
				t.Errorf("%s: mode %s, time %s", entry.Name, entry.Mode(), entry.Modified)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", b, diff)
		}
		for name := range got {
			if hasSuffix(name, ".svg", ".d.ts", ".test.js", "package.json", "tsconfig.json") || strings.HasPrefix(name, "userscript/") {
				t.Errorf("%s: %s is of no use to a browser", b, name)
			}
		}
		for _, name := range []string{"manifest.json", "background.js", "_locales/en/messages.json"} {
			if got[name] == "" {
				t.Errorf("%s lacks %s; it has %v", b, name, slices.Sorted(maps.Keys(got)))
			}
		}
	}
}

func TestTheConfigurationIsBuiltIn(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, extension.Files))
	want := extension.Configuration{
		ServerURL:     "https://signpost.example.com",
		BitbucketURLs: []string{"http://stash.example.com:7990/ctx", "https://bitbucket.example.com"},
	}
	for _, b := range extension.Browsers {
		_, literal, found := strings.Cut(unpacked(p, string(b)+"/builtin.js"), "export const builtin = ")
		literal, end := strings.CutSuffix(strings.TrimSpace(literal), ";")
		var got extension.Configuration
		if err := json.Unmarshal([]byte(literal), &got); err != nil || !found || !end {
			t.Fatalf("%s: %v in %s", b, err, literal)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", b, diff)
		}
	}
}

func TestTheUserscriptIsTheContentScriptsInOneFunction(t *testing.T) {
	t.Parallel()
	text := string(content(t, build(t, input(t, plain())), extension.Userscript))
	header, body, _ := strings.Cut(text, "// ==/UserScript==\n")
	for _, line := range []string{
		"// ==UserScript==", "// @version      1.0.7",
		"// @match        http://stash.example.com:7990/ctx/*", "// @match        https://bitbucket.example.com/*",
		"// @connect      signpost.example.com",
		"// @updateURL    https://signpost.example.com/extension/signpost.user.js",
		"// @downloadURL  https://signpost.example.com/extension/signpost.user.js",
		"// @grant        GM.xmlHttpRequest", "// @noframes",
	} {
		if !strings.Contains(header, line+"\n") {
			t.Errorf("the header lacks %q:\n%s", line, header)
		}
	}
	want := `
(function () {
"use strict";

const signpost = {};

signpost.configuration = {"serverURL":"https://signpost.example.com","bitbucketURLs":["http://stash.example.com:7990/ctx","https://bitbucket.example.com"]};
})();
`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestTheBookmarkletSurvivesEveryPlaceThatAnAddressIsCopiedTo(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, plain()))
	escaped, ok := strings.CutPrefix(p.Bookmarklet, "javascript:")
	script, err := url.PathUnescape(escaped)
	if err != nil || !ok || strings.ContainsAny(escaped, " \"'<>&#?()+\n") {
		t.Fatalf("%v in %s", err, p.Bookmarklet)
	}
	if !strings.HasPrefix(script, "(() => {\n  const c = {\"serverURL\":\"https://signpost.example.com\",") || !strings.HasSuffix(script, "})();") {
		t.Errorf("it is %s", script)
	}
	// Some places that bookmarks are kept in make spaces of line breaks.
	real := build(t, input(t, extension.Files)).Bookmarklet
	if script, err := url.PathUnescape(real); err != nil || regexp.MustCompile(`(^|\s)//`).MatchString(script) {
		t.Errorf("the bookmarklet has a line comment: %s", script)
	}
	if got := string(content(t, p, extension.Bookmarklet)); got != p.Bookmarklet+"\n" {
		t.Errorf("the file has %s", got)
	}
}

func TestUpdateManifestsLeadToThePackages(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, extension.Files))
	sum := func(name string) string {
		digest := sha256.Sum256(content(t, p, name))
		return hex.EncodeToString(digest[:])
	}
	var updates struct {
		XMLName  xml.Name `xml:"http://www.google.com/update2/response gupdate"`
		Protocol string   `xml:"protocol,attr"`
		App      struct {
			ID    string `xml:"appid,attr"`
			Check struct {
				Codebase string `xml:"codebase,attr"`
				Version  string `xml:"version,attr"`
			} `xml:"updatecheck"`
		} `xml:"app"`
	}
	if err := xml.Unmarshal(content(t, p, extension.UpdatesXML), &updates); err != nil {
		t.Fatal(err)
	}
	if updates.Protocol != "2.0" || updates.App.ID != p.ChromeID || updates.App.Check.Version != "1.0.7" ||
		updates.App.Check.Codebase != "https://signpost.example.com/extension/signpost.crx?v=1.0.7-"+sum(extension.CRX)[:8] {
		t.Errorf("updates.xml: %+v", updates)
	}
	var got, want any
	if err := json.Unmarshal(content(t, p, extension.UpdatesJSON), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"addons": {"`+p.FirefoxID+`": {"updates": [{
		"version": "1.0.7", "update_link": "https://signpost.example.com/extension/signpost.xpi?v=1.0.7-`+sum(extension.XPI)[:8]+`",
		"update_hash": "sha256:`+sum(extension.XPI)+`",
		"applications": {"gecko": {"strict_min_version": "`+manifestOf(t, p, extension.Firefox).Specific.Gecko.StrictMin+`"}}}]}}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("updates.json (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBePackedIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		configuration extension.Configuration
		want          error
	}{
		"no server":              {extension.Configuration{BitbucketURLs: []string{"https://b.example.com"}}, extension.ErrNoServerURL},
		"no Bitbucket":           {extension.Configuration{ServerURL: "https://s.example.com"}, extension.ErrNoBitbucket},
		"a server that is none":  {extension.Configuration{ServerURL: "ftp://s.example.com", BitbucketURLs: []string{"https://b.example.com"}}, extension.ErrAddress},
		"a Bitbucket with query": {extension.Configuration{ServerURL: "https://s.example.com", BitbucketURLs: []string{"https://b.example.com?x"}}, extension.ErrAddress},
	} {
		in := input(t, plain())
		in.Configuration = c.configuration
		if _, err := extension.Build(in); !errors.Is(err, c.want) {
			t.Errorf("%s: Build: %v, want %v", name, err, c.want)
		}
		if _, err := extension.Digest(in); !errors.Is(err, c.want) {
			t.Errorf("%s: Digest: %v, want %v", name, err, c.want)
		}
		if err := c.configuration.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: Check: %v, want %v", name, err, c.want)
		}
	}
}

func TestASourceThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, text, want string }{
		"no manifest":                 {"extension/manifest.json", "", "manifest.json"},
		"a manifest that is none":     {"extension/manifest.json", "{", "manifest.json"},
		"a manifest without gecko":    {"extension/manifest.json", "{}", "strict_min_version"},
		"no content scripts":          {"extension/content-scripts.js", "export const other = [];", "no array contentScripts"},
		"an empty list":               {"extension/content-scripts.js", "export const contentScripts = [];", "is empty"},
		"a script that is not there":  {"extension/content-scripts.js", `export const contentScripts = ["content/none.js"];`, "content/none.js"},
		"a list that is computed":     {"extension/content-scripts.js", `export const contentScripts = [...more, "content/main.js"];`, "plain strings"},
		"something built in already":  {"extension/builtin.js", "export const builtin = {};", "builtin.js"},
		"a userscript without a hole": {"userscript/main.js", "1", "userscript/main.js"},
		"a bookmarklet with two":      {"userscript/bookmarklet.js", `"__SIGNPOST_CONFIGURATION__" + "__SIGNPOST_CONFIGURATION__"`, "userscript/bookmarklet.js"},
	} {
		files := fstest.MapFS{}
		err := fs.WalkDir(plain(), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && (name != c.file || c.text != "") {
				text, readErr := fs.ReadFile(plain(), name)
				files[name], err = &fstest.MapFile{Data: text}, readErr
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.text != "" {
			files[c.file] = &fstest.MapFile{Data: []byte(c.text)}
		}
		if _, err := extension.Build(input(t, files)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %s", name, err, c.want)
		}
	}
}

// A server packs when it starts. A compressor for each of the hundred files took a hundred megabytes.
func TestPackingTakesLittleMemory(t *testing.T) {
	in := input(t, extension.Files)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	build(t, in)
	runtime.ReadMemStats(&after)
	if got, most := (after.TotalAlloc-before.TotalAlloc)>>20, uint64(12); got > most {
		t.Errorf("packing allocates %d MiB, want at most %d", got, most)
	}
}
