package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// gitProgram runs git without the configuration of this machine.
type gitProgram struct{ home string }

func (g gitProgram) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + dir}, args...)...)
	command.Env = append(os.Environ(), "HOME="+g.home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	return command
}

func (g gitProgram) run(ctx context.Context, dir, input string, args ...string) error {
	command := g.command(ctx, dir, args...)
	command.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, said.Bytes())
	}
	return nil
}

// makeRepository makes a bare repository with so many files, in folders of folders of some
// twenty files each, and a few hundred commits. It is packed as one that was cloned. It
// returns the paths.
func (g gitProgram) makeRepository(ctx context.Context, dir string, files int) (paths []string, err error) {
	return g.makeHistory(ctx, dir, files, 300, func(number int, path string) string {
		return fmt.Sprintf("package module\n\n// change %d of %s\n", number, path)
	})
}

// makeSources is makeRepository with files that have the size and, packed, the weight of source code: some 5 KB of
// text each, of which a commit changes a few lines of two, and a commit for every fourth file. A pack has about
// 2.4 KB for each file.
func (g gitProgram) makeSources(ctx context.Context, dir string, files int) error {
	_, err := g.makeHistory(ctx, dir, files, 300+files/4, source)
	return err
}

var sourceWords = strings.Fields("func return if err nil range string context request response handler server client config value index for switch case map struct")

// source is what a change makes of a file. What no change touches is the same in all of its versions.
func source(number int, path string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path)) // a hash takes everything
	first := hash.Sum64()
	lines := int(60 + first%200)
	changed := int((first + uint64(number)*31) % uint64(lines))
	text := make([]byte, 0, 64*lines)
	for line := range lines {
		version := 0
		if changed <= line && line < changed+4 {
			version = number
		}
		random := rand.NewPCG(first, uint64(version)<<8|uint64(line))
		for range 1 + random.Uint64()%6 {
			word := random.Uint64()
			text = append(text, sourceWords[(word>>16)%uint64(len(sourceWords))]...)
			text = strconv.AppendUint(text, word&0xfff, 16)
			text = append(text, ' ')
		}
		text = append(text, '\n')
	}
	return string(text)
}

func (g gitProgram) makeHistory(ctx context.Context, dir string, files, commits int, content func(number int, path string) string) (paths []string, err error) {
	for i := range files {
		paths = append(paths, fmt.Sprintf("services/area%02d/module%02d/source_file_%04d.go", i/400, i/20%20, i))
	}
	var stream strings.Builder
	commit := func(number int, changed []string) {
		_, _ = fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata <<E\nchange %d\nE\n", 1_500_000_000+number, number)
		for _, path := range changed {
			text := content(number, path)
			_, _ = fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
		}
	}
	commit(0, paths)
	for number := 1; number <= commits; number++ {
		commit(number, []string{paths[number*7%files], paths[number*191%files]})
	}
	for _, step := range []struct {
		input string
		args  []string
	}{
		{"", []string{"init", "--quiet", "--bare", "--initial-branch=main", dir}},
		{stream.String(), []string{"fast-import", "--quiet"}},
		{"", []string{"repack", "-a", "-d", "-f", "-q", "--window=5"}},
		{"", []string{"pack-refs", "--all"}},
	} {
		if err := g.run(ctx, dir, step.input, step.args...); err != nil {
			return nil, err
		}
	}
	return paths, nil
}
