package extension

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Browser is one that the extension is packed for.
type Browser string

// The browsers. Edge takes what Chrome takes.
const (
	Chrome  Browser = "chrome"
	Edge    Browser = "edge"
	Firefox Browser = "firefox"
)

// Browsers are all of them, in the order in which people are told of them.
var Browsers = []Browser{Chrome, Edge, Firefox}

// permissions are all that a packed extension has beside its hosts. The plain one also has scripting, with
// which it registers its content scripts for the hosts that its user granted.
var permissions = []string{"contextMenus", "storage"}

// fields is a JSON object. encoding/json writes its keys in order.
type fields map[string]any

// manifest makes the manifest for a browser from the plain one: with the addresses in the places
// where the plain extension asks for them, and without what only other browsers know.
func manifest(b Browser, plain []byte, in Input, a addresses, scripts []string) ([]byte, error) {
	var m fields
	if err := json.Unmarshal(plain, &m); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	delete(m, "optional_host_permissions")
	delete(m, "optional_permissions")
	m["version"] = in.Version
	m["permissions"] = permissions
	m["host_permissions"] = a.hostPatterns(b)
	m["content_scripts"] = []fields{{"matches": a.pagePatterns(b), "js": scripts, "run_at": contentScriptsRunAt}}
	m.narrowConnections(a)
	var err error
	if b == Firefox {
		err = m.forFirefox(in.Key, a)
	} else {
		err = m.forChromium(in.Key, a)
	}
	if err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	return marshal(m)
}

// contentScriptsRunAt is when the content scripts begin: early enough for the answer to be there when the
// page is. They touch nothing of it before.
const contentScriptsRunAt = "document_start"

// anyServer is what the pages and the worker of the plain extension may ask, since it does not know
// its server yet.
const anyServer = "connect-src http: https:"

// narrowConnections lets the packed extension ask its own server alone. An IPv6 address and a name with an
// underscore cannot be written into a policy (CSP3 has no such hosts), so for these it stays as it is; the host
// permissions bound it too.
func (m fields) narrowConnections(a addresses) {
	policies, _ := m["content_security_policy"].(map[string]any)
	pages, _ := policies["extension_pages"].(string)
	if !strings.ContainsAny(a.server.Host, "[_") && pages != "" {
		policies["extension_pages"] = strings.Replace(pages, anyServer, "connect-src "+a.server.Scheme+"://"+a.server.Host, 1)
	}
}

// forChromium has the public key in it, so that an unpacked copy has the id of the signed one, and
// the address of the updates: those after a forced installation are looked for there.
func (m fields) forChromium(key *rsa.PrivateKey, a addresses) error {
	public, err := publicKey(key)
	if err != nil {
		return err
	}
	delete(m, "browser_specific_settings")
	background, ok := m["background"].(map[string]any)
	if !ok || background["service_worker"] == nil {
		return errors.New("background has no service_worker")
	}
	delete(background, "scripts") // of Firefox alone; Chrome warns of it
	m["key"] = base64.StdEncoding.EncodeToString(public)
	m["update_url"] = fileURL(a, UpdatesXML)
	return nil
}

// forFirefox has an id, which it must have to be signed, and says which data leaves the browser: the
// addresses of the pages.
func (m fields) forFirefox(key *rsa.PrivateKey, a addresses) error {
	chromeID, err := ChromeID(key)
	if err != nil {
		return err
	}
	for _, chromium := range []string{"minimum_chrome_version", "storage", "key", "update_url"} {
		delete(m, chromium)
	}
	background, ok := m["background"].(map[string]any)
	if !ok || background["scripts"] == nil {
		return errors.New("background has no scripts")
	}
	delete(background, "service_worker")
	gecko, _, err := geckoOf(m)
	if err != nil {
		return err
	}
	gecko["id"] = firefoxID(chromeID)
	gecko["data_collection_permissions"] = fields{"required": []string{"browsingActivity"}}
	delete(gecko, "update_url")
	if a.server.Scheme == "https" { // Firefox refuses a manifest whose update_url is not
		gecko["update_url"] = fileURL(a, UpdatesJSON)
	}
	return nil
}

// geckoOf returns what the manifest says to Firefox, and the oldest Firefox among it.
func geckoOf(m fields) (gecko map[string]any, strictMinVersion string, err error) {
	settings, _ := m["browser_specific_settings"].(map[string]any)
	gecko, _ = settings["gecko"].(map[string]any)
	strictMinVersion, _ = gecko["strict_min_version"].(string)
	if strictMinVersion == "" {
		return nil, "", errors.New("browser_specific_settings.gecko has no strict_min_version")
	}
	return gecko, strictMinVersion, nil
}

// marshal writes JSON for people: indented, with addresses as they are.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
