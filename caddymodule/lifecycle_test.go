// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestReload shows that a configuration owns nothing: sessions, links in
// mailboxes and the store live through a reload.
func TestReload(t *testing.T) {
	l := newLive(t)
	l.mustLoad(l.caddyfile("", ""))
	first := l.runtime()
	b, other := l.browser(), l.browser()
	b.signIn(ada)
	link := other.ask(grace)

	l.mustLoad(l.caddyfile("session {\n\tidle 45m\n}", ""))
	if l.runtime() != first {
		t.Error("the reload made a second runtime on the same store file")
	}
	b.isSignedIn()
	other.send(other.get(link), "/sign-in/link")
	other.isSignedIn()
}

// TestRefusedReload is the worst bug of this kind of module: Caddy calls
// Cleanup after a failed Provision too, and a Cleanup that gives back what it
// never acquired destroys the store under the running server, which goes on
// answering as if nothing had happened.
func TestRefusedReload(t *testing.T) {
	l := newLive(t)
	good := l.caddyfile("", "")
	l.mustLoad(good)
	b := l.browser()
	b.signIn(ada)
	second := "portalgate second {\npublic_url http://localhost:1234\npractice Second {\nphone 1\n}\nclients file %s\nmail outbox\nstore embedded %s\n}"
	for _, tc := range []struct{ name, config, err string }{
		{"this gate", strings.Replace(good, "clients.csv", "none.csv", 1), "portalgate main: clients: "},
		{"another gate", l.caddyfile("", fmt.Sprintf(second, "/none.csv", l.dir+"/second.db")), "portalgate second: clients: "},
		{"a handler", strings.Replace(good, "public /public/*", "public /public//*", 1), "portalgate: "},
		{"another app", l.caddyfile("", "servers {\n\ttrusted_proxies static nonsense\n}"), "nonsense"},
		{"the gate's name", renamed(good), `main.db is in use by gate "main"`},
	} {
		for range 3 { // a reference given back once too often shows at the second or third
			if err := l.load(tc.config); err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("broken by %s: %v, want %q", tc.name, err, tc.err)
			}
		}
		b.isSignedIn()
	}
	l.browser().signIn(grace) // the worker still has its store, too
}

// renamed gives the only gate another name, with the same store.
func renamed(config string) string {
	return strings.NewReplacer(
		"portalgate {\n\t\tpublic_url", "portalgate renamed {\n\t\tpublic_url",
		"portalgate {\n\t\tpublic /", "portalgate renamed {\n\t\tpublic /",
		"portalgate_inbox", "portalgate_inbox renamed",
	).Replace(config)
}

// TestReloadThatCannotStart provisions well, starts the gate's app or not (the
// order of apps is random), and then fails on a port that is taken.
func TestReloadThatCannotStart(t *testing.T) {
	l := newLive(t)
	l.mustLoad(l.caddyfile("", ""))
	b := l.browser()
	b.signIn(ada)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	more := fmt.Sprintf("http://%s {\n\tbind 127.0.0.1\n\trespond x\n}\n", strings.TrimPrefix(taken.Addr().String(), "127.0.0.1"))
	for range 6 {
		if err := l.load(strings.Replace(l.caddyfile("", ""), "reveal", "conceal", 1) + more); err == nil {
			t.Fatal("loaded, although a port was taken")
		}
		b.isSignedIn()
	}
	l.browser().signIn(grace)
	if got := len(l.runtime().Outbox().Messages()); got != 2 {
		t.Errorf("%d mails, want 2", got)
	}
}

// TestRemovedUnderRequest takes the gate out of the configuration while one of
// its requests is still running: Caddy does not wait for it, so the runtime
// is closed with a request behind it. Put back, the gate knows its sessions.
func TestRemovedUnderRequest(t *testing.T) {
	l := newLive(t)
	l.mustLoad(l.caddyfile("", ""))
	b := l.browser()
	b.signIn(ada)
	answer := make(chan page)
	go func() { answer <- b.get("/hold") }()
	<-l.held

	l.mustLoad("{\n\tadmin off\n\tpersist_config off\n}\n")
	close(l.hold)
	if p := <-answer; p.status != http.StatusOK || p.body != "portal for c-ada" {
		t.Errorf("the running request got %d %q", p.status, p.body)
	}
	l.mustLoad(l.caddyfile("", ""))
	b.isSignedIn()
}

// TestSecretChanged: records sealed with another secret would all read as
// damaged, so a reload that brings one is refused and says why.
func TestSecretChanged(t *testing.T) {
	l := newLive(t)
	l.mustLoad(l.caddyfile("secret {file."+l.write("secret", newSecret()+"\n")+"}", ""))
	b := l.browser()
	b.signIn(ada)
	err := l.load(l.caddyfile("secret {file."+l.write("changed", newSecret())+"}", ""))
	if err == nil || !strings.Contains(err.Error(), "portalgate main: secret: it is not the one that gate") {
		t.Errorf("load with another secret = %v", err)
	}
	b.isSignedIn()
}

// TestSecretInStorage: without a secret the gate makes one, once.
func TestSecretInStorage(t *testing.T) {
	l := newLive(t)
	l.mustLoad(l.caddyfile("", ""))
	b := l.browser()
	b.signIn(ada)
	kept := filepath.Join(l.dir, "storage", "portalgate", "main", "secret")
	first, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	l.mustLoad(l.caddyfile("", ""))
	b.isSignedIn() // as after a restart
	if again, err := os.ReadFile(kept); err != nil || string(again) != string(first) {
		t.Errorf("the secret in storage changed over a restart (%v)", err)
	}
}

// TestValidateOpensNothing: `caddy validate` runs Provision, in a process of
// its own, next to the server that holds the store's lock. An open there would
// fail, and on a machine without a server it would leave a file behind.
func TestValidateOpensNothing(t *testing.T) {
	l := newLive(t)
	file := l.write("Caddyfile", l.caddyfile("", ""))
	validate := func() {
		t.Helper()
		if out, err := command(t, "validate", "--config", file); err != nil || !strings.Contains(out, "Valid configuration") {
			t.Fatalf("validate: %v\n%s", err, out)
		}
	}
	validate()
	if _, err := os.Stat(filepath.Join(l.dir, "main.db")); err == nil {
		t.Error("validate made a store")
	}
	if _, err := os.Stat(filepath.Join(l.dir, "storage")); err == nil {
		t.Error("validate made a secret")
	}
	l.mustLoad(l.caddyfile("", ""))
	b := l.browser()
	b.signIn(ada)
	validate()
	b.isSignedIn()
}

// command runs the portalgate command, with a home of its own, and returns
// all that it says.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "PORTALGATE_TEST_AS_COMMAND=1", "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
