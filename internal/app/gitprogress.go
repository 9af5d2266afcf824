package app

import (
	"regexp"
	"strconv"
	"strings"
)

// gitProgress is what a line of git says about how far it is.
type gitProgress struct {
	phase   string // such as "receiving"; "" when the line is no progress
	percent int    // 0 to 100; -1 when git does not know how much there is
	count   string // of objects so far, when percent is -1
	rate    string // bytes and speed, as git writes them: "1.20 MiB | 2.40 MiB/s"
	done    bool   // the phase is over
}

// The phases that a fetch goes through, in git's words and in ours.
var gitPhases = map[string]string{
	"Enumerating objects":   "counting",
	"Counting objects":      "counting",
	"Compressing objects":   "compressing",
	"Receiving objects":     "receiving",
	"Unpacking objects":     "receiving",
	"Indexing objects":      "indexing",
	"Resolving deltas":      "resolving",
	"Checking connectivity": "checking",
}

var (
	// "remote: " is what the git program puts before the server's lines.
	gitPhase   = regexp.MustCompile(`^(?:remote: )?([A-Z][a-z]+ [a-z]+): +(.*)$`)
	gitPercent = regexp.MustCompile(`^(\d{1,3})% \(\d+/\d+\)(.*)$`)
	gitCount   = regexp.MustCompile(`^(\d+)(.*)$`)
)

// parseGitProgress reads a line that git writes during a fetch, such as
//
//	remote: Compressing objects:  42% (3/7)
//	Receiving objects:  42% (420/1000), 1.20 MiB | 2.40 MiB/s
//	Enumerating objects: 5, done.
//
// What is no such line, which may be a message of the server's administrator, has no phase.
func parseGitProgress(line string) gitProgress {
	m := gitPhase.FindStringSubmatch(strings.TrimSpace(line))
	if m == nil || gitPhases[m[1]] == "" {
		return gitProgress{}
	}
	p := gitProgress{phase: gitPhases[m[1]], percent: -1}
	rest := ""
	if n := gitPercent.FindStringSubmatch(m[2]); n != nil {
		p.percent, _ = strconv.Atoi(n[1]) // three digits at most
		p.percent = min(p.percent, 100)
		rest = n[2]
	} else if n := gitCount.FindStringSubmatch(m[2]); n != nil {
		p.count, rest = n[1], n[2]
	} else {
		return gitProgress{}
	}
	for part := range strings.SplitSeq(rest, ", ") {
		switch part = strings.TrimSpace(part); {
		case part == "done.":
			p.done = true
		case strings.Contains(part, "iB") || strings.HasSuffix(part, "bytes/s"):
			p.rate = part
		}
	}
	return p
}
