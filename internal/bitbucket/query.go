package bitbucket

import "strings"

// parameter is a query parameter that means something on some page.
type parameter int

const (
	paramAt parameter = iota
	paramUntil
	paramUntilPath
	paramSince
	paramPath
	paramSourceBranch
	paramTargetBranch
	paramTargetRepoID
	paramCreate
	paramQ
	parameterCount
)

func parameterNamed(name string) (parameter, bool) {
	switch name {
	case "at":
		return paramAt, true
	case "until":
		return paramUntil, true
	case "untilPath":
		return paramUntilPath, true
	case "since":
		return paramSince, true
	case "path":
		return paramPath, true
	case "sourceBranch":
		return paramSourceBranch, true
	case "targetBranch":
		return paramTargetBranch, true
	case "targetRepoId":
		return paramTargetRepoID, true
	case "create":
		return paramCreate, true
	case "q":
		return paramQ, true
	}
	return 0, false
}

// parameters holds the raw values of a query. They are decoded when a page asks for them,
// so that a bad escape counts only where the parameter does.
type parameters struct {
	raw     [parameterCount]string
	present [parameterCount]bool
}

// parseQuery reads what stands between "?" and "#". Of a repeated parameter the first
// counts. HTML that was copied unread leaves "&amp;", which counts as "&".
func parseQuery(query string) parameters {
	var p parameters
	for first := true; query != ""; first = false {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if !first {
			pair = strings.TrimPrefix(pair, "amp;")
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := decode(name, true)
		if err != nil {
			continue
		}
		if i, ok := parameterNamed(name); ok && !p.present[i] {
			p.raw[i], p.present[i] = value, true
		}
	}
	return p
}

// text returns the decoded value of a parameter, "" for an absent one.
func (p *parameters) text(i parameter) (string, error) { return decode(p.raw[i], true) }

// path returns the value of a parameter that holds a path or a ref, without slashes at
// its ends, and whether it ended in one.
func (p *parameters) path(i parameter) (path string, slash bool, err error) {
	text, err := p.text(i)
	if err != nil {
		return "", false, err
	}
	text, err = cleanSegments(text)
	if err != nil {
		return "", false, err
	}
	path, slash = trimSlashes(text)
	return path, slash, nil
}

// revision returns the value of a parameter that holds a ref or a hash.
func (p *parameters) revision(i parameter) (string, error) {
	revision, _, err := p.path(i)
	return revision, err
}
