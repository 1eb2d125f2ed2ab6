// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/redistest"
)

// TestShippedDesk walks through what `make -f xcaddy.mk run` serves, on ports of
// its own: one of the staff signs in at the desk's own gate, and helps a client.
// Who is a client only is not served there, signed in to the portal or not.
func TestShippedDesk(t *testing.T) {
	t.Setenv("STORE", "")
	os.Unsetenv("STORE")
	shippedDesk(t)
}

// TestShippedDeskOnRedis is the same with REDIS_URL=redis://… behind that command.
func TestShippedDeskOnRedis(t *testing.T) {
	srv := redistest.Standalone(t)
	t.Setenv("STORE", "redis {env.REDIS_URL}")
	t.Setenv("REDIS_URL", srv.URL())
	shippedDesk(t)
	if n := srv.Do("DBSIZE"); n == "0" {
		t.Error("the Redis is empty")
	}
}

func shippedDesk(t *testing.T) {
	l := newLive(t)
	t.Setenv("XDG_DATA_HOME", l.dir)
	t.Chdir("..")
	text, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	staff := "http://localhost:" + freePort(t)
	config := strings.NewReplacer(
		"admin localhost:2019", "admin off\n\tstorage file_system "+l.dir+"/storage",
		"grace_period 5s", "grace_period 1s",
		"127.0.0.1:9000", strings.TrimPrefix(l.upstream.URL, "http://"),
		"localhost:8080", strings.TrimPrefix(l.portal, "http://"), ":8080", port(l.portal),
		"localhost:8081", strings.TrimPrefix(staff, "http://"), ":8081", port(staff),
		":8025", port(l.inbox),
	).Replace(string(text))
	l.mustLoad(config)

	desk := func(b *browser) *browser {
		return &browser{live: &live{t: t, portal: staff, inbox: l.inbox + "/staff"}, Client: b.Client}
	}
	client := l.browser()
	client.send(client.get(client.ask(ada)), "/sign-in/link")
	if p := client.get("/files"); p.body != "portal for 1001" {
		t.Fatalf("the client is not signed in: %d %s", p.status, p.body)
	}
	if status, body := desk(client).at(staff); status != http.StatusUnauthorized {
		t.Errorf("a client at the desk: %d %s", status, body)
	}
	if p := desk(client).get(staff + "/"); !strings.HasPrefix(p.url.Path, "/sign-in") {
		t.Errorf("a client who visits the desk is not asked to sign in: %d at %s", p.status, p.url)
	}

	// The same browser, so that the cookies of both gates are on one host.
	dee := desk(client)
	dee.send(dee.get(dee.ask("dee@willow.example")), "/sign-in/link")
	status, body := dee.at(staff)
	if status != http.StatusOK || !strings.Contains(body, `"client":"1001"`) || !strings.Contains(body, l.portal+"/sign-in/pin") {
		t.Errorf("one of the staff: %d %s", status, body)
	}
	if p := client.get("/files"); p.body != "portal for 1001" {
		t.Errorf("the client was signed out by it: %d %s", p.status, p.body)
	}
	if n := len(client.links()); n != 1 {
		t.Errorf("%d sign-in links in the clients' mailbox", n)
	}

	// Whoever is staff is no client, and may not sign in at the portal.
	visitor := l.browser()
	if p := visitor.send(visitor.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "dee@willow.example"); !strings.Contains(p.body, "We do not know that address") {
		t.Errorf("the staff at the portal: %d %s", p.status, p.url)
	}
}

// port is the port of an origin, with its colon.
func port(origin string) string { return origin[strings.LastIndex(origin, ":"):] }
