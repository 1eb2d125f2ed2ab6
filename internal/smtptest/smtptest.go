// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package smtptest is a real SMTP server for tests, on a free loopback port:
// with STARTTLS, implicit TLS or neither, with authentication, and with answers
// that a test scripts. It keeps what it took, and passes nothing on.
package smtptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Options are a server's. The zero value offers STARTTLS and takes every mail.
type Options struct {
	// Implicit is TLS from the first byte; Clear is none at all.
	Implicit, Clear bool
	// User and Password are asked for if there is a user.
	User, Password string
	// From, To and Data may refuse what comes: see Refuse. Any of them may also
	// wait, and is then told when the server stops. Nil takes it.
	From, To, Data func(what string, stopped <-chan struct{}) error
}

// Mail is one mail that the server took.
type Mail struct {
	From string
	To   []string
	Raw  string // headers and body as they came
}

// Parsed reads the mail's headers.
func (m Mail) Parsed(t testing.TB) *netmail.Message {
	t.Helper()
	parsed, err := netmail.ReadMessage(bytes.NewReader([]byte(m.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Parts returns the mail's text and HTML as a mail program reads them. The test
// fails if they are not just those two, in quoted-printable.
func (m Mail) Parts(t testing.TB) (text, html string) {
	t.Helper()
	parsed := m.Parsed(t)
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type %q, %v", parsed.Header.Get("Content-Type"), err)
	}
	var bodies []string
	for r := multipart.NewReader(parsed.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
			t.Errorf("a part is in %q", got)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, strings.ReplaceAll(string(body), "\r\n", "\n"))
	}
	if len(bodies) != 2 {
		t.Fatalf("%d parts, want text and HTML", len(bodies))
	}
	return bodies[0], bodies[1]
}

// Server is a running server.
type Server struct {
	Addr  string         // 127.0.0.1:port; the certificate is for localhost as well
	Roots *x509.CertPool // trusts it
	PEM   []byte         // its certificate

	o       Options
	stopped chan struct{}

	mu    sync.Mutex
	mails []Mail     // guarded by mu
	conns []net.Conn // guarded by mu; all that were ever made
}

// Start starts a server and stops it when the test is over.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{o: o, stopped: make(chan struct{})}
	cert := s.certify(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = ln.Addr().String()
	ln = &counting{Listener: ln, s: s}
	server := smtp.NewServer(smtp.BackendFunc(s.session))
	server.Domain, server.AllowInsecureAuth = "localhost", o.Clear
	server.ErrorLog = silent{}
	config := &tls.Config{Certificates: []tls.Certificate{*cert}}
	switch {
	case o.Implicit:
		ln = tls.NewListener(ln, config)
	case !o.Clear:
		server.TLSConfig = config
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() {
		close(s.stopped)
		server.Close()
	})
	return s
}

// Refuse is an error that the server answers with.
func Refuse(code int, enhanced [3]int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode(enhanced), Message: text}
}

// Mails returns what the server has taken so far, oldest first.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Connections is how many connections were made so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// HangUp closes all connections, as a server does with those that nobody uses.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

type counting struct {
	net.Listener
	s *Server
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.s.mu.Lock()
		l.s.conns = append(l.s.conns, c)
		l.s.mu.Unlock()
	}
	return c, err
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

func (s *Server) session(*smtp.Conn) (smtp.Session, error) {
	c := &session{s: s}
	if s.o.User != "" {
		return &authSession{c}, nil
	}
	return c, nil
}

// session is one connection.
type session struct {
	s      *Server
	signed bool
	mail   Mail
}

func (c *session) Reset()        { c.mail = Mail{} }
func (c *session) Logout() error { return nil }

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.s.o.User != "" && !c.signed {
		return Refuse(530, [3]int{5, 7, 0}, "Authentication required")
	}
	c.mail = Mail{From: from}
	return c.script(c.s.o.From, from)
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.mail.To = append(c.mail.To, to)
	return c.script(c.s.o.To, to)
}

func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.mail.Raw = string(raw)
	if err := c.script(c.s.o.Data, c.mail.Raw); err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.mails = append(c.s.mails, c.mail)
	return nil
}

func (c *session) script(f func(string, <-chan struct{}) error, what string) error {
	if f == nil {
		return nil
	}
	return f(what, c.s.stopped)
}

// authSession is one that asks who is there.
type authSession struct{ *session }

func (c *authSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *authSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != c.s.o.User || password != c.s.o.Password {
			return errors.New("wrong user or password")
		}
		c.signed = true
		return nil
	}), nil
}

// certify makes a certificate for the server.
func (s *Server) certify(t testing.TB) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	s.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
