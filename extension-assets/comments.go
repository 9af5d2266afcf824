package extension

import (
	"bytes"
	"encoding/json"
	"path"
	"regexp"
)

// Comments are for the repository: a package is a quarter smaller without them. What is taken away is
// what a line cannot be without: comments that have their lines to themselves, and the types of an
// expression. Other comments stay, for telling those from strings takes a parser.
var (
	lineComments  = regexp.MustCompile(`(?m)^[ \t]*//.*\n`)
	blockComments = regexp.MustCompile(`(?m)^[ \t]*/\*\*(?s:.*?)\*/[ \t]*\n`)
	typeComments  = regexp.MustCompile(`/\*\* @type [^\n]*?\*/ ?`)
	styleComments = regexp.MustCompile(`(?m)^[ \t]*/\*(?s:.*?)\*/[ \t]*\n`)
	emptyLines    = regexp.MustCompile(`\n(?:[ \t]*\n)+`)
)

// withoutComments returns a script or style sheet without its comments, JSON without its white space, and any other file
// as it is.
func withoutComments(name string, content []byte) []byte {
	switch path.Ext(name) {
	case ".js":
	case ".css":
		return styleComments.ReplaceAll(content, nil)
	case ".json":
		var compact bytes.Buffer
		if json.Compact(&compact, content) != nil {
			return content // who reads it says what is wrong with it
		}
		return compact.Bytes()
	default:
		return content
	}
	content = append([]byte("\n"), content...) // so that the first line is like the others
	for _, comments := range []*regexp.Regexp{lineComments, blockComments, typeComments} {
		content = comments.ReplaceAll(content, nil)
	}
	return emptyLines.ReplaceAll(content, []byte("\n"))[1:]
}
