package main

import (
	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newSyncCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync [REPOSITORY…]",
		Short: "List and mirror once, in the foreground",
		Long: `Lists every connection and brings every selected mirror up to date, once.

A REPOSITORY is KEY/slug, or CONNECTION:KEY/slug. The exit code is 1 if any
repository failed; which and why is printed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := s.options()
			if err != nil {
				return err
			}
			return app.Sync(cmd.Context(), options, args, cmd.OutOrStdout())
		},
	}
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	return cmd
}
