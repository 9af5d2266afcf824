package trial

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// Place says which programs a trial runs, and where.
type Place struct {
	Dir      string   // working folder of all processes
	Env      []string // of all processes
	Signpost string   // path of the program
	Double   []string // program and arguments that run the double
}

// doubleArgument makes a program that calls ServeAsDouble the double of Bitbucket.
const doubleArgument = "bitbucket-double"

// ServeAsDouble makes this process the double of Bitbucket, and ends it, if Self made the
// arguments. A program that runs trials calls it first.
func ServeAsDouble() {
	if len(os.Args) > 1 && os.Args[1] == doubleArgument {
		os.Exit(bitbuckettest.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
}

// Self returns what runs this program as the double.
func Self() ([]string, error) {
	self, err := os.Executable()
	return []string{self, doubleArgument}, err
}

// Build builds the program into a folder, as a release is built, and returns its path. It
// needs the Go toolchain, and a working folder inside the module.
func Build(ctx context.Context, folder string) (string, error) {
	path := filepath.Join(folder, "signpost")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "example.com/signpost/cmd/signpost")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build signpost: %w\n%s", err, out)
	}
	return path, nil
}
