package extension_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	extension "example.com/signpost/extension-assets"
)

// What an extension may do is what people are asked to trust it with: no more than this.
func TestPermissionsArePinned(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, extension.Files))
	chromium := []string{"https://signpost.example.com/*", "http://stash.example.com:7990/*", "https://bitbucket.example.com/*"}
	firefox := []string{"https://signpost.example.com/*", "http://stash.example.com/*", "https://bitbucket.example.com/*"}
	for name, c := range map[string]struct {
		manifest                          string
		permissions, hosts, optionalHosts []string
		matches                           []string
	}{
		"plain": {
			source(t, "extension/manifest.json"),
			[]string{"contextMenus", "scripting", "storage"},
			nil,
			[]string{"http://*/*", "https://*/*"},
			nil,
		},
		"Chrome": {
			unpacked(p, "chrome/manifest.json"),
			[]string{"contextMenus", "storage"},
			chromium, nil,
			[]string{"http://stash.example.com:7990/ctx/*", "https://bitbucket.example.com/*"},
		},
		"Edge": {
			unpacked(p, "edge/manifest.json"),
			[]string{"contextMenus", "storage"},
			chromium, nil,
			[]string{"http://stash.example.com:7990/ctx/*", "https://bitbucket.example.com/*"},
		},
		"Firefox": {
			unpacked(p, "firefox/manifest.json"),
			[]string{"contextMenus", "storage"},
			firefox, nil,
			[]string{"http://stash.example.com/ctx/*", "https://bitbucket.example.com/*"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := readManifest(t, c.manifest)
			for what, pair := range map[string][2][]string{
				"permissions":               {m.Permissions, c.permissions},
				"host_permissions":          {m.HostPermissions, c.hosts},
				"optional_host_permissions": {m.OptionalHosts, c.optionalHosts},
				"optional_permissions":      {m.Optional, nil},
			} {
				if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			var matches []string
			for _, script := range m.Scripts {
				matches = append(matches, script.Matches...)
			}
			if diff := cmp.Diff(c.matches, matches); diff != "" {
				t.Errorf("content scripts (-want +got):\n%s", diff)
			}
			if m.WebAccessible != nil || m.Connectable != nil {
				t.Errorf("pages can reach it: %v, %v", m.WebAccessible, m.Connectable)
			}
		})
	}
}

func TestEachBrowserGetsTheManifestThatItKnows(t *testing.T) {
	t.Parallel()
	in := input(t, extension.Files)
	p := build(t, in)
	for _, b := range []extension.Browser{extension.Chrome, extension.Edge} {
		m := manifestOf(t, p, b)
		if m.Version != "1.0.7" || m.UpdateURL != "https://signpost.example.com/extension/updates.xml" || m.MinimumChrome == "" ||
			m.Storage["managed_schema"] != "managed.json" || m.Specific.Gecko.ID != "" {
			t.Errorf("%s: %+v", b, m)
		}
		if m.Background["service_worker"] == nil || m.Background["scripts"] != nil || m.Background["type"] != "module" {
			t.Errorf("%s: background %v", b, m.Background)
		}
		if der, err := base64.StdEncoding.DecodeString(m.Key); err != nil || idOf(der) != p.ChromeID {
			t.Errorf("%s: the key's id is not that of the package, %s; %v", b, p.ChromeID, err)
		}
	}
	m := manifestOf(t, p, extension.Firefox)
	if m.Key != "" || m.UpdateURL != "" || m.MinimumChrome != "" || m.Storage != nil {
		t.Errorf("Firefox has what Chromium knows: %+v", m)
	}
	if m.Background["scripts"] == nil || m.Background["service_worker"] != nil || m.Background["type"] != "module" {
		t.Errorf("Firefox: background %v", m.Background)
	}
	gecko := m.Specific.Gecko
	if gecko.ID != p.FirefoxID || gecko.UpdateURL != "https://signpost.example.com/extension/updates.json" || gecko.StrictMin == "" {
		t.Errorf("gecko: %+v", gecko)
	}
	if diff := cmp.Diff(map[string][]string{"required": {"browsingActivity"}}, gecko.Data); diff != "" {
		t.Errorf("what leaves the browser (-want +got):\n%s", diff)
	}
	// https://searchfox.org/mozilla-central/source/toolkit/components/extensions/schemas/manifest.json
	if !regexp.MustCompile(`^[a-z0-9-._]*@[a-z0-9-._]+$`).MatchString(gecko.ID) || len(gecko.ID) > 80 {
		t.Errorf("Firefox does not take the id %q", gecko.ID)
	}

	in.Configuration.ServerURL = "http://127.0.0.1:7080"
	if got := manifestOf(t, build(t, in), extension.Firefox).Specific.Gecko.UpdateURL; got != "" {
		t.Errorf("Firefox refuses a manifest with an update_url of plain http: %s", got)
	}
}

