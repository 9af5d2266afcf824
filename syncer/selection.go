package syncer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

// Decision says whether a repository is mirrored and linked, and why, in words for
// administrators.
type Decision struct {
	Selected bool
	Reason   string
}

// SelectorKind is the configuration key that a selector stands in.
type SelectorKind int

// The kinds of selector. SelectAll stands for a connection without selectors, and for the
// repositoryQuery "all".
const (
	SelectAll SelectorKind = iota + 1
	SelectRepo
	SelectProject
	SelectQuery
)

// Selector is one entry of repos, projectKeys or repositoryQuery, or the absence of all.
type Selector struct {
	Kind  SelectorKind
	Value string // as configured; "" for a connection without selectors
}

// String returns the selector as reasons and problems name it.
func (s Selector) String() string {
	switch s.Kind {
	case SelectRepo:
		return "repos " + s.Value
	case SelectProject:
		return "projectKeys " + s.Value
	case SelectQuery:
		return fmt.Sprintf("repositoryQuery %q", s.Value)
	case SelectAll:
		if s.Value != "" {
			return fmt.Sprintf("repositoryQuery %q", s.Value)
		}
	}
	return "default: nothing narrows the connection"
}

// Selectors returns what a connection takes, in the order in which it is asked for:
// repos, projectKeys, repositoryQuery. Entries that say the same are one. "none" takes nothing and is left out, so
// that a connection with nothing else has no selectors.
func Selectors(c *siteconfig.Connection) []Selector {
	if len(c.Repos) == 0 && len(c.ProjectKeys) == 0 && len(c.RepositoryQuery) == 0 {
		return []Selector{{Kind: SelectAll}}
	}
	var all []Selector
	seen := make(map[Selector]bool)
	add := func(kind SelectorKind, value, same string) {
		if key := (Selector{kind, same}); !seen[key] {
			seen[key] = true
			all = append(all, Selector{kind, value})
		}
	}
	for _, r := range c.Repos {
		add(SelectRepo, r, strings.ToLower(r))
	}
	for _, k := range c.ProjectKeys {
		add(SelectProject, k, strings.ToLower(k))
	}
	for _, q := range c.RepositoryQuery {
		switch q {
		case "none":
		case "all":
			add(SelectAll, q, q)
		default:
			add(SelectQuery, q, strings.TrimPrefix(q, "?"))
		}
	}
	return all
}

// Selection decides about the repositories of one connection. It does not change and is
// safe for concurrent use.
type Selection struct {
	conn      *siteconfig.Connection
	selectors []Selector
	patterns  []*regexp.Regexp    // of conn.Exclude, nil where that entry has no pattern
	reasons   map[string]Selector // those of repos and projectKeys, by the reason that they give, in lower case
}

// NewSelection prepares the decisions of a connection. The error names an exclude pattern
// that is no regular expression.
func NewSelection(c *siteconfig.Connection) (*Selection, error) {
	s := &Selection{
		conn: c, selectors: Selectors(c), patterns: make([]*regexp.Regexp, len(c.Exclude)), reasons: make(map[string]Selector),
	}
	for _, sel := range s.selectors {
		if sel.Kind == SelectRepo || sel.Kind == SelectProject {
			s.reasons[strings.ToLower(reasonSelected(sel))] = sel
		}
	}
	for i, e := range c.Exclude {
		if e.Pattern == "" {
			continue
		}
		re, err := regexp.Compile(e.Pattern)
		if err != nil {
			return nil, fmt.Errorf("exclude[%d].pattern: %w", i, err)
		}
		s.patterns[i] = re
	}
	return s, nil
}

// Select decides about a repository that the selectors in by found; none when no selector
// takes it. Exclusions win over selectors, and a repository that is not AVAILABLE is left out whoever takes it.
func (s *Selection) Select(r bitbucket.Repository, by ...Selector) Decision {
	if reason := s.excluded(r); reason != "" {
		return Decision{Reason: reason}
	}
	if len(by) == 0 {
		return Decision{Reason: reasonNotTaken}
	}
	if r.State != bitbucket.StateAvailable {
		return Decision{Reason: reasonState(r.State)}
	}
	return Decision{Selected: true, Reason: reasonSelected(by[0])}
}

func reasonSelected(by Selector) string { return "selected by " + by.String() }

// credited returns the selector of repos or projectKeys that the reason of an earlier decision
// names, as long as the connection has it.
func (s *Selection) credited(reason string) (by Selector, ok bool) {
	by, ok = s.reasons[strings.ToLower(reason)]
	return by, ok
}

// reasonState is for a repository that Bitbucket itself keeps back.
func reasonState(state bitbucket.State) string {
	return fmt.Sprintf("Bitbucket gives it the state %s, and only one that is AVAILABLE can be read; it comes back by itself when its state does", state)
}

const reasonNotTaken = "not selected: none of repos, projectKeys and repositoryQuery of its connection takes it; add it to one of them if it should be there"

// excluded returns why the repository is kept out although selectors may take it, or "".
func (s *Selection) excluded(r bitbucket.Repository) string {
	for i, e := range s.conn.Exclude {
		switch {
		case e.Name != "" && strings.EqualFold(e.Name, r.String()):
			return fmt.Sprintf("excluded by exclude[%d] (name %s)", i, e.Name)
		case e.ID != 0 && e.ID == r.ID.Number: // an entry without id is no exclusion of repository 0
			return fmt.Sprintf("excluded by exclude[%d] (id %d)", i, e.ID)
		case s.patterns[i] != nil && s.patterns[i].MatchString(r.String()):
			return fmt.Sprintf("excluded by exclude[%d] (pattern %s)", i, e.Pattern)
		}
	}
	switch {
	case s.conn.ExcludePersonal && r.Personal:
		return "personal repository, and excludePersonalRepositories is set"
	case s.conn.Archived == "exclude" && r.Archived:
		return `archived, and archived is "exclude"`
	}
	return ""
}

// Taken says what can be said without Bitbucket of whether a selector takes a repository.
type Taken int

// What Taken can be. Only Bitbucket knows exactly what a query finds, so MaybeTaken is
// common for repositoryQuery and never comes of repos and projectKeys.
const (
	NotTaken Taken = iota
	MaybeTaken
	IsTaken
)

// Takes tells which selector takes a repository, as far as that can be said without asking
// Bitbucket. The former addresses count for repos, since Bitbucket answers to them.
func (s *Selection) Takes(r bitbucket.Repository, former ...bitbucket.Address) (Selector, Taken) {
	best, by := NotTaken, Selector{}
	for _, sel := range s.selectors {
		if t := takes(sel, r, former); t > best {
			best, by = t, sel
		}
	}
	return by, best
}

// takesAll tells that every repository is taken.
func (s *Selection) takesAll() bool {
	return slices.ContainsFunc(s.selectors, func(sel Selector) bool { return sel.Kind == SelectAll })
}

// takesNothing tells that the connection selects nothing on purpose: then a listing without
// repositories is no surprise.
func (s *Selection) takesNothing() bool { return len(s.selectors) == 0 }

func takes(sel Selector, r bitbucket.Repository, former []bitbucket.Address) Taken {
	switch sel.Kind {
	case SelectAll:
		return IsTaken
	case SelectProject:
		if strings.EqualFold(sel.Value, r.Key) {
			return IsTaken
		}
	case SelectRepo:
		if strings.EqualFold(sel.Value, r.String()) {
			return IsTaken
		}
		for _, a := range former {
			if strings.EqualFold(sel.Value, a.String()) {
				return IsTaken
			}
		}
	case SelectQuery:
		return queryTakes(sel.Value, r)
	}
	return NotTaken
}
