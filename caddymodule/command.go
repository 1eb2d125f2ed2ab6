// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// What the commands print has no capital at the start and no full stop at the
// end. What a script may want goes to standard output, all else to standard
// error.

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "portalgate",
		Short: "Commands of the sign-in gate",
		Long:  "Commands of the sign-in gate of a client portal.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(secretCommand())
		},
	})
}

func secretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Prints a fresh root secret",
		Long: `Prints a fresh root secret of 32 bytes, in hex.

Every key of a gate is derived from it: keep it where only the server can read
it, and keep a copy where you keep other keys. Without it the store cannot be
read, and everybody has to sign in again.

	( umask 077; caddy portalgate secret > /etc/portalgate/secret )

Then, in the Caddyfile:

	secret {file./etc/portalgate/secret}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), newSecret())
			return err
		},
	}
}
