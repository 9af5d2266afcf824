package main

import (
	"errors"
	"slices"

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
		Args: func(_ *cobra.Command, args []string) error {
			if slices.Contains(args, "") { // a script whose variable is not set
				return &usageError{errors.New("a repository has an empty name: give KEY/slug, or none for all")}
			}
			return nil
		},
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
