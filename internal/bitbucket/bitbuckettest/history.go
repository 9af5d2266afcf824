package bitbuckettest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// History is a sequence of commits, and then tags, that is pushed into a repository. The same
// History gives the same hashes on every machine.
type History struct {
	Commits []Commit `json:"commits,omitempty"`
	Tags    []Tag    `json:"tags,omitempty"`
}

// Commit describes a commit.
type Commit struct {
	// Label names the commit for From, Merge, Tag.Target and the result of Push.
	Label string `json:"label,omitempty"`
	// Branch is the short name of the branch that moves to the commit; "" is the default branch.
	Branch string `json:"branch,omitempty"`
	// From is the parent: a label, a branch, a tag or a hash. "" continues the branch, or
	// begins a history where the branch is new. Another parent than the tip is a forced push.
	From string `json:"from,omitempty"`
	// Merge are further parents, named likewise.
	Merge []string `json:"merge,omitempty"`
	// Message is "Change N" if empty.
	Message string `json:"message,omitempty"`
	// Author is "Jane Citizen <jane@example.com>" if empty.
	Author string `json:"author,omitempty"`
	// Time is when it was made; if zero, N minutes after 2020-01-01 00:00 UTC.
	Time time.Time `json:"time,omitzero"`
	// Files are written into the tree of the first parent, Delete are taken out of it.
	Files  map[string]File `json:"files,omitempty"`
	Delete []string        `json:"delete,omitempty"`
}

// File is what a path of a commit holds. Text, Executable, Symlink and Submodule make one.
type File struct {
	Content    string `json:"content,omitempty"` // of a symbolic link: its target; of a submodule: the hash of its commit
	Executable bool   `json:"executable,omitempty"`
	Symlink    bool   `json:"symlink,omitempty"`
	Submodule  bool   `json:"submodule,omitempty"`
}

// Tag describes a tag.
type Tag struct {
	Name   string `json:"name"`
	Target string `json:"target"` // a label, a branch, a tag or a hash
	// Message makes it an annotated tag; "" is a lightweight one.
	Message string `json:"message,omitempty"`
}

// Text returns a plain file.
func Text(content string) File { return File{Content: content} }

// Executable returns a file that may be executed.
func Executable(content string) File { return File{Content: content, Executable: true} }

// Symlink returns a symbolic link.
func Symlink(target string) File { return File{Content: target, Symlink: true} }

// Submodule returns a submodule at a commit of another repository.
func Submodule(hash string) File { return File{Content: hash, Submodule: true} }

const defaultAuthor = "Jane Citizen <jane@example.com>"

// firstCommitTime is when the first commit without a time of its own was made.
var firstCommitTime = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// fastImport writes a History for git fast-import.
type fastImport struct {
	out           strings.Builder
	defaultBranch string
	refs          map[string]string // full ref → hash, before the push
	made          int               // commits that were made before, for the dates
	labels        map[string]int    // label → mark
	moved         map[string]bool   // refs that the stream has written
}

// script returns the stream, and the marks of the labels in it.
func (f *fastImport) script(h History) (string, error) {
	f.labels, f.moved = map[string]int{}, map[string]bool{}
	for i, c := range h.Commits {
		if err := f.commit(i+1, c); err != nil {
			return "", err
		}
	}
	for _, tag := range h.Tags {
		if err := f.tag(tag); err != nil {
			return "", err
		}
	}
	f.out.WriteString("done\n")
	return f.out.String(), nil
}

