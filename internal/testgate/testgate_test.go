// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestStart shows that what everybody builds on stands: both schemes answer,
// the portal behind them is reached on its public path, and a gate that was
// killed comes back.
func TestStart(t *testing.T) {
	for _, tls := range []bool{false, true} {
		g := Start(t, Options{TLS: tls})
		client := http.Client{Transport: g.Transport()}
		for path, want := range map[string]int{"/assets/style.css": 200, "/sign-in": 200, "/api/me": 401} {
			res, err := client.Get(g.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s%s = %d, want %d", g.URL, path, res.StatusCode, want)
			}
		}
		if got := g.Messages(); len(got) != 0 {
			t.Errorf("%d mails before anybody asked for one", len(got))
		}
		client.CloseIdleConnections()
		g.Kill()
		g.Restart()
		if !strings.Contains(g.Log(), `"level":"debug"`) {
			t.Error("the log has no DEBUG lines")
		}
	}
}

// TestRaces: two races are known and are Caddy's; no other may hide behind them.
func TestRaces(t *testing.T) {
	report := func(first, second string) string {
		return "{}\n==================\nWARNING: DATA RACE\nWrite at 0x00c000aba180 by goroutine 312:\n  " + first + "\n      a.go:1 +0x2\n  main.main()\n\n" +
			"Previous read at 0x00c000aba180 by goroutine 286:\n  " + second + "\n      b.go:2 +0x1\n\nGoroutine 312 (running) created at:\n  net/http.(*Server).Serve()\n==================\n{}\n"
	}
	const proxy = "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy.(*Handler)."
	const app = "github.com/caddyserver/caddy/v2/modules/caddytls.(*TLS)."
	known := report(proxy+"cleanupConnections()", proxy+"finalizeResponse()")
	for _, tc := range []struct {
		name, log string
		want      int
	}{
		{"none", "{}\n", 0},
		{"the known one", known + known, 0},
		{"another of the proxy's", report(proxy+"Provision()", proxy+"finalizeResponse()"), 1},
		{"the timer, with something of ours", report(proxy+"cleanupConnections()", "github.com/portalgate/portalgate/internal/gate.(*visit).forward()"), 1},
		{"while tls starts", report(app+"CaddyModule()", app+"Start()"), 0},
		{"while tls starts, another", report(app+"CaddyModule()", app+"Stop()"), 1},
		{"ours after the known one", known + report("main.a()", "main.b()"), 1},
	} {
		if got := len(races(tc.log)); got != tc.want {
			t.Errorf("%s: %d reports, want %d", tc.name, got, tc.want)
		}
	}
}
