package extension

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// userscript joins the content scripts with the userscript's own main.js. One function holds all of
// it, so that nothing of it is seen by the page or by other userscripts.
func (s *source) userscript(version string, a addresses) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("// ==UserScript==\n")
	for _, line := range s.userscriptHeader(version, a) {
		out.WriteString(strings.TrimRight(fmt.Sprintf("// @%-12s %s", line[0], line[1]), " ") + "\n")
	}
	out.WriteString("// ==/UserScript==\n\n(function () {\n\"use strict\";\n\n")
	for _, name := range s.scripts {
		if name == contentMain {
			continue
		}
		out.Write(bytes.TrimSpace(s.files[name]))
		out.WriteString("\n\n")
	}
	main, err := configured(userscriptMain, s.user, a.configuration())
	if err != nil {
		return nil, err
	}
	out.Write(bytes.TrimSpace(main))
	out.WriteString("\n})();\n")
	return out.Bytes(), nil
}

// userscriptHeader is read by Tampermonkey, Violentmonkey and Greasemonkey. @connect takes a host
// without its port.
func (s *source) userscriptHeader(version string, a addresses) [][2]string {
	header := [][2]string{
		{"name", "Signpost"},
		{"namespace", a.server.String() + Path},
		{"version", version},
		{"description", "From any Bitbucket page to the same place on your own Sourcegraph."},
	}
	for _, pattern := range a.pagePatterns(Chrome) {
		header = append(header, [2]string{"match", pattern})
	}
	return append(header, [][2]string{
		{"connect", a.server.HostName()},
		{"grant", "GM.xmlHttpRequest"},
		{"run-at", "document-idle"},
		{"noframes", ""},
		{"updateURL", fileURL(a, Userscript)},
		{"downloadURL", fileURL(a, Userscript)},
	}...)
}

// lineComment is a line that holds nothing but a comment.
var lineComment = regexp.MustCompile(`(?m)^[ \t]*//.*\n`)

// bookmarklet returns the javascript: address of the bookmarklet. It has no line comments, so that it
// still runs where somebody's bookmarks lose their line breaks.
func (s *source) bookmarklet(c Configuration) (string, error) {
	script, err := configured(bookmarkletMain, s.bookmark, c)
	if err != nil {
		return "", err
	}
	return "javascript:" + percentEncode(bytes.TrimSpace(lineComment.ReplaceAll(script, nil))), nil
}

// percentEncode escapes all but what RFC 3986 never reserves, so that the address survives being
// dragged, copied and pasted anywhere.
func percentEncode(script []byte) string {
	var out strings.Builder
	for _, c := range script {
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}
