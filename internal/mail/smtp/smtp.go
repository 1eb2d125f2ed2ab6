// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package smtp hands the gate's mails to a mail server of the practice's, or of
// whoever sends its mail, over SMTP with TLS.
//
// It delivers to nobody directly, never falls back to a connection without TLS,
// and always checks the server's certificate: a mail holds a link that signs in.
package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/portalgate/portalgate/internal/mail"
)

// TLS is how a connection is protected.
type TLS string

// The ways to protect a connection.
const (
	StartTLS TLS = "starttls" // begins in the clear, on port 587 by default
	Implicit TLS = "implicit" // TLS from the first byte, on port 465 by default
	None     TLS = "none"     // for a server on this machine, on port 25 by default
)

// Options say which server, and as whom.
type Options struct {
	// Host is the server's name, with a port if it is not the usual one.
	Host string
	// User and Password are for servers that ask for them. No user, no
	// authentication.
	User, Password string
	// TLS is StartTLS if empty.
	TLS TLS
	// Roots are the authorities to trust; nil is the system's.
	Roots *x509.CertPool
}

const (
	// idleTime is how long a connection that nobody uses stays open. Servers
	// close them after a minute or more; a configuration that was replaced lets
	// go of its own within this time.
	idleTime = 15 * time.Second
	// maxIdle is how many stay open. Servers count connections.
	maxIdle = 4
	// longest bounds a mail where the caller's context does not.
	longest = time.Minute
)

// Sender is a mail.Sender that keeps a few connections open between mails.
type Sender struct {
	o          Options
	name, port string

	mu   sync.Mutex
	idle []*conn // guarded by mu; the last used last
}

// New returns a sender, or says what is wrong with the options. It connects to
// nobody yet.
func New(o Options) (*Sender, error) {
	s := &Sender{o: o}
	if s.o.TLS == "" {
		s.o.TLS = StartTLS
	}
	usual, ok := map[TLS]string{StartTLS: "587", Implicit: "465", None: "25"}[s.o.TLS]
	if !ok {
		return nil, fmt.Errorf("tls is %q; write starttls, implicit, or none for a server on this machine", o.TLS)
	}
	var err error
	if s.name, s.port, err = net.SplitHostPort(o.Host); err != nil {
		s.name, s.port = o.Host, usual
	}
	if n, err := strconv.ParseUint(s.port, 10, 16); err != nil || n == 0 || !hostName(s.name) {
		return nil, fmt.Errorf("host is %q; write the mail server's name, with a port if it is not %s: smtp.example.com", o.Host, usual)
	}
	if s.o.TLS == None && !loopback(s.name) {
		return nil, fmt.Errorf("tls none would send sign-in links to %s in the clear; it is for a mail server on this machine (localhost, 127.0.0.1)", s.name)
	}
	if o.User == "" && o.Password != "" {
		return nil, errors.New("there is a password without a user")
	}
	return s, nil
}

func hostName(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' || r == '/' || r == '@' {
			return false
		}
	}
	return s != ""
}

func loopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// Send implements [mail.Sender]. It tries a connection that is open, and a new
// one if that has died meanwhile.
func (s *Sender) Send(ctx context.Context, m mail.Message) (answer string, err error) {
	msg, err := compose(m)
	if err != nil {
		return "", err
	}
	for {
		c := s.take()
		fresh := c == nil
		if fresh {
			if c, err = s.dial(ctx); err != nil {
				return "", fmt.Errorf("mail server %s: %s", s.name, mail.WithoutSecrets(reached(ctx, err).Error()))
			}
		}
		answer, alive, err := c.send(ctx, msg)
		if alive {
			s.put(c)
		} else {
			c.close()
		}
		if errors.Is(err, errStale) && !fresh {
			continue // it was closed while nobody used it
		}
		var refusal *mail.Refusal
		if err == nil || errors.As(err, &refusal) {
			return answer, err
		}
		return "", fmt.Errorf("mail server %s: %s", s.name, mail.WithoutSecrets(reached(ctx, err).Error()))
	}
}

// reached puts the reason why nobody waits any longer in place of what that did
// to the connection.
func reached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer in time (%w)", ctx.Err())
	}
	return err
}

// take returns an open connection, nil if there is none.
func (s *Sender) take() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if c.timer.Stop() {
			return c
		}
	}
	return nil
}

// put keeps a connection for the next mail, for a while.
func (s *Sender) put(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) >= maxIdle {
		go c.quit()
		return
	}
	c.timer = time.AfterFunc(idleTime, func() {
		s.drop(c)
		c.quit()
	})
	s.idle = append(s.idle, c)
}

func (s *Sender) drop(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.idle {
		if s.idle[i] == c {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// dial opens a connection and signs in.
func (s *Sender) dial(ctx context.Context) (*conn, error) {
	c := new(conn)
	config := &tls.Config{ServerName: s.name, RootCAs: s.o.Roots, MinVersion: tls.VersionTLS12}
	options := []gomail.Option{
		gomail.WithTimeout(longest), gomail.WithTLSConfig(config),
		gomail.WithoutSMTPUTF8(), // addresses are ASCII; the next server may not know it
		gomail.WithDialContextFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
			raw, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(s.name, s.port))
			if err != nil {
				return nil, err
			}
			c.mu.Lock()
			c.raw = raw
			c.mu.Unlock()
			if s.o.TLS != Implicit {
				return raw, nil
			}
			over := tls.Client(raw, config)
			return over, over.HandshakeContext(ctx)
		}),
	}
	policy, plain, login := gomail.TLSMandatory, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin
	if s.o.TLS != StartTLS { // there already, or not wanted
		policy = gomail.NoTLS
	}
	if s.o.TLS == None {
		plain, login = gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc
	}
	options = append(options, gomail.WithTLSPolicy(policy))
	if s.o.User != "" {
		options = append(options, gomail.WithUsername(s.o.User), gomail.WithPassword(s.o.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, plain, login))
	}
	var err error
	if c.client, err = gomail.NewClient(s.name, options...); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.close) // go-mail looks at ctx only while it dials
	err = c.client.DialWithContext(ctx)
	if !stop() || err != nil {
		c.close()
		return nil, errors.Join(err, ctx.Err())
	}
	return c, nil
}

// Interface guards
var _ mail.Sender = (*Sender)(nil)
