// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package magiclink

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/providers"
	"github.com/portalgate/portalgate/providers/providertest"
)

// provisioned returns the method as the gate gets it.
func provisioned(t *testing.T, m MagicLink) *MagicLink {
	t.Helper()
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestConformance(t *testing.T) {
	providertest.Run(t, provisioned(t, MagicLink{}))
}

func TestContinue(t *testing.T) {
	m := provisioned(t, MagicLink{Expires: caddy.Duration(time.Hour)})
	for _, tc := range []struct{ typed, address, reason string }{
		{typed: "ada@example.com", address: "ada@example.com"},
		{typed: " ada@example.com\n", address: "ada@example.com"}, // pasted
		{typed: "not an address", address: "not an address"},      // the gate says what is wrong with it
		{typed: "", reason: "email.empty"},
		{typed: " \t", reason: "email.empty"},
	} {
		step, _, err := m.Continue(context.Background(), providers.Request{Fields: map[string]string{"email": tc.typed}})
		if denial, ok := errors.AsType[*providers.Denial](err); ok != (tc.reason != "") || ok && denial.Reason != tc.reason {
			t.Errorf("Continue(%q) = %v, want reason %q", tc.typed, err, tc.reason)
			continue
		}
		if tc.reason != "" {
			continue
		}
		if got := *step.SendLink; got.Address != tc.address || got.Life != time.Hour {
			t.Errorf("Continue(%q) = %+v, want address %q and life 1h", tc.typed, got, tc.address)
		}
	}
}

func TestDefaultLife(t *testing.T) {
	if m := provisioned(t, MagicLink{}); time.Duration(m.Expires) != 24*time.Hour {
		t.Errorf("default life is %v, want 24h", time.Duration(m.Expires))
	}
}

func TestValidateLife(t *testing.T) {
	for d, ok := range map[time.Duration]bool{
		-time.Hour:             false,
		5*time.Minute - 1:      false,
		5 * time.Minute:        true,
		24 * time.Hour:         true,
		24*time.Hour + 1:       false,
		100 * 24 * time.Hour:   false,
		90 * time.Minute:       true,
		time.Duration(1) << 62: false,
	} {
		m := MagicLink{Expires: caddy.Duration(d)}
		if err := m.Validate(); (err == nil) != ok {
			t.Errorf("Validate() with expires %v = %v, want ok %t", d, err, ok)
		}
	}
}

func TestUnmarshalCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want time.Duration
		err  string
	}{
		{in: "magic_link"},
		{in: "magic_link {\n expires 2h\n}", want: 2 * time.Hour},
		{in: "magic_link {\n expires 1d\n}", want: 24 * time.Hour},
		{in: "magic_link 2h", err: "takes no value"},
		{in: "magic_link {\n expires\n}", err: "takes one duration"},
		{in: "magic_link {\n expires 2h 3h\n}", err: "takes one duration"},
		{in: "magic_link {\n expires 2d\n}", err: "from 5m to 24h, at Testfile:2"},
		{in: "magic_link {\n expires 0s\n}", err: "from 5m to 24h"},
		{in: "magic_link {\n expires soon\n}", err: "from 5m to 24h"},
		{in: "magic_link {\n expires 2h\n expires 2h\n}", err: "already specified"},
		{in: "magic_link {\n expire 2h\n}", err: "there is: expires"},
	} {
		var m MagicLink
		err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		if tc.err == "" && (err != nil || time.Duration(m.Expires) != tc.want) {
			t.Errorf("%q: %v, %v; want %v", tc.in, time.Duration(m.Expires), err, tc.want)
		}
		if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%q: error %v, want %q", tc.in, err, tc.err)
		}
	}
}
