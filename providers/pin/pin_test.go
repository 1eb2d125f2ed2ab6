// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package pin

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

func provisioned(t *testing.T, p PIN) *PIN {
	t.Helper()
	if err := p.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestConformance(t *testing.T) {
	providertest.Run(t, provisioned(t, PIN{}))
}

// Digits of other scripts, signs and lengths could be read in two ways: here as
// one PIN and elsewhere as another. Only ASCII digits of the right number are
// one, and nothing else costs the client a try.
func TestP08_InputConfusion(t *testing.T) {
	p := provisioned(t, PIN{})
	for _, tc := range []struct{ typed, secret, reason string }{
		{typed: "042137", secret: "042137"},
		{typed: " 042 137 ", secret: "042137"},
		{typed: "042-137", secret: "042137"},
		{typed: "042\u00a0137\r\n", secret: "042137"},
		{typed: "000000", secret: "000000"},
		{typed: "", reason: "pin.shape"},
		{typed: "04213", reason: "pin.shape"},
		{typed: "0421370", reason: "pin.shape"},
		{typed: "12345678", reason: "pin.code"},
		{typed: "1234 5678", reason: "pin.code"},
		{typed: "04213x", reason: "pin.shape"},
		{typed: "+42137", reason: "pin.shape"},
		{typed: "0x2137", reason: "pin.shape"},
		{typed: "٠٤٢١٣٧", reason: "pin.shape"},
		{typed: "０４２１３７", reason: "pin.shape"},
		{typed: "042137\x00", reason: "pin.shape"},
		{typed: strings.Repeat("0", 1<<20), reason: "pin.shape"},
	} {
		step, _, err := p.Continue(context.Background(), providers.Request{Fields: map[string]string{"email": " ada@example.com ", "pin": tc.typed}})
		denial, denied := errors.AsType[*providers.Denial](err)
		switch {
		case tc.reason != "":
			if !denied || denial.Reason != tc.reason || denial.Field != "pin" {
				t.Errorf("Continue(%.20q) = %v, want reason %q", tc.typed, err, tc.reason)
			}
		case err != nil || step.CheckSecret == nil:
			t.Errorf("Continue(%q) = %+v, %v", tc.typed, step, err)
		case *step.CheckSecret != providers.CheckSecret{Address: "ada@example.com", Secret: tc.secret}:
			t.Errorf("Continue(%q) has %d digits checked, not those typed", tc.typed, len(step.CheckSecret.Secret))
		}
	}
}

func TestNoAddress(t *testing.T) {
	_, _, err := provisioned(t, PIN{}).Continue(context.Background(), providers.Request{Fields: map[string]string{"email": " ", "pin": "042137"}})
	if denial, ok := errors.AsType[*providers.Denial](err); !ok || *denial != (providers.Denial{Reason: "email.empty", Field: "email"}) {
		t.Errorf("no address: %v", err)
	}
}

// Pages tell how many digits a PIN has and how long it works.
func TestDescribe(t *testing.T) {
	d := provisioned(t, PIN{Expires: caddy.Duration(2 * time.Hour), Digits: 7}).Describe()
	if d.Life != 2*time.Hour || d.Digits != 7 {
		t.Errorf("described as %+v", d)
	}
}

func TestUnmarshalCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want PIN
		err  string
	}{
		{in: "pin"},
		{in: "pin {\n expires 2h\n digits 7\n}", want: PIN{Expires: caddy.Duration(2 * time.Hour), Digits: 7}},
		{in: "pin {\n digits 10\n}", want: PIN{Digits: 10}},
		{in: "pin 6", err: "takes no value"},
		{in: "pin {\n digits 8\n}", err: "as many as the code in a mail has"},
		{in: "pin {\n digits 5\n}", err: "write 6, 7, 9 or 10, at Testfile:2"},
		{in: "pin {\n digits six\n}", err: "write 6, 7, 9 or 10"},
		{in: "pin {\n digits 6 7\n}", err: "takes one number"},
		{in: "pin {\n digits 6\n digits 6\n}", err: "already specified"},
		{in: "pin {\n expires 25h\n}", err: "from 5m to 24h"},
		{in: "pin {\n expires\n}", err: "takes one duration"},
		{in: "pin {\n expires 2h\n expires 2h\n}", err: "already specified"},
		{in: "pin {\n tries 3\n}", err: "there are: expires, digits"},
	} {
		var p PIN
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		if tc.err == "" && (err != nil || p != tc.want) {
			t.Errorf("%q: %+v, %v; want %+v", tc.in, p, err, tc.want)
		}
		if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%q: error %v, want %q", tc.in, err, tc.err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, p := range []PIN{
		{Digits: 8}, {Digits: 5}, {Digits: 11}, {Digits: -1}, {Expires: caddy.Duration(time.Minute)}, {Expires: caddy.Duration(48 * time.Hour)},
	} {
		if err := p.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if err := p.Validate(); err == nil {
			t.Errorf("Validate of %+v: no error", p)
		}
	}
}
