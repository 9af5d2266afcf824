package siteconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a problem keeps a configuration from being used.
type Severity string

// The severities of a problem.
const (
	SeverityError   Severity = "error"   // the configuration is neither stored nor used
	SeverityWarning Severity = "warning" // it is used, but perhaps not as meant
)

// Problem is one thing that is wrong with the text of a site configuration. It never holds
// a secret.
type Problem struct {
	Severity Severity `json:"severity"`
	Line     int      `json:"line"`    // from 1
	Column   int      `json:"column"`  // from 1, in Unicode characters; a tab is one
	Key      string   `json:"key"`     // bitbucketServer[0].url; "" for the text as a whole
	Message  string   `json:"message"` // what is wrong and how to mend it; follows the key in a sentence
}

// String returns the problem on one line: 12:5 error bitbucketServer[0].url: is missing.
func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%d:%d %s: %s", p.Line, p.Column, p.Severity, p.Message)
	}
	return fmt.Sprintf("%d:%d %s %s: %s", p.Line, p.Column, p.Severity, p.Key, p.Message)
}

// Problems are all problems of a text, in its order. As an error it is what Unmask gives,
// and what a Publisher wraps with ErrInvalid.
type Problems []Problem

// HasErrors tells whether any of the problems is an error.
func (ps Problems) HasErrors() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Severity == SeverityError })
}

// Error returns the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds what one text can make an answer hold.
const maxProblems = 1000

// finding is a problem before its offset is turned into line and column.
type finding struct {
	severity Severity
	offset   int // in bytes
	key      string
	message  string
}

// problems sorts findings by place and gives them line and column in text.
func problems(text string, findings []finding) Problems {
	if len(findings) == 0 {
		return nil
	}
	byPlace := func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.severity, b.severity),
			cmp.Compare(a.key, b.key), cmp.Compare(a.message, b.message))
	}
	findings = slices.Clone(findings)
	slices.SortFunc(findings, byPlace)
	findings = slices.Compact(findings)
	if more := len(findings) - maxProblems; more > 0 {
		// Errors first: what is left out must not make a broken text look whole.
		slices.SortStableFunc(findings, func(a, b finding) int { return cmp.Compare(a.severity, b.severity) })
		findings = findings[:maxProblems]
		slices.SortFunc(findings, byPlace)
		findings = append(findings, finding{
			severity: SeverityWarning, offset: len(text),
			message: fmt.Sprintf("there are %d more problems: mend these first", more),
		})
	}
	lines := newLineIndex(text)
	all := make(Problems, len(findings))
	for i, f := range findings {
		line, column := lines.position(f.offset)
		all[i] = Problem{Severity: f.severity, Line: line, Column: column, Key: f.key, Message: f.message}
	}
	return all
}
