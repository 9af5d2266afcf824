package siteconfig

import (
	"strings"

	"github.com/tailscale/hujson"
)

// SetPrimaryURL returns the text with its primaryURL set, and everything else as it was. It
// does not check the address: Check does. The error is of the type Problems when the text
// cannot be parsed.
func SetPrimaryURL(text, address string) (string, error) {
	mark, rest := cutMark(text)
	doc, err := parseForEdit(text, rest, len(mark))
	if err != nil {
		return "", err
	}
	literal := hujson.String(address)
	if v := doc.root.get("primaryURL"); v != nil {
		return mark + applyEdits(rest, []edit{{v.start, v.end, string(literal)}}), nil
	}
	edited, _ := doc.appendTo(doc.root, `"primaryURL": `+string(literal))
	return mark + edited, nil
}

// tokenPlaceholder is what AddBitbucketServer asks to fill in. Check refuses it.
const tokenPlaceholder = "<HTTP access token with read permission on projects and repositories; " +
	"make one in Bitbucket: Manage account, HTTP access tokens>"

// AddBitbucketServer returns the text with one more entry in bitbucketServer, which is made
// if it is absent: an example url, and a placeholder in angle brackets for the token. The
// entry is indented by two spaces a level; the rest of the text is as it was. The
// placeholder is newText[selectStart:selectEnd], in bytes, without its quotes.
func AddBitbucketServer(text string) (newText string, selectStart, selectEnd int, err error) {
	mark, rest := cutMark(text)
	doc, err := parseForEdit(text, rest, len(mark))
	if err != nil {
		return "", 0, 0, err
	}
	parent, entry := doc.root, "{\n  \"url\": \"https://bitbucket.example.com\",\n  \"token\": \""+tokenPlaceholder+"\"\n}"
	if v := doc.root.get("bitbucketServer"); v == nil {
		entry = "\"bitbucketServer\": [\n" + indentLines(entry, "  ") + "\n]"
	} else if parent = v; v.kind != '[' {
		return "", 0, 0, problems(text, []finding{{
			severity: SeverityError, offset: v.start + len(mark), key: v.path, message: "must be a list in brackets: mend it before an entry can be added",
		}})
	}
	edited, at := doc.appendTo(parent, entry)
	newText = mark + edited
	selectStart = len(mark) + at + strings.Index(edited[at:], tokenPlaceholder)
	return newText, selectStart, selectStart + len(tokenPlaceholder), nil
}

// parseForEdit parses a text that is to be edited; duplicates are refused, because an edit
// could change the one that does not count.
func parseForEdit(text, rest string, mark int) (*document, error) {
	doc, broken := parse(rest)
	var found []finding
	if broken != nil {
		found = []finding{*broken}
	} else if doc.root.kind != '{' {
		found = []finding{{severity: SeverityError, message: "must be an object in braces"}}
	} else {
		found = doc.root.duplicates(rest)
	}
	if len(found) == 0 {
		return doc, nil
	}
	for i := range found {
		found[i].offset += mark
	}
	return nil, problems(text, found)
}

// appendTo returns the text with an addition after the last value of an object or list, on
// lines of its own unless all of it stands on one line, and the offset of the addition.
func (d *document) appendTo(n *node, addition string) (text string, at int) {
	newline := "\n"
	if strings.Contains(d.text, "\r\n") {
		newline = "\r\n"
	}
	if n.start == len(d.text) { // a text without a value; comments stay above it
		before := d.text
		if before != "" && !strings.HasSuffix(before, "\n") {
			before += newline
		}
		before += "{" + newline
		return before + reindent(addition, "  ", newline) + newline + "}" + newline, len(before)
	}
	last := n.start + 1 // after the last value
	comma := ""
	if count := len(n.elements); count > 0 {
		last = n.elements[count-1].end
	} else if count := len(n.members); count > 0 {
		last = n.members[count-1].value.end
	}
	hasValues := len(n.elements)+len(n.members) > 0
	if hasValues && !n.trailing {
		comma = ","
	}
	closing := n.end - 1
	inside := d.text[last:closing]
	indent := d.indentOf(n.start) + "  "
	if first := d.firstStart(n); first >= 0 && d.startsLine(first) {
		indent = d.indentOf(first)
	}
	switch {
	case hasValues && !strings.Contains(d.text[n.start:n.end], "\n") && !strings.Contains(addition, "\n"):
		// {"a": 1} stays on its line.
		head := d.text[:last] + comma + strings.TrimRight(inside, " \t") + " "
		return head + addition + d.text[closing:], len(head)
	default:
		// What stands between the last value and the closing bracket, comments above all, stays before.
		body := strings.TrimRight(inside, " \t\r\n")
		head := d.text[:last] + comma + body + newline
		addition = reindent(addition, indent, newline)
		end := ""
		if hasValues && n.trailing {
			end = ","
		}
		return head + addition + end + newline + d.indentOf(n.start) + d.text[closing:], len(head)
	}
}

// firstStart returns where the first value or key begins, or -1.
func (d *document) firstStart(n *node) int {
	switch {
	case len(n.members) > 0:
		return n.members[0].start
	case len(n.elements) > 0:
		return n.elements[0].start
	}
	return -1
}

// startsLine tells whether only white space stands before offset on its line.
func (d *document) startsLine(offset int) bool {
	before := d.text[:offset]
	return strings.TrimSpace(before[strings.LastIndexByte(before, '\n')+1:]) == ""
}

// indentOf returns the white space at the beginning of the line of offset.
func (d *document) indentOf(offset int) string {
	line := d.text[strings.LastIndexByte(d.text[:offset], '\n')+1:]
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

func indentLines(text, indent string) string {
	return indent + strings.ReplaceAll(text, "\n", "\n"+indent)
}

func reindent(text, indent, newline string) string {
	return strings.ReplaceAll(indentLines(text, indent), "\n", newline)
}
