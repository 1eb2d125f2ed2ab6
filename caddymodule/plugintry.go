// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/providers/plugin"
)

func pluginTryCommand() *cobra.Command {
	var p tried
	var t trial
	cmd := &cobra.Command{
		Use:   "try <program>",
		Short: "Puts a plugin before a gate that is thrown away, for you to sign in by it",
		Long: `Starts a gate on this machine with the plugin as its only way in and one client
on file, and says where it is. Behind it is a page that shows who is signed in.
Mails go nowhere but to a page of their own. Ctrl-C ends all of it and nothing is
left.

	caddy portalgate plugin try ./text-message --config @settings.json --email ada@example.com --phone "+1 555 0100"

With --reattach and what the plugin printed that you started with --debug, there
is no program to name.`,
		Args: takes(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 == (t.reattach != "") {
				return errors.New("name a program, or with --reattach one that runs already")
			}
			if len(args) == 1 {
				if err := p.resolve(args[0]); err != nil {
					return err
				}
			} else if p.Config, err = settings(p.config); err != nil {
				return err
			}
			if _, err := address.Parse(t.email); err != nil {
				return fmt.Errorf("email: %v", err)
			}
			if t.reattach != "" {
				if _, err := plugins.ParseReattach(t.reattach); err != nil {
					return err
				}
			}
			cmd.SilenceUsage = true
			return t.run(cmd, p)
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&t.listen, "listen", "", "where the gate listens, such as localhost:8080; a free port otherwise")
	f.StringVar(&t.email, "email", "name@example.com", "the address of the one client on file")
	f.StringVar(&t.name, "name", "Sam Sample", "the client's name")
	f.StringVar(&t.phone, "phone", "", "the client's phone number, which the plugin is told then")
	f.StringArrayVar(&p.AMR, "amr", nil, "what it may say of how somebody proved who they are, such as sms; may be given again")
	f.StringVar(&t.reattach, "reattach", "", "what a plugin printed that was started with --debug")
	return cmd
}

// trial is a gate that is thrown away, as it was asked for.
type trial struct{ listen, email, name, phone, reattach string }

// run does not return before the process is told to end, unless it fails.
func (t *trial) run(cmd *cobra.Command, p tried) (err error) {
	dir, err := os.MkdirTemp("", "portalgate-try-")
	if err != nil {
		return err
	}
	// Caddy ends the process itself, after its apps have stopped.
	caddy.OnExit(func(context.Context) { os.RemoveAll(dir) })
	defer func() {
		if err != nil {
			err = errors.Join(err, caddy.Stop(), os.RemoveAll(dir))
		}
	}()
	caddy.TrapSignals()
	// Where Caddy notes which server this is.
	if err := os.Setenv("XDG_DATA_HOME", dir); err != nil {
		return err
	}

	portal, err := atHome(t.listen)
	if err != nil {
		return fmt.Errorf("listen: %v", err)
	}
	inbox, err := atHome("")
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	v, err := identity.New(identity.Options{Issuer: "http://" + portal})
	if err != nil {
		return err
	}
	go http.Serve(ln, v.Protect(http.HandlerFunc(who)))

	config, err := t.config(dir, portal, inbox, ln.Addr().String(), p)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	t.say(cmd.OutOrStdout(), portal, inbox)
	select {}
}

func (t *trial) say(w io.Writer, portal, inbox string) {
	fmt.Fprintf(w, "sign in at  http://%s\n", portal)
	fmt.Fprintf(w, "mails       http://%s\n", inbox)
	fmt.Fprintf(w, "on file     %s, %s\n", t.email, t.name)
	fmt.Fprintln(w, "Ctrl-C ends it, and nothing is left")
}

// atHome returns where to listen, for this machine alone: as asked for, or at a
// free port.
func atHome(listen string) (string, error) {
	if listen == "" {
		listen = "localhost:0"
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || !isLoopback(host) {
		return "", fmt.Errorf("%q is not at home; write localhost and a port: localhost:8080", listen)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err = net.SplitHostPort(ln.Addr().String())
	return net.JoinHostPort(host, port), err
}

// config is Caddy's.
func (t *trial) config(dir, portal, inbox, upstream string, p tried) ([]byte, error) {
	gate, err := t.gate(dir, portal, p)
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	site := func(listen string, handle ...object) object {
		return object{
			"listen": []string{listen}, "automatic_https": object{"disable": true}, "protocols": []string{"h1"},
			"routes": []object{{"handle": handle}},
		}
	}
	return json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"storage": object{"module": "file_system", "root": filepath.Join(dir, "storage")},
		// What is wrong, and what the plugin says.
		"logging": object{"logs": object{
			"default": object{"level": "WARN", "exclude": []string{"portalgate.plugin"}},
			"plugin":  object{"level": "INFO", "include": []string{"portalgate.plugin"}},
		}},
		"apps": object{
			"portalgate": App{Gates: map[string]*Gate{defaultGate: gate}},
			"http": object{"grace_period": "1s", "servers": object{
				"portal": site(portal, object{"handler": "portalgate"},
					object{"handler": "reverse_proxy", "upstreams": []object{{"dial": upstream}}}),
				"inbox": site(inbox, object{"handler": "portalgate_inbox"}),
			}},
		},
	})
}

// gate is one with the program for its only method, and one client.
func (t *trial) gate(dir, portal string, p tried) (*Gate, error) {
	method := plugin.Plugin{
		Name: "plugin", Command: p.Path, Args: p.Args, SHA256: fmt.Sprintf("%x", p.Digest), Env: make(map[string]string),
		User: p.user, Reattach: t.reattach, Redirects: p.Redirects, AMR: p.AMR,
	}
	if t.reattach == "" {
		method.Timeout = caddy.Duration(p.Timeout)
	}
	for _, variable := range p.Env {
		name, value, _ := strings.Cut(variable, "=")
		method.Env[name] = value
	}
	if p.NoTLS {
		method.MTLS = "off"
	}
	if t.phone != "" {
		method.Share = []string{"phone"}
	}
	if err := json.Unmarshal(p.Config, &method.Config); err != nil {
		return nil, err
	}
	list, err := t.list(dir)
	if err != nil {
		return nil, err
	}
	return &Gate{
		PublicURL: "http://" + portal,
		Practice:  Practice{Name: "Trying a plugin", Email: "office@practice.example"},
		Store:     Store{File: filepath.Join(dir, "gate.db")},
		Clients:   Clients{File: list},
		Mail:      Mail{Outbox: true},
		SignInRaw: []json.RawMessage{caddyconfig.JSONModuleObject(method, "method", "plugin", nil)},
		// Nobody else is on file whom it could give away.
		UnknownEmail: "reveal",
	}, nil
}

// list writes who is on file.
func (t *trial) list(dir string) (string, error) {
	file, err := os.Create(filepath.Join(dir, "clients.csv"))
	if err != nil {
		return "", err
	}
	defer file.Close()
	return file.Name(), csv.NewWriter(file).WriteAll([][]string{{"id", "email", "name", "phone"}, {"1", t.email, t.name, t.phone}})
}

var whoPage = template.Must(template.New("who").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Signed in</title>
<h1>Signed in</h1>
<p>This is what the gate tells the portal, signed:</p>
<dl>
<dt>client</dt><dd>{{.Subject}}</dd>
<dt>email</dt><dd>{{.Email}}</dd>
<dt>name</dt><dd>{{.Name}}</dd>
<dt>signed in by</dt><dd>{{range .AMR}}{{.}} {{end}}</dd>
<dt>at</dt><dd>{{.AuthTime.Format "2006-01-02 15:04:05 MST"}}</dd>
<dt>session</dt><dd>{{.Session}}</dd>
</dl>
<p><a href="/sign-in/sign-out">Sign out</a></p>
</html>
`))

// who shows what the assertion says.
func who(w http.ResponseWriter, r *http.Request) {
	claims, _ := identity.From(r.Context()) // without, it had not come here
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	_ = whoPage.Execute(w, claims) // whoever asked may have left
}
