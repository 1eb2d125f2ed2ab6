// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestSlips: a command that there is not, or that is given too much or too
// little, fails and says what there is.
func TestSlips(t *testing.T) {
	for args, want := range map[string]string{
		"clients lst":       `caddy clients has no command "lst"; there are: add, export, import, list`,
		"audit tial -n 5":   "unknown shorthand flag",
		"audit tial":        `caddy audit has no command "tial"; there are: export, tail, verify`,
		"mail":              "",
		"mail try":          "write it so: caddy mail try <address>",
		"clients list a b":  "write it so: caddy clients list [<text>]",
		"plugin digest":     "write it so: caddy plugin digest <program>",
		"keys rotat":        `unknown command "rotat"`,
		"pin --email a b c": "unknown command",
	} {
		top := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}
		top.SetOut(io.Discard)
		top.SetErr(io.Discard)
		group(top, keysCommand(), pinCommand(), sessionsCommand(), mailCommand(), pluginCommand(), clientsCommand(), auditCommand())
		top.SetArgs(strings.Fields(args))
		err := top.Execute()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