func TestPagesOfThePackedExtensionMayAskItsServerAlone(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"https://signpost.example.com":          "connect-src https://signpost.example.com;",
		"https://signpost.example.com:8443/ctx": "connect-src https://signpost.example.com:8443;",
		"http://[::1]:7080":                     "connect-src http: https:;", // a policy has no IPv6 hosts
		"https://sign_post.example.com":         "connect-src http: https:;", // nor underscores
	} {
		in := input(t, extension.Files)
		in.Configuration.ServerURL = server
		p := build(t, in)
		for _, b := range extension.Browsers {
			policy := manifestOf(t, p, b).Policy["extension_pages"] + ";"
			if !regexp.MustCompile(regexp.QuoteMeta(want)).MatchString(policy) {
				t.Errorf("%s on %s: %s lacks %s", server, b, policy, want)
			}
		}
	}
}

// What only the plain extension does is not packed: it has no permission to register scripts.
func TestAPackedExtensionRegistersNoScripts(t *testing.T) {
	t.Parallel()
	if !strings.Contains(source(t, "extension/worker/sites.js"), "export function registerSites(") ||
		!strings.Contains(source(t, "extension/background.js"), `import { registerSites } from "./worker/sites.js";`) {
		t.Fatal("worker/sites.js is not what packing replaces")
	}
	p := build(t, input(t, extension.Files))
	for _, file := range p.Unpacked() {
		if strings.Contains(string(file.Content), "chrome.scripting") || strings.Contains(string(file.Content), "contentScripts") {
			t.Errorf("%s registers scripts", file.Name)
		}
		if strings.HasSuffix(file.Name, "/content-scripts.js") {
			t.Errorf("%s is packed", file.Name)
		}
	}
	for _, b := range extension.Browsers {
		if got := unpacked(p, string(b)+"/worker/sites.js"); got != "export const registerSites = () => undefined;\n" {
			t.Errorf("%s: worker/sites.js is %q", b, got)
		}
	}
}

var quoted = regexp.MustCompile(`["'](content/[^"']+)["']`)

func TestContentScriptsAreThoseThatThePlainExtensionRegisters(t *testing.T) {
	t.Parallel()
	var want []string
	for _, name := range quoted.FindAllStringSubmatch(source(t, "extension/content-scripts.js"), -1) {
		want = append(want, name[1])
	}
	if len(want) == 0 || want[len(want)-1] != "content/main.js" {
		t.Fatalf("content-scripts.js has %v; content/main.js must be the last", want)
	}
	p := build(t, input(t, extension.Files))
	for _, b := range extension.Browsers {
		scripts := manifestOf(t, p, b).Scripts
		if len(scripts) != 1 || scripts[0].RunAt != "document_start" {
			t.Fatalf("%s: %+v", b, scripts)
		}
		if diff := cmp.Diff(want, scripts[0].JS); diff != "" {
			t.Errorf("%s (-want +got):\n%s", b, diff)
		}
		for _, name := range want {
			if unpacked(p, string(b)+"/"+name) == "" {
				t.Errorf("%s: %s is not packed", b, name)
			}
		}
	}
}
