package siteconfig

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxDepth is how deep objects and lists may be nested; a site configuration needs five.
const maxDepth = 64

// syntaxError explains the first thing that keeps a text from being JSON with comments and
// trailing commas. It finds one exactly where hujson does; hujson's own words hold pieces
// of the text, and so could hold a secret.
func syntaxError(text string, tokens []token) (offset int, message string, found bool) {
	r := reader{text: text, lines: newLineIndex(text), want: wantValue}
	for _, t := range tokens {
		if t.kind == tokenComment {
			if offset, message, found = r.comment(t); found {
				return offset, message, true
			}
			continue
		}
		if offset, message = r.next(t); message != "" {
			return offset, message, true
		}
		r.end = t.end
	}
	if len(r.open) > 0 {
		return len(text), "the text ends here, but " + r.opened() + " is not closed: " +
			quoted(closing[r.open[len(r.open)-1].kind]) + " is missing", true
	}
	return 0, "", false
}

// reader follows the grammar of JSON from token to token.
type reader struct {
	text  string
	lines lineIndex
	open  []token // the "{" and "[" that are not closed yet
	want  wanted
	end   int // of the token before
}

type wanted int

const (
	wantValue      wanted = iota // after ":" and at the start
	wantValueOrEnd               // in a list, after "[" and ","
	wantKeyOrEnd                 // in an object, after "{" and ","
	wantColon
	wantComma // or the end of the list or object
	wantNothing
)

var closing = map[tokenKind]string{'{': "}", '[': "]"}

// next takes a token; a message says why it cannot stand there.
func (r *reader) next(t token) (offset int, message string) {
	switch r.want {
	case wantNothing:
		return t.start, "nothing may follow the end of the configuration: remove this"
	case wantColon:
		if t.kind != ':' {
			return r.end, `a ":" is missing after this key`
		}
		r.want = wantValue
		return 0, ""
	case wantComma:
		switch t.kind {
		case ',':
			r.want = wantValueOrEnd
			if r.top() == '{' {
				r.want = wantKeyOrEnd
			}
			return 0, ""
		case '}', ']':
			return r.close(t)
		case ':':
			return t.start, `a ":" too many: remove it, or put the key before it in double quotes`
		default:
			return r.end, "a comma is missing here"
		}
	case wantKeyOrEnd:
		switch t.kind {
		case '}', ']':
			return r.close(t)
		case tokenString:
			r.want = wantColon
			return r.string(t)
		case ',':
			return t.start, "a comma too many: remove it"
		default:
			return t.start, "a key in double quotes is expected here"
		}
	}
	return r.value(t)
}

func (r *reader) value(t token) (offset int, message string) {
	switch t.kind {
	case '{', '[':
		if len(r.open) == maxDepth {
			return t.start, fmt.Sprintf("nested more than %d levels deep: no site configuration is", maxDepth)
		}
		r.open = append(r.open, t)
		r.want = wantValueOrEnd
		if t.kind == '{' {
			r.want = wantKeyOrEnd
		}
		return 0, ""
	case ']':
		if r.want == wantValueOrEnd {
			return r.close(t)
		}
		return t.start, "a value is missing before this"
	case '}':
		if r.want == wantValueOrEnd {
			return r.close(t)
		}
		return t.start, "a value is missing before this"
	case ',':
		if r.want == wantValueOrEnd {
			return t.start, "a comma too many: remove it"
		}
		return t.start, "a value is missing before this"
	case ':':
		return t.start, `a value is expected here, not ":"`
	}
	r.after()
	if t.kind == tokenString {
		return r.string(t)
	}
	bare := r.text[t.start:t.end]
	switch {
	case json.Valid([]byte(bare)):
		return 0, ""
	case strings.EqualFold(bare, "true"), strings.EqualFold(bare, "false"), strings.EqualFold(bare, "null"):
		return t.start, "true, false and null are written in lower case"
	}
	return t.start, "texts stand in double quotes, and numbers are written as 12"
}

// string checks what a string holds.
func (r *reader) string(t token) (offset int, message string) {
	raw := r.text[t.start:t.end]
	if !t.closed {
		return t.start, `this text is not closed on its line: a " is missing at its end (a line break within it is written as \n)`
	}
	if json.Valid([]byte(raw)) {
		return 0, ""
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] < ' ' {
			return t.start + i, `a tab or another control character within a text: write \t, or \u and its number`
		}
		if raw[i] == '\\' {
			if n := len(raw); !json.Valid([]byte(`"`+raw[i:min(i+2, n)]+`"`)) && !isUnicodeEscape(raw[i:]) {
				return t.start + i, `a backslash within a text is written as \\`
			}
			i++
		}
	}
	return t.start, "this text is not a JSON string"
}

func isUnicodeEscape(s string) bool {
	return len(s) >= 6 && s[1] == 'u' && json.Valid([]byte(`"`+s[:6]+`"`))
}

// comment checks a comment.
func (r *reader) comment(t token) (offset int, message string, found bool) {
	comment := r.text[t.start:t.end]
	if !t.closed {
		return t.start, `this comment is not closed: "*/" is missing`, true
	}
	if strings.HasPrefix(comment, "//") {
		if i := strings.IndexAny(comment, "\u2028\u2029"); i >= 0 {
			return t.start + i, "a Unicode line separator within a comment: remove it", true
		}
	}
	return 0, "", false
}

// close takes a "}" or "]".
func (r *reader) close(t token) (offset int, message string) {
	if want := closing[r.top()]; r.text[t.start:t.end] != want {
		return t.start, quoted(r.text[t.start:t.end]) + " where " + quoted(want) + " must close " + r.opened()
	}
	r.open = r.open[:len(r.open)-1]
	r.after()
	return 0, ""
}

// after sets what follows a value.
func (r *reader) after() {
	r.want = wantComma
	if len(r.open) == 0 {
		r.want = wantNothing
	}
}

// top returns what was opened last.
func (r *reader) top() tokenKind { return r.open[len(r.open)-1].kind }

// opened says where the innermost open object or list begins.
func (r *reader) opened() string {
	t := r.open[len(r.open)-1]
	line, column := r.lines.position(t.start)
	return fmt.Sprintf("the %q of line %d, column %d", string(rune(t.kind)), line, column)
}

func quoted(s string) string { return `"` + s + `"` }
