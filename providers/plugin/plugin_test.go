// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/portalgate/portalgate/providers"
)

func card() *Plugin {
	return &Plugin{
		Name: "card", Command: "/nowhere/card", SHA256: strings.Repeat("0", 64),
		Env: map[string]string{"TZ": "UTC"}, Config: map[string]any{"token": "x"},
	}
}

func provisioned(t *testing.T, p *Plugin) *Plugin {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := p.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

// What makes a program another one is all that is written of it but its name,
// and what the gate alone goes by. It is given back once.
func TestWhichProgramIsTheSame(t *testing.T) {
	first := provisioned(t, card())
	for what, change := range map[string]func(*Plugin){
		"command": func(p *Plugin) { p.Command = "/nowhere/other" }, "sha256": func(p *Plugin) { p.SHA256 = strings.Repeat("1", 64) },
		"args": func(p *Plugin) { p.Args = []string{"x"} }, "env": func(p *Plugin) { p.Env["TZ"] = "CET" },
		"config": func(p *Plugin) { p.Config["token"] = "y" }, "redirects": func(p *Plugin) { p.Redirects = []string{"https://id.example"} },
		"amr": func(p *Plugin) { p.AMR = []string{"sms"} }, "timeout": func(p *Plugin) { p.Timeout = caddy.Duration(3e9) },
		"mtls": func(p *Plugin) { p.MTLS = "off" }, "user": func(p *Plugin) { p.User = "65533" },
		"reattach": func(p *Plugin) {
			p.Reattach = `{"Protocol":"grpc","ProtocolVersion":1,"Addr":{"Network":"unix","String":"/nowhere/socket"}}`
		},
	} {
		p := card()
		change(p)
		if p.User != "" && checkUser(p.User) != nil {
			continue // only root may run a program as somebody else
		}
		if provisioned(t, p); p.process == first.process {
			t.Errorf("with another %s it is the same", what)
		}
		p.Cleanup()
	}
	same := card()
	same.Share = []string{"phone"}
	if provisioned(t, same); same.process != first.process {
		t.Error("what it is told of a client starts it anew")
	}
	for range 2 {
		if err := same.Cleanup(); err != nil {
			t.Error(err)
		}
	}
	if n, ok := processes.References(first.key); !ok || n != 1 {
		t.Errorf("after giving back one of two, twice, it is held %d times", n)
	}
	first.Cleanup()
	select {
	case <-first.process.Done():
	case <-t.Context().Done():
	}
	if _, err := first.Start(t.Context(), providers.Request{}); err == nil {
		t.Error("a program that was given back takes calls")
	}
}

// Placeholders are filled in wherever a text stands; one that is not there is
// refused, and named without what stands beside it.
func TestPlaceholders(t *testing.T) {
	t.Setenv("CARD_TOKEN", "t0ken")
	p := card()
	p.Env["KEY"] = "{env.CARD_TOKEN}"
	p.Config = map[string]any{"token": "{env.CARD_TOKEN}", "n": json.Number("6"), "in": map[string]any{"list": []any{"a", "{env.CARD_TOKEN}"}}}
	c, err := p.command()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"in":{"list":["a","t0ken"]},"n":6,"token":"t0ken"}`; string(c.Config) != want || strings.Join(c.Env, " ") != "KEY=t0ken TZ=UTC" {
		t.Errorf("config %s, env %q", c.Config, c.Env)
	}
	p.Config = map[string]any{"in": map[string]any{"token": "{env.NO_SUCH_TOKEN}"}}
	if _, err := p.command(); err == nil || !strings.Contains(err.Error(), "config: in: token") {
		t.Errorf("a placeholder that is nothing: %v", err)
	}
}
