package siteconfig

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// MaxTextBytes is how long the text of a site configuration may be.
const MaxTextBytes = 1 << 20

// document is a text and the values in it.
type document struct {
	text string
	root *node // an empty object where the text holds no value
}

// node is a value of a document, with its place.
type node struct {
	kind       hujson.Kind // as hujson has it: 'n', 'f', 't', '"', '0', '{' or '['
	start, end int         // byte offsets
	path       string      // bitbucketServer[0].url
	literal    string      // of a scalar, as it is written
	members    []member    // of an object
	elements   []*node     // of a list
	comments   []token     // that stand directly in it; the root has those around it, too
	trailing   bool        // an object or list with a comma after its last value
}

// member is a key of an object and its value.
type member struct {
	name       string
	start, end int // of the name
	value      *node
}

// parse reads a text. The finding says why it is no JSON with comments; then there is no
// document.
func parse(text string) (*document, *finding) {
	broken := func(offset int, message string) (*document, *finding) {
		return nil, &finding{severity: SeverityError, offset: offset, message: message}
	}
	if len(text) > MaxTextBytes {
		return broken(0, fmt.Sprintf("the text is longer than %d bytes: no site configuration is", MaxTextBytes))
	}
	if !utf8.ValidString(text) {
		return broken(invalidUTF8(text), "the text is not UTF-8 from here on: save it as UTF-8")
	}
	tokens := scan(text)
	doc := &document{text: text}
	if offset, message, found := syntaxError(text, tokens); found {
		return broken(offset, message)
	}
	if i := firstValue(tokens); i < 0 {
		doc.root = &node{kind: '{', start: len(text), end: len(text), comments: tokens}
		return doc, nil
	}
	// hujson wants a line comment to end with its line, also the last one of a file.
	value, err := hujson.Parse([]byte(text + "\n"))
	if err != nil {
		// Not err itself: it can hold a piece of the text.
		return broken(0, "the text is not JSON with comments")
	}
	doc.root = doc.node(value, "")
	doc.addComments(doc.root, value.BeforeExtra, 0)
	doc.addComments(doc.root, value.AfterExtra, value.EndOffset)
	return doc, nil
}

// firstValue returns the index of the first token that is no comment, or -1.
func firstValue(tokens []token) int {
	for i, t := range tokens {
		if t.kind != tokenComment {
			return i
		}
	}
	return -1
}

func invalidUTF8(text string) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// node turns a value of hujson's into one that knows its key path and its comments.
func (d *document) node(v hujson.Value, path string) *node {
	n := &node{kind: v.Value.Kind(), start: v.StartOffset, end: v.EndOffset, path: path}
	switch value := v.Value.(type) {
	case *hujson.Object:
		for _, m := range value.Members {
			name := m.Name.Value.(hujson.Literal).String()
			n.members = append(n.members, member{
				name: name, start: m.Name.StartOffset, end: m.Name.EndOffset,
				value: d.node(m.Value, keyPath(path, name)),
			})
			d.addAround(n, m.Name)
			d.addAround(n, m.Value)
			n.trailing = m.Value.AfterExtra != nil
		}
		d.addComments(n, value.AfterExtra, n.end-1-len(value.AfterExtra))
	case *hujson.Array:
		for i, element := range value.Elements {
			n.elements = append(n.elements, d.node(element, fmt.Sprintf("%s[%d]", path, i)))
			d.addAround(n, element)
			n.trailing = element.AfterExtra != nil
		}
		d.addComments(n, value.AfterExtra, n.end-1-len(value.AfterExtra))
	case hujson.Literal:
		n.literal = string(value)
	}
	return n
}

func (d *document) addAround(n *node, v hujson.Value) {
	d.addComments(n, v.BeforeExtra, v.StartOffset-len(v.BeforeExtra))
	d.addComments(n, v.AfterExtra, v.EndOffset)
}

// addComments adds the comments of the white space that begins at offset.
func (d *document) addComments(n *node, extra hujson.Extra, offset int) {
	for _, t := range scan(string(extra)) {
		t.start += offset
		t.end = min(t.end+offset, len(d.text))
		n.comments = append(n.comments, t)
	}
}

var plainKey = regexp.MustCompile(`^[\w.-]{1,60}$`)

// keyPath returns the path of a key; a key with other characters than usual is quoted, so
// that it cannot break the line that it is printed on.
func keyPath(parent, name string) string {
	switch {
	case !plainKey.MatchString(name):
		if r := []rune(name); len(r) > 60 {
			name = string(r[:60]) + "…"
		}
		return parent + "[" + strconv.Quote(name) + "]"
	case parent == "":
		return name
	}
	return parent + "." + name
}

// get returns the value of a key, or nil. Of duplicate keys, which are an error, it is the first.
func (n *node) get(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// isString tells that the value is a string.
func (n *node) isString() bool { return n != nil && n.kind == '"' }

// text returns the value of a string, its escapes read; "" for everything else.
func (n *node) text() string {
	if !n.isString() {
		return ""
	}
	return hujson.Literal(n.literal).String()
}

// instance returns the value as the schema's validator takes it.
func (n *node) instance() any {
	switch n.kind {
	case '{':
		object := make(map[string]any, len(n.members))
		for _, m := range n.members {
			if _, duplicate := object[m.name]; !duplicate {
				object[m.name] = m.value.instance()
			}
		}
		return object
	case '[':
		list := make([]any, len(n.elements))
		for i, element := range n.elements {
			list[i] = element.instance()
		}
		return list
	case '"':
		return n.text()
	case '0':
		if strings.Trim(n.literal, "-0123456789") == "" && len(n.literal) < 20 {
			return json.Number(n.literal)
		}
		// As a float, so that 1e999999 costs no more than any other number too large.
		f, _ := strconv.ParseFloat(n.literal, 64)
		return min(max(f, -maxNumber), maxNumber)
	case 't', 'f':
		return n.kind == 't'
	}
	return nil
}

// maxNumber is beyond every bound of the schema.
const maxNumber = 1e300

// at returns the value at a location as the schema's validator gives it.
func (n *node) at(location []string) *node {
	for _, step := range location {
		var next *node
		switch n.kind {
		case '{':
			next = n.get(step)
		case '[':
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.elements) {
				next = n.elements[i]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// duplicates reports the keys that an object of the document has twice.
func (n *node) duplicates(text string) []finding {
	var found []finding
	lines := newLineIndex(text)
	var walk func(n *node)
	walk = func(n *node) {
		first := make(map[string]member, len(n.members))
		for _, m := range n.members {
			if before, ok := first[m.name]; ok {
				line, column := lines.position(before.start)
				found = append(found, finding{
					severity: SeverityError, offset: m.start, key: m.value.path,
					message: fmt.Sprintf("is set twice, first on line %d, column %d: keep one of the two", line, column),
				})
			} else {
				first[m.name] = m
			}
			walk(m.value)
		}
		for _, element := range n.elements {
			walk(element)
		}
	}
	walk(n)
	return found
}

// integer returns the value of a whole number that the schema's bounds hold; 0 otherwise.
func (n *node) integer() int {
	f, err := strconv.ParseFloat(n.literal, 64)
	if n.kind != '0' || err != nil {
		return 0
	}
	return int(min(max(f, -maxInt), maxInt))
}
