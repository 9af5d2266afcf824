package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newDemoCommand(s *settings) *cobra.Command {
	options := app.DemoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what Signpost does, on a Bitbucket of its own",
		Long: `Needs nothing but the git program: starts a double of Bitbucket with a few real git
repositories for each version, a server with a fresh data folder, syncs, prints a table of
Bitbucket URLs and their links, unpacks the browser extension for the pages of that Bitbucket,
and stays up until you stop it. Nothing leaves this machine.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.listen == "" {
				return errNoAddress
			}
			if !cmd.Flags().Changed("log-level") {
				s.logLevel = "warn" // the table is what counts here
			}
			log, err := s.logger()
			if err != nil {
				return err
			}
			// A reader that has seen enough must not end the demo before it has cleaned up.
			signal.Ignore(syscall.SIGPIPE)
			options.Listen, options.Logger, options.Out = s.listen, log, cmd.OutOrStdout()
			return app.Demo(cmd.Context(), options)
		},
	}
	cmd.Flags().StringVar(&s.listen, "listen", "127.0.0.1:7080", "`address` to serve on")
	cmd.Flags().StringSliceVar(&options.BitbucketVersions, "bitbucket-version", []string{"4.14", "9.4"}, "`version` of the double, from 4.0 to 9.x; several make several doubles")
	cmd.Flags().BoolVar(&options.Once, "once", false, "end after the table; the exit code is 0 if every link resolved")
	return cmd
}
