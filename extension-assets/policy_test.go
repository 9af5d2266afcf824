package extension_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	extension "example.com/signpost/extension-assets"
)

// wellFormed reads XML to its end.
func wellFormed(text []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func wantJSON(t *testing.T, name string, text []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestPoliciesInstallByForceAndSetTheServer(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, plain()))
	for _, b := range []string{"chrome", "edge"} {
		wantJSON(t, b, content(t, p, "policies/"+b+".json"), `{
			"ExtensionSettings": {"`+p.ChromeID+`": {"installation_mode": "force_installed", "override_update_url": true,
				"update_url": "https://signpost.example.com/extension/updates.xml"}},
			"3rdparty": {"extensions": {"`+p.ChromeID+`": {"serverURL": "https://signpost.example.com"}}}}`)
	}
	wantJSON(t, "firefox", content(t, p, "policies/firefox.json"), `{"policies": {
		"ExtensionSettings": {"`+p.FirefoxID+`": {"installation_mode": "force_installed", "install_url": "https://signpost.example.com/extension/signpost.xpi"}},
		"3rdparty": {"Extensions": {"`+p.FirefoxID+`": {"serverURL": "https://signpost.example.com"}}}}}`)
}

func TestRegistryFiles(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, plain()))
	for b, root := range map[string]string{"chrome": `Google\Chrome`, "edge": `Microsoft\Edge`} {
		want := strings.ReplaceAll(`Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\`+root+`\ExtensionSettings\`+p.ChromeID+`]
"installation_mode"="force_installed"
"update_url"="https://signpost.example.com/extension/updates.xml"
"override_update_url"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\`+root+`\3rdparty\extensions\`+p.ChromeID+`\policy]
"serverURL"="https://signpost.example.com"
`, "\n", "\r\n")
		if diff := cmp.Diff(want, string(content(t, p, "policies/"+b+".reg"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", b, diff)
		}
	}
}

func TestProfilesForMacOS(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, plain()))
	uuid := regexp.MustCompile(`<key>PayloadUUID</key>\s*<string>([0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12})</string>`)
	seen := map[string]bool{}
	for b, domain := range map[string]string{"chrome": "com.google.Chrome", "edge": "com.microsoft.Edge"} {
		text := content(t, p, "policies/"+b+".mobileconfig")
		if err := wellFormed(text); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		for _, want := range []string{
			"<string>" + domain + "</string>", "<string>" + domain + ".extensions." + p.ChromeID + "</string>",
			"<string>https://signpost.example.com/extension/updates.xml</string>",
			"<key>serverURL</key>\n\t\t\t<string>https://signpost.example.com</string>",
			"<key>override_update_url</key>\n\t\t\t\t\t<true/>",
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s:\n%s", b, want, text)
			}
		}
		found := uuid.FindAllSubmatch(text, -1)
		if len(found) != 3 {
			t.Errorf("%s has %d UUIDs, want 3", b, len(found))
		}
		for _, one := range found {
			if seen[string(one[1])] {
				t.Errorf("%s: the UUID %s is there twice", b, one[1])
			}
			seen[string(one[1])] = true
		}
	}
}

func TestAddressesInPoliciesAreEscaped(t *testing.T) {
	t.Parallel()
	in := input(t, plain())
	in.Configuration.ServerURL = "https://s.example.com/a&b'c"
	p := build(t, in)
	for _, name := range []string{"policies/chrome.mobileconfig", extension.UpdatesXML} {
		text := content(t, p, name)
		if err := wellFormed(text); err != nil || !strings.Contains(string(text), "https://s.example.com/a&amp;b&#39;c/extension/") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	if text := string(content(t, p, "policies/chrome.json")); !strings.Contains(text, "https://s.example.com/a&b'c/extension/updates.xml") {
		t.Errorf("chrome.json: %s", text)
	}
}
