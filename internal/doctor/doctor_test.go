// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// deaf is a world in which nothing answers.
type deaf struct{}

func (deaf) LookupTXT(context.Context, string) ([]string, error) {
	return nil, errors.New("no answer")
}

func (deaf) LookupHost(context.Context, string) ([]string, error) {
	return nil, errors.New("no answer")
}

func (deaf) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no answer") }

const (
	someGate = `{"public_url":"https://portal.willow.example","store":{%s},"mail":{"smtp":{}},"sign_in":[%s]}`
	guarded  = `{"handle":[{"handler":"portalgate"}]},{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"app:80"}]}]}`
)

// config is a configuration with one gate and these routes.
func config(gate, server, routes string) []byte {
	return fmt.Appendf(nil, `{"apps":{"portalgate":{"gates":{"main":%s}},"http":{"servers":{"srv0":{"listen":[":443"],%s"routes":[%s]}}}}}`, gate, server, routes)
}

func said(t *testing.T, config []byte, c Condition) string {
	t.Helper()
	found, err := Examine(t.Context(), config, "main", c, World{DNS: deaf{}, HTTP: deaf{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: %s\n", f.Level, f.Name, f.Says)
	}
	return b.String()
}

// TestExamine is what can be told without a running gate; the rest is in package
// caddymodule, on one.
func TestExamine(t *testing.T) {
	gate := fmt.Sprintf(someGate, "", "")
	for _, tc := range []struct {
		name   string
		gate   string
		server string
		routes string
		c      Condition
		want   []string
	}{
		{"a plugin that is not the gate's own", fmt.Sprintf(someGate, "", `{"method":"plugin","name":"sms","reattach":"{}","mtls":"off"}`), "", guarded, Condition{},
			[]string{"no plugin sms: reattach is for whoever writes the plugin", "look plugin sms: with mtls off any program of this user"}},
		{"a store on a network drive", gate, "", guarded, Condition{Disk: "NFS"},
			[]string{"no store: its file is on a network drive (NFS)", "put it on a disk of this machine"}},
		{"a store that has something to say", gate, "", guarded, Condition{Warnings: []string{"redis at r:6379 keeps no append-only file"}, Skew: -40 * time.Second},
			[]string{"no store: redis at r:6379 keeps no append-only file", "no clock: the store's is 40s apart from the gate's"}},
		{"a store that may not be used", gate, "", guarded, Condition{Trouble: "set it to noeviction"},
			[]string{"no store: nobody can sign in: set it to noeviction"}},
		{"a secret in the configuration", gate, "", guarded, Condition{Literal: true},
			[]string{"no secret: it is written out in the configuration"}},
		{"the staff's gate is not in front", gate, "", guarded + `,{"handle":[{"handler":"portalgate_staff","staff_gate":"staff"}]}`, Condition{},
			[]string{"no staff: portalgate_staff on :443 has staff_gate staff, and that gate is not in front of it"}},
		{"an authenticator for other paths", gate, "", guarded + `,{"match":[{"path":["/x"]}],"handle":[{"handler":"authentication"}]},{"handle":[{"handler":"portalgate_staff"}]}`, Condition{},
			[]string{"no staff: portalgate_staff on :443 has nothing in front"}},
		{"the application answers in the place of another", gate, "", guarded + `,{"match":[{"host":["o.example"]}],"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"intercept","handle_response":[{"routes":[{"handle":[{"handler":"portalgate_staff"}]}]}]}]}]}]}`, Condition{},
			[]string{"no staff: portalgate_staff on o.example has nothing in front"}},
		{"no DNS", gate, "", guarded, Condition{From: "hello@willow.example"},
			[]string{"no public_url: portal.willow.example has no address in DNS", "no SPF: DNS does not answer"}},
		{"half the internet is trusted", gate, `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8","2000::/3"]},"trusted_proxies_strict":1,`, guarded, Condition{},
			[]string{"no proxies: server srv0 trusts 2000::/3"}},
	} {
		all := said(t, config(tc.gate, tc.server, tc.routes), tc.c)
		for _, want := range tc.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: it does not say %q, but\n%s", tc.name, want, all)
			}
		}
	}
}

// TestGuarded: what stands before a reverse_proxy counts, and what has a matcher
// does not for what comes after it.
func TestGuarded(t *testing.T) {
	const way = "is behind the gate, and reached without it"
	proxy := `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"app:80"}]}]}`
	for _, tc := range []struct {
		routes string
		open   bool
	}{
		{guarded, false},
		{proxy + "," + guarded, true},
		{`{"match":[{"path":["/a"]}],"handle":[{"handler":"subroute","routes":[` + guarded + `]}]},` + proxy, true},
		{`{"handle":[{"handler":"subroute","routes":[` + guarded + `]}]},{"match":[{"path":["/a"]}],"handle":[{"handler":"portalgate","gate":"other"}]}`, false},
		{guarded + `,{"match":[{"host":["o"]}],"handle":[{"handler":"subroute","routes":[` + proxy + `]}]}`, false},
	} {
		if got := strings.Contains(said(t, config(fmt.Sprintf(someGate, "", ""), "", tc.routes), Condition{}), way); got != tc.open {
			t.Errorf("a way around the gate: %t, want %t, in %s", got, tc.open, tc.routes)
		}
	}
}

func TestNoPatient(t *testing.T) {
	gate := fmt.Sprintf(someGate, "", "")
	for _, tc := range []struct {
		config []byte
		want   string
	}{
		{config(gate, "", ""), "the gate is in no site's routes"},
		{[]byte(`{}`), `there is no gate "main"`},
		{[]byte(`[`), "reading the configuration"},
		{config(`{"public_url":":"}`, "", guarded), "reading gate"},
	} {
		_, err := Examine(t.Context(), tc.config, "main", Condition{}, World{})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.want, err)
		}
	}
}

func TestWide(t *testing.T) {
	for r, want := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "128.0.0.0/1": true, "::ffff:0.0.0.0/96": true, "10.0.0.0/8": false, "fd00::/8": false,
		"104.16.0.0/13": false, "2400:cb00::/32": false, "192.0.2.7": false, "{env.PROXIES}": false,
	} {
		if got := wide(r); got != want {
			t.Errorf("wide(%s) = %t", r, got)
		}
	}
}
