package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"

	"example.com/signpost/internal/bitbucket/bitbuckettest"
	"example.com/signpost/internal/trial"
)

// patience bounds every wait for another process. These tests may run on slow machines.
const patience = trial.Patience

// process is a program that runs beside the test.
type process struct {
	*trial.Process
	stderr *output
	ended  <-chan struct{}
}

// output keeps what a process writes.
type output = trial.Output

// program returns the path of a program that TestMain made. It is first in PATH.
func program(name string) (string, error) { return exec.LookPath(name) }

func newProcess(p *trial.Process) *process { return &process{p, p.Log, p.Ended()} }

// start starts a program with an environment and a working folder of its own.
func start(dir string, env []string, stdout io.Writer, name string, args ...string) (*process, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	p, err := trial.Start(dir, env, stdout, path, args...)
	if err != nil {
		return nil, err
	}
	return newProcess(p), nil
}

// stop sends a signal and waits for the end. It returns how the process ended.
func (p *process) stop(signal os.Signal) error { return p.Stop(signal) }

// startBitbucket starts the double and returns what it says of itself.
func startBitbucket(dir string, env []string, args ...string) (*process, bitbuckettest.Ready, error) {
	path, err := program("bitbucket-double")
	if err != nil {
		return nil, bitbuckettest.Ready{}, err
	}
	p, ready, err := trial.StartBitbucket(dir, env, path, args...)
	if err != nil {
		return nil, ready, err
	}
	return newProcess(p), ready, nil
}

// server is a signpost serve under test.
type server struct {
	*process
	url string
}

// startServer starts signpost serve on a free port and waits until it answers.
func startServer(dir string, env []string, args ...string) (*server, error) {
	path, err := program("signpost")
	if err != nil {
		return nil, err
	}
	s, err := trial.StartServer(dir, env, path, args...)
	if err != nil {
		return nil, err
	}
	return &server{newProcess(s.Process), s.URL}, nil
}

// eventually tries until do succeeds or gives up, or patience is at its end.
func eventually(do func() error) error { return trial.Eventually(do) }

var testClient = trial.Client

// call sends a request and holds the answer against the contract.
func call(method, url, body string, header http.Header) (*http.Response, string, error) {
	return trial.Call(method, url, body, header)
}

// admin are the headers of an administrator's request with a JSON body.
func admin() http.Header { return trial.AdminHeader() }

// ownEnvironment is what a process of the tests gets.
func ownEnvironment(home string) []string { return trial.Environment(home) }

type (
	connectionJSON = trial.Connection
	configJSON     = trial.Config
	webhooksJSON   = trial.Webhooks
)

func writeConfig(path string, config configJSON) error { return config.WriteFile(path) }

// linkWorldConfig is the configuration of the link cases' world.
func linkWorldConfig(ready bitbuckettest.Ready) configJSON {
	bot := ready.Accounts["admin"]
	return configJSON{
		PrimaryURL: "https://sourcegraph.example.com",
		BitbucketServer: []connectionJSON{
			connectionJSON{
				URL: bitbuckettest.LinkWorldFirstURL, Aliases: []string{bitbuckettest.LinkWorldAliasURL},
				Certificate: ready.Certificate, Exclude: []map[string]string{{"name": "XCL/secret"}},
			}.As(bot),
			connectionJSON{
				URL: bitbuckettest.LinkWorldSecondURL, Certificate: ready.Certificate,
				Pattern: "bb/{projectKey}/{repositorySlug}", ExcludePersonal: true,
			}.As(bot),
		},
	}
}

// interrupt is what an administrator's service manager sends.
var interrupt os.Signal = syscall.SIGTERM
