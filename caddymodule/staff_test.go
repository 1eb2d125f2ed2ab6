// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestC01_WhoIsStaff: PINs are for staff to hand out. Everybody else, a client
// of the portal who is signed in first of all, gets one and the same 403,
// wherever the operator has put the desk and whatever has been forgotten
// (issue 5, must show 7).
func TestC01_WhoIsStaff(t *testing.T) {
	o := newOffice(t)
	nobody, client, desk := o.visitor(""), o.browser(), o.signInStaff()
	client.signIn(ada)
	bare, basic := "http://bare.localhost:"+o.desks, "http://basic.localhost:"+o.desks
	withCert, lax := "https://desk.localhost:"+o.tls, "https://lax.localhost:"+o.tls
	smuggled := []string{"Remote-User", "desk", "X-Remote-User", "desk", "X-Auth-User", "desk", "X-Forwarded-User", "desk", "Portalgate-Assertion", "desk",
		"Http.auth.user.id", "desk", "X-Forwarded-Client-Cert", "desk", "X-Portalgate-Staff", "desk"}
	refusal := ""
	for _, tc := range []struct {
		name   string
		who    *browser
		desk   string
		more   []string
		status int
	}{
		{"nobody", nobody, bare, nil, 403},
		{"nobody, with headers", nobody, bare, smuggled, 403},
		{"nobody, with a placeholder", nobody, bare, []string{"Remote-User", "{http.auth.user.id}"}, 403},
		{"nobody, where no authenticator was put in front", nobody, "http://forgetful.localhost:" + o.desks, smuggled, 403},
		{"basic_auth that nobody configured here", nobody, bare, []string{"basic", "desk"}, 403},
		{"basic_auth, another id", nobody, basic, []string{"basic", "cook"}, 403},
		{"basic_auth, another id with headers", nobody, basic, append([]string{"basic", "cook"}, smuggled...), 403},
		{"basic_auth, allowed", nobody, basic, []string{"basic", "desk"}, 200},

		{"a client of the gate", client, o.portal + "/desk", nil, 403},
		{"a client of the gate, with headers", client, o.portal + "/desk", smuggled, 403},
		{"a client of the gate who knows a password", client, o.portal + "/desk-basic", []string{"basic", "desk"}, 403},
		{"a client of the gate at a desk for another", client, o.portal + "/desk-gate", nil, 403},
		{"a client on a public path with a password", client, o.portal + "/public/desk", []string{"basic", "desk"}, 403},
		{"nobody on a public path with a password", nobody, o.portal + "/public/desk", []string{"basic", "desk"}, 403},
		{"a client whose request has failed", client, o.portal + "/broken", nil, 403},

		{"another gate's client, without staff_gate", desk, o.staff + "/desk-none", nil, 403},
		{"another gate's client, on its public path", o.visitor(""), o.staff + "/open/desk", nil, 403},
		{"staff who are not allowed", desk, o.staff + "/desk-others", nil, 403},
		{"staff", desk, o.staff + "/desk", nil, 200},
		{"staff who are allowed", desk, o.staff + "/desk-only", nil, 200},

		{"no certificate", nobody, withCert, nil, 403},
		{"no certificate, with headers", nobody, withCert, smuggled, 403},
		{"a certificate of another person", o.visitor("cook"), withCert, nil, 403},
		{"a certificate without a name", o.visitor("nameless"), withCert, nil, 403},
		{"a certificate that was not verified", o.visitor("forged"), lax, nil, 403},
		{"a good certificate where none is verified", o.visitor("desk"), lax, nil, 403},
		{"staff by certificate", o.visitor("desk"), withCert, nil, 200},
	} {
		status, body := tc.who.at(tc.desk, tc.more...)
		if status != tc.status {
			t.Errorf("%s: %d %s, want %d", tc.name, status, body, tc.status)
			continue
		}
		if status == 200 {
			var told struct{ PIN, Email, Page, Text string }
			if err := json.Unmarshal([]byte(body), &told); err != nil || len(told.PIN) != 6 || told.Email != ada || told.Page != o.portal+"/sign-in/pin" || !strings.Contains(told.Text, "Type the PIN: ") {
				t.Errorf("%s: %s (%v)", tc.name, body, err)
			}
			continue
		}
		if refusal == "" {
			refusal = body
		}
		if body != refusal || !strings.Contains(body, "urn:portalgate:problem:not-staff") {
			t.Errorf("%s: refused otherwise than the others: %s", tc.name, body)
		}
	}
}

// TestC01_Intercept: a handler in front of the gate that answers in the place of
// the portal hands the desk its own request, from before the gate, with all
// placeholders: the client who is signed in would be taken for one of the staff.
func TestC01_Intercept(t *testing.T) {
	o := newOffice(t)
	b := o.browser()
	b.signIn(ada)
	req, err := http.NewRequest("GET", o.portal+"/api/v1/clients/c-ada/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := b.Do(req); err == nil { // the answer may be cut short
		res.Body.Close()
	}
	testgate.Wait(t, "the audit log", func() bool {
		log, err := os.ReadFile(o.log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), `"staff_request"`) {
			t.Fatal("a client was served as one of the staff")
		}
		return strings.Contains(string(log), `"staff_refused"`)
	})
}
