package bitbuckettest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// emptyTree is git's name of the tree without entries, which every repository knows.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// errDiff means that git's diff has another form than the double reads.
var errDiff = errors.New("bitbuckettest: git wrote an unexpected diff")

// fileDiff is what happened to a file between two commits.
type fileDiff struct {
	Path      string
	Change    string // ADD, MODIFY or DELETE
	Binary    bool
	Hunks     [][]diffLine
	Href      string // the fragment that opens it
	SourceURL string // of the file after the change, or before its removal
}

// Label is the change in words.
func (f fileDiff) Label() string {
	return map[string]string{"ADD": "Added", "MODIFY": "Modified", "DELETE": "Deleted"}[f.Change]
}

// Lozenge is AUI's class for the change.
func (f fileDiff) Lozenge() string {
	switch f.Change {
	case "ADD":
		return "aui-lozenge-success"
	case "DELETE":
		return "aui-lozenge-error"
	}
	return "aui-lozenge-current"
}

// diffLine is a line of a diff; a number is 0 on the side that lacks the line.
type diffLine struct {
	From, To int
	Text     string
}

// Kind is "added", "removed" or "context".
func (l diffLine) Kind() string {
	switch {
	case l.From == 0:
		return "added"
	case l.To == 0:
		return "removed"
	}
	return "context"
}

// Number is the line's number on the side that has it, the newer one first.
func (l diffLine) Number() int {
	if l.To == 0 {
		return l.From
	}
	return l.To
}

// Sign stands before the line in a diff.
func (l diffLine) Sign() string {
	return map[string]string{"added": "+", "removed": "-", "context": ""}[l.Kind()]
}

// Parameter tells the side in a fragment: t is the newer one.
func (l diffLine) Parameter() string {
	if l.To == 0 {
		return "f"
	}
	return "t"
}

// diff tells what changed between two commits, or trees, of the repository.
func (w *webCall) diff(dir, from, to string, paths ...string) ([]fileDiff, error) {
	selection := append([]string{from, to, "--"}, paths...)
	raw, err := w.server.git.run(w.ctx(), dir, nil, append([]string{"diff", "--raw", "-z", "--no-renames", "--abbrev=40"}, selection...)...)
	if err != nil {
		return nil, err
	}
	patch, err := w.server.git.run(w.ctx(), dir, nil, append([]string{"diff", "-p", "--no-renames", "--no-ext-diff", "--no-color", "--no-textconv", "-U6"}, selection...)...)
	if err != nil {
		return nil, err
	}
	files, err := readRawDiff(raw)
	if err != nil {
		return nil, err
	}
	if err := readPatch(patch, files); err != nil {
		return nil, err
	}
	for i := range files {
		files[i].Href = "#" + escapeFragment(files[i].Path)
		at := to
		if files[i].Change == "DELETE" {
			at = from
		}
		files[i].SourceURL = w.pageURL("browse", files[i].Path, "at", at)
	}
	return files, nil
}

// readRawDiff reads what git diff --raw -z wrote.
func readRawDiff(raw string) ([]fileDiff, error) {
	fields := strings.Split(strings.TrimSuffix(raw, "\x00"), "\x00")
	if raw == "" {
		return nil, nil
	}
	var files []fileDiff
	for pair := range slices.Chunk(fields, 2) {
		words := strings.Fields(pair[0])
		if len(pair) != 2 || len(words) != 5 || !strings.HasPrefix(words[0], ":") {
			return nil, fmt.Errorf("%w: %q", errDiff, pair)
		}
		change := map[string]string{"A": "ADD", "D": "DELETE"}[words[4]]
		if change == "" {
			change = "MODIFY"
		}
		files = append(files, fileDiff{Path: pair[1], Change: change})
		if words[4] == "T" { // a change of type is two patches: the one out, the other in
			files[len(files)-1].Change = "DELETE"
			files = append(files, fileDiff{Path: pair[1], Change: "ADD"})
		}
	}
	return files, nil
}

// readPatch fills in the hunks. The names in a patch are quoted in ways of their own, so that
// only the order of its files counts, which is that of the raw diff.
func readPatch(patch string, files []fileDiff) error {
	at := -1
	var from, to, leftFrom, leftTo int
	for line := range strings.SplitSeq(strings.TrimSuffix(patch, "\n"), "\n") {
		switch {
		case leftFrom > 0 || leftTo > 0:
			if line == "" {
				return fmt.Errorf("%w: an empty line in a hunk", errDiff)
			}
			l := diffLine{Text: line[1:]}
			if line[0] == ' ' || line[0] == '-' {
				l.From = from
				from, leftFrom = from+1, leftFrom-1
			}
			if line[0] == ' ' || line[0] == '+' {
				l.To = to
				to, leftTo = to+1, leftTo-1
			}
			if l.From == 0 && l.To == 0 {
				continue // "\ No newline at end of file"
			}
			last := len(files[at].Hunks) - 1
			files[at].Hunks[last] = append(files[at].Hunks[last], l)
		case strings.HasPrefix(line, "diff --git "):
			if at++; at >= len(files) {
				return fmt.Errorf("%w: more than %d files", errDiff, len(files))
			}
		case strings.HasPrefix(line, "@@ "):
			words := strings.Fields(line)
			if at < 0 || len(words) < 4 {
				return fmt.Errorf("%w: %q", errDiff, line)
			}
			var errs [2]error
			from, leftFrom, errs[0] = hunkSide(words[1], "-")
			to, leftTo, errs[1] = hunkSide(words[2], "+")
			if err := errors.Join(errs[:]...); err != nil {
				return err
			}
			files[at].Hunks = append(files[at].Hunks, nil)
		case strings.HasPrefix(line, "Binary files ") && at >= 0:
			files[at].Binary = true
		}
	}
	if at != len(files)-1 {
		return fmt.Errorf("%w: %d files, want %d", errDiff, at+1, len(files))
	}
	return nil
}

// hunkSide reads "-12,7" or "+12".
func hunkSide(text, sign string) (first, count int, err error) {
	start, length, ok := strings.Cut(strings.TrimPrefix(text, sign), ",")
	count = 1
	if ok {
		if count, err = strconv.Atoi(length); err != nil {
			return 0, 0, fmt.Errorf("%w: %q", errDiff, text)
		}
	}
	if first, err = strconv.Atoi(start); err != nil {
		return 0, 0, fmt.Errorf("%w: %q", errDiff, text)
	}
	return first, count, nil
}

// parentOf returns the first parent of a commit, or the empty tree.
func (w *webCall) parentOf(dir, hash string) string {
	if parent, err := w.server.revParse(w.ctx(), dir, hash+"^1"); err == nil {
		return parent
	}
	return emptyTree
}

// lastChangeOf returns the last commit up to a revision that changed a path; the revision's commit
// when none did.
func (w *webCall) lastChangeOf(dir string, until revision, path string) (string, error) {
	out, err := w.server.git.run(w.ctx(), dir, nil, "rev-list", "-1", until.hash, "--", path)
	if err != nil {
		return "", err
	}
	if out = strings.TrimSpace(out); out == "" {
		return until.hash, nil
	}
	return out, nil
}
