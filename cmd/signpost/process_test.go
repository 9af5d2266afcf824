package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/signpost/api/apitest"
	"example.com/signpost/internal/bitbucket/bitbuckettest"
)

// patience bounds every wait for another process. These tests may run on slow machines.
const patience = 2 * time.Minute

// process is a program that runs beside the test.
type process struct {
	cmd    *exec.Cmd
	stderr *output
	ended  chan struct{} // closed when err is set
	err    error
}

// output keeps what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// program returns the path of a program that TestMain made. It is first in PATH.
func program(name string) (string, error) { return exec.LookPath(name) }

// start starts a program with an environment and a working folder of its own.
func start(dir string, env []string, stdout io.Writer, name string, args ...string) (*process, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(path, args...), stderr: new(output), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop sends a signal and waits for the end. It returns how the process ended.
func (p *process) stop(signal os.Signal) error {
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	return p.wait()
}

// wait returns how the process ended. One that does not end is killed.
func (p *process) wait() error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("did not end:\n%s", p.stderr)
	}
}

// startBitbucket starts the double and returns what it says of itself.
func startBitbucket(dir string, env []string, args ...string) (*process, bitbuckettest.Ready, error) {
	var ready bitbuckettest.Ready
	read, write := io.Pipe()
	p, err := start(dir, env, write, "bitbucket-double", args...)
	if err != nil {
		return nil, ready, err
	}
	go func() {
		<-p.ended
		_ = write.CloseWithError(fmt.Errorf("the double ended: %w\n%s", errors.Join(p.err, io.ErrUnexpectedEOF), p.stderr))
	}()
	lines := bufio.NewReaderSize(read, 1<<20)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return nil, ready, err
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return p, ready, json.Unmarshal(line, &ready)
}

// server is a signpost serve under test.
type server struct {
	*process
	url   string
	token string
}

const testToken = "admin-token-of-the-tests"

// startServer starts signpost serve on a free port and waits until it answers.
func startServer(dir string, env []string, args ...string) (*server, error) {
	env = append(slices.Clip(env), "SIGNPOST_ADMIN_TOKEN="+testToken, "SIGNPOST_LOG_FORMAT=json")
	p, err := start(dir, env, io.Discard, "signpost", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return nil, err
	}
	s := &server{process: p, token: testToken}
	err = eventually(func() error {
		select {
		case <-p.ended:
			return final{fmt.Errorf("signpost serve ended: %w\n%s", p.err, p.stderr)}
		default:
		}
		for line := range strings.Lines(p.stderr.String()) {
			var entry struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
				s.url = entry.Address
				return nil
			}
		}
		return errors.New("signpost serve does not say that it serves")
	})
	if err != nil {
		_ = p.cmd.Process.Kill()
		return nil, err
	}
	return s, nil
}

// final is an error that no further try mends.
type final struct{ error }

// eventually tries until do succeeds, or patience is at its end.
func eventually(do func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if err == nil {
			return nil
		}
		if errors.As(err, &final{}) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
}

var testClient = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16}, // no proxy: the server is on this machine
}

// call sends a request and holds the answer against the contract.
func call(method, url, body string, header http.Header) (*http.Response, string, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return nil, "", err
	}
	maps.Copy(request.Header, header)
	response, err := testClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, "", err
	}
	return response, string(text), apitest.Check(request, response, text)
}

// admin are the headers of an administrator's request with a JSON body.
func admin() http.Header {
	return http.Header{"Authorization": {"Bearer " + testToken}, "Content-Type": {"application/json"}}
}

// ownEnvironment is what a process of the tests gets: nothing of the machine's settings
// but PATH, and a home of its own.
func ownEnvironment(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
	}
}

// connectionJSON is an entry of bitbucketServer.
type connectionJSON struct {
	Name            string              `json:"name,omitempty"`
	URL             string              `json:"url"`
	Aliases         []string            `json:"aliases,omitempty"`
	Token           string              `json:"token,omitempty"`
	Username        string              `json:"username,omitempty"`
	Password        string              `json:"password,omitempty"`
	Certificate     string              `json:"certificate,omitempty"`
	Pattern         string              `json:"repositoryPathPattern,omitempty"`
	Exclude         []map[string]string `json:"exclude,omitempty"`
	ExcludePersonal bool                `json:"excludePersonalRepositories,omitempty"`
	Webhooks        *webhooksJSON       `json:"webhooks,omitempty"`
}

type webhooksJSON struct {
	Secret string `json:"secret"`
}

type configJSON struct {
	ExternalURL           string           `json:"externalURL,omitempty"`
	DisableAutoGitUpdates bool             `json:"disableAutoGitUpdates,omitempty"`
	PrimaryURL            string           `json:"primaryURL"`
	BitbucketServer       []connectionJSON `json:"bitbucketServer"`
}

func writeConfig(path string, config configJSON) error {
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	beside := path + ".new"
	if err := os.WriteFile(beside, text, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, filepath.Clean(path))
}

// as puts an account into an entry: its token where the version has them.
func (c connectionJSON) as(account bitbuckettest.Credentials) connectionJSON {
	c.Username = account.Username
	if account.Token != "" {
		c.Token = account.Token
	} else {
		c.Password = account.Password
	}
	return c
}

// linkWorldConfig is the configuration of the link cases' world.
func linkWorldConfig(ready bitbuckettest.Ready) configJSON {
	bot := ready.Accounts["admin"]
	return configJSON{
		PrimaryURL: "https://sourcegraph.example.com",
		BitbucketServer: []connectionJSON{
			connectionJSON{
				URL: bitbuckettest.LinkWorldFirstURL, Aliases: []string{bitbuckettest.LinkWorldAliasURL},
				Certificate: ready.Certificate, Exclude: []map[string]string{{"name": "XCL/secret"}},
			}.as(bot),
			connectionJSON{
				URL: bitbuckettest.LinkWorldSecondURL, Certificate: ready.Certificate,
				Pattern: "bb/{projectKey}/{repositorySlug}", ExcludePersonal: true,
			}.as(bot),
		},
	}
}

// interrupt is what an administrator's service manager sends.
var interrupt os.Signal = syscall.SIGTERM
