// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/staff"
	"github.com/portalgate/portalgate/internal/testgate"
)

// counter is the front desk of a house that keeps its own list of clients, with
// one of the staff before it.
type counter struct {
	*house
	at string // its URL
}

func openCounter(t testing.TB) *counter {
	c := &counter{house: openHouse(t, willow(), false)}
	conf := c.conf
	conf.Clients = c.rt.Managed()
	c.use(&conf)
	c.serveDesk()
	return c
}

// serveDesk opens the desk, at an address of its own.
func (c *counter) serveDesk() {
	d := staff.New(staff.Options{
		Gate: c.rt, UI: c.conf.UI, Log: zap.NewNop(), Rule: staff.Rule{Gate: "staff"}, SignOut: "/sign-in/sign-out",
	})
	grace := staff.Claim{User: "grace@willow.example", Passages: []gate.Passage{{Gate: "staff", SignedIn: true}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Mounted below a prefix, as behind handle_path.
		http.StripPrefix("/desk", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.ServeHTTP(w, r, staff.Front{Claim: grace, IP: netip.MustParseAddr("127.0.0.1")})
		})).ServeHTTP(w, r)
	}))
	c.t.Cleanup(server.Close)
	c.at = server.URL + "/desk"
}

// add puts a client on file.
func (c *counter) add(client directory.Client) {
	c.t.Helper()
	if _, err := c.rt.AddClient(context.Background(), client, "operator"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *counter) addEverybody() {
	c.t.Helper()
	for _, client := range []directory.Client{
		{ID: "c-ada", Email: "ada@example.com", Name: "Ada Lovelace", Phone: "+1 555 0199", Language: "en", Access: true, EmailOK: true},
		{ID: "c-bob", Email: "bob@example.com", Name: "Bob Stone", EmailOK: true},
		{ID: "c-cleo", Email: "cleo@example.com", Access: true, EmailOK: true},
		{ID: "c-dee", Email: "dee@example.com", Name: "Dee Nomail", Access: true},
		{ID: "c-long", Email: "wolfeschlegelsteinhausenbergerdorff.hubert.blaine@psychotherapy-practice.example.com",
			Name: "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff", Access: true, EmailOK: true},
	} {
		c.add(client)
	}
}

// TestDeskCanBeUsedByEverybody shows every page of the desk to axe, as all other
// pages are, and keeps a picture of each.
func TestDeskCanBeUsedByEverybody(t *testing.T) {
	t.Parallel()
	source, pictures := axe(t), pictures(t)
	c := openCounter(t)
	b := newProfile(t).first
	examine := func(name string) { b.examine("desk-"+name, source, pictures, true) }
	visit := func(name, path, heading string) {
		b.visit(c.at + path)
		b.until(name, "location.pathname + location.search == "+quote("/desk"+path))
		b.sees(heading)
		examine(name)
	}
	press := func(name, words, heading string) {
		must[any](b, "window.before = true")
		b.press(words)
		b.until("another page", "!window.before")
		b.sees(heading)
		examine(name)
	}
	visit("clients-empty", "/", "Clients")
	c.addEverybody()
	visit("clients", "/", "Clients")
	c.visitor().ask("zed@example.com")
	testgate.Wait(t, "what was asked for to be noted", func() bool {
		at, err := c.rt.LinkAsked(context.Background(), "zed@example.com")
		return err == nil && !at.IsZero()
	})
	visit("clients-asked", "/?q=zed@example.com", "Clients")
	visit("clients-none", "/?q=zed", "Clients")
	visit("add", "/new", "Add a client")
	b.fill("email", "bob@example.com")
	press("add-taken", "Add this client", "Add a client")
	b.reads("Bob Stone already uses bob@example.com")
	visit("new", "/clients/c-cleo", "cleo@example.com")
	visit("invite", "/clients/c-cleo/invitation", "Invite cleo@example.com")
	b.fill("return_to", "https://elsewhere.example")
	press("invite-wrong", "Send the invitation", "Invite cleo@example.com")
	b.fill("return_to", "/forms/intake")
	press("invited", "Send the invitation", "cleo@example.com")
	b.reads("The invitation is on its way.")

	v := c.visitor()
	v.signIn("ada@example.com", 1)
	c.advance(10 * time.Second)
	c.notice("ada@example.com", 1)
	visit("pin-ask", "/clients/c-ada/pin", "Make a PIN for Ada Lovelace?")
	press("pin-wrong", "Make the PIN", "Make a PIN for Ada Lovelace?")
	b.press("I know who is calling")
	press("pin", "Make the PIN", "PIN for Ada Lovelace")
	for range 3 {
		v.send(v.get("/sign-in/pin"), "/sign-in/pin", "email", "ada@example.com", "pin", "000000")
	}
	visit("client", "/clients/c-ada", "Ada Lovelace")
	visit("link", "/clients/c-ada/link", "Send Ada Lovelace a sign-in link")
	visit("edit", "/clients/c-ada/edit", "Change what is on file for Ada Lovelace")
	visit("delete", "/clients/c-ada/delete", "Delete Ada Lovelace?")
	visit("client-off", "/clients/c-bob", "Bob Stone")
	visit("client-nomail", "/clients/c-dee", "Dee Nomail")
	visit("client-long", "/clients/c-long", "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff")
	visit("lists", "/lists", "Lists of clients")
	for _, words := range []string{"The file", "See what would change", "Save everybody as a file", "Sign out"} {
		b.keyed(words)
	}
	b.choose("willow-old.csv", "email,name,portal_access\nada@example.com,Ada Lovelace,perhaps\nnobody,No Body,yes\nann@example.com\n")
	press("lists-bad", "See what would change", "Lists of clients")
	b.reads("Line 4: ")
	b.choose("willow.csv", "email,name,portal_access\nada@example.com,Ada King,no\nann@example.com,Ann Other,yes\n")
	press("lists-try", "See what would change", "Bring in willow.csv?")
	press("lists-done", "Bring it in", "The list is in")
	visit("card", "/card", "Your Client Portal at Willow Creek Counseling")
	visit("audit", "/audit", "What happened")
	visit("audit-none", "/audit?what=nothing+like+it", "What happened")
	visit("nobody", "/clients/c-zed", "That was not done")

	// A list that is kept elsewhere, and cannot be read any more.
	b.visit("about:blank")
	path := c.onFile(clients)
	visit("kept-elsewhere", "/clients/c-bob", "Bob Stone")
	if err := os.WriteFile(path, []byte("no list"), 0o600); err != nil {
		t.Fatal(err)
	}
	testgate.Wait(t, "the list to be found broken", func() bool { return c.rt.Roster().Stale })
	visit("stale", "/", "Clients")
	b.reads("The list of clients could not be read lately.")
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// choose has a file chosen that is called name, as a person would from a window
// that is not the page's.
func (b *tab) choose(name, text string) {
	b.t.Helper()
	must[any](b, "(d => { d.items.add(new File(["+quote(text)+"], "+quote(name)+")); document.querySelector('input[type=file]').files = d.files })(new DataTransfer())")
}

// keyed goes to what has these words with the Tab key, and fails if that cannot be
// reached, or not be seen to have the focus.
func (b *tab) keyed(words string) {
	b.t.Helper()
	const focused = `(e => e?.labels?.[0]?.innerText.trim() || e?.innerText?.trim() || '')(document.activeElement)`
	b.until("the page", "document.body")
	for range 80 {
		b.key("\t")
		if must[string](b, focused) != words {
			continue
		}
		if !must[bool](b, "getComputedStyle(document.activeElement).outlineStyle != 'none'") {
			b.t.Errorf("%s has the focus and does not show it", words)
		}
		return
	}
	b.t.Fatalf("%s cannot be reached with the Tab key on %s", words, strings.TrimSpace(must[string](b, "document.body.innerText")))
}

// pressKey presses what has these words with the keyboard alone, and waits for the
// page that it leads to.
func (b *tab) pressKey(words string) {
	b.t.Helper()
	b.keyed(words)
	must[any](b, "window.before = true")
	b.key("\r")
	b.until("another page", "!window.before")
}

// TestThePhoneCall is a client on the phone, and one of the staff with nothing but
// a keyboard: added, invited, signed in, helped with a PIN, signed out, deleted.
func TestThePhoneCall(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	desk, client := newProfile(t).first, newProfile(t).first
	desk.visit(c.at + "/")
	desk.sees("Clients")
	desk.pressKey("Add a client")
	desk.sees("Add a client")
	for label, text := range map[string]string{"Full name": "Ada Lovelace", "Email address": "ada@example.com"} {
		desk.keyed(label)
		desk.typeText(text)
	}
	desk.keyed("Agrees to email")
	desk.key(" ")
	desk.pressKey("Add this client")
	desk.sees("Ada Lovelace")
	desk.pressKey("Send an invitation")
	desk.sees("Invite Ada Lovelace")
	desk.keyed("A few words to Ada Lovelace (not needed)")
	desk.typeText("See you on Monday.")
	desk.pressKey("Send the invitation")
	desk.reads("The invitation is on its way.")

	m := c.letter("ada@example.com", 1)
	if !strings.Contains(m.Text, "See you on Monday.") {
		t.Errorf("the invitation says %s", m.Text)
	}
	client.visit(link(m))
	client.fill("email", "ada@example.com")
	client.press("Sign in")
	client.until("the portal", "document.body.innerText.includes('the portal')")

	desk.visit(c.at + "/")
	desk.keyed("Name or email address")
	desk.typeText("lovel")
	desk.key("\r")
	desk.until("what was found", "location.search == '?q=lovel'")
	desk.pressKey("Ada Lovelace")
	desk.reads("Chrome on Linux, by magic link")

	desk.pressKey("Make a PIN")
	desk.sees("Make a PIN for Ada Lovelace?")
	desk.keyed("I know who is calling")
	desk.key(" ")
	desk.pressKey("Make the PIN")
	desk.sees("PIN for Ada Lovelace")
	pin := must[string](desk, "document.querySelector('.big').innerText")
	other := newProfile(t).first
	other.visit(c.url + "/sign-in/pin")
	other.fill("email", "ada@example.com")
	other.fill("pin", pin)
	other.press("Sign in")
	other.until("the portal", "document.body.innerText.includes('the portal')")

	desk.pressKey("Back to Ada Lovelace")
	desk.sees("Ada Lovelace")
	desk.reads("by pin")
	desk.pressKey("Sign this client out everywhere")
	desk.reads("The client is signed out everywhere.")
	for _, b := range []*tab{client, other} {
		b.visit(c.url + "/page")
		b.sees("We signed you out")
	}
	desk.pressKey("Take portal access away")
	desk.reads("Portal access is off.")
	desk.pressKey("Give portal access")
	desk.reads("Portal access is on.")
	desk.pressKey("Delete this client")
	desk.sees("Delete Ada Lovelace?")
	desk.pressKey("Delete Ada Lovelace")
	desk.reads("The client is deleted.")
	desk.pressKey("What happened")
	desk.sees("What happened")
	desk.reads("client remove asked")
}
