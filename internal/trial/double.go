package trial

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// Double is a double of Bitbucket that runs as a process of its own. Safe for concurrent use.
type Double struct {
	*Process
	Ready bitbuckettest.Ready
	Dir   string // of its repositories
}

// StartDouble starts an empty double that keeps its repositories in dir. The caller stops it.
func (p Place) StartDouble(dir string, args ...string) (*Double, error) {
	args = append([]string{"-world", "empty", "-dir", dir}, args...)
	process, ready, err := StartBitbucket(p.Dir, p.Env, p.Double[0], append(p.Double[1:len(p.Double):len(p.Double)], args...)...)
	if err != nil {
		return nil, err
	}
	return &Double{Process: process, Ready: ready, Dir: dir}, nil
}

// StartBitbucket starts a program that is the double and returns what it says of itself.
func StartBitbucket(dir string, env []string, program string, args ...string) (*Process, bitbuckettest.Ready, error) {
	var ready bitbuckettest.Ready
	read, write := io.Pipe()
	p, err := Start(dir, env, write, program, args...)
	if err != nil {
		return nil, ready, err
	}
	go func() {
		<-p.ended
		_ = write.CloseWithError(fmt.Errorf("the double ended: %w\n%s", errors.Join(p.err, io.ErrUnexpectedEOF), p.Log))
	}()
	lines := bufio.NewReaderSize(read, 1<<20)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return nil, ready, err
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return p, ready, json.Unmarshal(line, &ready)
}

// URL returns the address of the double.
func (d *Double) URL() string { return d.Ready.Servers[0].URL }

// Admin returns the account that sees everything.
func (d *Double) Admin() bitbuckettest.Credentials { return d.Ready.Accounts["admin"] }

// Repository returns the folder of the bare repository with a number.
func (d *Double) Repository(number int64) string {
	return filepath.Join(d.Dir, "repositories", strconv.FormatInt(number, 10))
}

// Fault makes the double misbehave. The delay of the fault is told beside it.
func (d *Double) Fault(f bitbuckettest.Fault) error {
	type timed struct {
		bitbuckettest.Fault
		Delay string `json:"delay,omitempty"`
	}
	in := timed{Fault: f}
	if f.Delay > 0 {
		in.Delay = f.Delay.String()
	}
	in.Fault.Delay = 0
	return d.Control(http.MethodPost, "fault", in, nil)
}

// ClearFaults ends all misbehavior.
func (d *Double) ClearFaults() error { return d.Control(http.MethodDelete, "fault", nil, nil) }

// Running returns how many requests of each kind the double answers now.
func (d *Double) Running() (running map[bitbuckettest.Kind]int, err error) {
	err = d.Control(http.MethodGet, "running", nil, &running)
	return running, err
}

// Answering returns the paths of the requests that the double answers now.
func (d *Double) Answering() (paths []string, err error) {
	err = d.Control(http.MethodGet, "answering", nil, &paths)
	return paths, err
}

// Requests returns the last requests that were answered, the oldest first.
func (d *Double) Requests() (requests []bitbuckettest.Request, err error) {
	err = d.Control(http.MethodGet, "requests", nil, &requests)
	return requests, err
}

// Control asks something of the double's control endpoints, with in as the body, and reads the
// answer into out. Either may be nil.
func (d *Double) Control(method, endpoint string, in, out any) error {
	var body []byte
	var err error
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	request, err := http.NewRequest(method, d.Ready.Control+"/control/"+endpoint, bytes.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return err
	}
	response, err := Client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the double: %s %s: %s", method, endpoint, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
