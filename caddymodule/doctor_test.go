// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/crypto/bcrypt"

	"github.com/portalgate/portalgate/internal/doctor"
)

// willowDNS is a DNS in which everything is as it should be, but for what is
// taken away.
type willowDNS map[string]string

func (d willowDNS) LookupTXT(_ context.Context, name string) ([]string, error) {
	if text, ok := d[name]; ok {
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (d willowDNS) LookupHost(_ context.Context, host string) ([]string, error) {
	if ip, ok := d[host]; ok {
		return []string{ip}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// clinic is a Caddy as one is in production, seen from outside through a DNS and
// ports of its own.
type clinic struct {
	*live
	admin, https, http string // ports
	config             string
	world              doctor.World
	dns                willowDNS
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{admin: freePort(t), https: freePort(t), http: freePort(t)}
	for c.https == c.admin || c.http == c.https || c.http == c.admin { // a port may be drawn twice
		c.https, c.http = freePort(t), freePort(t)
	}
	c.live, _ = withAdmin(t, "localhost:"+c.admin)
	o := &office{live: c.live}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	key := o.certificate("ca", ca, ca, nil)
	o.certificate("server", &x509.Certificate{DNSNames: []string{"portal.willow.example", "staff.willow.example", "other.willow.example"}}, ca, key)
	c.write("secret", newSecret())
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	tlsLine := fmt.Sprintf("bind 127.0.0.1\n\ttls %[1]s/server.pem %[1]s/server.key", c.dir)
	c.config = fmt.Sprintf(`{
	admin localhost:%[1]s
	auto_https off
	persist_config off
	grace_period 1s
	https_port %[2]s
	http_port %[3]s
	storage file_system %[4]s/storage
	portalgate {
		public_url https://portal.willow.example
		secret {file.%[4]s/secret}
		practice "Willow Creek Counseling" {
			phone "+1 555 0100"
			new_clients https://willow.example/welcome
		}
		store embedded %[4]s/main.db
		clients file %[4]s/clients.csv
		mail smtp {
			host smtp.willow.example
			from hello@willow.example
		}
	}
}
https://portal.willow.example {
	%[5]s
	portalgate {
		public /public/*
	}
	reverse_proxy %[6]s
}
http://portal.willow.example {
	bind 127.0.0.1
	redir https://{host}{uri} 308
}
https://staff.willow.example {
	%[5]s
	basic_auth {
		desk %[7]s
	}
	portalgate_staff {
		allow desk
	}
}
`, c.admin, c.https, c.http, c.dir, tlsLine, c.dial(), hash)
	c.dns = willowDNS{
		"portal.willow.example": "192.0.2.1", "willow.example.": "v=spf1 include:mail.example ~all",
		"_dmarc.willow.example.": "v=DMARC1; p=reject", "default._domainkey.willow.example.": "v=DKIM1; p=MIIB",
	}
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(c.dir, "ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("the authority: %v", err)
	}
	c.world = doctor.World{DNS: c.dns, HTTP: c.through(&tls.Config{RootCAs: pool}), Now: time.Now}
	return c
}

// dial is where the application is.
func (c *clinic) dial() string { return strings.TrimPrefix(c.upstream.URL, "http://") }

// through is HTTP that comes to this Caddy whatever the name is.
func (c *clinic) through(conf *tls.Config) http.RoundTripper {
	d := net.Dialer{}
	return &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			switch port {
			case "443":
				port = c.https
			case "80":
				port = c.http
			}
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		}}
}

// examine runs the command and returns what it found.
func (c *clinic) examine(args ...string) (found []doctor.Finding, err error) {
	c.t.Helper()
	before := outside
	outside = c.world
	defer func() { outside = before }()
	cmd := doctorCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors = true
	cmd.SetContext(c.t.Context())
	cmd.SetArgs(append([]string{"--address", "localhost:" + c.admin, "--json"}, args...))
	err = cmd.Execute()
	if json.Unmarshal(out.Bytes(), &found) != nil {
		c.t.Fatalf("it said %q, %v", out.String(), err)
	}
	return found, err
}

// amiss are the findings that are not "ok", one a line.
func amiss(found []doctor.Finding) string {
	var b strings.Builder
	for _, f := range found {
		if f.Level != doctor.OK {
			fmt.Fprintf(&b, "%s %s: %s\n", f.Level, f.Name, f.Says)
		}
	}
	return b.String()
}

// TestDoctor has nothing found where everything is as it should be, and each
// thing that is not found and said, with what to change (issue 8, must show 7).
func TestDoctor(t *testing.T) {
	c := newClinic(t)
	c.mustLoad(string(caddyfile.Format([]byte(c.config))))
	found, err := c.examine()
	if bad := amiss(found); bad != "" || err != nil || len(found) < 12 {
		t.Fatalf("of a healthy gate it says\n%s%v\n%v", bad, err, found)
	}
	portal := "https://portal.willow.example {"
	swap := func(old, new string) func() {
		return func() {
			if !strings.Contains(c.config, old) {
				t.Fatalf("the configuration has no %q", old)
			}
			c.config = strings.Replace(c.config, old, new, 1)
		}
	}
	for _, tc := range []struct {
		name   string
		spoil  func()
		after  func() // once it runs
		says   []string
		passes bool
	}{
		{name: "the name leads nowhere", spoil: func() { delete(c.dns, "portal.willow.example") },
			says: []string{"no public_url: portal.willow.example has no address in DNS; publish an A or AAAA record for it that leads to this server"}},
		{name: "a certificate that nobody trusts", spoil: func() { c.world.HTTP = c.through(nil) },
			says: []string{"no tls: browsers do not trust the certificate of portal.willow.example", "let Caddy get one for that name"}},
		{name: "another site is at that name", spoil: swap(portal, portal+"\n\trespond /sign-in/session hello\n\troute {\n\t\trespond hello\n\t}\n}\nhttps://other.willow.example {"),
			says: []string{"no public_url: something else than a gate answers at https://portal.willow.example/sign-in (status 200); put `portalgate` into the site"}},
		{name: "no redirect to https", spoil: swap("redir https://{host}{uri} 308", "respond hello"),
			says: []string{"no redirect: http://portal.willow.example answers without TLS (status 200); have it redirect to https://portal.willow.example"}},
		{name: "cookies are changed on their way", spoil: swap("\tportalgate {\n\t\tpublic /", "\theader >Set-Cookie HttpOnly X\n\tportalgate {\n\t\tpublic /"),
			says: []string{"no cookies: something in front changes the gate's cookies on their way; have it leave Set-Cookie alone"}},
		{name: "the clock is wrong", spoil: func() { c.world.Now = func() time.Time { return time.Now().Add(-time.Hour) } },
			says: []string{"no clock: this machine's is ", " apart from that of what answers at portal.willow.example; let both follow a time server"}},
		{name: "the secret can be read by all", spoil: func() {
			if err := os.Chmod(filepath.Join(c.dir, "secret"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, says: []string{"no secret: {dir}/secret can be read by others than its owner (0644); chmod 600 it"}},
		{name: "a store that does not answer, and no secret to share", spoil: func() {
			swap("store embedded "+c.dir+"/main.db", "store redis redis://127.0.0.1:1")()
			swap("secret {file."+c.dir+"/secret}", "")()
		}, says: []string{"no store: nobody can sign in: ", "no secret: it was made in Caddy's storage and serves this one gate"}},
		{name: "no SPF", spoil: func() { delete(c.dns, "willow.example.") },
			says: []string{"no SPF: willow.example has no record; publish the TXT record that your mail service names"}},
		{name: "everybody is a trusted proxy", spoil: swap("\tportalgate {", "\tservers {\n\t\ttrusted_proxies static 0.0.0.0/0\n\t}\n\tportalgate {"),
			says: []string{"no proxies: server srv", "trusts 0.0.0.0/0, so that anybody can say where they come from", "look proxies: server srv", "add trusted_proxies_strict"}},
		{name: "the proxy in front is not trusted", after: func() {
			r, err := http.NewRequest("GET", "https://portal.willow.example/files", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Forwarded-For", "203.0.113.77")
			res, err := c.world.HTTP.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}, says: []string{"no proxies: a peer that is not trusted sends X-Forwarded-For", "trusted_proxies static"}},
		{name: "a way around the gate", spoil: func() {
			c.config += "https://other.willow.example {\n\tbind 127.0.0.1\n\treverse_proxy " + c.dial() + "\n}\n"
		},
			says: []string{"no headers: {dial} is behind the gate, and reached without it on other.willow.example, where a visitor's own Remote-User arrives"}},
		{name: "addresses are told", spoil: swap("clients file", "unknown_email reveal\n\t\tclients file"), passes: true,
			says: []string{"look unknown_email: reveal tells anybody who asks whether a person is a client"}},
		{name: "nobody says who is staff", spoil: func() {
			from := strings.Index(c.config, "\tbasic_auth")
			c.config = c.config[:from] + "\tportalgate_staff\n}\n"
		}, says: []string{"no staff: portalgate_staff on staff.willow.example has nothing in front that says who is staff; add client_cert, staff_gate, or basic_auth before it"}},
		{name: "all who have a password are staff", spoil: swap("\t\tallow desk\n", ""), passes: true,
			says: []string{"look staff: portalgate_staff on staff.willow.example takes everybody whom the authenticator knows; name the staff: allow <id>..."}},
		{name: "it was for trying out", spoil: func() {
			swap("public_url https://portal.willow.example", "public_url http://localhost:"+c.http)()
			from, to := strings.Index(c.config, "mail smtp {"), strings.Index(c.config, "from hello@willow.example\n\t\t}")
			c.config = c.config[:from] + "mail outbox" + c.config[to+len("from hello@willow.example\n\t\t}"):]
		}, says: []string{"no public_url: http://localhost:", "is this machine alone, for trying things out", "no mail: no mail leaves the outbox; name a mail server"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c = newClinic(t)
			if tc.spoil != nil {
				tc.spoil()
			}
			c.mustLoad(string(caddyfile.Format([]byte(c.config))))
			if tc.after != nil {
				tc.after()
			}
			found, err := c.examine()
			said := strings.NewReplacer(c.dir, "{dir}", c.dial(), "{dial}").Replace(amiss(found))
			for _, want := range tc.says {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q, but\n%s", want, said)
				}
			}
			if (err == nil) != tc.passes {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// TestH01_DoctorStandsIn: what a visitor writes into the identity headers, in
// any spelling, is looked for where the application is, and not where the
// configuration says that it is taken out.
func TestH01_DoctorStandsIn(t *testing.T) {
	c := newClinic(t)
	address := "127.0.0.1:" + freePort(t)
	c.config = strings.ReplaceAll(c.config, c.dial(), address)
	c.mustLoad(string(caddyfile.Format([]byte(c.config))))
	found, err := c.examine("--echo", address)
	if bad := amiss(found); bad != "" || err != nil {
		t.Errorf("behind a gate it says\n%s%v", bad, err)
	}
	if !strings.Contains(fmt.Sprint(found), "no identity header of a visitor's own making arrives") {
		t.Errorf("nothing was looked at: %v", found)
	}

	// The application is also asked before the gate is.
	c.config = strings.Replace(c.config, "\treverse_proxy "+address, "\troute /public/* {\n\t\treverse_proxy "+address+"\n\t}\n\treverse_proxy "+address, 1)
	c.config = strings.Replace(c.config, "\tgrace_period", "\torder route before portalgate\n\tgrace_period", 1)
	c.mustLoad(string(caddyfile.Format([]byte(c.config))))
	found, err = c.examine("--echo", address)
	said := amiss(found)
	for _, want := range []string{"no headers: " + address + " is behind the gate, and reached without it on portal.willow.example", "a visitor's own Portalgate-Assertion, Remote-Email, Remote-Name, Remote-User arrives at the application"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q, but\n%s", want, said)
		}
	}
	if err == nil {
		t.Error("it passes")
	}
	if ln, err := net.Listen("tcp", address); err != nil {
		t.Errorf("it still stands there: %v", err)
	} else {
		ln.Close()
	}

	// Nobody comes where it stands.
	found, _ = c.examine("--echo", "127.0.0.1:"+freePort(t))
	if !strings.Contains(amiss(found), "did not arrive at 127.0.0.1:") {
		t.Errorf("where nobody comes it says\n%s", amiss(found))
	}
}

func TestDoctorCommand(t *testing.T) {
	c := newClinic(t)
	c.mustLoad(string(caddyfile.Format([]byte(c.config))))
	admin := "localhost:" + c.admin
	for _, tc := range []struct{ args, want string }{
		{"--gate other", `there is no gate "other"`},
		{"--echo 127.0.0.1:" + c.https, "standing in the application's place: "},
		{"--address localhost:" + freePort(t), "nothing answers at localhost:"},
	} {
		args := strings.Fields("doctor --address " + admin + " " + tc.args)
		if out, said, ok := printed(t, args...); ok || out != "" || !strings.Contains(said, tc.want) {
			t.Errorf("%s: %t, %q, %q", tc.args, ok, out, said)
		}
	}
}
