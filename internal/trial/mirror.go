package trial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mirrors returns the folders of the mirrors below a data folder, by the number of the repository.
func Mirrors(data string) (map[int64]string, error) {
	folders, err := filepath.Glob(filepath.Join(data, "mirrors", ConnectionName, "*.git"))
	if err != nil {
		return nil, err
	}
	mirrors := make(map[int64]string, len(folders))
	for _, folder := range folders {
		number, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(folder), ".git"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is no mirror of a repository", folder)
		}
		mirrors[number] = folder
	}
	return mirrors, nil
}

// Crowd makes so many packs of those of a bare repository that nobody uses, as many small fetches would have left
// them. Every object is in one of them afterwards.
func Crowd(ctx context.Context, folder string, packs int) error {
	run := func(input string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "--git-dir", folder}, args...)...)
		cmd.Env, cmd.Stdin = Environment(os.TempDir()), strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("git %s in %s: %w", args[0], folder, err)
		}
		return string(out), err
	}
	old, err := filepath.Glob(filepath.Join(folder, "objects", "pack", "pack-*"))
	if err != nil {
		return err
	}
	listed, err := run("", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
	if err != nil {
		return err
	}
	objects := strings.Fields(listed)
	for n := range packs {
		part := objects[n*len(objects)/packs : (n+1)*len(objects)/packs]
		if len(part) == 0 {
			continue
		}
		name, err := run(strings.Join(part, "\n")+"\n", "pack-objects", "--quiet", filepath.Join(folder, "objects", "pack", "pack"))
		if err != nil {
			return err
		}
		old = slices.DeleteFunc(old, func(path string) bool { return strings.Contains(path, strings.TrimSpace(name)) })
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// Refs is what a bare repository says by name, one "name hash" a line, ordered: branches,
// tags, and "HEAD ref" where the branch of HEAD exists.
type Refs string

// ReadRefs reads the refs of the bare repository in a folder as gitrepository-layout(5) has
// them, without git. While another process writes there, what it returns may never have been.
func ReadRefs(folder string) (Refs, error) {
	refs := map[string]string{}
	// Loose refs first: one that is packed and removed meanwhile is found twice rather than never.
	err := filepath.WalkDir(filepath.Join(folder, "refs"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		refs[filepath.ToSlash(name)] = strings.TrimSpace(string(text))
		return err
	})
	if err != nil {
		return "", err
	}
	packed, err := os.ReadFile(filepath.Join(folder, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for line := range strings.Lines(string(packed)) {
		hash, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if _, loose := refs[name]; ok && !loose && len(hash) == 40 {
			refs[name] = hash
		}
	}
	var lines []string
	for name, hash := range refs {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			lines = append(lines, name+" "+hash)
		}
	}
	head, err := os.ReadFile(filepath.Join(folder, "HEAD"))
	if err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: "); ok && refs[name] != "" {
		lines = append(lines, "HEAD "+name)
	}
	slices.Sort(lines)
	return Refs(strings.Join(lines, "\n")), nil
}

// Fsck checks that all that a bare repository refers to is there and whole.
func Fsck(ctx context.Context, folder string) error {
	cmd := exec.CommandContext(ctx, "git", "-c", "safe.directory=*", "--git-dir", folder, "fsck", "--full", "--no-progress", "--no-dangling")
	cmd.Env = Environment(os.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git fsck %s: %w\n%s", folder, err, out)
	}
	return nil
}
