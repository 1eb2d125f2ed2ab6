// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/mail/smtp"
	"github.com/portalgate/portalgate/internal/smtptest"
)

func message(to string) mail.Message {
	return mail.Message{
		ID: "m1@willow.example", FromName: "Willow Creek, Counseling", From: "portal@willow.example", To: to,
		Subject: "Sign in to your Client Portal", Text: "Sign in:\nhttps://portal.example.com/sign-in/link?t=A.B\n", HTML: "<p>Sign in</p>",
	}
}

func sender(t *testing.T, o smtp.Options) *smtp.Sender {
	t.Helper()
	s, err := smtp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSend(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server smtptest.Options
		o      smtp.Options
	}{
		{"starttls", smtptest.Options{}, smtp.Options{}},
		{"implicit", smtptest.Options{Implicit: true}, smtp.Options{TLS: smtp.Implicit}},
		{"none, on loopback", smtptest.Options{Clear: true}, smtp.Options{TLS: smtp.None}},
		{"starttls with a user", smtptest.Options{User: "gate", Password: "pass word"}, smtp.Options{User: "gate", Password: "pass word"}},
		{"implicit with a user", smtptest.Options{Implicit: true, User: "gate", Password: "x"}, smtp.Options{TLS: smtp.Implicit, User: "gate", Password: "x"}},
		{"none with a user", smtptest.Options{Clear: true, User: "gate", Password: "x"}, smtp.Options{TLS: smtp.None, User: "gate", Password: "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := smtptest.Start(t, tc.server)
			tc.o.Host, tc.o.Roots = server.Addr, server.Roots
			s := sender(t, tc.o)
			for range 3 {
				if _, err := s.Send(t.Context(), message("ada@example.com")); err != nil {
					t.Fatal(err)
				}
			}
			mails := server.Mails()
			if len(mails) != 3 || server.Connections() != 1 {
				t.Fatalf("%d mails on %d connections, want 3 on 1", len(mails), server.Connections())
			}
			m := mails[0]
			if m.From != "portal@willow.example" || len(m.To) != 1 || m.To[0] != "ada@example.com" {
				t.Errorf("from %q to %q", m.From, m.To)
			}
			h := m.Parsed(t).Header
			for name, want := range map[string]string{
				"Message-Id": "<m1@willow.example>", "From": `"Willow Creek, Counseling" <portal@willow.example>`,
				"To": "<ada@example.com>", "Subject": "Sign in to your Client Portal", "Auto-Submitted": "auto-generated",
				"References": "<ref-m1@willow.example>", "User-Agent": "", "Bcc": "",
			} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if _, err := h.Date(); err != nil {
				t.Errorf("Date: %v", err)
			}
		})
	}
}

// A mail holds a link that signs in: it goes over no connection that somebody
// else could read, or that leads to somebody else.
func TestNeverWithoutTLS(t *testing.T) {
	clear := smtptest.Start(t, smtptest.Options{Clear: true})
	tls := smtptest.Start(t, smtptest.Options{})
	for _, tc := range []struct {
		name string
		o    smtp.Options
		want string
	}{
		{"a server without STARTTLS", smtp.Options{Host: clear.Addr, Roots: tls.Roots}, "STARTTLS"},
		{"a certificate that nobody vouches for", smtp.Options{Host: tls.Addr}, "certificate"},
		{"a certificate for another name", smtp.Options{Host: strings.Replace(tls.Addr, "127.0.0.1", "127.0.0.2", 1), Roots: tls.Roots}, "127.0.0.2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := sender(t, tc.o).Send(t.Context(), message("ada@example.com"))
			var refusal *mail.Refusal
			if err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Send: %v, want an error that says %q", err, tc.want)
			}
		})
	}
	if n := len(clear.Mails()) + len(tls.Mails()); n > 0 {
		t.Errorf("%d mails got through", n)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		o    smtp.Options
		want string // empty if it is fine
	}{
		{smtp.Options{Host: "smtp.example.com"}, ""},
		{smtp.Options{Host: "smtp.example.com:2525", User: "u", Password: "p"}, ""},
		{smtp.Options{Host: "localhost", TLS: smtp.None}, ""},
		{smtp.Options{Host: "[::1]:25", TLS: smtp.None}, ""},
		{smtp.Options{}, "host is"},
		{smtp.Options{Host: "smtp.example.com:0"}, "host is"},
		{smtp.Options{Host: "smtp://smtp.example.com"}, "host is"},
		{smtp.Options{Host: "smtp.example.com", TLS: "ssl"}, "tls is"},
		{smtp.Options{Host: "smtp.example.com", TLS: smtp.None}, "in the clear"},
		{smtp.Options{Host: "smtp.example.com", Password: "p"}, "without a user"},
	} {
		_, err := smtp.New(tc.o)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v) = %v, want %q", tc.o, err, tc.want)
		}
	}
}

