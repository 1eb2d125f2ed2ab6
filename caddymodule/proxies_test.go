// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// entries returns the lines of a log whose message has these words.
func entries(t *testing.T, file, words string) []map[string]any {
	t.Helper()
	log, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it is made with its first line
		t.Fatal(err)
	}
	var found []map[string]any
	for line := range strings.Lines(string(log)) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && strings.Contains(entry["msg"].(string), words) {
			found = append(found, entry)
		}
	}
	return found
}

// logged returns global options that log to a file, and the file.
func (l *live) logged() (global, file string) {
	file = filepath.Join(l.dir, "caddy.log")
	return "log {\n\toutput file " + file + "\n\tformat json\n}\n", file
}

// header sends a GET with a header of a proxy's and returns the answer's
// status.
func (b *browser) header(name, value string) int {
	b.t.Helper()
	req, err := http.NewRequest("GET", b.portal+"/files", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set(name, value)
	return b.do(req).status
}

// TestForwardedReported is X5, "a missing trusted_proxies is reported while
// running, with the line to write": without it, all of a practice's clients
// share the limits of one visitor, and nothing else would say so.
func TestForwardedReported(t *testing.T) {
	l := newLive(t)
	global, file := l.logged()
	const said = "sends X-Forwarded-For"
	l.mustLoad(l.caddyfile("", global))
	b := l.browser()
	b.get("/files")
	if got := entries(t, file, said); len(got) != 0 {
		t.Errorf("reported without a reason: %v", got)
	}
	b.header("X-Forwarded-For", "203.0.113.77, 198.51.100.8")
	b.header("X-Forwarded-For", "203.0.113.77")
	l.mustLoad(l.caddyfile("session {\n\tidle 45m\n}", global))
	b.header("X-Forwarded-For", "203.0.113.77")
	got := entries(t, file, said)
	if len(got) != 1 {
		t.Fatalf("reported %d times within the hour, over a reload, want once", len(got))
	}
	if got[0]["level"] != "warn" || got[0]["peer"] != "127.0.0.1" || got[0]["gate"] != "main" ||
		!strings.Contains(got[0]["msg"].(string), "do not trust it") {
		t.Errorf("reported as %v", got[0])
	}
	if log, _ := os.ReadFile(file); strings.Contains(gateLines(string(log)), "203.0.113") {
		t.Error("what a stranger wrote into the header stands in the gate's log")
	}

	// What it says to write is what ends it.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	l.mustLoad(l.caddyfile("", global+got[0]["write"].(string)))
	b.header("X-Forwarded-For", "203.0.113.77")
	if got := entries(t, file, said); len(got) != 0 {
		t.Errorf("reported although it is trusted: %v", got)
	}
}

// gateLines are the lines of a log that the gate wrote.
func gateLines(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"logger":"portalgate`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestCircleReported: TLS is ended by a proxy in front that Caddy does not
// trust, which is how most people first meet trusted_proxies.
func TestCircleReported(t *testing.T) {
	l := newLive(t)
	global, file := l.logged()
	const said = "came back as it was"
	https := func(global string) string {
		return strings.Replace(l.caddyfile("", global), "public_url http:", "public_url https:", 1)
	}
	l.mustLoad(https(global))
	b := l.browser()
	for range 2 {
		if status := b.header("X-Forwarded-Proto", "https"); status != http.StatusServiceUnavailable {
			t.Errorf("a circle ends in %d, want 503", status)
		}
		l.mustLoad(https(global + "grace_period 2s\n"))
	}
	got := entries(t, file, said)
	if len(got) != 1 {
		t.Fatalf("reported %d times within the hour, over a reload, want once", len(got))
	}
	if !strings.Contains(got[0]["because"].(string), "plain http") || got[0]["peer"] != "127.0.0.1" {
		t.Errorf("reported as %v", got[0])
	}
	l.mustLoad(https(global + got[0]["write"].(string)))
	if status := b.header("X-Forwarded-Proto", "https"); status != http.StatusOK {
		t.Errorf("with what it says to write, a visit ends in %d, want the sign-in page", status)
	}
}

// TestTrustIn: the lines to write are a configuration that Caddy takes.
func TestTrustIn(t *testing.T) {
	for _, tc := range []struct{ remote, peer, line string }{
		{"192.0.2.7:1234", "192.0.2.7", "trusted_proxies static 192.0.2.7/32"},
		{"[::ffff:192.0.2.7]:1234", "192.0.2.7", "trusted_proxies static 192.0.2.7/32"},
		{"[2001:db8::1]:1234", "2001:db8::1", "trusted_proxies static 2001:db8::1/128"},
		{"[fe80::1%eth0]:1234", "fe80::1", "trusted_proxies static fe80::1/128"},
		{"@", "a unix socket", "trusted_proxies_unix"},
		{"", "a unix socket", "trusted_proxies_unix"},
	} {
		r := prepared("http://x/", nil, nil)
		r.RemoteAddr = tc.remote
		peer, write := trustIn(r)
		if peer != tc.peer || !strings.Contains(write, tc.line) || !strings.Contains(write, "trusted_proxies_strict") {
			t.Errorf("%s: %s, %q", tc.remote, peer, write)
		}
		config := string(caddyfile.Format([]byte("{\n" + write + "\n}\nhttp://localhost {\n\trespond x\n}\n")))
		if got := adapt(t, config); !json.Valid([]byte(got)) || !strings.Contains(got, `"trusted_proxies_strict": 1`) {
			t.Errorf("%s: what is to be written becomes %s", tc.remote, got)
		}
	}
}

// BenchmarkNotForwarded is what looking costs a request without the header.
func BenchmarkNotForwarded(b *testing.B) {
	r := prepared("http://x/", http.Header{"Accept": {"*/*"}, "Cookie": {"a=b"}, "User-Agent": {"x"}}, nil)
	b.ReportAllocs()
	for b.Loop() {
		if r.Header["X-Forwarded-For"] != nil {
			b.Fatal("it has none")
		}
	}
}
