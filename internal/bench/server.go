package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// buildProgram builds the program as it is released, once for all comparisons, and returns its path.
func (b *bench) buildProgram(ctx context.Context) (string, error) {
	if b.program != "" {
		return b.program, nil
	}
	program := filepath.Join(b.tmp, "signpost")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "example.com/signpost/cmd/signpost").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build signpost: %w: %s", err, out)
	}
	b.program = program
	return program, nil
}

// server is a running signpost serve.
type server struct {
	command *exec.Cmd
	url     string
	said    *lastLines
	ended   chan struct{}
}

// startTime bounds the wait for a server to answer.
const startTime = time.Minute

// startServer starts the program as a server. The caller stops it.
func (b *bench) startServer(ctx context.Context, config, data string) (*server, error) {
	program, err := b.buildProgram(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{said: &lastLines{}, ended: make(chan struct{})}
	s.command = exec.CommandContext(ctx, program, "serve", "--config", config, "--data", data, "--listen", "127.0.0.1:0", "--log-format", "json")
	stderr, err := s.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	serving := make(chan string, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.said.add(lines.Text())
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				serving <- line.Address
			}
		}
	}()
	select {
	case s.url = <-serving:
		return s, nil
	case <-s.ended:
	case <-time.After(startTime):
	}
	return nil, errors.Join(fmt.Errorf("the server did not start: %s", s.said), s.stop())
}

// stop ends the server and waits for it.
func (s *server) stop() error {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.ended
	return s.command.Wait()
}

// get returns what the server answers to a path.
func (s *server) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

// lastLines keeps the end of a log, for the error of a server that fails.
type lastLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *lastLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines = append(l.lines, line); len(l.lines) > 10 {
		l.lines = l.lines[1:]
	}
}

// String returns the lines.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%q", l.lines)
}
