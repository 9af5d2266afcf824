package extension

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/url"
)

// updatesXML is the update manifest of Chrome and Edge. The address of the package names its edition, so
// that no cache between here and the browser hands out another one for it.
func updatesXML(a addresses, id, version, edition string) []byte {
	var out bytes.Buffer
	out.WriteString("<?xml version='1.0' encoding='UTF-8'?>\n<gupdate xmlns='http://www.google.com/update2/response' protocol='2.0'>\n  <app appid='")
	out.WriteString(xmlText(id))
	out.WriteString("'>\n    <updatecheck codebase='")
	out.WriteString(xmlText(editionURL(a, CRX, edition)))
	out.WriteString("' version='")
	out.WriteString(xmlText(version))
	out.WriteString("'/>\n  </app>\n</gupdate>\n")
	return out.Bytes()
}

// xmlText escapes text for an attribute in either kind of quotes.
func xmlText(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // fails only when the writer does
	return out.String()
}

// updatesJSON is the update manifest of Firefox for an XPI.
func updatesJSON(a addresses, id, version, strictMinVersion string, xpi []byte) ([]byte, error) {
	digest := sha256.Sum256(xpi)
	return marshal(fields{"addons": fields{id: fields{"updates": []fields{{
		"version":      version,
		"update_link":  editionURL(a, XPI, editionOf(version, xpi)),
		"update_hash":  "sha256:" + hex.EncodeToString(digest[:]),
		"applications": fields{"gecko": fields{"strict_min_version": strictMinVersion}},
	}}}}})
}

// fileURL is where this server hands a file out.
func fileURL(a addresses, name string) string { return a.server.String() + Path + name }

// editionURL is fileURL for a file of which caches may keep each edition for ever.
func editionURL(a addresses, name, edition string) string {
	return fileURL(a, name) + "?" + url.Values{EditionParameter: {edition}}.Encode()
}
