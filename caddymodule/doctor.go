// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/portalgate/portalgate/internal/doctor"
)

// outside is what the doctor sees the gate through: this machine's DNS, and
// HTTP/1 on connections of its own, without a proxy.
var outside = doctor.World{
	DNS: net.DefaultResolver,
	HTTP: &http.Transport{
		DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second,
		TLSNextProto: make(map[string]func(string, *tls.Conn) http.RoundTripper),
	},
	Now: time.Now,
}

var fileSecret = regexp.MustCompile(`^\{file\.(.+)\}$`)

// condition answers what only this process can tell of a gate.
func condition(g *liveGate, r *http.Request) (any, error) {
	app, err := caddy.ActiveContext().App("portalgate")
	if err != nil {
		return nil, err
	}
	conf := app.(*App).Gates[g.config.Name]
	c := doctor.Condition{
		Literal: g.secret.literal, Begin: g.config.Begin(), From: g.config.UI.Practice().From,
		Forwarded: g.runtime.forwarded.Within(time.Now()),
	}
	if m := fileSecret.FindStringSubmatch(conf.Secret); m != nil {
		if about, err := os.Stat(m[1]); err == nil {
			c.SecretFile, c.SecretMode = m[1], about.Mode()
		}
	}
	if conf.Store.Redis == nil {
		if file, err := conf.storeFile(g.config.Name); err == nil {
			c.Disk = doctor.NetworkDrive(file)
		}
	}
	h, err := g.runtime.Condition(r.Context())
	if err != nil {
		c.Trouble = err.Error()
	}
	c.Warnings, c.Skew = h.Warnings, h.Skew
	return c, nil
}

func doctorCommand() *cobra.Command {
	var selector, echo string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Looks at a running gate, and says what to change",
		Long: `Looks at a running gate, from inside and from where its clients are: its public
address, TLS and cookies, the clocks, the store and the secret, who may send mail
in its name, trusted proxies, ways around the gate, and the staff's desk. Prints
one thing a line: ok, look (it may be meant so), or no, with what to change.
Fails if anything is "no".

With --echo, while the application is stopped, the doctor stands in its place:
it sends forged identity headers to a public page and looks at what arrives.

	caddy portalgate doctor --echo 127.0.0.1:9000

It finds what it was taught to look for, and that is not everything.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			config, c, err := askPatient(cmd)
			if err != nil {
				return err
			}
			w := outside
			w.Selector = selector
			if echo != "" {
				if w.Echo, err = net.Listen("tcp", echo); err != nil {
					return fmt.Errorf("standing in the application's place: %v; stop it first, and write its address as reverse_proxy has it: --echo 127.0.0.1:9000", err)
				}
				defer w.Echo.Close()
			}
			found, err := doctor.Examine(cmd.Context(), config, flagOf(cmd, "gate"), c, w)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(found)
			} else {
				err = printFound(cmd.OutOrStdout(), found)
			}
			if err != nil {
				return err
			}
			for _, f := range found {
				if f.Level == doctor.Wrong {
					return errors.New("there is something to change")
				}
			}
			return nil
		},
	}
	gateFlags(cmd)
	cmd.Flags().StringVar(&selector, "selector", "", "Selector of the DKIM key, where it is not a usual one")
	cmd.Flags().StringVar(&echo, "echo", "", "Stand at this address, in the place of the application")
	cmd.Flags().Bool("json", false, "Print JSON")
	return cmd
}

// askPatient fetches the configuration that runs, and the gate's condition.
func askPatient(cmd *cobra.Command) (config []byte, c doctor.Condition, err error) {
	if err := askGate(cmd, http.MethodGet, "/condition", nil, &c); err != nil {
		return nil, c, err
	}
	address, err := caddycmd.DetermineAdminAPIAddress(flagOf(cmd, "address"), nil, "", "")
	if err != nil {
		return nil, c, err
	}
	res, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/config/", nil, nil)
	if err != nil {
		return nil, c, gateError(address, err)
	}
	defer res.Body.Close()
	config, err = io.ReadAll(res.Body)
	return config, c, err
}

// printFound writes one finding a line.
func printFound(w io.Writer, found []doctor.Finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Name, f.Level, f.Says)
	}
	return t.Flush()
}
