// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

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
			group(cmd, secretCommand(), keysCommand(), pinCommand(), unlockCommand(), inviteCommand(), sessionsCommand(), mailCommand(), pluginCommand(), clientsCommand(), doctorCommand(), auditCommand())
		},
	})
}

// group puts commands below one that does nothing itself but say which there are.
// One that is not among them fails, so that a script with a slip in it does.
func group(cmd *cobra.Command, below ...*cobra.Command) {
	cmd.AddCommand(below...)
	cmd.DisableFlagsInUseLine = true
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var known []string
		for _, c := range below {
			known = append(known, c.Name())
		}
		return fmt.Errorf("%s has no command %q; there are: %s", cmd.CommandPath(), args[0], strings.Join(slices.Sorted(slices.Values(known)), ", "))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// takes is a check of how many arguments a command is given, and says how it is
// written.
func takes(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) != nil {
			return fmt.Errorf("write it so: %s", cmd.UseLine())
		}
		return nil
	}
}

func secretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Prints a fresh root secret",
		Long: `Prints a fresh root secret of 32 bytes, in hex.

Every key of a gate is derived from it: keep it where only the server can read
it, and keep a copy where you keep other keys. Without it the store cannot be
read: everybody has to sign in again, and a list of clients that the gate keeps
is lost.

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

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Lists the keys that sign who is asking",
		Long: `Lists the keys with which a running gate signs who is asking: the one that
will sign next, the one that does, and the one that did. All of them are
published, and all that is listed here is public.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var set keySet
			if err := askGate(cmd, http.MethodGet, "/keys", nil, &set); err != nil {
				return err
			}
			return printKeys(cmd, set)
		},
	}
	gateFlags(cmd)
	cmd.PersistentFlags().Bool("json", false, "Print JSON")
	cmd.AddCommand(rotateKeysCommand())
	return cmd
}

func rotateKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Signs with another key from now on",
		Long: `Signs with the next key from now on. A gate does that by itself every 30 days.
Nobody notices: the next key has been published for a while, and the one it
takes over from stays published. It is refused for 10 minutes after the last
rotation, because not every application may know the next key yet.

With --compromised, for keys that may be in wrong hands, all keys are made anew
and nothing of the old ones stays published. An application that fetched the
keys less than 30 seconds ago refuses requests until those are over; then it
fetches the new ones and refuses what was signed with the old. One that nobody
uses refuses it 10 minutes later at the latest. Where several gates share a
store, the others follow within a minute.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			compromised, err := cmd.Flags().GetBool("compromised")
			if err != nil {
				return err
			}
			var set keySet
			if err := askGate(cmd, http.MethodPost, "/keys/rotate", rotation{compromised}, &set); err != nil {
				return err
			}
			done := "the gate signs with the key that was next"
			if compromised {
				done = "all keys are new, and the old ones are no longer published"
			}
			fmt.Fprintln(cmd.ErrOrStderr(), done)
			return printKeys(cmd, set)
		},
	}
	cmd.Flags().Bool("compromised", false, "Replace all keys, because they may be in wrong hands")
	return cmd
}

// printKeys writes one key a line: its role, its name, when it was published
// and, of the one that signs, since when.
func printKeys(cmd *cobra.Command, set keySet) error {
	if asJSON(cmd) {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(set)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, k := range set.Keys {
		fmt.Fprintf(t, "%s\t%s\tpublished %s", k.Role, k.ID, k.At.Format(time.RFC3339))
		if !k.Since.IsZero() {
			fmt.Fprintf(t, "\tsigns since %s", k.Since.Format(time.RFC3339))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// gateFlags gives a command, and those below it, the flags that say which
// running gate is meant.
func gateFlags(cmd *cobra.Command) {
	cmd.PersistentFlags().String("address", "", "Address of Caddy's admin API, such as localhost:2019 or unix//run/caddy.sock")
	cmd.PersistentFlags().String("gate", defaultGate, "Name of the gate")
}

// askGate makes one call to the gate that a command's flags name: path is what
// comes after /portalgate/<gate>, in is sent as JSON unless it is nil, and the
// answer is read into out.
func askGate(cmd *cobra.Command, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	return callGate(cmd, method, path, body, func(r io.Reader) error { return json.NewDecoder(r).Decode(out) })
}

// callGate is askGate for what is no JSON. read reads the answer.
func callGate(cmd *cobra.Command, method, path string, body io.Reader, read func(io.Reader) error) error {
	address, err := cmd.Flags().GetString("address")
	if err != nil {
		return err
	}
	name, err := cmd.Flags().GetString("gate")
	if err != nil {
		return err
	}
	if err := checkGateName(name); err != nil {
		return err
	}
	if address, err = caddycmd.DetermineAdminAPIAddress(address, nil, "", ""); err != nil {
		return err
	}
	res, err := caddycmd.AdminAPIRequest(address, method, "/portalgate/"+name+path, nil, body)
	if err != nil {
		return gateError(address, err)
	}
	defer res.Body.Close()
	if read(res.Body) != nil {
		return noAdminAPI(address)
	}
	return nil
}

// gateError says what an error of AdminAPIRequest means to whoever typed the
// command. What was answered, if anything was, is in that error's text only.
func gateError(address string, err error) error {
	_, answer, answered := strings.Cut(err.Error(), "caddy responded with error: HTTP ")
	if !answered {
		cause := err.Error()
		if _, short, ok := strings.Cut(cause, `": `); ok { // the request and its URL
			cause = short
		}
		return fmt.Errorf("nothing answers at %s (%s); start the gate, or name the address of Caddy's admin API with --address", address, cause)
	}
	var told struct {
		Error string `json:"error"`
	}
	_, text, _ := strings.Cut(answer, ": ")
	if json.Unmarshal([]byte(text), &told) != nil || told.Error == "" {
		return noAdminAPI(address)
	}
	return errors.New(told.Error)
}

// asJSON reports whether JSON was asked for.
func asJSON(cmd *cobra.Command) bool {
	yes, _ := cmd.Flags().GetBool("json")
	return yes
}

func noAdminAPI(address string) error {
	return fmt.Errorf("what answers at %s is not the admin API of a Caddy with this Portalgate; name its address with --address", address)
}
