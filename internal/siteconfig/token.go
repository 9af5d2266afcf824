package siteconfig

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// token is a piece of a text. Unlike hujson's parser, the scanner never fails: it also
// serves to explain what is wrong with a text, and to mask a broken one.
type token struct {
	kind       tokenKind
	start, end int  // byte offsets
	closed     bool // a string or comment that has its end
}

// tokenKind is a punctuation character of JSON, or one of the kinds below.
type tokenKind byte

const (
	tokenString  tokenKind = '"' // ends at its line's end where the closing quote is missing
	tokenComment tokenKind = '/'
	tokenBare    tokenKind = 'a' // true, 12, or anything else that stands without quotes
)

// scan splits a text into tokens; white space is left out.
func scan(text string) []token {
	var tokens []token
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '{', '}', '[', ']', ':', ',':
			tokens = append(tokens, token{kind: tokenKind(c), start: i, end: i + 1, closed: true})
			i++
		case '"':
			end, closed := stringEnd(text, i)
			tokens = append(tokens, token{kind: tokenString, start: i, end: end, closed: closed})
			i = end
		default:
			if isCommentStart(text[i:]) {
				end, closed := commentEnd(text, i)
				tokens = append(tokens, token{kind: tokenComment, start: i, end: end, closed: closed})
				i = end
				continue
			}
			start := i
			for i < len(text) && !strings.ContainsRune(" \t\r\n{}[]:,\"", rune(text[i])) && !isCommentStart(text[i:]) {
				i++
			}
			tokens = append(tokens, token{kind: tokenBare, start: start, end: i, closed: true})
		}
	}
	return tokens
}

// stringEnd returns the offset after the string that begins at start.
func stringEnd(text string, start int) (end int, closed bool) {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case '"':
			return i + 1, true
		case '\n':
			return i, false
		}
	}
	return len(text), false
}

func isCommentStart(s string) bool { return strings.HasPrefix(s, "//") || strings.HasPrefix(s, "/*") }

// commentEnd returns the offset after the comment that begins at start: before the line's
// end, or after the "*/".
func commentEnd(text string, start int) (end int, closed bool) {
	if text[start+1] == '/' {
		if n := strings.IndexByte(text[start:], '\n'); n >= 0 {
			return start + n, true
		}
		return len(text), true
	}
	if n := strings.Index(text[start+2:], "*/"); n >= 0 {
		return start + 2 + n + 2, true
	}
	return len(text), false
}

// byteOrderMark is what some editors of Windows put before UTF-8.
const byteOrderMark = "\ufeff"

// cutMark splits a byte order mark off.
func cutMark(text string) (mark, rest string) {
	if rest, ok := strings.CutPrefix(text, byteOrderMark); ok {
		return byteOrderMark, rest
	}
	return "", text
}

// lineIndex finds line and column of an offset.
type lineIndex struct {
	text   string
	starts []int // of each line
}

func newLineIndex(text string) lineIndex {
	starts := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return lineIndex{text: text, starts: starts}
}

// position returns line and column of offset, both from 1. A byte order mark has no column.
func (x lineIndex) position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(x.text))
	line, found := slices.BinarySearch(x.starts, offset)
	if found {
		line++
	}
	before := strings.TrimPrefix(x.text[x.starts[line-1]:offset], byteOrderMark)
	return line, 1 + utf8.RuneCountInString(before)
}