// TestRefusals tells apart what a server will never take, what it does not take
// yet, and what is not about this mail at all.
func TestRefusals(t *testing.T) {
	refuse := func(code int, enhanced [3]int) func(string, <-chan struct{}) error {
		return func(what string, _ <-chan struct{}) error {
			return smtptest.Refuse(code, enhanced, "<ada@example.com>: no, says "+fmt.Sprint(len(what)))
		}
	}
	for _, tc := range []struct {
		name   string
		server smtptest.Options
		want   *mail.Refusal // nil is an error about the server
	}{
		{"no such mailbox", smtptest.Options{To: refuse(550, [3]int{5, 1, 1})}, &mail.Refusal{Permanent: true, Reason: "there is no such mailbox", Code: "550 5.1.1"}},
		{"a full mailbox", smtptest.Options{To: refuse(452, [3]int{4, 2, 2})}, &mail.Refusal{Reason: "the mailbox is full", Code: "452 4.2.2"}},
		{"greylisted", smtptest.Options{To: refuse(450, [3]int{4, 7, 1})}, &mail.Refusal{Reason: "the mail service's policy or spam filter refused it", Code: "450 4.7.1"}},
		{"taken for spam", smtptest.Options{Data: refuse(554, [3]int{5, 7, 1})}, &mail.Refusal{Permanent: true, Reason: "the mail service's policy or spam filter refused it", Code: "554 5.7.1"}},
		{"too busy for the text", smtptest.Options{Data: refuse(451, [3]int{4, 3, 0})}, &mail.Refusal{Reason: "the mail service has trouble", Code: "451 4.3.0"}},
		{"it has to go", smtptest.Options{To: refuse(421, [3]int{4, 3, 2})}, nil},
		{"our sender is not welcome", smtptest.Options{From: refuse(550, [3]int{5, 7, 1})}, nil},
		{"it wants a user", smtptest.Options{User: "u", Password: "p"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := smtptest.Start(t, tc.server)
			s := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots})
			for range 2 { // the second on the connection of the first, if that is good
				_, err := s.Send(t.Context(), message("ada@example.com"))
				var refusal *mail.Refusal
				switch {
				case err == nil:
					t.Fatal("it was taken")
				case strings.Contains(err.Error(), "ada@"):
					t.Errorf("the error holds the address: %v", err)
				case errors.As(err, &refusal) != (tc.want != nil), refusal != nil && *refusal != *tc.want:
					t.Errorf("Send: %v, want %v", err, tc.want)
				}
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{User: "gate", Password: "right"})
	_, err := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots, User: "gate", Password: "wr0ng"}).Send(t.Context(), message("ada@example.com"))
	var refusal *mail.Refusal
	if err == nil || errors.As(err, &refusal) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("Send: %v, want an error about the server without the password", err)
	}
}

// A server that hangs, at any moment, holds nobody longer than they want to
// wait, and the next mail goes over another connection.
func TestHanging(t *testing.T) {
	var hang atomic.Bool
	wait := func(_ string, stopped <-chan struct{}) error {
		if hang.Load() {
			<-stopped
		}
		return nil
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, server := range map[string]*smtptest.Server{
		"before the greeting": {Addr: silent.Addr().String()},
		"at the sender":       smtptest.Start(t, smtptest.Options{From: wait}),
		"at the recipient":    smtptest.Start(t, smtptest.Options{To: wait}),
		"at the text":         smtptest.Start(t, smtptest.Options{Data: wait}),
	} {
		t.Run(name, func(t *testing.T) {
			s := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots})
			hang.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := s.Send(ctx, message("ada@example.com")); err == nil || !strings.Contains(err.Error(), "in time") {
				t.Errorf("Send: %v, want that there was no answer in time", err)
			}
			hang.Store(false)
			if server.Roots == nil {
				return
			}
			if _, err := s.Send(t.Context(), message("ada@example.com")); err != nil {
				t.Errorf("the next: %v", err)
			}
		})
	}
}

// A connection that the server has closed meanwhile is not a mail that failed.
func TestStaleConnection(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots})
	for want := 1; want <= 3; want++ {
		if _, err := s.Send(t.Context(), message("ada@example.com")); err != nil {
			t.Fatal(err)
		}
		if got := server.Connections(); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
		server.HangUp()
	}
}

func TestConcurrent(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := s.Send(t.Context(), message(fmt.Sprintf("c%d@example.com", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(server.Mails()); n != 160 {
		t.Errorf("%d mails, want 160", n)
	}
}
