package extension

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
)

// chromium is what tells the policies of Chrome and Edge apart.
type chromium struct {
	browser  Browser
	title    string
	registry string // below HKEY_LOCAL_MACHINE
	domain   string // of the preferences on macOS
}

var chromiums = []chromium{
	{Chrome, "Chrome", `SOFTWARE\Policies\Google\Chrome`, "com.google.Chrome"},
	{Edge, "Edge", `SOFTWARE\Policies\Microsoft\Edge`, "com.microsoft.Edge"},
}

// addPolicies adds the policies that install the extension by force, for this server. They set the
// server's address as a managed value too, which no user can change.
func (p *Packages) addPolicies(a addresses) error {
	for _, c := range chromiums {
		policy, err := marshal(fields{
			"ExtensionSettings": fields{p.ChromeID: fields{
				"installation_mode": "force_installed", "update_url": fileURL(a, UpdatesXML), "override_update_url": true,
			}},
			"3rdparty": fields{"extensions": fields{p.ChromeID: fields{"serverURL": a.server.String()}}},
		})
		if err != nil {
			return err
		}
		name := "policies/" + string(c.browser)
		p.add(name+".json", "application/json", policy)
		p.add(name+".reg", "text/plain; charset=utf-8", c.registryFile(p.ChromeID, a))
		p.add(name+".mobileconfig", "application/x-apple-aspen-config", c.profile(p.ChromeID, a))
	}
	policy, err := marshal(fields{"policies": fields{
		"ExtensionSettings": fields{p.FirefoxID: fields{"installation_mode": "force_installed", "install_url": fileURL(a, XPI)}},
		"3rdparty":          fields{"Extensions": fields{p.FirefoxID: fields{"serverURL": a.server.String()}}},
	}})
	if err != nil {
		return err
	}
	p.add("policies/firefox.json", "application/json", policy)
	return nil
}

// registryFile is for regedit. Each value is in a key of the extension's own, so that no other
// extension's policy is overwritten.
func (c chromium) registryFile(id string, a addresses) []byte {
	var out strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&out, format+"\r\n", values...) }
	line("Windows Registry Editor Version 5.00")
	line("")
	line(`[HKEY_LOCAL_MACHINE\%s\ExtensionSettings\%s]`, c.registry, id)
	line(`"installation_mode"="force_installed"`)
	line(`"update_url"="%s"`, registryText(fileURL(a, UpdatesXML)))
	line(`"override_update_url"=dword:00000001`)
	line("")
	line(`[HKEY_LOCAL_MACHINE\%s\3rdparty\extensions\%s\policy]`, c.registry, id)
	line(`"serverURL"="%s"`, registryText(a.server.String()))
	return []byte(out.String())
}

// registryText escapes a text of a .reg file.
func registryText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
}

// profile is a configuration profile for macOS: one payload for the browser, one for the extension.
func (c chromium) profile(id string, a addresses) []byte {
	var out bytes.Buffer
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`)
	head := func(indent, kind, name, what string) {
		for _, pair := range [][2]string{{"PayloadDisplayName", what}, {"PayloadIdentifier", name}, {"PayloadType", kind}, {"PayloadUUID", stableUUID(name)}} {
			fmt.Fprintf(&out, "%s<key>%s</key>\n%s<string>%s</string>\n", indent, pair[0], indent, xmlText(pair[1]))
		}
		fmt.Fprintf(&out, "%s<key>PayloadVersion</key>\n%s<integer>1</integer>\n", indent, indent)
	}
	name := "signpost." + id + "." + string(c.browser)
	head("\t", "Configuration", name, "Signpost for "+c.title)
	out.WriteString("\t<key>PayloadScope</key>\n\t<string>System</string>\n\t<key>PayloadContent</key>\n\t<array>\n\t\t<dict>\n")
	head("\t\t\t", c.domain, name+".settings", "Installation of the extension")
	fmt.Fprintf(&out, `			<key>ExtensionSettings</key>
			<dict>
				<key>%s</key>
				<dict>
					<key>installation_mode</key>
					<string>force_installed</string>
					<key>update_url</key>
					<string>%s</string>
					<key>override_update_url</key>
					<true/>
				</dict>
			</dict>
		</dict>
		<dict>
`, id, xmlText(fileURL(a, UpdatesXML)))
	head("\t\t\t", c.domain+".extensions."+id, name+".managed", "Values of the extension")
	fmt.Fprintf(&out, "\t\t\t<key>serverURL</key>\n\t\t\t<string>%s</string>\n\t\t</dict>\n\t</array>\n</dict>\n</plist>\n", xmlText(a.server.String()))
	return out.Bytes()
}

// stableUUID makes a UUID of a name: a profile that is installed again takes the place of the old one.
func stableUUID(name string) string {
	u := sha256.Sum256([]byte(name))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // RFC 9562: version 8, our own way
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16]))
}
