package main

import (
	"errors"

	"github.com/spf13/cobra"

	"example.com/signpost/internal/app"
)

func newExtensionCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "extension",
		Short: "Pack the browser extension",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExtensionBuildCommand(s))
	return cmd
}

func newExtensionBuildCommand(s *settings) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build --out DIR",
		Short: "Write the packages for each browser into a folder",
		Long: `Writes what the server hands out below /extension/ into a folder: the extension for Chrome, Edge
and Firefox with this server's addresses inside, signed packages with their update manifests, policies,
the userscript and the bookmarklet; and in chrome, edge and firefox the extension unpacked.

The site configuration needs externalURL, the address of this server as browsers reach it. The key that
signs the packages, and their version, are in the data folder, which is one process's at a time: beside
a running server, download the packages from it instead.

A file signed.xpi in the data folder, which Mozilla signed, is written in place of signpost.xpi.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return &usageError{errors.New("--out is missing or empty: give the folder to write to")}
			}
			options, err := s.options()
			if err != nil {
				return err
			}
			return app.BuildExtension(cmd.Context(), options, out, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`folder` to write to; it is made if it is not there")
	s.addConfig(cmd.Flags())
	s.addData(cmd.Flags())
	return cmd
}
