package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts in testdata against the real program. Beside testscript's
// commands they have:
//
//	bitbucket start VERSION FILE   starts a double with the demo's repositories, writes a
//	                               configuration for it, and sets $BITBUCKET, $BITBUCKET_PASSWORD
//	                               and $BITBUCKET_TOKEN
//	bitbucket fault JSON           something goes wrong from now on (bitbuckettest.Fault)
//	bitbucket mend                 nothing goes wrong any more
//	bitbucket control WHAT JSON    a command of the double's (bitbuckettest, control)
//	serve start [FLAG…]            starts signpost serve and sets $SERVER
//	serve stop                     sends SIGTERM; the exit code must be 0
//	http METHOD PATH STATUS [FILE] asks the server as an administrator, with the file as the body; the answer,
//	                               which must be one of the contract, is in stdout
//	http-anonymous …               the same without the token
//	big FILE SIZE                  writes a file of so many letters, before and after which are PREFIX and SUFFIX
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("SIGNPOST_LOG_LEVEL", "warn")
			env.Values[scriptKey{}] = &script{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"bitbucket": func(ts *testscript.TestScript, neg bool, args []string) { ofScript(ts).bitbucket(ts, neg, args) },
			"serve":     func(ts *testscript.TestScript, neg bool, args []string) { ofScript(ts).serve(ts, neg, args) },
			"http":      func(ts *testscript.TestScript, neg bool, args []string) { ofScript(ts).http(ts, neg, args, admin()) },
			"http-anonymous": func(ts *testscript.TestScript, neg bool, args []string) {
				ofScript(ts).http(ts, neg, args, http.Header{"Content-Type": {"application/json"}})
			},
			"big": big,
		},
	})
}

type scriptKey struct{}

// script is what runs beside one script.
type script struct {
	control func(method, what, body string) error
	server  *server
}

func ofScript(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func environment(ts *testscript.TestScript) []string {
	env := ownEnvironment(ts.Getenv("HOME"))
	for _, name := range []string{"SIGNPOST_DATA", "SIGNPOST_CONFIG", "CANARY"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (s *script) bitbucket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: bitbucket start VERSION FILE | fault JSON | mend | control WHAT JSON")
	}
	switch args[0] {
	case "start":
		p, ready, err := startBitbucket(ts.MkAbs("."), environment(ts), "-world", "demo", "-version", args[1])
		ts.Check(err)
		ts.Defer(func() { _ = p.stop(interrupt) })
		s.control = func(method, what, body string) error {
			response, text, err := control(ready, method, what, body)
			if err == nil && response.StatusCode >= 300 {
				err = fmt.Errorf("control %s: %s", what, text)
			}
			return err
		}
		account := ready.Accounts["admin"]
		ts.Setenv("BITBUCKET", ready.Servers[0].URL)
		ts.Setenv("BITBUCKET_PASSWORD", account.Password)
		ts.Setenv("BITBUCKET_TOKEN", account.Token)
		ts.Check(writeConfig(ts.MkAbs(args[2]), configJSON{
			PrimaryURL:      "https://sourcegraph.example.com",
			BitbucketServer: []connectionJSON{connectionJSON{Name: "demo", URL: ready.Servers[0].URL, Pattern: "bb/{projectKey}/{repositorySlug}"}.As(account)},
		}))
	case "fault":
		ts.Check(s.control(http.MethodPost, "fault", args[1]))
	case "control":
		ts.Check(s.control(http.MethodPost, args[1], args[2]))
	case "mend":
		ts.Check(s.control(http.MethodDelete, "fault", ""))
	default:
		ts.Fatalf("bitbucket %s: unknown", args[0])
	}
}

func (s *script) serve(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: serve start [FLAG…] | stop")
	case args[0] == "start":
		var err error
		s.server, err = startServer(ts.MkAbs("."), environment(ts), args[1:]...)
		ts.Check(err)
		server := s.server
		ts.Defer(func() { _ = server.stop(interrupt) })
		ts.Setenv("SERVER", s.server.url)
	case args[0] == "stop":
		if err := s.server.stop(interrupt); err != nil {
			ts.Fatalf("SIGTERM: %v\n%s", err, s.server.stderr)
		}
	}
}

func (s *script) http(ts *testscript.TestScript, neg bool, args []string, header http.Header) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http METHOD PATH STATUS [FILE] [HEADER: VALUE]…")
	}
	body := ""
	for _, arg := range args[3:] {
		if name, value, found := strings.Cut(arg, ": "); found {
			header.Set(name, value)
		} else {
			body = ts.ReadFile(arg)
		}
	}
	response, text, err := call(args[0], s.server.url+args[1], body, header)
	ts.Check(err)
	w := bufio.NewWriter(ts.Stdout())
	for _, name := range []string{"ETag", "Location", "Retry-After", "Cache-Status", "Access-Control-Allow-Origin"} {
		if value := response.Header.Get(name); value != "" {
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(text))
	ts.Check(w.Flush())
	if got := fmt.Sprint(response.StatusCode); got != args[2] {
		ts.Fatalf("%s %s: status %s, want %s\n%s\n%s", args[0], args[1], got, args[2], text, s.server.stderr)
	}
}

func big(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: big FILE SIZE PREFIX SUFFIX")
	}
	var size int
	_, err := fmt.Sscan(args[1], &size)
	ts.Check(err)
	content := args[2] + string(bytes.Repeat([]byte("a"), size)) + args[3]
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(content), 0o600))
}
