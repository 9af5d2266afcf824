package gitmirror

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/google/go-cmp/cmp"
)

func TestUsableRef(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"refs/heads/main":                        true,
		"refs/heads/a/b/c":                       true,
		"refs/heads/-x":                          true,
		"refs/heads/@":                           true,
		"refs/heads/HEAD/x":                      true,
		"refs/heads/ünï":                         true,
		"refs/heads/" + strings.Repeat("n", 250): true,
		"refs/heads/" + strings.Repeat("n", 251): false,
		"refs/heads/HEAD":                        false,
		"refs/tags/HEAD":                         false,
		"refs/heads/":                            false,
		"refs/heads":                             false,
		"HEAD":                                   false,
		"":                                       false,
		"refs/heads/.x":                          false,
		"refs/heads/a/.x":                        false,
		"refs/heads/a..b":                        false,
		"refs/heads/a.":                          false,
		"refs/heads/a/":                          false,
		"refs/heads/a//b":                        false,
		"refs/heads/a.lock":                      false,
		"refs/heads/a.lock/b":                    false,
		"refs/heads/a@{1}":                       false,
		"refs/heads/a b":                         false,
		"refs/heads/a\tb":                        false,
		"refs/heads/a\x7f":                       false,
		"refs/heads/a~1":                         false,
		"refs/heads/a^":                          false,
		"refs/heads/a:b":                         false,
		"refs/heads/a?":                          false,
		"refs/heads/a*":                          false,
		"refs/heads/a[":                          false,
		`refs/heads/a\b`:                         false,
	} {
		if got := usableRef(name); got != want {
			t.Errorf("usableRef(%q) = %v", name, got)
		}
	}
}

// hash returns a hash that is not zero.
func hash(n int) plumbing.Hash { return plumbing.NewHash(fmt.Sprintf("%040x", n)) }

func TestHeadOf(t *testing.T) {
	t.Parallel()
	const none = 0
	refs := map[string]int{"refs/heads/alpha": 1, "refs/heads/beta": 1, "refs/heads/master": 2, "refs/tags/a-tag": 3}
	for _, c := range []struct {
		name     string
		symref   string // capability
		head     int    // hash of the advertised HEAD
		have     string // HEAD of the mirror
		fallback string
		want     string
	}{
		{name: "the server tells", symref: "HEAD:refs/heads/beta", head: 1, have: "refs/heads/alpha", fallback: "alpha", want: "refs/heads/beta"},
		{name: "the server tells an unborn branch", symref: "HEAD:refs/heads/unborn", want: "refs/heads/unborn"},
		{name: "an impossible name does not count", symref: "HEAD:refs/heads/../x", head: 2, want: "refs/heads/master"},
		{name: "a HEAD outside of the branches does not count", symref: "HEAD:refs/tags/a-tag", head: 2, want: "refs/heads/master"},
		{name: "an old server, whose hash fits what REST says", head: 1, fallback: "beta", want: "refs/heads/beta"},
		{name: "an old server, whose hash does not fit what REST says", head: 1, fallback: "master", want: "refs/heads/alpha"},
		{name: "an old server, whose hash fits what was", head: 1, have: "refs/heads/beta", want: "refs/heads/beta"},
		{name: "an old server, whose hash fits several", head: 1, want: "refs/heads/alpha"},
		{name: "an old server, whose hash is no branch's", head: 3, fallback: "beta", want: "refs/heads/beta"},
		{name: "no HEAD, and REST knows", head: none, fallback: "develop", have: "refs/heads/alpha", want: "refs/heads/develop"},
		{name: "no HEAD, and it stays", head: none, have: "refs/heads/alpha", want: "refs/heads/alpha"},
		{name: "no HEAD, and nobody knows", head: none, want: "refs/heads/master"},
		{name: "no HEAD, and REST says nonsense", head: none, fallback: "a..b", want: "refs/heads/master"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			adv := packp.NewAdvRefs()
			for name, n := range refs {
				adv.References[name] = hash(n)
			}
			if c.symref != "" {
				if err := adv.Capabilities.Add(capability.SymRef, c.symref); err != nil {
					t.Fatal(err)
				}
			}
			if c.head != none {
				h := hash(c.head)
				adv.Head = &h
			}
			got, skipped := tableOf(adv, &refTable{head: c.have}, c.fallback)
			if got.head != c.want || len(skipped) > 0 {
				t.Errorf("head %q, want %q; skipped %v", got.head, c.want, skipped)
			}
		})
	}
}

