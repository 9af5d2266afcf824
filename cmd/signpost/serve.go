package main

import (
	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newServeCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: API and syncer in one process",
		Long: `Runs the server until SIGTERM or Ctrl+C, which let it answer what it was asked and end
with exit code 0: the API, and the syncer that lists every connection and keeps the
mirrors up to date. A --config file is read again when it changes.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.listen == "" {
				return errNoAddress
			}
			options, err := s.options()
			if err != nil {
				return err
			}
			return app.Serve(cmd.Context(), options)
		},
	}
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	cmd.Flags().StringVar(&s.listen, "listen", "127.0.0.1:7080", "`address` to serve on")
	return cmd
}
