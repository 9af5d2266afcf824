package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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
	return g.makeHistory(ctx, dir, files, func(number int, path string) string {
		return fmt.Sprintf("package module\n\n// change %d of %s\n", number, path)
	})
}

// makeSources is makeRepository with files that have the size and, packed, the weight of source code.
func (g gitProgram) makeSources(ctx context.Context, dir string, files int) error {
	words := strings.Fields("func return if err nil range string context request response handler server client config value index for switch case map struct")
	_, err := g.makeHistory(ctx, dir, files, func(number int, path string) string {
		random := rand.New(rand.NewPCG(uint64(number), uint64(len(path))+uint64(path[len(path)-4])))
		var text strings.Builder
		_, _ = fmt.Fprintf(&text, "// change %d of %s\n", number, path)
		for range 60 + random.IntN(200) {
			for range 1 + random.IntN(6) {
				_, _ = fmt.Fprintf(&text, "%s%x ", words[random.IntN(len(words))], random.Uint32()&0xfff)
			}
			text.WriteByte('\n')
		}
		return text.String()
	})
	return err
}

func (g gitProgram) makeHistory(ctx context.Context, dir string, files int, content func(number int, path string) string) (paths []string, err error) {
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
	for number := 1; number <= 300; number++ {
		commit(number, []string{paths[number*7%files], paths[number*191%files]})
	}
	for _, step := range []struct {
		input string
		args  []string
	}{
		{"", []string{"init", "--quiet", "--bare", "--initial-branch=main", dir}},
		{stream.String(), []string{"fast-import", "--quiet"}},
		{"", []string{"repack", "-a", "-d", "-f", "-q"}},
		{"", []string{"pack-refs", "--all"}},
	} {
		if err := g.run(ctx, dir, step.input, step.args...); err != nil {
			return nil, err
		}
	}
	return paths, nil
}
