// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package reloadtest

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// halfway are people in the midst of something: one is signed in and has a
// WebSocket open, one has the form before them, one has asked and waits for
// the mail, one has the link's page open.
type halfway struct {
	t                          *testing.T
	g                          *testgate.Gate
	in, asking, waiting, onIt  *testgate.Visitor
	socket                     *socket
	form, link                 testgate.Page
	waitingFor, askingFor, had string // addresses
}

func getHalfway(t *testing.T, g *testgate.Gate) *halfway {
	t.Helper()
	h := &halfway{
		t: t, g: g, in: g.SignIn("ada@example.com")[0], asking: g.Visitor(), waiting: g.Visitor(), onIt: g.Visitor(),
		askingFor: "eve@example.com", waitingFor: "zoe@example.com", had: "grace+clinic@gmail.com",
	}
	h.socket = openSocket(t, g, newClient(t, "1001", h.in.Cookies()))
	h.form = h.asking.Get("/sign-in/magic-link?return_to=/messages")
	h.ask(h.waiting, h.waitingFor)
	h.ask(h.onIt, h.had)
	h.link = h.onIt.Get(h.mailed(h.had))
	return h
}

func (h *halfway) ask(v *testgate.Visitor, address string) {
	h.t.Helper()
	if p := v.Submit(v.Get("/sign-in/magic-link"), "/sign-in/magic-link", "email", address); p.Status != http.StatusOK {
		h.t.Fatalf("asking for a link: %d at %s", p.Status, p.Path)
	}
}

// mailed returns the path of the link that was mailed to an address.
func (h *halfway) mailed(to string) string {
	h.t.Helper()
	return linkIn(h.g.Mail(to, 1).Text)
}

// intact fails unless who was in is in.
func (h *halfway) intact(after string) {
	h.t.Helper()
	if !h.in.SignedIn() {
		h.t.Errorf("signed out by %s", after)
	}
	if err := h.socket.echo(); err != nil {
		h.t.Errorf("the WebSocket after %s: %v", after, err)
	}
}

// finish lets everybody finish what they were in the midst of.
func (h *halfway) finish() {
	h.t.Helper()
	h.onIt.Submit(h.link, "/sign-in/link")
	h.waiting.Submit(h.waiting.Get(h.mailed(h.waitingFor)), "/sign-in/link")
	h.asking.Submit(h.form, "/sign-in/magic-link", "email", h.askingFor)
	last := h.asking.Submit(h.asking.Get(h.mailed(h.askingFor)), "/sign-in/link")
	if last.Path != "/messages" {
		h.t.Errorf("the sign-in that was begun before leads to %s, not to where it was begun", last.Path)
	}
	for what, v := range map[string]*testgate.Visitor{"the link's page": h.onIt, "a mail": h.waiting, "the form": h.asking} {
		if !v.SignedIn() {
			h.t.Errorf("a sign-in that had come as far as %s does not end well", what)
		}
	}
}

const people = testgate.Sample + "1007,eve@example.com,Eve Moore,yes,yes\n"

// TestValidateBeside runs `validate` on the Caddyfile of a gate that runs, in a
// process of its own: it would wait in vain for the store, and must not.
func TestValidateBeside(t *testing.T) {
	t.Parallel()
	o := testgate.Options{Clients: people}
	g := testgate.Start(t, o)
	h := getHalfway(t, g)
	g.Write("Broken", strings.Replace(g.Caddyfile(o), "clients.csv", "none.csv", 1))
	before := files(t, g)
	for range 3 {
		if out, err := g.Command("validate", "--config", g.File("Caddyfile"), "--adapter", "caddyfile").CombinedOutput(); err != nil || !strings.Contains(string(out), "Valid configuration") {
			t.Errorf("validate: %v\n%s", err, out)
		}
		h.intact("validate")
		if out, err := g.Command("validate", "--config", g.File("Broken"), "--adapter", "caddyfile").CombinedOutput(); err == nil || !strings.Contains(string(out), "none.csv") {
			t.Errorf("validate of a broken Caddyfile: %v\n%s", err, out)
		}
		h.intact("validate of a broken Caddyfile")
	}
	if after := files(t, g); after != before {
		t.Errorf("validate made files; before\n%safter\n%s", before, after)
	}
	h.finish()
}

// files lists what lies in a gate's home.
func files(t *testing.T, g *testgate.Gate) (names string) {
	t.Helper()
	err := filepath.WalkDir(g.Dir, func(path string, d fs.DirEntry, err error) error {
		// What happened is written down by the gate that runs, when it comes to that.
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".lock") && !strings.HasSuffix(path, ".jsonl") {
			names += path + "\n"
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return names
}

// TestRefusedReloads refuses configurations that get further and further
// before they fail. What was opened, started or taken over for each must be
// given back, and nothing else: sign-ins that are half done go on.
func TestRefusedReloads(t *testing.T) {
	t.Parallel()
	o := testgate.Options{Clients: people}
	g := testgate.Start(t, o)
	h := getHalfway(t, g)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	good := g.Caddyfile(testgate.Options{Gate: "session {\n\tidle 45m\n}"})
	for name, broken := range map[string]string{
		"no Caddyfile":             good + "}",
		"a list that is not there": strings.Replace(good, "clients.csv", "none.csv", 1),
		"another server's option":  strings.Replace(good, "debug", "servers {\n\ttrusted_proxies static nonsense\n}", 1),
		"a port that is taken":     good + fmt.Sprintf("http://:%s {\n\tbind 127.0.0.1\n\trespond x\n}\n", port),
	} {
		for range 3 { // what is given back once too often shows at the second or third
			if err := g.Reload(broken); err == nil {
				t.Fatalf("%s was loaded", name)
			}
			h.intact(name)
		}
	}
	h.finish()
}
