package bitbuckettest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Ready is the line that Main prints when the servers answer.
type Ready struct {
	Version     string                 `json:"version"`
	Tokens      bool                   `json:"tokens"` // the version has access tokens
	Servers     []ReadyServer          `json:"servers"`
	Control     string                 `json:"control"`               // address of the control endpoints
	Proxy       string                 `json:"proxy,omitempty"`       // for HTTPS_PROXY
	Certificate string                 `json:"certificate,omitempty"` // of the authorities, PEM
	KnownHosts  string                 `json:"knownHosts,omitempty"`  // of the SSH server, with the option SSH of the empty world
	Accounts    map[string]Credentials `json:"accounts"`              // "admin" sees everything; "bot" is a usual account
	Hashes      map[string]string      `json:"hashes,omitempty"`      // of the link world
	Samples     []Sample               `json:"samples,omitempty"`     // of the demo world
}

// ReadyServer is a server that Main runs.
type ReadyServer struct {
	Name    string `json:"name"`    // "first" or "second"
	URL     string `json:"url"`     // of the listener, with the context path
	BaseURL string `json:"baseURL"` // that links carry
}

// mainOptions are the flags of Main.
type mainOptions struct {
	world      string
	version    string
	listen     string
	second     string
	control    string
	proxy      string
	context    string
	baseURL    string
	tls        bool
	tlsHosts   string
	dir        string
	beforeMove bool
	untilStdin bool
	verbose    bool
	options    string
}

// Main runs the double as a program of its own: it prints a line of JSON (Ready) to stdout when
// the servers answer, and runs until SIGTERM or SIGINT, until POST /control/stop, or, with
// -until-stdin-closes, until standard input ends. It returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := runMain(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (o mainOptions, err error) {
	flags := flag.NewFlagSet("bitbucket", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.world, "world", "link", "what the servers hold: link, demo or empty")
	flags.StringVar(&o.version, "version", "8.19", "version of Bitbucket")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the first server")
	flags.StringVar(&o.second, "listen-second", "127.0.0.1:0", "address of the second server of the link world")
	flags.StringVar(&o.control, "control", "127.0.0.1:0", "address of the control endpoints; anybody who reaches it commands the double")
	flags.StringVar(&o.proxy, "proxy", "127.0.0.1:0", "address of the proxy of the link world")
	flags.StringVar(&o.context, "context-path", "", "context path of the demo or the empty world, such as /bitbucket")
	flags.StringVar(&o.baseURL, "base-url", "", "address that links carry, of the empty world")
	flags.BoolVar(&o.tls, "tls", false, "speak https, in the empty world")
	flags.StringVar(&o.tlsHosts, "tls-hosts", "", "names for the certificate, separated by commas")
	flags.StringVar(&o.dir, "dir", "", "folder for the repositories; a temporary one if empty")
	flags.BoolVar(&o.beforeMove, "before-move", false, "leave PRJ/repo of the link world at OLD/legacy until POST /control/move")
	flags.BoolVar(&o.untilStdin, "until-stdin-closes", false, "stop when standard input ends")
	flags.BoolVar(&o.verbose, "verbose", false, "log to standard error")
	flags.StringVar(&o.options, "options", "", "further options of the empty world, as JSON: {\"ShortPages\": true}")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		return o, errors.New("unexpected argument")
	}
	return o, nil
}

func runMain(ctx context.Context, o mainOptions, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.DiscardHandler)
	if o.verbose {
		logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	control, err := newControl(o.control)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.close()) }()
	ready, err := startWorld(o, logger, control)
	if err != nil {
		return err
	}
	ready.Control = control.start()
	line, err := json.Marshal(ready)
	if err != nil {
		return fmt.Errorf("bitbuckettest: %w", err)
	}
	if _, err := fmt.Fprintf(stdout, "%s\n", line); err != nil {
		return fmt.Errorf("bitbuckettest: %w", err)
	}
	stdinEnds := make(chan struct{})
	if o.untilStdin {
		go func() {
			defer close(stdinEnds)
			_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end too
		}()
	}
	select {
	case <-ctx.Done():
	case <-control.stopped:
	case <-stdinEnds:
	}
	return nil
}

// startWorld starts the servers and hands them to control, which closes them.
func startWorld(o mainOptions, logger *slog.Logger, control *control) (Ready, error) {
	ready := Ready{Accounts: map[string]Credentials{}}
	add := func(name string, s *Server) {
		control.servers[name] = s
		ready.Servers = append(ready.Servers, ReadyServer{Name: name, URL: s.URL(), BaseURL: s.BaseURL()})
		ready.Version, ready.Tokens = s.Version(), s.HasTokens()
	}
	switch o.world {
	case "link":
		w, err := StartLinkWorld(LinkWorldOptions{
			Version: o.version, BeforeMove: o.beforeMove, Dir: o.dir, Logger: logger, ListenTo: [3]string{o.listen, o.second, o.proxy},
		})
		if err != nil {
			return ready, err
		}
		control.closer, control.move = w, w.Move
		add("first", w.First)
		add("second", w.Second)
		ready.Proxy, ready.Certificate, ready.Hashes = w.Proxy.URL(), w.CertificatePEM(), w.Hashes
		ready.Accounts["admin"], ready.Accounts["bot"] = w.Account, w.Bot
	case "demo":
		w, err := StartDemoWorld(DemoWorldOptions{Version: o.version, Listen: o.listen, ContextPath: o.context, Dir: o.dir, Logger: logger})
		if err != nil {
			return ready, err
		}
		control.closer = w
		add("first", w.Server)
		ready.Samples = w.Samples
		ready.Accounts["admin"] = w.Account
	case "empty":
		options := Options{
			Version: o.version, Listen: o.listen, ContextPath: o.context, BaseURL: o.baseURL, TLS: o.tls, Dir: o.dir, Logger: logger,
		}
		if o.tlsHosts != "" {
			options.TLSHosts = strings.Split(o.tlsHosts, ",")
		}
		if o.options != "" {
			if err := json.Unmarshal([]byte(o.options), &options); err != nil {
				return ready, fmt.Errorf("bitbuckettest: -options: %w", err)
			}
		}
		s, err := Start(options)
		if err != nil {
			return ready, err
		}
		control.closer = s
		admin := Credentials{Username: "admin", Password: "admin of the empty world"}
		account := User{Name: admin.Username, Password: admin.Password, DisplayName: "Administrator", Email: "admin@example.com", Admin: true}
		if s.HasTokens() {
			admin.Token = "BBDC-empty/world+admin"
			account.Tokens = []string{admin.Token}
		}
		if _, err := s.AddUser(account); err != nil {
			return ready, err
		}
		add("first", s)
		ready.Certificate, ready.KnownHosts = s.CertificatePEM(), s.KnownHosts()
		ready.Accounts["admin"] = admin
	default:
		return ready, fmt.Errorf("bitbuckettest: there is no world %q: want link, demo or empty", o.world)
	}
	return ready, nil
}
