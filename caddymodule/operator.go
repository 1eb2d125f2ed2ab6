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

// whom says which client is meant: one of the two. It is what POST unlock and POST
// sessions/end take.
type whom struct {
	Email string `json:"email,omitempty"`
	ID    string `json:"id,omitempty"`
}

// invitation is what POST invitations takes.
type invitation struct {
	whom
	ReturnTo string `json:"return_to,omitempty"`
	Message  string `json:"message,omitempty"`
}

// meant is the answer to all three: the client's id.
type meant struct {
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
	id, err := in.read(g, r, &in)
	if err != nil {
		return nil, err
	}
	return meant{id}, g.runtime.Unlock(r.Context(), id, operator)
}

func endSessions(g *liveGate, r *http.Request) (any, error) {
	var in whom
	id, err := in.read(g, r, &in)
	if err != nil {
		return nil, err
	}
	return meant{id}, g.runtime.EndSessions(r.Context(), id, operator)
}

func invite(g *liveGate, r *http.Request) (any, error) {
	var in invitation
	id, err := in.read(g, r, &in)
	if err != nil {
		return nil, err
	}
	return meant{id}, g.runtime.QueueLink(r.Context(), gate.LinkOrder{
		Client: id, By: operator, Invite: true, ReturnTo: in.ReturnTo, Words: in.Message,
	})
}

// read reads a body that w is a part of, and returns the id of who is meant.
func (w *whom) read(g *liveGate, r *http.Request, into any) (string, error) {
	if err := decodeBody(r, into); err != nil {
		return "", err
	}
	if (w.Email == "") == (w.ID == "") {
		return "", apiError(http.StatusUnprocessableEntity, errors.New("say whom: the address on file, or the id"))
	}
	if w.Email == "" {
		return w.ID, nil
	}
	a, err := address.Parse(w.Email)
	if err != nil {
		return "", directory.ErrNotFound
	}
	client, err := g.config.Clients.ByAddress(r.Context(), a)
	return client.ID, err
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
	return aboutClient(&cobra.Command{
		Use:   "unlock (--email <address> | --id <id>)",
		Short: "Lets a client in again whom a limit keeps out",
		Long: `Lets a client use PINs and codes from mails again, after too many wrong ones have
turned them off, and ask for links again, after too many: of both the client is told
by mail. Mail that was held back after a complaint of spam is sent again.`,
	}, "/unlock", "client %s can use PINs and mail codes, ask for links, and is sent mail\n", func(w whom) any { return w })
}

func inviteCommand() *cobra.Command {
	var in invitation
	cmd := aboutClient(&cobra.Command{
		Use:   "invite (--email <address> | --id <id>) [--message <text>] [--return-to <path>]",
		Short: "Mails a client an invitation to the portal",
		Long: `Mails a client who is on file an invitation, with a link that signs in once. An
earlier invitation is void then. What became of the mail, the audit log says.`,
	}, "/invitations", "the invitation of client %s is on its way\n", func(w whom) any {
		in.whom = w
		return in
	})
	cmd.Flags().StringVar(&in.Message, "message", "", "The practice's own words, at most 500 characters")
	cmd.Flags().StringVar(&in.ReturnTo, "return-to", "", "The path of the page to land on, such as /forms")
	return cmd
}

func sessionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "sessions", Short: "What a client is signed in with"}
	group(cmd, aboutClient(&cobra.Command{
		Use:   "end (--email <address> | --id <id>)",
		Short: "Signs a client out everywhere",
		Long: `Signs a client out everywhere, at once: open pages and connections too. Links and
PINs that were not used yet stay good.`,
	}, "/sessions/end", "client %s is signed out everywhere\n", func(w whom) any { return w }))
	return cmd
}

// aboutClient makes cmd ask the gate for something about one client. order is what
// is sent to path, and done what is said then, with the client's id.
func aboutClient(cmd *cobra.Command, path, done string, order func(whom) any) *cobra.Command {
	cmd.Args = takes(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w := whom{Email: flagOf(cmd, "email"), ID: flagOf(cmd, "id")}
		if (w.Email == "") == (w.ID == "") {
			return errors.New("say whom: --email ada@example.com, or --id")
		}
		var m meant
		if err := askGate(cmd, http.MethodPost, path, order(w), &m); err != nil {
			return err
		}
		if asJSON(cmd) {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(m)
		}
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), done, m.Client)
		return err
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
