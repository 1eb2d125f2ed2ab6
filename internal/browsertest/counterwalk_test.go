// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestThePhoneCallInEarnest is the phone call with everything real: staff sign in
// through a gate of their own, add a client and invite; the client opens the mail
// and signs in; staff see it, make a PIN, which the client uses; staff sign the
// client out, and the client's open page stops working.
func TestThePhoneCallInEarnest(t *testing.T) {
	t.Parallel()
	desk, inbox := testgate.FreePort(t), testgate.FreePort(t)
	staffed := filepath.Join(t.TempDir(), "staff.csv")
	if err := os.WriteFile(staffed, []byte("id,email,name\nc-dee,dee@willow.example,Dee Desk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := testgate.Options{Gate: "sign_in magic_link\n\t\tsign_in pin", Global: fmt.Sprintf(`portalgate staff {
		public_url http://localhost:%s
		practice "Willow Creek Counseling" {
			phone "+1 555 0100"
		}
		store embedded %s
		clients file %s
		mail outbox
	}`, desk, filepath.Join(filepath.Dir(staffed), "staff.db"), staffed)}
	g := testgate.Start(t, o)
	config := strings.Replace(g.Caddyfile(o), "clients file "+g.File("clients.csv"), "clients managed", 1)
	config += fmt.Sprintf(`http://localhost:%s {
	bind 127.0.0.1
	portalgate staff
	portalgate_staff {
		staff_gate staff
	}
}
http://localhost:%s {
	bind 127.0.0.1
	portalgate_inbox staff
}`, desk, inbox)
	if err := g.Reload(config); err != nil {
		t.Fatal(err)
	}
	theirs := *g
	theirs.Inbox = "http://localhost:" + inbox

	dee, ada := newProfile(t).first, newProfile(t).first
	dee.visit("http://localhost:" + desk + "/")
	dee.fill("email", "dee@willow.example")
	dee.press("Send link")
	dee.sees("Check your email")
	dee.visit(link(letter(t, &theirs, "dee@willow.example", 1)))
	dee.sees("Clients")
	dee.reads("You are c-dee.")

	dee.press("Add a client")
	dee.sees("Add a client")
	dee.fill("name", "Ada Lovelace")
	dee.fill("email", "ada@example.com")
	dee.press("Agrees to email")
	dee.press("Add this client")
	dee.sees("Ada Lovelace")
	dee.press("Send an invitation")
	dee.sees("Invite Ada Lovelace")
	dee.press("Send the invitation")
	dee.reads("The invitation is on its way.")

	ada.visit(link(letter(t, g, "ada@example.com", 1)))
	ada.fill("email", "ada@example.com")
	ada.press("Sign in")
	ada.sees("Hello Ada Lovelace")

	dee.press("Clients")
	dee.fill("q", "lovelace")
	dee.press("Find")
	dee.until("what was found", "location.search == '?q=lovelace'")
	dee.press("Ada Lovelace")
	dee.reads("by magic link")
	dee.press("Make a PIN")
	dee.sees("Make a PIN for Ada Lovelace?")
	dee.press("I know who is calling")
	dee.press("Make the PIN")
	dee.sees("PIN for Ada Lovelace")
	pin := must[string](dee, "document.querySelector('.big').innerText")

	elsewhere := newProfile(t).first
	elsewhere.visit(g.URL + "/sign-in/pin")
	elsewhere.fill("email", "ada@example.com")
	elsewhere.fill("pin", pin)
	elsewhere.press("Sign in")
	elsewhere.sees("Hello Ada Lovelace")

	dee.press("Back to Ada Lovelace")
	dee.sees("Ada Lovelace")
	dee.press("Sign this client out everywhere")
	dee.reads("The client is signed out everywhere.")
	for _, b := range []*tab{ada, elsewhere} {
		if status := must[float64](b, "fetch('/', {headers: {Accept: 'application/json'}, redirect: 'manual'}).then(r => r.status)"); status == 200 {
			t.Error("a page that was open goes on working")
		}
		b.visit(g.URL + "/")
		b.sees("We signed you out")
	}
	dee.press("What happened")
	dee.sees("What happened")
	dee.reads("sessions end asked")
	dee.reads("By c-dee, from 127.0.0.1")
	if strings.Contains(g.Log(), strings.ReplaceAll(pin, " ", "")) {
		t.Error("the log has the PIN")
	}
	dee.press("Sign out")
	dee.sees("Sign out?")
	dee.press("Sign out")
	dee.sees("You are signed out")
	dee.visit("http://localhost:" + desk + "/")
	dee.sees("How would you like to sign in?")
	// A client, signed in or not, is nobody at the desk.
	ada.visit("http://localhost:" + desk + "/clients")
	ada.sees("How would you like to sign in?")
}