func TestTableOfLeavesOut(t *testing.T) {
	t.Parallel()
	adv := packp.NewAdvRefs()
	for _, name := range []string{
		"refs/heads/x", "refs/heads/x/y", "refs/heads/x/y/z", "refs/heads/xy", "refs/tags/x/y",
		"refs/pull-requests/1/from", "refs/notes/commits", "refs/heads/HEAD",
	} {
		adv.References[name] = hash(1)
	}
	adv.References["refs/heads/zero"] = plumbing.ZeroHash
	got, skipped := tableOf(adv, nil, "")
	if diff := cmp.Diff([]string{"refs/heads/x", "refs/heads/xy", "refs/tags/x/y"}, got.names()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	slices.Sort(skipped)
	if diff := cmp.Diff([]string{"refs/heads/HEAD", "refs/heads/x/y", "refs/heads/x/y/z", "refs/heads/zero"}, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

func TestShrinks(t *testing.T) {
	t.Parallel()
	table := func(from, to int) *refTable {
		r := &refTable{refs: make(map[string]plumbing.Hash)}
		for i := from; i < to; i++ {
			r.refs[fmt.Sprintf("refs/heads/b%d", i)] = hash(i + 1)
		}
		return r
	}
	for _, c := range []struct {
		name       string
		have, want *refTable
		shrinks    bool
	}{
		{"nothing to nothing", table(0, 0), table(0, 0), false},
		{"the last branch goes", table(0, 1), table(0, 0), true},
		{"all go and others come", table(0, 20), table(20, 40), true},
		{"one of two goes", table(0, 2), table(0, 1), false},
		{"half of many go", table(0, 20), table(0, 10), false},
		{"more than half of many go", table(0, 20), table(0, 9), true},
		{"it grows", table(0, 2), table(0, 20), false},
	} {
		if got := shrinks(c.have, c.want); got != c.shrinks {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestDigestTellsTablesApart(t *testing.T) {
	t.Parallel()
	base := func() *refTable {
		return &refTable{head: "refs/heads/a", refs: map[string]plumbing.Hash{"refs/heads/a": hash(1), "refs/heads/b": hash(2)}}
	}
	if first, again := base().digest(), base().digest(); first != again {
		t.Errorf("equal tables have the digests %s and %s", first, again)
	}
	for name, change := range map[string]func(*refTable){
		"another HEAD":  func(r *refTable) { r.head = "refs/heads/b" },
		"another hash":  func(r *refTable) { r.refs["refs/heads/a"] = hash(3) },
		"another name":  func(r *refTable) { delete(r.refs, "refs/heads/b"); r.refs["refs/heads/c"] = hash(2) },
		"one ref less":  func(r *refTable) { delete(r.refs, "refs/heads/b") },
		"hashes change": func(r *refTable) { r.refs["refs/heads/a"], r.refs["refs/heads/b"] = hash(2), hash(1) },
	} {
		changed := base()
		change(changed)
		if changed.digest() == base().digest() {
			t.Errorf("%s: the digest is the same", name)
		}
	}
}

func TestProgressWriter(t *testing.T) {
	t.Parallel()
	var got []string
	w := &progressWriter{report: func(text string) { got = append(got, text) }}
	for _, part := range []string{"Counting", " objects: 1\rCounting objects: 2\r", "\nThe \x1b[1mrepository\x00 has moved\n\n", strings.Repeat("n", 5000), "\nlast"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}
	w.flush()
	want := []string{"Counting objects: 1", "Counting objects: 2", "The [1mrepository has moved", strings.Repeat("n", maxProgressLine), "last"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
