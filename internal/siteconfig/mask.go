package siteconfig

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/signpost/internal/bitbucket"
)

// mask stands for a secret that is not shown. Sourcegraph uses the same word, so that an
// entry copied from its pages gets the same answer: type the secret.
const mask = "REDACTED"

// Mask returns the text with its secrets hidden, and everything else, comments and
// formatting included, as it was. Secrets are the values of keys that are named like one
// (token, password, passphrase, privateKey, secret and the like, known here or not), user
// info in URLs and private keys; in comments also what looks like a secret, and every
// occurrence of one that the text holds. References ("env:NAME", "file:PATH") stay.
//
// A text that cannot be parsed has nothing that tells its secrets from the rest. No such text
// is ever stored; Mask shows none of it, and says so in words that cannot be stored either.
func Mask(text string) string {
	mark, rest := cutMark(text)
	doc, broken := parse(rest)
	if broken != nil {
		return notShown
	}
	return mark + newMasker(doc).apply()
}

// notShown is what Mask makes of a text that cannot be parsed.
const notShown = "Not shown: the text is no JSON with comments, and its secrets cannot be told from the rest.\n"

// edit replaces a piece of a text.
type edit struct {
	start, end int
	text       string
}

// applyEdits applies edits that do not overlap.
func applyEdits(text string, edits []edit) string {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.WriteString(text[at:e.start])
		out.WriteString(e.text)
		at = e.end
	}
	out.WriteString(text[at:])
	return out.String()
}

// masker walks a document and finds what to hide.
type masker struct {
	doc       *document
	values    []string     // the values of the document's secrets
	commented []string     // those that only comments show
	secrets   knownSecrets // all of them, for the comments
	places    []place
}

// place is something that Mask hides, or a comment or text that it would hide something of.
type place struct {
	id         string // where it is, in words that survive a change of order
	entry      string // id of the connection it is in; "" elsewhere
	path       string // the key path
	start, end int
	original   string // as it is in the text
	masked     string
	secret     bool // the value of a key that holds a secret
	comment    bool
}

// newMasker finds the places of a document, in its order.
func newMasker(doc *document) *masker {
	m := &masker{doc: doc}
	m.collect(doc.root, false)
	m.secrets = newKnownSecrets(append(m.values, m.commented...))
	m.walk(doc.root, "", "", false)
	slices.SortStableFunc(m.places, func(a, b place) int { return cmp.Compare(a.start, b.start) })
	return m
}

// apply returns the masked text.
func (m *masker) apply() string {
	var edits []edit
	for _, p := range m.places {
		if p.masked != p.original {
			edits = append(edits, edit{p.start, p.end, p.masked})
		}
	}
	return applyEdits(m.doc.text, edits)
}

// collect gathers the values of secrets.
func (m *masker) collect(n *node, secret bool) {
	for _, t := range n.comments {
		m.commented = append(m.commented, namedSecrets(m.doc.text[t.start:t.end])...)
	}
	if n.isString() && secret && hidesText(n.text()) {
		m.values = append(m.values, secretForms(n.text(), n.literal)...)
	}
	for _, child := range n.members {
		m.collect(child.value, secret || isSecretName(child.name))
	}
	for _, element := range n.elements {
		m.collect(element, secret)
	}
}

// walk adds the places of a value and below it.
func (m *masker) walk(n *node, id, entry string, secret bool) {
	for _, t := range n.comments {
		original := m.doc.text[t.start:t.end]
		m.places = append(m.places, place{
			id: id + "//", entry: entry, path: n.path, start: t.start, end: t.end, original: original, comment: true,
		})
	}
	m.maskComments(len(n.comments))
	switch n.kind {
	case '{':
		for _, child := range n.members {
			m.walk(child.value, id+"/"+child.name, entry, secret || isSecretName(child.name))
		}
	case '[':
		seen := map[string]int{}
		for i, element := range n.elements {
			step := elementID(element, i)
			seen[step]++
			childID, childEntry := fmt.Sprintf("%s[%s#%d]", id, step, seen[step]), entry
			if id == "/bitbucketServer" {
				childEntry = childID
			}
			m.walk(element, childID, childEntry, secret)
		}
	default:
		m.places = append(m.places, place{
			id: id, entry: entry, path: n.path, start: n.start, end: n.end,
			original: n.literal, masked: maskLiteral(n, secret), secret: secret,
		})
	}
}

