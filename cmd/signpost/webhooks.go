package main

import (
	"errors"

	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newWebhooksCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhooks",
		Short: "Let Bitbucket tell this server of pushes",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWebhooksInstallCommand(s))
	return cmd
}

func newWebhooksInstallCommand(s *settings) *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Create or repair the webhooks in Bitbucket",
		Long: `Creates or repairs the webhooks by which Bitbucket tells this server of pushes, renames
and pull requests: one for each project from Bitbucket 8.0 on, where the account of the
connection administers it, and one for each selected repository otherwise. Webhooks with
another address are left alone.

The site configuration needs externalURL, the address of this server as Bitbucket reaches it, and
webhooks.secret in the connection. The secret is given to Bitbucket, and never printed.

With --config it runs beside the server; otherwise the server must be stopped, since the data
folder is one process's at a time. The exit code is 1 if anything could not be done; what and
why is printed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("project") && project == "" { // a script whose variable is not set
				return &usageError{errors.New("--project is empty: give the key of a project, or leave it out for all")}
			}
			options, err := s.options()
			if err != nil {
				return err
			}
			return app.InstallWebhooks(cmd.Context(), options, project, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "`key` of the one project to do (default: all that have selected repositories)")
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	return cmd
}
