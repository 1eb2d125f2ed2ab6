// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/staff"
)

func clientsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clients",
		Short: "Who is on file",
		Long: `Shows and changes who is on file at a running gate. Where the list is a CSV file or
the practice's own system, it is changed there and can only be looked at here.`,
	}
	gateFlags(cmd)
	cmd.PersistentFlags().Bool("json", false, "Print JSON")
	group(cmd, listClientsCommand(), addClientCommand(), importClientsCommand(), exportClientsCommand())
	return cmd
}

func listClientsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list [<text>]",
		Short: "Lists clients, by name",
		Long: `Lists the clients who have a part of the name, or the address, that begins with the
text; without one, everybody. Case and accents do not matter. What is printed of
each is the id, the name, the address, and whether the client may sign in.`,
		Args: takes(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := everyClient(cmd, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, c := range all.Clients {
				note := "may sign in"
				switch {
				case !c.Access:
					note = "no access"
				case !c.EmailOK:
					note = "may sign in, gets no mail"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.ID, c.Name, c.Email, note)
			}
			return t.Flush()
		},
	}
}

// everyClient asks for all pages.
func everyClient(cmd *cobra.Command, text string) (all onePage, err error) {
	all.Clients = []staff.Client{}
	for q := (search{Text: text, Limit: 500}); ; {
		var page onePage
		if err := askGate(cmd, http.MethodPost, "/clients/find", q, &page); err != nil {
			return onePage{}, err
		}
		all.Clients = append(all.Clients, page.Clients...)
		if q.Cursor = page.Next; page.Next == "" {
			return all, nil
		}
	}
}

func addClientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add --email <address> --name <name>",
		Short: "Puts a client on file",
		Long: `Puts a client on file, and prints the id. The id is what the portal knows the client
by; without --id it is a random one. It is never given to anybody else.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := newClient{
				ID: flagOf(cmd, "id"), Email: flagOf(cmd, "email"), Name: flagOf(cmd, "name"),
				Phone: flagOf(cmd, "phone"), Language: flagOf(cmd, "language"),
			}
			if in.Email == "" {
				return errors.New("say whom to put on file: --email ada@example.com --name \"Ada Lovelace\"")
			}
			no := false
			if off, _ := cmd.Flags().GetBool("no-access"); off {
				in.Access = &no
			}
			if off, _ := cmd.Flags().GetBool("no-email"); off {
				in.EmailOK = &no
			}
			var on staff.Client
			if err := askGate(cmd, http.MethodPost, "/clients/add", in, &on); err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(on)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), on.ID)
			return err
		},
	}
	cmd.Flags().String("email", "", "The address that mails go to")
	cmd.Flags().String("name", "", "The full name")
	cmd.Flags().String("id", "", "The id, if it is to be a certain one")
	cmd.Flags().String("phone", "", "The phone number")
	cmd.Flags().String("language", "", "The language, such as en or pt-BR")
	cmd.Flags().Bool("no-access", false, "Give no access to the portal yet")
	cmd.Flags().Bool("no-email", false, "The client does not consent to mail")
	return cmd
}

func importClientsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import <file>",
		Short: "Takes a CSV list of clients",
		Long: `Takes a list of clients: a CSV file with a line that names the columns, email and
name and optionally id, phone, language, portal_access and email_ok (yes or no).
"-" is standard input.

A line is about the client with its id, or, without one, with its address. Clients
who are not on the list stay as they are, and so does what it has no column for.
Whoever loses access or has another address is signed out at once.

First it is tried: what is wrong is told line by line, and then nothing is changed.
If nothing is, what would change is told, and it is asked whether to go on; --yes
goes on without asking, --dry-run stops there. An import that broke off is finished
by doing it again.`,
		Args: takes(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := readList(cmd, args[0])
			if err != nil {
				return err
			}
			dry, _ := cmd.Flags().GetBool("dry-run")
			report, err := importList(cmd, list, true)
			if err == nil && !dry {
				if err = goOn(cmd, report); err == nil {
					report, err = importList(cmd, list, false)
				}
			}
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			done := "it would be: "
			if report.Done {
				done = "done: "
			}
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), done+summary(report))
			return err
		},
	}
	cmd.Flags().Bool("dry-run", false, "Only say what would change")
	cmd.Flags().BoolP("yes", "y", false, "Do not ask")
	return cmd
}

// readList reads a file, but no more of it than may be.
func readList(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxList))
}

// importList sends a list, and says what is wrong with it, if anything is.
func importList(cmd *cobra.Command, list []byte, try bool) (report gate.ImportReport, err error) {
	path := "/clients/import"
	if try {
		path += "?try=1"
	}
	err = callGate(cmd, http.MethodPost, path, bytes.NewReader(list), func(r io.Reader) error { return json.NewDecoder(r).Decode(&report) })
	if err != nil || len(report.Bad) == 0 {
		return report, err
	}
	if asJSON(cmd) {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
			return report, err
		}
	} else {
		for _, line := range report.Bad {
			fmt.Fprintln(cmd.ErrOrStderr(), line)
		}
		if report.More > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", report.More)
		}
	}
	return report, errors.New("nothing was changed; mend the list and import it again")
}

func summary(r gate.ImportReport) string {
	return fmt.Sprintf("%d new, %d changed, %d as before; %d signed out", r.Added, r.Changed, r.Same, r.Ended)
}

// goOn asks whether to go on, unless that was said.
func goOn(cmd *cobra.Command, r gate.ImportReport) error {
	if yes, _ := cmd.Flags().GetBool("yes"); yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fmt.Errorf("nothing was changed (it would be: %s); add --yes to import the list", summary(r))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "it would be: %s\nimport the list? (yes/no) ", summary(r))
	line, err := bufio.NewReader(in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "yes" && answer != "y" {
		return errors.New("nothing was changed")
	}
	return nil
}

func exportClientsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Prints all clients as a list that can be imported",
		Long: `Prints everybody on file as CSV with all columns, in the order of the ids. Importing
it again changes nothing.

	( umask 077; caddy portalgate clients export > clients.csv )

A cell with which a formula would begin (= + - @) has an apostrophe before it, so
that no spreadsheet runs it. An import takes it off again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON(cmd) {
				all, err := everyClient(cmd, "")
				if err != nil {
					return err
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			var list bytes.Buffer
			err := callGate(cmd, http.MethodGet, "/clients/export", nil, func(r io.Reader) error { _, err := list.ReadFrom(r); return err })
			if err != nil {
				return err
			}
			_, err = list.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
}