// maskComments masks the last count places, the comments of one value. A private key can
// take several, and so can a name and its value, on lines that follow each other.
func (m *masker) maskComments(count int) {
	comments := m.places[len(m.places)-count:]
	slices.SortFunc(comments, func(a, b place) int { return cmp.Compare(a.start, b.start) })
	within := false
	for len(comments) > 0 {
		p := &comments[0]
		opening, inner, end := splitComment(p.original)
		begins, ends := privateKeyBegin.FindAllStringIndex(inner, -1), privateKeyEnd.FindAllStringIndex(inner, -1)
		whole := within || len(begins) > 0
		if len(begins)+len(ends) > 0 {
			within = lastStart(begins) > lastStart(ends)
		}
		if whole {
			p.masked = opening + " " + mask + " " + end
			if end == "" {
				p.masked = opening + " " + mask + strings.Repeat("\r", strings.Count(inner, "\r"))
			}
			comments = comments[1:]
			continue
		}
		block := 1
		if end == "" {
			block = m.adjacent(comments)
		}
		inners := make([]string, block)
		for i := range inners {
			_, inners[i], _ = splitComment(comments[i].original)
		}
		masked := maskLoose(strings.Join(inners, "\n"), m.secrets)
		if block == 1 {
			p.masked = opening + masked + end
		} else {
			for i, line := range strings.Split(masked, "\n") {
				comments[i].masked = opening + line
			}
		}
		comments = comments[block:]
	}
}

// adjacent returns how many line comments stand on lines that follow each other, from the
// first on, without one that has to do with a private key.
func (m *masker) adjacent(comments []place) int {
	n := 1
	for ; n < len(comments); n++ {
		between := m.doc.text[comments[n-1].end:comments[n].start]
		next := comments[n].original
		if strings.HasPrefix(next, "/*") || privateKeyBegin.MatchString(next) || privateKeyEnd.MatchString(next) ||
			strings.TrimSpace(between) != "" || strings.Count(between, "\n") != 1 {
			break
		}
	}
	return n
}

func lastStart(matches [][]int) int {
	if len(matches) == 0 {
		return -1
	}
	return matches[len(matches)-1][0]
}

// splitComment splits a comment into its opening, its text and its end.
func splitComment(comment string) (opening, inner, end string) {
	if rest, ok := strings.CutPrefix(comment, "/*"); ok {
		return "/*", strings.TrimSuffix(rest, "*/"), "*/"
	}
	return "//", comment[2:], ""
}

// elementID names an element of a list by what it is, so that it keeps its secrets when
// the list changes its order: by its address or its name, and by its position otherwise.
func elementID(n *node, index int) string {
	for _, key := range []string{"url", "name", "id"} {
		v := n.get(key)
		if v == nil || len(v.literal) == 0 {
			continue
		}
		if key == "url" {
			if base, err := bitbucket.ParseBaseURL(v.text()); err == nil {
				return "url=" + base.String()
			}
		}
		// As it is shown: user info of an address is not.
		return key + "=" + maskLiteral(v, false)
	}
	return fmt.Sprintf("index=%d", index)
}

// maskLiteral returns a text, number or the like as Mask shows it.
func maskLiteral(n *node, secret bool) string {
	switch {
	case n.kind == '0' && secret:
		return quoted(mask) // an error, for the type is wrong; and perhaps a password of digits
	case n.kind != '"':
		return n.literal
	case secret:
		if hidesText(n.text()) {
			return quoted(mask)
		}
		return n.literal
	}
	text := n.text()
	if privateKeyBegin.MatchString(text) || headerValue.MatchString(text) {
		return quoted(mask)
	}
	switch masked := maskAddress(text); {
	case masked == text:
		return n.literal
	case strings.Contains(n.literal, `\`):
		return quoted(mask)
	default:
		return quoted(masked)
	}
}

// hidesText tells whether the value of a key that holds a secret is one.
func hidesText(text string) bool { return text != "" && !isReference(text) }

// secretWords mark a key as one that holds a secret, wherever they are in its name, and
// whether it is a key of this configuration or of another.
var secretWords = []string{
	"token", "password", "passwd", "passphrase", "secret", "privatekey", "signingkey", "licensekey", "apikey", "accesskey", "tlskey",
	"integrationkey", "routingkey", "bearer",
}

// secretNames are the whole names of such keys, too short to be sought within others.
var secretNames = map[string]bool{"pass": true, "pw": true, "pwd": true, "pat": true, "credential": true, "credentials": true}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// isSecretName tells whether a key holds a secret, also when it is mistyped.
func isSecretName(name string) bool {
	name = notInNames.ReplaceAllString(strings.ToLower(name), "")
	if secretNames[name] {
		return true
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
		if near := len(word) / 5; abs(len(name)-len(word)) <= near && editDistance(name, word) <= near {
			return true
		}
	}
	return false
}
