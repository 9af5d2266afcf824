package main

import (
	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newServeCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: API and syncer in one process",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
