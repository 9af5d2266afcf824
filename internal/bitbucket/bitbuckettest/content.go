package bitbuckettest

import (
	"strconv"
	"strings"
)

// treeEntry is a line of git ls-tree.
type treeEntry struct {
	kind string // "blob", "tree" or "commit"
	hash string
	size int64 // of a blob
	path string
}

// browseType is the type of an entry as browse?type=true tells it.
func (e treeEntry) browseType() string {
	return map[string]string{"blob": "FILE", "tree": "DIRECTORY", "commit": "SUBMODULE"}[e.kind]
}

func (b *repositoryCall) listTree(dir string, args ...string) ([]treeEntry, error) {
	out, err := b.server.git.run(b.ctx(), dir, nil, append([]string{"ls-tree", "-z", "-l"}, args...)...)
	if err != nil {
		return nil, err
	}
	var entries []treeEntry
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		head, path, ok := strings.Cut(line, "\t")
		fields := strings.Fields(head)
		if !ok || len(fields) != 4 {
			continue
		}
		size, _ := strconv.ParseInt(fields[3], 10, 64) // "-" of a tree is 0
		entries = append(entries, treeEntry{kind: fields[1], hash: fields[2], size: size, path: path})
	}
	return entries, nil
}

// entryAt finds what a path is at the revision that at= names.
func (b *repositoryCall) entryAt(path string) (dir string, at revision, entry treeEntry, err error) {
	if dir, err = b.server.ensured(b.repository); err != nil {
		return "", at, entry, err
	}
	if at, err = b.revisionOf(dir, b.query.Get("at")); err != nil {
		return "", at, entry, err
	}
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return dir, at, treeEntry{kind: "tree", hash: at.hash}, nil
	}
	if !isTreePath(path) {
		return "", at, entry, errNoSuchPath(path, at.name)
	}
	entries, err := b.listTree(dir, at.hash, "--", path)
	if err != nil {
		return "", at, entry, err
	}
	for _, entry := range entries {
		if entry.path == path {
			return dir, at, entry, nil
		}
	}
	return "", at, entry, errNoSuchPath(path, at.name)
}

// isTreePath tells whether a tree can hold the path. Git fails on others.
func isTreePath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return false
		}
	}
	return true
}

// browse tells what a path is (type=true), how long a file is (size=true, which wins), the
// lines of a file, or what a directory holds.
func (b *repositoryCall) browse(path string) (any, error) {
	dir, at, entry, err := b.entryAt(path)
	if err != nil {
		return nil, err
	}
	switch {
	case isTrue(b.query, "size") && entry.kind == "blob":
		return object{field("size", entry.size)}, nil
	case isTrue(b.query, "type"):
		return object{field("type", entry.browseType())}, nil
	case entry.kind == "blob":
		return b.lines(dir, entry)
	case entry.kind == "commit":
		return object{field("type", "SUBMODULE"), field("contentId", entry.hash)}, nil
	}
	entries, err := b.listTree(dir, entry.hash)
	if err != nil {
		return nil, err
	}
	children, err := b.listing("files", len(entries), func(row int) any {
		child := entries[row]
		return object{
			field("path", pathObject(child.path)),
			field("contentId", child.hash),
			field("type", child.browseType()),
			optional("size", child.size, child.kind == "blob"),
		}
	})
	if err != nil {
		return nil, err
	}
	return object{field("path", pathObject(entry.path)), field("revision", at.name), field("children", children)}, nil
}

func pathObject(path string) object {
	components := list{}
	name := ""
	if path != "" {
		for part := range strings.SplitSeq(path, "/") {
			components = append(components, part)
			name = part
		}
	}
	_, extension, ok := cutLast(name, ".")
	return object{
		field("components", components),
		field("name", name),
		optional("extension", extension, ok),
		field("toString", path),
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (b *repositoryCall) blob(dir string, entry treeEntry) (string, error) {
	return b.server.git.run(b.ctx(), dir, nil, "cat-file", "blob", entry.hash)
}

func (b *repositoryCall) lines(dir string, entry treeEntry) (any, error) {
	content, err := b.blob(dir, entry)
	if err != nil {
		return nil, err
	}
	if isBinary(content) {
		return object{field("binary", true), field("path", pathObject(entry.path))}, nil
	}
	request, err := b.pageRequest("lines")
	if err != nil {
		return nil, err
	}
	all := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	p := b.pageOf(request, len(all), func(int) bool { return true })
	lines := list{}
	for _, row := range p.at {
		lines = append(lines, object{field("text", all[row])})
	}
	return object{
		field("size", len(lines)),
		field("limit", p.limit),
		optional("isLastPage", p.last, !b.has(EffectNoLastPage)),
		field("start", p.start),
		b.nextPageStart(p),
		field("lines", lines),
	}, nil
}

func isBinary(content string) bool {
	return strings.Contains(content[:min(len(content), 8000)], "\x00")
}

// files lists the paths below a directory, relative to it.
func (b *repositoryCall) files(path string) (any, error) {
	dir, _, entry, err := b.entryAt(path)
	if err != nil {
		return nil, err
	}
	if entry.kind != "tree" {
		return nil, badRequest("path", "The path %q is not a directory.", path)
	}
	entries, err := b.listTree(dir, "-r", entry.hash)
	if err != nil {
		return nil, err
	}
	return b.listing("files", len(entries), func(row int) any { return entries[row].path })
}

// rawFile is an answer that is the file itself.
type rawFile struct{ contentType, content string }

func (b *repositoryCall) raw(path string) (any, error) {
	dir, at, entry, err := b.entryAt(path)
	if err != nil {
		return nil, err
	}
	if entry.kind != "blob" {
		return nil, errNoSuchPath(path, at.name)
	}
	content, err := b.blob(dir, entry)
	if err != nil {
		return nil, err
	}
	if isBinary(content) {
		return rawFile{"application/octet-stream", content}, nil
	}
	return rawFile{"text/plain;charset=UTF-8", content}, nil
}
