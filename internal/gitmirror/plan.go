package gitmirror

import (
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// tableOf returns what a mirror should hold after what a server advertised, and the names that it
// cannot hold. have is what it holds now (nil for none), fallback the short name of the default
// branch as told elsewhere, "" when unknown.
func tableOf(adv *packp.AdvRefs, have *refTable, fallback string) (want *refTable, skipped []string) {
	want = &refTable{refs: make(map[string]plumbing.Hash, len(adv.References))}
	for name, hash := range adv.References {
		switch {
		case !mirrored(name):
		case !usableRef(name) || hash.IsZero():
			skipped = append(skipped, name)
		default:
			want.refs[name] = hash
		}
	}
	// A server whose refs are no files may have both x and x/y. Git has not.
	for name := range want.refs {
		for i := len(headsPrefix); i < len(name); i++ {
			if name[i] != '/' {
				continue
			}
			if _, ok := want.refs[name[:i]]; ok {
				skipped = append(skipped, name)
				break
			}
		}
	}
	for _, name := range skipped {
		delete(want.refs, name)
	}
	want.head = headOf(adv, want, have, fallback)
	return want, skipped
}

// headOf returns the full name of the branch that HEAD should name. Git tells it by the
// symref capability (1.8.4 and newer). Without it, HEAD's hash leads to a branch; without HEAD,
// which is not advertised while its branch is unborn, what is known from elsewhere counts.
func headOf(adv *packp.AdvRefs, want, have *refTable, fallback string) string {
	if adv.Capabilities.Supports(capability.SymRef) {
		for _, symref := range adv.Capabilities.Get(capability.SymRef) {
			target, ok := strings.CutPrefix(symref, "HEAD:")
			if ok && strings.HasPrefix(target, headsPrefix) && usableRef(target) {
				return target
			}
		}
	}
	var candidates []string // most likely first
	if fallback != "" && usableRef(headsPrefix+fallback) {
		candidates = append(candidates, headsPrefix+fallback)
	}
	if have != nil && have.head != "" {
		candidates = append(candidates, have.head)
	}
	candidates = append(candidates, headsPrefix+"master")
	if adv.Head != nil {
		for _, name := range append(candidates, want.names()...) {
			if want.refs[name] == *adv.Head && strings.HasPrefix(name, headsPrefix) {
				return name
			}
		}
	}
	return candidates[0]
}

// shrinks tells whether a mirror would lose so many refs at once that the answer should be heard
// twice before it is believed: all of them, or most of more than a few.
func shrinks(have, want *refTable) bool {
	lost := 0
	for name := range have.refs {
		if _, ok := want.refs[name]; !ok {
			lost++
		}
	}
	return lost > 0 && (len(want.refs) == 0 || lost > 8 && lost > len(have.refs)/2)
}
