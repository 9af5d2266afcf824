package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newConfigCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, show and edit the site configuration",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheckCommand(), newConfigShowCommand(s), newConfigSetPrimaryCommand(s))
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Print every problem of a site configuration, with line and column",
		Long:  `Prints every problem of a site configuration, with line and column. The exit code is 1 if any is an error.`,
		Args:  oneArgument("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.CheckConfig(args[0], cmd.OutOrStdout())
		},
	}
}

func newConfigShowCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the site configuration, its secrets masked",
		Long: `Prints the site configuration of the data folder, or of a running server, its secrets
masked. Asking a server needs SIGNPOST_ADMIN_TOKEN.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := s.options()
			if err != nil {
				return err
			}
			text, err := app.ShowConfig(cmd.Context(), options, s.server)
			if text != "" {
				_, printErr := fmt.Fprint(cmd.OutOrStdout(), text)
				err = errors.Join(err, printErr)
			}
			return err
		},
	}
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	s.addServer(cmd.Flags())
	return cmd
}

func newConfigSetPrimaryCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set-primary URL",
		Short: "Set the Sourcegraph instance that every link goes to",
		Long: `Sets primaryURL in the site configuration of the data folder, or of a running server.
The rest of the configuration stays, comments too. Asking a server needs SIGNPOST_ADMIN_TOKEN.`,
		Args: oneArgument("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := s.options()
			if err != nil {
				return err
			}
			primary, err := app.SetPrimaryURL(cmd.Context(), options, s.server, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "primaryURL is %s\n", primary)
			return err
		},
	}
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	s.addServer(cmd.Flags())
	return cmd
}
