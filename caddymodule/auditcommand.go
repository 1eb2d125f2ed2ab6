// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portalgate/portalgate/internal/audit"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Reads and checks the audit log",
		Long: `Reads and checks the audit log: who did what to whom, when, from where, and what
came of it. Clients and staff are named by their ids.`,
	}
	group(cmd, tailCommand(), verifyCommand(), exportCommand())
	return cmd
}

func tailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail [-n <count>]",
		Short: "Prints the newest events, the newest last",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := cmd.Flags().GetInt("lines")
			if err != nil || n < 1 || n > 500 {
				return errors.New("say how many, 500 at most: -n 20")
			}
			var page auditPage
			if err := askGate(cmd, http.MethodGet, "/audit?limit="+strconv.Itoa(n), nil, &page); err != nil {
				return err
			}
			slices.Reverse(page.Events)
			return printEvents(cmd, page.Events)
		},
	}
	gateFlags(cmd)
	cmd.Flags().IntP("lines", "n", 20, "How many events")
	cmd.Flags().Bool("json", false, "Print JSON lines")
	return cmd
}

func exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [--client <id>] [--since <date>] [--until <date>]",
		Short: "Prints what happened to a client, or within a period",
		Long: `Prints events, the newest first: those of a client, or of a period, or both. That
they were read is an event too.

	caddy portalgate audit export --client c-ada --since 2026-01-01 --until 2026-07-01 --json

A date is a day in UTC, or a time such as 2026-01-31T09:00:00Z. What happened at
--until is not among them any more.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"limit": {"500"}}
			if c := flagOf(cmd, "client"); c != "" {
				q.Set("client", c)
			}
			for _, name := range []string{"since", "until"} {
				s := flagOf(cmd, name)
				if s == "" {
					continue
				}
				t, err := time.Parse(time.DateOnly, s)
				if err != nil {
					if t, err = time.Parse(time.RFC3339, s); err != nil {
						return fmt.Errorf("--%s %q is no date; write it as 2026-01-31", name, s)
					}
				}
				q.Set(name, t.UTC().Format(time.RFC3339))
			}
			for {
				var page auditPage
				if err := askGate(cmd, http.MethodGet, "/audit?"+q.Encode(), nil, &page); err != nil {
					return err
				}
				if err := printEvents(cmd, page.Events); err != nil || page.Next == "" {
					return err
				}
				q.Set("cursor", page.Next)
			}
		},
	}
	gateFlags(cmd)
	cmd.Flags().String("client", "", "Id of the client")
	cmd.Flags().String("since", "", "The first day")
	cmd.Flags().String("until", "", "The day after the last")
	cmd.Flags().Bool("json", false, "Print JSON lines")
	return cmd
}

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [<folder>]",
		Short: "Finds a removed, changed or moved event",
		Long: `Checks the audit log: that of a folder, which needs no running gate, or without
one what a running gate has in its store. It names the first event that was
removed, changed or moved, and then ends with status 1.

It prints the hash of the last event. Keep that elsewhere, and give it the next
time: without --head nobody can tell that the newest events were cut off, or
that all from one on were written anew. That the oldest are gone it never finds,
for those are removed when their time is up; it prints where the log begins.`,
		Args: takes(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			head := flagOf(cmd, "head")
			var r auditReport
			var err error
			if len(args) == 1 {
				r, err = reportOf(audit.Verify(audit.ReadDir(args[0]), head))
			} else {
				err = askGate(cmd, http.MethodGet, "/audit/verify?head="+url.QueryEscape(head), nil, &r)
			}
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
					return err
				}
			} else if r.Broken == nil {
				fmt.Fprintln(cmd.OutOrStdout(), r.Text)
			}
			if r.Broken != nil {
				return errors.New(r.Text)
			}
			return nil
		},
	}
	gateFlags(cmd)
	cmd.Flags().String("head", "", "Hash of an event that must be there")
	cmd.Flags().Bool("json", false, "Print JSON")
	return cmd
}

// reportOf is what a check came to; what kept it from being made is the error.
func reportOf(r audit.Report, err error) (auditReport, error) {
	if broken, ok := errors.AsType[*audit.Broken](err); ok {
		return auditReport{Report: r, Broken: broken, Text: broken.Error()}, nil
	}
	text := "the log is empty"
	if r.Last > 0 {
		text = fmt.Sprintf("events %d to %d are as they were written; the last has the hash %s", r.First, r.Last, r.Head)
	}
	return auditReport{Report: r, Text: text}, err
}

// printEvents writes one event a line. Texts are quoted: what somebody wrote must
// not move the cursor of whoever reads it.
func printEvents(cmd *cobra.Command, events []audit.Event) error {
	for _, ev := range events {
		if err := printEvent(cmd.OutOrStdout(), ev, asJSON(cmd)); err != nil {
			return err
		}
	}
	return nil
}

func printEvent(w io.Writer, ev audit.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(ev)
	}
	var more []string
	for _, f := range []struct{ name, value string }{
		{"client", ev.Client}, {"by", ev.By}, {"method", ev.Method}, {"from", ev.From}, {"outcome", ev.Outcome}, {"note", ev.Note},
	} {
		if f.value != "" {
			more = append(more, f.name+"="+strconv.Quote(f.value))
		}
	}
	_, err := fmt.Fprintf(w, "%d %s %s %s\n", ev.Seq, ev.At.Format(time.RFC3339), strconv.Quote(cmp.Or(ev.What, "-")), strings.Join(more, " "))
	return err
}
