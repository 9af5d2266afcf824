package main

import (
	"errors"

	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newResolveCommand(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "resolve URL…",
		Short: "Print the link for each Bitbucket URL",
		Long: `Prints the link for each Bitbucket URL, one a line, from the data folder or by asking
a running server. "-" reads URLs from standard input, one a line. The exit code is 1
if any URL has no link; the reason is on standard error.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New(`resolve takes at least one URL, or "-" to read them from standard input`)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := s.options()
			if err != nil {
				return err
			}
			return app.Resolve(cmd.Context(), options, app.ResolveOptions{
				Server: s.server,
				JSON:   asJSON,
				URLs:   args,
				In:     cmd.InOrStdin(),
				Out:    cmd.OutOrStdout(),
				Err:    cmd.ErrOrStderr(),
			})
		},
	}
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	s.addServer(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole answer as JSON, one a line")
	return cmd
}
