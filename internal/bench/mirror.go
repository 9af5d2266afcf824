package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/gitmirror"
	"example.com/signpost/resolver"
)

// mirrorFiles is how many files the mirror has; each is asked for once in a turn.
const mirrorFiles = 5_000

// compareMirror compares Resolve of pages that are not cached, where a mirror on disk says
// what the path is, with the git program that answers the same questions through a pipe.
// Both keep the repository open from one question to the next.
func compareMirror(ctx context.Context, b *bench) ([]row, error) {
	root := filepath.Join(b.tmp, "mirrors")
	id := bitbucket.RepoID{Connection: connection, Number: firstRepository}
	dir := filepath.Join(root, id.Connection, strconv.FormatInt(id.Number, 10)+".git")
	git := gitProgram{home: b.tmp}
	paths, err := git.makeRepository(ctx, dir, mirrorFiles)
	if err != nil {
		return nil, err
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	mirrors, err := gitmirror.New(gitmirror.Options{Root: root, Tmp: filepath.Join(b.tmp, "tmp"), Logger: quiet()})
	if err != nil {
		return nil, err
	}
	defer func() { _ = mirrors.Close() }() // nothing was written
	commit, err := mirrors.ResolveRef(ctx, id, "refs/heads/main")
	if err != nil {
		return nil, err
	}
	publisher, err := b.publish(ctx)
	if err != nil {
		return nil, err
	}
	r, err := newResolver(publisher.Current(), mirrors)
	if err != nil {
		return nil, err
	}
	r.ReplaceIndex(entries(1))
	catFile, err := git.catFile(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer catFile.close()

	urls := make([]string, len(paths))
	for i, path := range paths {
		urls[i] = fileURL(firstRepository, path)
	}
	perLookup := func(side func(ctx context.Context) error) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) {
			begun := time.Now()
			err := side(ctx)
			return time.Since(begun) / time.Duration(len(paths)), err
		}
	}
	askGit := perLookup(func(context.Context) error { return catFile.askAll(commit, paths) })
	resolveAll := perLookup(func(ctx context.Context) error { return resolveCold(ctx, r, id, urls) })
	askMirror := perLookup(func(ctx context.Context) error {
		for _, path := range paths {
			if kind, err := mirrors.PathKind(ctx, id, commit, path); err != nil || kind != bitbucket.PathFile {
				return fmt.Errorf("%s is a %v: %w", path, kind, err)
			}
		}
		return nil
	})

	cold, err := takeTurns(ctx, b.budget/2, 5, resolveAll, askGit)
	if err != nil {
		return nil, err
	}
	lookup, err := takeTurns(ctx, b.budget/2, 5, askMirror, askGit)
	if err != nil {
		return nil, err
	}
	const against = "git cat-file --batch-check, the same paths"
	return []row{
		timeRow("cold resolve with a path lookup in a mirror", against, cold, aim{}),
		timeRow("the path lookup of it alone", against, lookup, aim{}),
	}, nil
}

// resolveCold resolves each URL after saying that the repository changed: nothing that
// is cached counts.
func resolveCold(ctx context.Context, r *resolver.Resolver, id bitbucket.RepoID, urls []string) error {
	r.RefsChanged(id)
	for _, u := range urls {
		result, err := r.Resolve(ctx, u)
		switch {
		case err != nil:
			return err
		case result.Hit:
			return fmt.Errorf("the answer for %s was cached", u)
		case result.Link.Kind != "blob" || !result.Link.Exact:
			return fmt.Errorf("the link of %s is a %s: %q", u, result.Link.Kind, result.Link.Notes)
		}
	}
	return nil
}

// batchCheck is a running git cat-file --batch-check.
type batchCheck struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	line    []byte
}

func (g gitProgram) catFile(ctx context.Context, dir string) (*batchCheck, error) {
	c := &batchCheck{command: g.command(ctx, dir, "cat-file", "--batch-check")}
	var err error
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.command.Start()
}

// askAll asks what each path is, one after another.
func (c *batchCheck) askAll(commit string, paths []string) error {
	for _, path := range paths {
		c.line = append(c.line[:0], commit...)
		c.line = append(c.line, ':')
		c.line = append(c.line, path...)
		c.line = append(c.line, '\n')
		if _, err := c.in.Write(c.line); err != nil {
			return err
		}
		answer, err := c.out.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !strings.Contains(string(answer), " blob ") {
			return fmt.Errorf("git says of %s: %s", path, answer)
		}
	}
	return nil
}

func (c *batchCheck) close() {
	_ = errors.Join(c.in.Close(), c.command.Wait()) // it has answered all that was asked
}
