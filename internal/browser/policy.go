package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// policyFolder is where Debian's Chromium reads what administrators have set. The package
// brings the folder above it.
const policyFolder = "/etc/chromium/policies/managed"

// mountPolicies runs a program with a folder of its own in place of /etc/chromium, which
// holds a file with policies. It runs in a mount namespace: nobody else sees the folder, and
// it ends with the program.
const mountPolicies = `mount -t tmpfs tmpfs /etc/chromium && mkdir -p ` + policyFolder + ` && cp "$0" ` + policyFolder + `/ && exec "$@"`

// withPolicies returns what makes a command run with policies. It writes them into a folder.
func withPolicies(ctx context.Context, folder string, policies map[string]any) (modify func(*exec.Cmd), err error) {
	text, err := json.Marshal(policies)
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	file := filepath.Join(folder, "signpost.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	unshare, err := mountNamespace(ctx)
	if err != nil {
		return nil, err
	}
	return func(cmd *exec.Cmd) {
		program := cmd.Path
		cmd.Path = unshare[0]
		cmd.Args = append(append(slices.Clip(unshare), "sh", "-c", mountPolicies, file, program), cmd.Args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with this process
	}, nil
}

// mountNamespace returns the command that runs another one where it may mount.
func mountNamespace(ctx context.Context) ([]string, error) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return nil, fmt.Errorf("browser: policies need the program unshare, of util-linux: %w", err)
	}
	for _, command := range [][]string{{unshare, "--user", "--map-root-user", "--mount"}, {unshare, "--mount"}} {
		try := append(slices.Clip(command[1:]), "mount", "-t", "tmpfs", "tmpfs", "/etc/chromium")
		if err = exec.CommandContext(ctx, unshare, try...).Run(); err == nil {
			return command, nil
		}
	}
	return nil, fmt.Errorf("browser: policies are mounted over /etc/chromium, in a namespace of this browser's own: run this as root, "+
		"or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or a container with --security-opt seccomp=unconfined), "+
		"or leave out the tests with policies (-skip, see the README): %w", err)
}
