package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/signpost/internal/app"
)

// usageError is an error of the command line itself.
type usageError struct{ error }

// errNoAddress is for a script whose variable is not set: an empty address would be any port of
// every network that the machine is in.
var errNoAddress = &usageError{errors.New("--listen is empty: give an address such as 127.0.0.1:7080")}

func (e *usageError) Unwrap() error { return e.error }

// settings are the flags that several commands share.
type settings struct {
	config    string
	data      string
	listen    string
	server    string
	logFormat string
	logLevel  string
}

func newRootCommand() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:   "signpost",
		Short: "From Bitbucket Server pages to the same place on your own Sourcegraph",
		Long: `Signpost gives everyone who reads code on Bitbucket Server or Data Center one click
to the same place on their own Sourcegraph.

Every flag has an environment twin: --data is SIGNPOST_DATA, --log-format is
SIGNPOST_LOG_FORMAT. A flag wins. SIGNPOST_ADMIN_TOKEN opens the administrators'
part of the API; it is never a flag, because arguments can be read by other users.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags(), os.LookupEnv)
		},
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().StringVar(&s.logFormat, "log-format", "", "text or json (default: text on a terminal, JSON elsewhere)")
	root.PersistentFlags().StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(
		newDemoCommand(s),
		newServeCommand(s),
		newSyncCommand(s),
		newResolveCommand(s),
		newConfigCommand(s),
		newWebhooksCommand(s),
		newExtensionCommand(s),
		newVersionCommand(),
	)
	refuseUnknownShells(root)
	return root
}

// refuseUnknownShells makes completion fail without a shell that it knows. Left to itself it
// prints its help, which ends up in the file that a script was meant for.
func refuseUnknownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Use = "completion SHELL"
			cmd.Args = cobra.ArbitraryArgs // what is no subcommand is refused by RunE
			cmd.RunE = func(*cobra.Command, []string) error {
				return &usageError{errors.New("completion needs a shell: bash, fish, powershell or zsh")}
			}
			for _, shell := range cmd.Commands() {
				shell.Args = noArguments
			}
		}
	}
}

func (s *settings) addConfig(f *pflag.FlagSet) {
	f.StringVar(&s.config, "config", "", "site configuration `file`; it is then the only source (default: the configuration in the data folder)")
}

func (s *settings) addData(f *pflag.FlagSet) {
	f.StringVar(&s.data, "data", "./signpost-data", "data `folder`")
}

func (s *settings) addServer(f *pflag.FlagSet) {
	f.StringVar(&s.server, "server", "", "`address` of a running server to ask, instead of the data folder")
}

// options returns what the program runs with.
func (s *settings) options() (app.Options, error) {
	if os.Getenv("SIGNPOST_DATABASE_URL") != "" { // its value may hold a password
		return app.Options{}, &usageError{errors.New("SIGNPOST_DATABASE_URL is set, and this version keeps everything in the data folder: unset it")}
	}
	log, err := s.logger()
	if err != nil {
		return app.Options{}, err
	}
	return app.Options{
		DataDir:    s.data,
		ConfigFile: s.config,
		Listen:     s.listen,
		AdminToken: app.AdminToken(os.LookupEnv),
		Version:    app.Version(),
		Logger:     log,
	}, nil
}

func (s *settings) logger() (*slog.Logger, error) {
	log, err := app.NewLogger(os.Stderr, s.logFormat, s.logLevel)
	if err != nil {
		return nil, &usageError{err}
	}
	return log, nil
}

// fromEnvironment sets each flag that was not given to its environment twin.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "SIGNPOST_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := lookup(name)
		if f.Changed || !ok || value == "" || f.Name == "help" || failed != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = &usageError{fmt.Errorf("%s: %w", name, err)}
		}
	})
	return failed
}

// noArguments refuses arguments in words that name the first of them.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return &usageError{fmt.Errorf("there is no command %q", args[0])}
	}
	return &usageError{fmt.Errorf("%s takes no argument, and here is %q", cmd.Name(), args[0])}
}

// oneArgument wants exactly one argument, and calls it what.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return &usageError{fmt.Errorf("%s takes one %s, and here are %d arguments", cmd.Name(), what, len(args))}
	}
}
