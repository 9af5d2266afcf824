package gitmirror

import (
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// go-git sends what it has in one request and does not negotiate. These bound it.
const (
	maxHaveTips      = 20_000
	ancestorsPerTip  = 100
	maxHaveAncestors = 5_000
)

// havesOf returns commits that the mirror has and the server probably too. Tips that both have
// are sure. Of a tip that the server no longer lists it knows the commit itself, after a
// push, or an ancestor, after a forced one.
func havesOf(mirror *filesystem.Storage, have, want *refTable) []plumbing.Hash {
	listed := make(map[plumbing.Hash]bool, len(want.refs))
	for _, h := range want.refs {
		listed[h] = true
	}
	seen := make(map[plumbing.Hash]bool)
	var haves, moved []plumbing.Hash
	for _, name := range have.names() { // branches come before tags
		h := have.refs[name]
		if seen[h] || len(haves) >= maxHaveTips || mirror.HasEncodedObject(h) != nil {
			continue
		}
		seen[h] = true
		haves = append(haves, h)
		if !listed[h] {
			moved = append(moved, h)
		}
	}
	budget := maxHaveAncestors
	for _, tip := range moved {
		commit, err := object.GetCommit(mirror, tip)
		if err != nil {
			continue // a tag; its commit is a branch's too, or is not worth a walk
		}
		walk := object.NewCommitIterBSF(commit, nil, nil)
		for n := 0; n < ancestorsPerTip && budget > 0; n++ {
			c, err := walk.Next()
			if err != nil {
				break // the end, or damage that costs only a larger pack
			}
			if listed[c.Hash] {
				break
			}
			if !seen[c.Hash] {
				seen[c.Hash] = true
				haves = append(haves, c.Hash)
				budget--
			}
		}
		walk.Close()
	}
	return haves
}
