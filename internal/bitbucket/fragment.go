package bitbucket

import (
	"errors"
	"math"
	"strings"
)

// fileInFragment is what the fragment of a diff page says: PATH, PATH?t=LINE, PATH?f=LINE
// or PATH?commentId=N.
type fileInFragment struct {
	path string
	side Side
	line int
}

// parseFileFragment reads the fragment of a page that shows diffs. Bitbucket writes it
// with encodeURI, which leaves "#", "?" and "&" of a path as they are: only the last "?",
// with what Bitbucket appends, ends the path. A bad escape makes the fragment mean nothing.
func parseFileFragment(fragment string) (fileInFragment, error) {
	var file fileInFragment
	raw, name, number := cutFragmentParameter(fragment)
	path, err := cleanPath(raw)
	if errors.Is(err, errEscape) {
		return fileInFragment{}, nil
	}
	if err != nil {
		return fileInFragment{}, err
	}
	file.path, _ = trimSlashes(path)
	if file.path == "" {
		return fileInFragment{}, nil
	}
	if line, ok := lineNumber(number); ok && line > 0 {
		switch name {
		case "t":
			file.side, file.line = SideTo, line
		case "f":
			file.side, file.line = SideFrom, line
		}
	}
	return file, nil
}

// cutFragmentParameter splits a final ?t=N, ?f=N or ?commentId=N off.
func cutFragmentParameter(fragment string) (rest, name, number string) {
	i := strings.LastIndexByte(fragment, '?')
	if i < 0 {
		return fragment, "", ""
	}
	name, number, _ = strings.Cut(fragment[i+1:], "=")
	if (name != "t" && name != "f" && name != "commentId") || !isNumber(number) {
		return fragment, "", ""
	}
	return fragment[:i], name, number
}

// parseLines reads the fragment of a file's page: ranges with commas between them. What
// is no such list, and what follows the part of it that is one, means nothing.
func parseLines(fragment string) []LineRange {
	if fragment == "" {
		return nil
	}
	fragment, _, _ = cutFragmentParameter(fragment)
	fragment, err := decode(fragment, false)
	if err != nil {
		return nil
	}
	var ranges []LineRange
	for more := true; more; {
		var part string
		part, fragment, more = strings.Cut(fragment, ",")
		lines, ok := parseLineRange(part)
		if !ok {
			break
		}
		if lines.Start > 0 {
			ranges = append(ranges, lines)
		}
	}
	return ranges
}

// parseLineRange reads 12, 12-15, 15-12 or 12-13-15, where the first and the last number
// count. There is no line 0: a range with it is empty.
func parseLineRange(s string) (LineRange, bool) {
	var lines LineRange
	for first, more := true, true; more; first = false {
		var number string
		number, s, more = strings.Cut(s, "-")
		n, ok := lineNumber(number)
		if !ok {
			return LineRange{}, false
		}
		if first {
			lines.Start = n
		}
		lines.End = n
	}
	if lines.Start > lines.End {
		lines.Start, lines.End = lines.End, lines.Start
	}
	if lines.Start == 0 {
		return LineRange{}, true
	}
	return lines, true
}

// lineNumber reads a number that can count lines.
func lineNumber(s string) (int, bool) {
	if !isNumber(s) {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if n = n*10 + int(s[i]-'0'); n > math.MaxInt32 {
			return 0, false
		}
	}
	return n, true
}

// isNumber tells whether s is decimal digits.
func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
