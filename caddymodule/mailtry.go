// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/mail/policy"
)

// resolver is where DNS is asked.
var resolver policy.Resolver = net.DefaultResolver

// mailTry is what POST mail/try takes.
type mailTry struct {
	To string `json:"to"`
	// Selector is that of the DKIM key; empty is to try the usual ones.
	Selector string `json:"selector,omitempty"`
}

// mailTried is what it answers.
type mailTried struct {
	From string `json:"from"`
	ID   string `json:"message_id"`
	// Answer is the mail server's, Failed why there is none.
	Answer string           `json:"answer,omitempty"`
	Failed string           `json:"failed,omitempty"`
	DNS    []policy.Finding `json:"dns"`
}

func tryMail(g *liveGate, r *http.Request) (any, error) {
	var in mailTry
	if err := decodeBody(r, &in); err != nil {
		return nil, err
	}
	to, err := address.Parse(in.To)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, errors.New("that is no email address; write one like you@example.com"))
	}
	m, answer, err := g.runtime.TryMail(r.Context(), to)
	out := mailTried{From: m.From, ID: m.ID, Answer: answer}
	if err != nil {
		out.Failed = err.Error()
	}
	_, domain, _ := strings.Cut(m.From, "@")
	out.DNS = policy.Look(r.Context(), resolver, domain, in.Selector)
	return out, nil
}

func mailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mail",
		Short: "Looks after the mail that a gate sends",
	}
	gateFlags(cmd)
	group(cmd, tryMailCommand())
	return cmd
}

func tryMailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "try <address>",
		Short: "Sends the sign-in mail to you, and says what came of it",
		Long: `Has a running gate send the sign-in mail to an address, whether or not that is
on file, with a link that signs nobody in. Prints what the mail server answered,
and what DNS says of the domain that the mail comes from: SPF, DKIM and DMARC, by
which mail services tell your mail from a forged one.

That the mail server took a mail does not mean that it arrives: look in the
mailbox, and in its spam folder.`,
		Args: takes(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			selector, err := cmd.Flags().GetString("selector")
			if err != nil {
				return err
			}
			var out mailTried
			if err := askGate(cmd, http.MethodPost, "/mail/try", mailTry{args[0], selector}, &out); err != nil {
				return err
			}
			if asJSON(cmd) {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(out)
			} else {
				err = printTried(cmd.OutOrStdout(), out)
			}
			if err != nil {
				return err
			}
			if out.Failed != "" {
				return errors.New("the mail was not sent: " + out.Failed)
			}
			return nil
		},
	}
	cmd.Flags().Bool("json", false, "Print JSON")
	cmd.Flags().String("selector", "", "Selector of the DKIM key, where it is not a usual one")
	return cmd
}

// printTried writes one thing a line: what it is, whether it is good, and what
// is so.
func printTried(w io.Writer, out mailTried) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "from\t\t%s\n", out.From)
	if out.Failed == "" {
		fmt.Fprintf(t, "server\tok\t%s\n", out.Answer)
		fmt.Fprintf(t, "mail\t\t%s\n", out.ID)
	} else {
		fmt.Fprintf(t, "server\tno\t%s\n", out.Failed)
	}
	for _, f := range out.DNS {
		good := "no"
		if f.Good {
			good = "ok"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Name, good, f.Says)
	}
	return t.Flush()
}
