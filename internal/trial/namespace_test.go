package trial

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// namespaceEnv marks the process that runs a test in a mount namespace of its own; its value
// is the program that was built already.
const namespaceEnv = "SIGNPOST_TRIAL_IN_NAMESPACE"

// inNamespace runs the rest of a test in a process of its own that may mount, and whose mounts
// end with it. It tells whether this is that process.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceEnv) != "" {
		return true
	}
	self, err := os.Executable()
	must(t, err)
	command := func(flags uintptr) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=15m")
		cmd.Env = append(os.Environ(), namespaceEnv+"="+built)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		return cmd
	}
	out, err := command(syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		// Where user namespaces are forbidden, root can do without.
		out, err = command(syscall.CLONE_NEWNS).CombinedOutput()
	}
	switch exit := (*exec.ExitError)(nil); {
	case errors.As(err, &exit):
		t.Errorf("in a namespace: %v\n%s", err, out)
	case err != nil:
		t.Fatalf("this test mounts a small disk, in a namespace of its own: run it as root, or allow user namespaces "+
			"(sysctl kernel.unprivileged_userns_clone=1, or a container with --security-opt seccomp=unconfined): %v", err)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("in a namespace nothing was tested:\n%s", out)
	default:
		t.Logf("in a namespace:\n%s", out)
	}
	return false
}

// mountDisk mounts a disk of so many MiB.
func mountDisk(t *testing.T, folder string, size int) {
	t.Helper()
	must(t, os.MkdirAll(folder, 0o700))
	must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")) // nothing gets out
	must(t, syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", size)))
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
}
