package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sampleEvery is how often the memory of running programs is looked at.
const sampleEvery = 20 * time.Millisecond

// cost is what a program and all that it started took.
type cost struct {
	elapsed time.Duration
	peak    float64 // bytes of memory at one moment, shared pages counted once; the most that a sample saw
}

func elapsed(c cost) float64 { return float64(c.elapsed) }
func peak(c cost) float64    { return c.peak }

// watched runs a program and measures it with its children.
func watched(ctx context.Context, command *exec.Cmd) (cost, error) {
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begun := time.Now()
	if err := command.Start(); err != nil {
		return cost{}, err
	}
	stop := make(chan struct{})
	most := make(chan float64)
	go func() {
		var highest float64
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				most <- highest
				return
			case <-tick.C:
				highest = max(highest, groupMemory(command.Process.Pid))
			}
		}
	}()
	err := command.Wait()
	c := cost{elapsed: time.Since(begun)}
	close(stop)
	c.peak = <-most
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w: %s", command.Args[0], err, said.Bytes())
	}
	return c, nil
}

// groupMemory returns the bytes that the processes of a session take, by their proportional set size. What ends
// meanwhile counts as nothing.
func groupMemory(leader int) float64 {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	parents := make(map[int]int)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// "PID (name) state parent …": the name may hold anything.
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(fields[1])
		}
	}
	var sum float64
	for pid := range parents {
		for at := pid; at > 1; at = parents[at] {
			if at == leader {
				sum += proportionalSet(pid)
				break
			}
		}
	}
	return sum
}

func proportionalSet(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "\nPss:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kilobytes, _ := strconv.ParseFloat(fields[0], 64)
	return kilobytes * 1024
}
