package extension_test

import (
	"crypto/rsa"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	extension "example.com/signpost/extension-assets"
)

// testKey is one key for all tests: making one takes long under the race detector.
var testKey = sync.OnceValues(func() (*rsa.PrivateKey, error) {
	secret, err := extension.NewKey()
	if err != nil {
		return nil, err
	}
	return extension.ParseKey(secret)
})

// plain is an extension of few words, for what does not depend on the real one.
func plain() fs.FS { return os.DirFS("testdata/plain") }

var configuration = extension.Configuration{
	ServerURL:     "https://signpost.example.com",
	BitbucketURLs: []string{"https://bitbucket.example.com", "http://stash.example.com:7990/ctx"},
}

func input(t testing.TB, source fs.FS) extension.Input {
	t.Helper()
	key, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	return extension.Input{Configuration: configuration, Version: "1.0.7", Key: key, Source: source}
}

func build(t testing.TB, in extension.Input) *extension.Packages {
	t.Helper()
	p, err := extension.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func content(t testing.TB, p *extension.Packages, name string) []byte {
	t.Helper()
	file, ok := p.File(name)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return file.Content
}

// unpacked returns a file of a browser's folder, "" when it is not there.
func unpacked(p *extension.Packages, name string) string {
	for _, file := range p.Unpacked() {
		if file.Name == name {
			return string(file.Content)
		}
	}
	return ""
}

// manifestJSON is what the tests read of a manifest.
type manifestJSON struct {
	Version         string              `json:"version"`
	Key             string              `json:"key"`
	UpdateURL       string              `json:"update_url"`
	Permissions     []string            `json:"permissions"`
	HostPermissions []string            `json:"host_permissions"`
	Optional        []string            `json:"optional_permissions"`
	OptionalHosts   []string            `json:"optional_host_permissions"`
	WebAccessible   any                 `json:"web_accessible_resources"`
	Connectable     any                 `json:"externally_connectable"`
	Policy          map[string]string   `json:"content_security_policy"`
	Background      map[string]any      `json:"background"`
	Scripts         []contentScriptJSON `json:"content_scripts"`
	MinimumChrome   string              `json:"minimum_chrome_version"`
	Storage         map[string]any      `json:"storage"`
	Specific        struct {
		Gecko struct {
			ID        string              `json:"id"`
			StrictMin string              `json:"strict_min_version"`
			UpdateURL string              `json:"update_url"`
			Data      map[string][]string `json:"data_collection_permissions"`
		} `json:"gecko"`
	} `json:"browser_specific_settings"`
}

type contentScriptJSON struct {
	Matches []string `json:"matches"`
	JS      []string `json:"js"`
	RunAt   string   `json:"run_at"`
}

func readManifest(t testing.TB, text string) (m manifestJSON) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("manifest: %v\n%s", err, text)
	}
	return m
}

func manifestOf(t testing.TB, p *extension.Packages, b extension.Browser) manifestJSON {
	t.Helper()
	return readManifest(t, unpacked(p, string(b)+"/manifest.json"))
}

func source(t testing.TB, name string) string {
	t.Helper()
	text, err := fs.ReadFile(extension.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eachFile calls do with every file of the extension and the userscript.
func eachFile(t testing.TB, do func(name, text string)) {
	t.Helper()
	count := 0
	for _, folder := range []string{"extension", "userscript"} {
		err := fs.WalkDir(extension.Files, folder, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				count++
				do(name, source(t, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if count < 5 {
		t.Fatalf("only %d files are embedded", count)
	}
}

func hasSuffix(name string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
