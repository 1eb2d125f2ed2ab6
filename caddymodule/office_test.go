// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/crypto/bcrypt"
)

// office is a Caddy with a gate for clients, a gate for staff, and desks in
// every place where an operator may put one, or should not have.
type office struct {
	*live
	staff    string // origin of the staff's own gate
	desks    string // port of the desks without a gate
	tls      string // and of those with certificates
	log      string
	password string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{live: newLive(t), desks: freePort(t), tls: freePort(t), password: "correct horse"}
	o.staff = "http://localhost:" + freePort(t)
	o.log = filepath.Join(o.dir, "caddy.log")
	o.write("staff.csv", "id,email,name\nc-desk,desk@willow.example,Dee Desk\n")
	hash, err := bcrypt.GenerateFromPassword([]byte(o.password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	o.certificates()
	basic := fmt.Sprintf("basic_auth {\n\tdesk %[1]s\n\tcook %[1]s\n}\n", hash)
	global := fmt.Sprintf(`order intercept before portalgate
	log {
		output file %[1]s/caddy.log
		level DEBUG
		%[3]s
	}
	portalgate staff {
		public_url %[2]s
		practice "Willow Creek Counseling" {
			phone "+1 555 0100"
		}
		store embedded %[1]s/staff.db
		clients file %[1]s/staff.csv
		mail outbox
		unknown_email reveal
	}`, o.dir, o.staff, filtered)
	config := o.caddyfile("sign_in magic_link\nsign_in pin", global)
	portal := strings.TrimPrefix(o.upstream.URL, "http://")
	config = strings.Replace(config, "\treverse_proxy "+portal, `	intercept /api/v1/* {
		handle_response {
			portalgate_staff
		}
	}
	handle_path /desk/* {
		portalgate_staff
	}
	handle_path /desk-basic/* {
		`+basic+`
		portalgate_staff
	}
	handle_path /desk-gate/* {
		portalgate_staff {
			staff_gate staff
		}
	}
	handle_path /public/desk/* {
		`+basic+`
		portalgate_staff
	}
	handle /broken/* {
		error 502
	}
	handle {
		reverse_proxy `+portal+`
	}
	handle_errors {
		uri strip_prefix /broken
		portalgate_staff
	}`, 1)
	config += fmt.Sprintf(`
http://localhost%[1]s {
	bind 127.0.0.1
	portalgate staff {
		public /open/*
	}
	handle_path /desk/* {
		portalgate_staff {
			staff_gate staff
		}
	}
	handle_path /desk-none/* {
		portalgate_staff
	}
	handle_path /desk-only/* {
		portalgate_staff {
			staff_gate staff
			allow c-desk
		}
	}
	handle_path /desk-others/* {
		portalgate_staff {
			staff_gate staff
			allow c-boss
		}
	}
	handle_path /open/desk/* {
		portalgate_staff {
			staff_gate staff
		}
	}
	portalgate_inbox staff
}
http://bare.localhost:%[2]s {
	bind 127.0.0.1
	portalgate_staff
}
http://forgetful.localhost:%[2]s {
	bind 127.0.0.1
	portalgate_staff {
		staff_gate staff
		client_cert
		allow desk
	}
}
http://basic.localhost:%[2]s {
	bind 127.0.0.1
	log
	portalgate_staff {
		allow desk
	}
	%[3]s
}
https://desk.localhost:%[4]s {
	bind 127.0.0.1
	tls %[5]s/server.pem %[5]s/server.key {
		client_auth {
			mode verify_if_given
			trust_pool file %[5]s/ca.pem
		}
	}
	portalgate_staff {
		client_cert
		allow desk@willow.example
	}
}
https://lax.localhost:%[4]s {
	bind 127.0.0.1
	tls %[5]s/server.pem %[5]s/server.key {
		client_auth {
			mode require
		}
	}
	portalgate_staff {
		client_cert
	}
}
http://:%[6]s {
	bind 127.0.0.1
	%[3]s
	portalgate_staff
}
`, o.staff[strings.LastIndex(o.staff, ":"):], o.desks, basic, o.tls, o.dir, o.nameless())
	o.mustLoad(string(caddyfile.Format([]byte(config))))
	return o
}

// nameless is the port of the desk on a site without a name.
func (o *office) nameless() string {
	if p, err := os.ReadFile(filepath.Join(o.dir, "nameless")); err == nil {
		return string(p)
	}
	p := freePort(o.t)
	o.write("nameless", p)
	return p
}

// certificates makes an authority, a server's certificate and three for
// visitors: one of the staff, one of another person, and one of nobody's making
// that has the name of one of the staff.
func (o *office) certificates() {
	o.t.Helper()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey := o.certificate("ca", ca, ca, nil)
	o.certificate("server", &x509.Certificate{DNSNames: []string{"desk.localhost", "lax.localhost"}}, ca, caKey)
	o.certificate("desk", &x509.Certificate{Subject: pkix.Name{CommonName: "desk@willow.example"}}, ca, caKey)
	o.certificate("cook", &x509.Certificate{Subject: pkix.Name{CommonName: "cook@willow.example"}}, ca, caKey)
	o.certificate("nameless", &x509.Certificate{}, ca, caKey)
	o.certificate("forged", &x509.Certificate{Subject: pkix.Name{CommonName: "desk@willow.example"}}, nil, nil)
}

// certificate writes a certificate and its key; one without a parent signs
// itself.
func (o *office) certificate(name string, c, parent *x509.Certificate, by *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	o.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	if parent == nil {
		parent = c
	}
	if by == nil {
		by = key
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		o.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	o.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return key
}

// at asks a desk to make a PIN for Ada: with what a browser holds, and more.
func (b *browser) at(desk string, more ...string) (int, string) {
	b.t.Helper()
	return b.post(desk+"/api/v1/pins", `{"email":"`+ada+`","verified_by":"called back"}`, more...)
}

func (b *browser) post(url, body string, more ...string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(more); i += 2 {
		switch more[i] {
		case "basic":
			req.SetBasicAuth(more[i+1], "correct horse")
		case "method":
			req.Method = more[i+1]
		case "Host":
			req.Host = more[i+1]
		default:
			req.Header.Set(more[i], more[i+1])
		}
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { b.CheckRedirect = nil }()
	res, err := b.Do(req)
	if err != nil {
		b.t.Fatalf("%s: %v", url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// visitor is a browser that reaches every name on this machine, and shows that
// certificate if it is given one.
func (o *office) visitor(cert string) *browser {
	o.t.Helper()
	b := o.browser()
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(o.dir, "ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		o.t.Fatalf("the authority: %v", err)
	}
	conf := &tls.Config{RootCAs: pool}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(o.dir, cert+".pem"), filepath.Join(o.dir, cert+".key"))
		if err != nil {
			o.t.Fatal(err)
		}
		// Whoever the server says it believes, this one is shown.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	d := net.Dialer{}
	b.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		}}
	return b
}

// signInStaff signs a browser in at the staff's own gate.
func (o *office) signInStaff() *browser {
	o.t.Helper()
	b := (&live{t: o.t, dir: o.dir, portal: o.staff}).browser()
	app, err := caddy.ActiveContext().App("portalgate")
	if err != nil {
		o.t.Fatal(err)
	}
	box := app.(*App).live["staff"].runtime.Outbox()
	b.send(b.get("/sign-in/magic-link"), "/sign-in/magic-link", "email", "desk@willow.example")
	for deadline := time.Now().Add(20 * time.Second); len(box.Messages()) == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatal("no mail came")
		}
	}
	b.send(b.get(signInLink.FindString(box.Messages()[0].Text)), "/sign-in/link")
	if p := b.get("/"); !strings.Contains(p.body, "<html") || strings.HasPrefix(p.url.Path, "/sign-in") {
		o.t.Fatalf("the staff are not signed in: %d at %s", p.status, p.url)
	}
	return b
}
