// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package pluginnode tests the plugin beside it, which is written in JavaScript.
package pluginnode

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/portalgate/portalgate/plugins"
	"github.com/portalgate/portalgate/plugins/plugintest"
	"github.com/portalgate/portalgate/providers"
)

// TestPlugin signs in through the plugin, with mutual TLS and without.
func TestPlugin(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: make -f xcaddy.mk tools")
	}
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal("node_modules is missing: npm ci --prefix examples/plugin-node")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// A checkout says nothing of who may write its files.
	source, err := os.ReadFile("plugin.js")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "plugin.js")
	if err := os.WriteFile(program, source, 0o700); err != nil {
		t.Fatal(err)
	}
	digest, err := plugins.Digest(program)
	if err != nil {
		t.Fatal(err)
	}
	c := plugins.Command{
		Path: program, Digest: digest,
		Config: []byte(`{"members": {"4711": {"born": 1815, "email": "ada@example.com"}}}`),
		Env: []string{
			"PATH=" + filepath.Dir(node), "NODE_PATH=" + filepath.Join(here, "node_modules"),
			"PROTO_PATH=" + filepath.Join(here, "..", "..", "plugins", "proto"),
		},
	}
	for _, c.NoTLS = range []bool{false, true} {
		t.Run(fmt.Sprintf("without TLS %t", c.NoTLS), func(t *testing.T) {
			p := plugins.New(c, zaptest.NewLogger(t))
			defer func() { p.Close(); <-p.Done() }()
			for {
				if _, err := p.Start(t.Context(), providers.Request{}); err == nil {
					break
				} else if t.Context().Err() != nil || p.Available() != nil {
					t.Fatal(err)
				}
			}
			card := func(number, year string) (*providers.Claim, error) {
				_, claim, err := p.Continue(t.Context(), providers.Request{Fields: map[string]string{"card": number, "born": year}})
				return claim, err
			}
			claim, err := card("47 11", "1815")
			if err != nil || claim.Email != "ada@example.com" || claim.Subject != "4711" {
				t.Errorf("the right card and year: %+v, %v", claim, err)
			}
			for _, wrong := range [][2]string{{"4711", "1816"}, {"4712", "1815"}, {"", ""}, {"4712", "nobody"}, {"constructor", ""}} {
				var denial *providers.Denial
				if claim, err := card(wrong[0], wrong[1]); !errors.As(err, &denial) {
					t.Errorf("%q: %+v, %v", wrong, claim, err)
				}
			}
			plugintest.Run(t, c, "")
		})
	}
}
