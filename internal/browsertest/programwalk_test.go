// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
	"github.com/portalgate/portalgate/plugins"
)

// digest is a plugin's, as the Caddyfile has it.
func digest(t *testing.T, path string) string {
	t.Helper()
	sum, err := plugins.Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum)
}

// TestWalkByTextMessage is the sample plugin in Go, behind the gate: the client
// types their address, the plugin texts a code through its gateway to the phone
// on file, and the code lets in.
func TestWalkByTextMessage(t *testing.T) {
	t.Parallel()
	messages := make(chan map[string]string, 10)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]string
		if r.Header.Get("Authorization") != "Bearer t0ken-of-the-gateway" || json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		messages <- m
	}))
	t.Cleanup(gateway.Close)
	path := filepath.Join(t.TempDir(), "text-message")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/portalgate/portalgate/examples/plugin-go").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	g := testgate.Start(t, testgate.Options{
		Clients: "id,email,name,phone\n1,ada@example.com,Ada Lovelace,+1 555 0101\n2,bob@example.com,Bob Stone,\n",
		Gate: `sign_in magic_link
		sign_in plugin text-message {
			command ` + path + `
			sha256 ` + digest(t, path) + `
			config {
				gateway ` + gateway.URL + `
				token t0ken-of-the-gateway
			}
			share phone
			amr sms otp
		}`,
	})
	testgate.Wait(t, "the plugin", func() bool { return strings.Contains(g.Log(), "a plugin runs") })
	b := newProfile(t).first
	b.visit(g.URL + "/messages")
	b.sees("How would you like to sign in?")
	b.press("Sign in with a text message")
	b.sees("Sign in by text message")
	b.fill("email", "ada@example.com")
	b.press("Text me a code")
	b.sees("Enter the code")
	b.looksWell("walk-text-message")
	m := <-messages
	if m["to"] != "+1 555 0101" {
		t.Errorf("the message went to %q", m["to"])
	}
	b.fill("code", "000000")
	b.press("Sign in")
	b.reads("That did not work.")
	b.looksWell("walk-text-message-wrong")
	b.fill("code", m["text"][:6])
	b.press("Sign in")
	b.sees("Messages")
	b.arrivedClean(g.URL+"/messages", g)

	// Somebody without a phone on file sees the same and gets no message.
	other := newProfile(t).first
	other.visit(g.URL + "/sign-in/m/text-message")
	other.fill("email", "bob@example.com")
	other.press("Text me a code")
	other.sees("Enter the code")
	other.fill("code", "000000")
	other.press("Sign in")
	other.reads("That did not work.")
	if len(messages) != 0 {
		t.Error("a message was sent to nobody")
	}
	if said := append(b.complaints(), other.complaints()...); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
	for _, secret := range []string{m["text"][:6], "t0ken-of-the-gateway"} {
		if strings.Contains(g.Log(), secret) {
			t.Error("the log holds the code, or the plugin's token")
		}
	}
}

// TestWalkByMembershipCard is the sample plugin in JavaScript, behind the gate,
// with go-plugin's mutual TLS.
func TestWalkByMembershipCard(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: make -f xcaddy.mk tools")
	}
	here, err := filepath.Abs("../../examples/plugin-node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(here, "node_modules")); err != nil {
		t.Fatal("node_modules is missing: npm ci --prefix examples/plugin-node")
	}
	// A checkout says nothing of who may write its files.
	source, err := os.ReadFile(filepath.Join(here, "plugin.js"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin.js")
	if err := os.WriteFile(path, source, 0o700); err != nil {
		t.Fatal(err)
	}
	g := testgate.Start(t, testgate.Options{
		Clients: person,
		Gate: `sign_in magic_link
		sign_in plugin card {
			command ` + path + `
			sha256 ` + digest(t, path) + `
			env PATH ` + filepath.Dir(node) + `
			env NODE_PATH ` + filepath.Join(here, "node_modules") + `
			env PROTO_PATH ` + filepath.Join(here, "../../plugins/proto") + `
			config {
				members {
					4711 {
						born 1815
						email ada@example.com
					}
				}
			}
		}`,
	})
	b := newProfile(t).first
	testgate.Wait(t, "the plugin", func() bool { return strings.Contains(g.Log(), "a plugin runs") })
	b.visit(g.URL + "/messages")
	b.press("Sign in with your membership card")
	b.reads("The number is on the front of the card.")
	b.looksWell("walk-membership-card")
	b.fill("card", "47 11")
	b.fill("born", "1816")
	b.press("Sign in")
	b.reads("That card number and year do not belong together.")
	b.looksWell("walk-membership-card-wrong")
	b.fill("card", "47 11")
	b.fill("born", "1815")
	b.press("Sign in")
	b.sees("Messages")
	b.arrivedClean(g.URL+"/messages", g)
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
	if strings.Contains(g.Log(), "4711") || strings.Contains(g.Log(), "47 11") {
		t.Error("the log holds the card's number")
	}
}

// looksWell has axe look at the page, and takes pictures of it.
func (b *tab) looksWell(name string) {
	b.t.Helper()
	b.examine(name, axe(b.t), pictures(b.t), true)
}
