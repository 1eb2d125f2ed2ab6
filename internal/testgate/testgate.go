// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package testgate starts the real thing, for tests that look at it from
// outside: the portalgate binary with a configuration of its own on free
// loopback ports, and behind it the sample portal or an upstream of the test's.
//
// It knows nothing of what is inside: what a test wants to see that no client,
// upstream or operator can see belongs in a test of that package.
package testgate

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail/outbox"
)

// Sample is the list of clients if a test has no other.
const Sample = `id,email,name,portal_access,email_ok
1001,ada@example.com,Ada Lovelace,yes,yes
1002,grace+clinic@gmail.com,Grace Hopper,yes,yes
1003,zoe@example.com,Zoë Ångström,yes,yes
1005,alan@example.com,Alan Turing,no,yes
1006,emmy@example.com,Emmy Noether,yes,no
`

// Options are a gate's. The zero value is a gate on http with the sample
// clients and the sample portal.
type Options struct {
	// Name is the gate's. Default: main.
	Name string
	// More lines for the global options, the site and the gate's own block.
	Global, Site, Gate string
	// Mail is how mail leaves. Default: mail outbox.
	Mail string
	// Handler is the portalgate directive's block. Default: public /assets/*.
	Handler string
	// Proxy are more lines for the reverse_proxy directive's block.
	Proxy string
	// Clients is a CSV. Default: Sample.
	Clients string
	// Upstream is host:port. Default: the sample portal, started for this gate.
	Upstream string
	// Desk adds a site for the staff, who sign in to it with basic_auth: desk,
	// with the password "desk".
	Desk bool
	// TLS makes it https, with a certificate that Client trusts.
	TLS bool
	// Bare leaves the gate and its inbox out: Caddy with a reverse proxy, to
	// compare with. It needs an Upstream, which answers 200 to GET /.
	Bare bool
}

// Gate is a running gate. Its addresses stay through Restart.
type Gate struct {
	URL   string // the public URL, with no slash at the end
	Inbox string // the mailbox's URL
	Desk  string // the staff's site, with Options.Desk
	Admin string // the URL of Caddy's admin API
	Addr  string // host:port of URL, for raw connections
	Dir   string // all files: clients.csv, Caddyfile, gate.log, portal.log, data/

	Upstream string // host:port of what is behind the gate

	// Roots trusts the gate's certificate; nil without TLS. CertFile is the
	// certificate in PEM.
	Roots    *x509.CertPool
	CertFile string

	t       testing.TB
	gate    *process
	answers []string        // URLs that answer 200 when it is up
	shared  *http.Transport // of all visitors
}

// Start starts a gate and stops it when the test is over. The test fails if
// the gate has died by then, or its race detector has found something.
func Start(t testing.TB, o Options) *Gate {
	t.Helper()
	scheme := "http"
	if o.TLS {
		scheme = "https"
	}
	port, inbox, admin := FreePort(t), FreePort(t), FreePort(t)
	g := &Gate{
		t: t, Dir: t.TempDir(), Upstream: o.Upstream,
		URL:   scheme + "://localhost:" + port,
		Addr:  "127.0.0.1:" + port,
		Inbox: "http://localhost:" + inbox,
		Admin: "http://localhost:" + admin,
	}
	if o.Desk {
		g.Desk = "http://localhost:" + FreePort(t)
	}
	if o.TLS {
		g.certify()
	}
	if o.Clients == "" {
		o.Clients = Sample
	}
	g.Write("clients.csv", o.Clients)
	if g.Upstream == "" {
		g.startPortal()
	}
	g.answers = []string{g.URL + "/.well-known/portalgate/jwks.json", g.Inbox + "/messages.json", g.Admin + "/config/"}
	if o.Bare {
		g.answers = []string{g.URL + "/", g.Admin + "/config/"}
	}
	g.Write("Caddyfile", g.Caddyfile(o))
	g.Launch()
	t.Cleanup(func() { g.gate.stop(t) })
	g.wait()
	return g
}

