package trial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Patience bounds every wait for another process. Trials may run on slow machines.
const Patience = 2 * time.Minute

// Process is a program that runs beside this one. Safe for concurrent use.
type Process struct {
	Log *Output // what it wrote to standard error

	cmd   *exec.Cmd
	ended chan struct{} // closed when err is set
	err   error
}

// Output keeps what a process writes. Safe for concurrent use.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String returns all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start starts a program in a working folder, with an environment of its own. The caller ends it.
func Start(dir string, env []string, stdout io.Writer, program string, args ...string) (*Process, error) {
	cmd, log := exec.Command(program, args...), new(Output) //nolint:noctx // the caller ends it
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = stdout, log
	cmd.WaitDelay = time.Second // its children may outlive it, and they hold its standard error
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return Watch(cmd, log, func() {}), nil
}

// Watch makes a Process of a program that was started, and that writes to log. read reads what it
// writes to its end, where nobody else does.
func Watch(cmd *exec.Cmd, log *Output, read func()) *Process {
	p := &Process{Log: log, cmd: cmd, ended: make(chan struct{})}
	go func() {
		read()
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal. It may have ended already.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Stop sends a signal and waits for the end. It returns how the process ended.
func (p *Process) Stop(signal os.Signal) error {
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	return p.Wait()
}

// Wait returns how the process ended. One that does not end is killed.
func (p *Process) Wait() error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(Patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("did not end:\n%s", p.Log)
	}
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Final is an error that no further try mends.
type Final struct{ error }

// Unwrap returns what went wrong.
func (f Final) Unwrap() error { return f.error }

// GiveUp marks an error as one that no further try mends.
func GiveUp(err error) error { return Final{err} }

// Eventually tries until do succeeds or returns a Final error, or Patience is at its end.
func Eventually(do func() error) error { return Within(Patience, do) }

// Within is Eventually with another patience.
func Within(patience time.Duration, do func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if err == nil {
			return nil
		}
		if errors.As(err, new(Final)) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
}

// Environment is what a process of a trial gets: nothing of the machine's settings but PATH,
// and a home of its own.
func Environment(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
	}
}

// Children returns the numbers of all processes that descend from a process, in no order.
// What starts or ends meanwhile may be missing. Only where there is /proc.
func Children(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	parents := make(map[int]int, len(entries))
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat"); err == nil {
			// proc(5): the name stands in brackets and may hold any character; the parent is two fields on.
			if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
				parents[child], _ = strconv.Atoi(fields[1])
			}
		}
	}
	var all []int
	for next := []int{pid}; len(next) > 0; {
		parent := next[0]
		next = next[1:]
		for child, of := range parents {
			if of == parent && !slices.Contains(all, child) {
				all = append(all, child)
				next = append(next, child)
			}
		}
	}
	return all
}

// StatusOf returns a field of /proc/PID/status in bytes, such as VmRSS or VmHWM; 0 when
// the process has gone.
func StatusOf(pid int, field string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
