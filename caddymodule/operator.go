// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/staff"
)

// What an operator does for a client: both ends of it, the admin endpoint's and
// the command's. A PIN is in the answer and on standard output, and nowhere
// else: Caddy logs neither the body of what the endpoint is asked nor of what
// it answers.

// operator is who does it, for the audit log.
const operator = "operator"

// pinOrder is what POST pins takes.
type pinOrder struct {
	Email      string `json:"email"`
	VerifiedBy string `json:"verified_by"`
}

// whom is what POST unlock takes: one of the two.
type whom struct {
	Email string `json:"email,omitempty"`
	ID    string `json:"id,omitempty"`
}

// unlocked is its answer.
type unlocked struct {
	Client string `json:"client"`
}

func issuePIN(g *liveGate, r *http.Request) (any, error) {
	var in pinOrder
	if err := decodeBody(r, &in); err != nil {
		return nil, err
	}
	p, err := g.runtime.IssuePIN(r.Context(), gate.PINOrder{Email: in.Email, By: operator, VerifiedBy: in.VerifiedBy})
	if err != nil {
		return nil, err
	}
	return staff.Tell(g.config.UI, p), nil
}

func unlock(g *liveGate, r *http.Request) (any, error) {
	var in whom
	if err := decodeBody(r, &in); err != nil {
		return nil, err
	}
	if (in.Email == "") == (in.ID == "") {
		return nil, apiError(http.StatusUnprocessableEntity, errors.New("say whom to unlock: the address on file, or the id"))
	}
	if in.Email != "" {
		a, err := address.Parse(in.Email)
		if err != nil {
			return nil, directory.ErrNotFound
		}
		client, err := g.config.Clients.ByAddress(r.Context(), a)
		if err != nil {
			return nil, err
		}
		in.ID = client.ID
	}
	return unlocked{in.ID}, g.runtime.Unlock(r.Context(), in.ID, operator)
}

func pinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pin --email <address>",
		Short: "Makes a PIN for a client who is on the phone",
		Long: `Makes a PIN for a client, in the place of an earlier one, and prints it with
what to read to the caller. It is shown once, works once, and the client is told
by mail that it was made. Do not send it by mail or text.

First make sure who is calling: call back on the number on file, or ask your own
questions. How that was done goes into the audit log. Without --verified-by the
command asks.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			order := pinOrder{Email: flagOf(cmd, "email"), VerifiedBy: flagOf(cmd, "verified-by")}
			if order.Email == "" {
				return errors.New("say whose PIN it is: --email ada@example.com")
			}
			if err := confirm(cmd, &order.VerifiedBy); err != nil {
				return err
			}
			var told staff.Told
			if err := askGate(cmd, http.MethodPost, "/pins", order, &told); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON(cmd) {
				return json.NewEncoder(out).Encode(told)
			}
			half := (len(told.PIN) + 1) / 2
			_, err := fmt.Fprintf(out, "%s %s\n\n%s\n", told.PIN[:half], told.PIN[half:], told.Text)
			fmt.Fprintln(cmd.ErrOrStderr(), "it is shown once; if it is lost, make a new one")
			return err
		},
	}
	gateFlags(cmd)
	cmd.Flags().String("email", "", "The client's address on file")
	cmd.Flags().String("verified-by", "", "How you made sure who is calling, for the audit log")
	cmd.Flags().Bool("json", false, "Print JSON")
	return cmd
}

func unlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unlock (--email <address> | --id <id>)",
		Short: "Lets a client in again whom a limit keeps out",
		Long: `Lets a client use PINs and codes from mails again, after too many wrong ones have
turned them off, and ask for links again, after too many: of both the client is told
by mail. Mail that was held back after a complaint of spam is sent again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := whom{Email: flagOf(cmd, "email"), ID: flagOf(cmd, "id")}
			if (w.Email == "") == (w.ID == "") {
				return errors.New("say whom to unlock: --email ada@example.com, or --id")
			}
			var done unlocked
			if err := askGate(cmd, http.MethodPost, "/unlock", w, &done); err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "client %s can use PINs and mail codes, ask for links, and is sent mail\n", done.Client)
			return nil
		},
	}
	gateFlags(cmd)
	cmd.Flags().String("email", "", "The client's address on file")
	cmd.Flags().String("id", "", "The client's id")
	cmd.Flags().Bool("json", false, "Print JSON")
	return cmd
}

func flagOf(cmd *cobra.Command, name string) string { return cmd.Flags().Lookup(name).Value.String() }

// confirm asks how the caller was made sure of, unless it was said. Where
// nobody can be asked nothing is done.
func confirm(cmd *cobra.Command, verified *string) error {
	if *verified = strings.TrimSpace(*verified); *verified != "" {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errors.New(`say how you made sure who is calling: --verified-by "called back on the number on file"`)
	}
	fmt.Fprint(cmd.ErrOrStderr(), "do you know who is calling? call back on the number on file, or ask your own questions\nhow did you make sure? ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if *verified = strings.TrimSpace(line); err != nil || *verified == "" {
		return errors.New("no PIN was made; first make sure who is calling")
	}
	return nil
}
