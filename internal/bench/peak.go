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
	peak    memory // the most that a sample saw, of each
}

// memory is what processes take at one moment, in bytes. Pages that several share are counted once.
type memory struct {
	all float64
	own float64 // without the pages of programs and other files, which the system can drop and read again
}

func elapsed(c cost) float64 { return float64(c.elapsed) }
func peak(c cost) float64    { return c.peak.all }
func ownPeak(c cost) float64 { return c.peak.own }

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
	most := make(chan memory)
	go func() {
		var highest memory
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				most <- highest
				return
			case <-tick.C:
				now := groupMemory(command.Process.Pid)
				highest = memory{all: max(highest.all, now.all), own: max(highest.own, now.own)}
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
func groupMemory(leader int) memory {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return memory{}
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
	var sum memory
	for pid := range parents {
		for at := pid; at > 1; at = parents[at] {
			if at == leader {
				set := proportionalSet(pid)
				sum.all, sum.own = sum.all+set.all, sum.own+set.own
				break
			}
		}
	}
	return sum
}

func proportionalSet(pid int) memory {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}
	}
	return memory{all: rollupBytes(text, "Pss"), own: rollupBytes(text, "Pss_Anon")}
}

// rollupBytes reads a line of smaps_rollup; its figures are in kilobytes.
func rollupBytes(text []byte, name string) float64 {
	_, after, _ := strings.Cut(string(text), "\n"+name+":")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kilobytes, _ := strconv.ParseFloat(fields[0], 64)
	return kilobytes * 1024
}