// Caddyfile returns the configuration that Start makes of these options, for
// this gate's addresses: what Reload takes.
func (g *Gate) Caddyfile(o Options) string {
	site := ""
	if o.TLS {
		site = fmt.Sprintf("tls %s %s", g.CertFile, g.File("key.pem"))
	}
	handler := o.Handler
	if handler == "" {
		handler = "public /assets/*"
	}
	scheme, port := g.port(g.URL)
	_, inbox := g.port(g.Inbox)
	_, admin := g.port(g.Admin)
	if o.Bare {
		return fmt.Sprintf(`{
	admin localhost:%s
	auto_https off
	persist_config off
	grace_period 2s
	debug
	%s
}
%s://:%s {
	bind 127.0.0.1
	log
	%s
	%s
	reverse_proxy %s {
		stream_close_delay 1h
		%s
	}
}
`, admin, o.Global, scheme, port, site, o.Site, g.Upstream, o.Proxy)
	}
	return fmt.Sprintf(`{
	admin localhost:%[1]s
	auto_https off
	persist_config off
	grace_period 2s
	debug
	%[2]s
	portalgate %[13]s {
		public_url %[3]s
		practice "Willow Creek Counseling" {
			phone "+1 555 0100"
			email hello@willow.example
		}
		clients file %[4]s
		%[15]s
		%[5]s
	}
}
%[6]s://:%[7]s {
	bind 127.0.0.1
	log
	%[8]s
	%[9]s
	portalgate %[13]s {
		%[10]s
	}
	reverse_proxy %[11]s {
		stream_close_delay 1h
		%[14]s
	}
}
http://:%[12]s {
	bind 127.0.0.1
	portalgate_inbox %[13]s
}
%[16]s
`, admin, o.Global, g.URL, g.File("clients.csv"), o.Gate, scheme, port, site, o.Site, handler, g.Upstream, inbox, o.Name, o.Proxy, cmp.Or(o.Mail, "mail outbox"), g.desk(o.Name))
}

const deskHash = "$2a$04$A9VdZlcXlQkTBL4IkTp1CuK8cSquSkRHq.Uq9.6w2epqvzHfT8OuS"

// desk is the staff's site. The password is "desk", hashed at the lowest cost
// that there is.
func (g *Gate) desk(gate string) string {
	if g.Desk == "" {
		return ""
	}
	_, port := g.port(g.Desk)
	return fmt.Sprintf(`http://:%s {
	bind 127.0.0.1
	basic_auth {
		desk %s
	}
	portalgate_staff %s
}`, port, deskHash, gate)
}

func (g *Gate) port(u string) (scheme, port string) {
	scheme, rest, _ := strings.Cut(u, "://")
	_, port, _ = net.SplitHostPort(rest)
	return scheme, port
}

// File returns the path of a file in Dir.
func (g *Gate) File(name string) string { return filepath.Join(g.Dir, name) }

// Write writes a file in Dir, whole or not at all.
func (g *Gate) Write(name, content string) {
	g.t.Helper()
	half := g.File(name + ".new")
	if err := os.WriteFile(half, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(half, g.File(name)); err != nil {
		g.t.Fatal(err)
	}
}

// Log returns all that the gate has logged so far, DEBUG and access log
// included.
func (g *Gate) Log() string {
	g.t.Helper()
	b, err := os.ReadFile(g.File("gate.log"))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

// Messages returns the mails in the inbox, newest first.
func (g *Gate) Messages() []outbox.Entry {
	g.t.Helper()
	res, err := http.Get(g.Inbox + "/messages.json")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var all []outbox.Entry
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil {
		g.t.Fatalf("the inbox answers %d: %v", res.StatusCode, err)
	}
	return all
}

// Mail waits for the n-th mail to an address, counted from 1.
func (g *Gate) Mail(to string, n int) outbox.Entry {
	g.t.Helper()
	var mails []outbox.Entry
	Wait(g.t, fmt.Sprintf("mail %d to a client", n), func() bool {
		mails = slices.DeleteFunc(g.Messages(), func(e outbox.Entry) bool { return e.To != to })
		return len(mails) >= n
	})
	return mails[len(mails)-n]
}

// reloads are sent on connections of their own: a reload ends the admin API's
// server and may take an idle connection with it at the worst moment.
var reloads = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Reload makes a Caddyfile the running configuration, or returns why not.
func (g *Gate) Reload(caddyfile string) error {
	res, err := reloads.Post(g.Admin+"/load", "text/caddyfile", strings.NewReader(caddyfile))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(res.Body)
		return fmt.Errorf("%d: %s", res.StatusCode, why)
	}
	return nil
}

// Command returns the portalgate command for this gate's files and home, to be
// run beside it.
func (g *Gate) Command(args ...string) *exec.Cmd { return g.command(Build(g.t), args...) }

// PID returns the process id of the gate as it runs now.
func (g *Gate) PID() int { return g.gate.cmd.Process.Pid }

// Kill kills the gate as a power cut would. Restart starts it again.
func (g *Gate) Kill() { g.gate.kill() }

// Launch starts the gate on its files, after Kill, and does not wait for it.
func (g *Gate) Launch() {
	g.t.Helper()
	g.gate = g.run("gate.log", Build(g.t), "run", "--config", g.File("Caddyfile"), "--adapter", "caddyfile")
}

// Restart starts the gate on its files again, after Kill.
func (g *Gate) Restart() {
	g.t.Helper()
	g.Launch()
	g.wait()
}

// Wait waits until ok, at most 20 s.
func Wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// FreePort returns a port below those that the system gives to outgoing
// connections, one of which could otherwise take it before we do.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(15000 + rand.IntN(17000))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}