func (f *fastImport) commit(mark int, c Commit) error {
	branch := c.Branch
	if branch == "" {
		branch = f.defaultBranch
	}
	ref := "refs/heads/" + branch
	if err := checkRef(ref); err != nil {
		return err
	}
	when := c.Time
	if when.IsZero() {
		when = firstCommitTime.Add(time.Duration(f.made+mark) * time.Minute)
	}
	message := c.Message
	if message == "" {
		message = fmt.Sprintf("Change %d", f.made+mark)
	}
	author := c.Author
	if author == "" {
		author = defaultAuthor
	}
	if strings.ContainsAny(author, "\n\x00") || !strings.HasSuffix(author, ">") {
		return fmt.Errorf("bitbuckettest: the author %q is not of the form Name <address>", author)
	}
	fmt.Fprintf(&f.out, "commit %s\nmark :%d\nauthor %s %d +0000\ncommitter %s %d +0000\n",
		ref, mark, author, when.Unix(), author, when.Unix())
	f.data(message)
	parent := c.From
	if parent == "" && !f.moved[ref] && f.refs[ref] != "" {
		parent = f.refs[ref] // fast-import does not look at a branch by itself
	}
	if parent != "" {
		name, err := f.revision(parent)
		if err != nil {
			return err
		}
		fmt.Fprintf(&f.out, "from %s\n", name)
	}
	for _, other := range c.Merge {
		name, err := f.revision(other)
		if err != nil {
			return err
		}
		fmt.Fprintf(&f.out, "merge %s\n", name)
	}
	for _, path := range c.Delete {
		fmt.Fprintf(&f.out, "D %s\n", quotePath(path))
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		f.file(path, c.Files[path])
	}
	f.out.WriteByte('\n')
	f.moved[ref] = true
	if c.Label != "" {
		f.labels[c.Label] = mark
	}
	return nil
}

func (f *fastImport) file(path string, file File) {
	switch {
	case file.Submodule:
		fmt.Fprintf(&f.out, "M 160000 %s %s\n", file.Content, quotePath(path))
		return
	case file.Symlink:
		fmt.Fprintf(&f.out, "M 120000 inline %s\n", quotePath(path))
	case file.Executable:
		fmt.Fprintf(&f.out, "M 100755 inline %s\n", quotePath(path))
	default:
		fmt.Fprintf(&f.out, "M 100644 inline %s\n", quotePath(path))
	}
	f.data(file.Content)
}

func (f *fastImport) tag(t Tag) error {
	ref := "refs/tags/" + t.Name
	if err := checkRef(ref); err != nil {
		return err
	}
	target, err := f.revision(t.Target)
	if err != nil {
		return err
	}
	if t.Message == "" {
		fmt.Fprintf(&f.out, "reset %s\nfrom %s\n\n", ref, target)
		return nil
	}
	fmt.Fprintf(&f.out, "tag %s\nfrom %s\ntagger %s %d +0000\n", t.Name, target, defaultAuthor, firstCommitTime.Unix())
	f.data(t.Message)
	return nil
}

// revision names a commit for fast-import: a mark, a ref that the stream wrote, or a hash.
func (f *fastImport) revision(name string) (string, error) {
	if mark, ok := f.labels[name]; ok {
		return fmt.Sprintf(":%d", mark), nil
	}
	for _, ref := range []string{"refs/heads/" + name, "refs/tags/" + name, name} {
		if f.moved[ref] {
			return ref, nil
		}
		if f.refs[ref] != "" {
			return f.refs[ref] + "^0", nil
		}
	}
	if isHash(name) {
		return name + "^0", nil
	}
	return "", fmt.Errorf("bitbuckettest: %q is no label, branch, tag or hash of the repository", name)
}

func (f *fastImport) data(content string) {
	fmt.Fprintf(&f.out, "data %d\n%s\n", len(content), content)
}

func checkRef(ref string) error {
	if strings.HasSuffix(ref, "/") || strings.Contains(ref, "..") || strings.ContainsFunc(ref, func(r rune) bool {
		return r <= ' ' || strings.ContainsRune("~^:?*[\\\x7f", r)
	}) {
		return fmt.Errorf("bitbuckettest: git has no such ref as %q", ref)
	}
	return nil
}

func quotePath(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}

// isHash tells whether s is a whole hash as Bitbucket writes it.
func isHash(s string) bool { return len(s) == 40 && isHex(s) }

func isHex(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}
