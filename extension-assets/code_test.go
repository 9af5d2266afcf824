package extension_test

import (
	"regexp"
	"strings"
	"testing"
)

// forbidden is what no file of the extension may hold: ways by which a text of a page or of a server
// could become markup or code.
var forbidden = regexp.MustCompile(`(?i)\binnerHTML\b|\bouterHTML\b|\binsertAdjacentHTML\b|\beval\s*\(|\bnew\s+Function\b|\bFunction\s*\(|\bdocument\s*\.\s*write(ln)?\b|` +
	`\bimportScripts\b|\bsetHTMLUnsafe\b|\bcreateContextualFragment\b|\bDOMParser\b|\bimport\s*\(|\bset(Timeout|Interval)\s*\(\s*["'` + "`" + `]`)

var (
	address   = regexp.MustCompile(`(?i)\b(?:https?|wss?)://[^\s"'` + "`" + `<>)\\]+`)
	namespace = regexp.MustCompile(`^http://www\.w3\.org/(2000/svg|1999/xhtml|1999/xlink)$`)
	// A match pattern of all hosts, which the plain extension asks for one by one, and examples.
	harmless = regexp.MustCompile(`^(https?://\*/\*?|https?://[a-z.-]+\.example\.(com|org)\b.*)$`)
)

// comments drops comments: what they link to is not asked for. A line comment begins at the start of a line or
// after white space, so that the // of an address is none.
func comments(name, text string) string {
	if !hasSuffix(name, ".js", ".css", ".html", ".svg") {
		return text
	}
	text = regexp.MustCompile(`(?s)/\*.*?\*/|<!--.*?-->`).ReplaceAllString(text, "")
	return regexp.MustCompile(`(?m)(^|\s)//.*$`).ReplaceAllString(text, "")
}

// misuse returns what is wrong with a file of the extension.
func misuse(name, text string) (found []string) {
	code := comments(name, text)
	found = append(found, forbidden.FindAllString(code, -1)...)
	for _, url := range address.FindAllString(code, -1) {
		typed := name == "extension/options/options.js" && url == "https://${value}" // completes the server's address that a person types
		if !namespace.MatchString(url) && !harmless.MatchString(url) && !typed {
			found = append(found, url)
		}
	}
	if strings.Contains(strings.ToLower(text), "sourcegraph.com") {
		found = append(found, "sourcegraph.com")
	}
	return found
}

func TestTheCodeAsksNobodyElseAndMakesNoMarkupOfTexts(t *testing.T) {
	t.Parallel()
	eachFile(t, func(name, text string) {
		if hasSuffix(name, ".png") {
			return
		}
		for _, found := range misuse(name, text) {
			t.Errorf("%s holds %s", name, found)
		}
	})
}

func TestMisuseIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		bad        bool
	}{
		{"a.js", "e.innerHTML = x", true},
		{"a.js", "e['outerHTML'] = x", true},
		{"a.js", "e.insertAdjacentHTML('beforeend', x)", true},
		{"a.js", "eval (x)", true},
		{"a.js", "new  Function(x)", true},
		{"a.js", "document.write(x)", true},
		{"a.js", "importScripts('x')", true},
		{"a.js", "await import(x)", true},
		{"a.js", "setTimeout('x', 1)", true},
		{"a.js", `fetch("https://cdn.other.net/x")`, true},
		{"a.js", "const u = `wss://${host}`", true},
		{"a.js", "fetch(`https://${value}`)", true},
		{"a.js", "// see https://Sourcegraph.com", true},
		{"a.html", `<script src="https://cdn.other.net/x.js"></script>`, true},
		{"a.js", "// see https://developer.mozilla.org/x\nrun()", false},
		{"a.js", "/* https://developer.mozilla.org */ evaluate(x)", false},
		{"a.js", `document.createElementNS("http://www.w3.org/2000/svg", "svg")`, false},
		{"a.js", "setTimeout(() => {}, 1)", false},
		{"manifest.json", `"https://*/*"`, false},
		{"a.html", `<input placeholder="https://signpost.example.com">`, false},
		{"a.js", "import { x } from './x.js'; isFunction(x)", false},
	} {
		if got := misuse(c.name, c.text); (len(got) > 0) != c.bad {
			t.Errorf("%s: found %q, want something: %t", c.text, got, c.bad)
		}
	}
}
