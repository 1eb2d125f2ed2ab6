// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package smtp_test

import (
	"html"
	netmail "net/mail"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/mail/smtp"
	"github.com/portalgate/portalgate/internal/smtptest"
	"github.com/portalgate/portalgate/internal/ui"
)

// through sends mails over SMTP and returns what arrived.
func through(t *testing.T, mails ...mail.Message) []smtptest.Mail {
	t.Helper()
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots})
	for _, m := range mails {
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return server.Mails()
}

// composer writes in the name of a practice.
func composer(t *testing.T, name string) *mail.Composer {
	t.Helper()
	u, err := ui.New(ui.Practice{
		Name: name, Phone: "+1 555 0100", From: "portal@willow.example",
		PublicURL: &url.URL{Scheme: "https", Host: "portal.willow.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := mail.NewComposer(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	link = "https://portal.willow.example/sign-in/link?t=abcdefghijklmnop.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	stop = "https://portal.willow.example/sign-in/stop?t=abcdefghijklmnop.HhwdGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIBAAA"
)

func signIn(t *testing.T, c *mail.Composer, first string) mail.Message {
	t.Helper()
	m, err := c.SignIn(mail.SignIn{ID: "m1", To: "ada@example.com", First: first, Link: link, Stop: stop, Code: "01234567", Life: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestL16_TransportDamage: on its way a mail is cut into lines of 76 characters,
// its links are wrapped by SafeLinks and Proofpoint, and mail programs guess
// where a link in plain text ends. The link must come out of all of it as it
// went in.
func TestL16_TransportDamage(t *testing.T) {
	m := signIn(t, composer(t, "Willow Creek Counseling"), "Zoë")
	raw := through(t, m)[0]
	for line := range strings.SplitSeq(raw.Raw, "\r\n") {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("a line that a server may change: %q", line)
		}
	}
	_, body, _ := strings.Cut(raw.Raw, "\r\n\r\n")
	for line := range strings.SplitSeq(body, "\r\n") {
		if len(line) > 78 {
			t.Errorf("a line of %d characters: %q", len(line), line)
		}
	}
	text, page := raw.Parts(t)
	if text != m.Text || page != m.HTML {
		t.Error("what arrived is not what was sent")
	}
	for _, l := range []string{link, stop} {
		switch {
		case len(l) > 200:
			t.Errorf("a link of %d characters", len(l))
		case !regexp.MustCompile(`^[A-Za-z0-9:/?=._-]+[A-Za-z0-9]$`).MatchString(l):
			t.Errorf("%q has a sign that a program would escape, or take for the end of a sentence", l)
		case !strings.Contains(page, `href="`+l+`"`) || html.EscapeString(l) != l:
			t.Errorf("the HTML part does not lead to %q", l)
		case !strings.Contains(text, l+"\n"):
			t.Errorf("in the text something stands behind %q", l)
		}
		wrapped, err := url.Parse("https://eur01.safelinks.protection.outlook.com/?url=" + url.QueryEscape(l) + "&data=05%7C02%7C&reserved=0")
		if err != nil || wrapped.Query().Get("url") != l {
			t.Errorf("SafeLinks makes %q of %q", wrapped.Query().Get("url"), l)
		}
		between := regexp.MustCompile(`/v3/__(.+?)__;`).FindStringSubmatch("https://urldefense.com/v3/__" + l + "__;!!abc!def$")
		if between == nil || between[1] != l {
			t.Errorf("Proofpoint makes %q of %q", between, l)
		}
	}
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(link) + `$`).MatchString(text) {
		t.Error("the link has no line of its own")
	}
}

// TestE08_OnTheWire: whatever stands in a name or an address, one mail goes to
// one mailbox, and no header is anybody else's.
func TestE08_OnTheWire(t *testing.T) {
	evil := []string{
		"\r\nBcc: eve@example.com\r\n", "\r\n.\r\nMAIL FROM:<eve@example.com>\r\n", "%0d%0aBcc: eve@example.com",
		"\u2028Bcc: eve@example.com", "\x00", `"\r\n.\r\n"`, "<eve@example.com>", "=?utf-8?q?=0D=0ABcc:_eve@example.com?=", "\u202e",
	}
	var mails []mail.Message
	for _, e := range evil {
		mails = append(mails, signIn(t, composer(t, "Willow Creek"), "Ada"+e))
	}
	for _, name := range []string{`Willow "Creek", <eve@example.com>`, "=?utf-8?q?=0D=0ABcc:_eve@example.com?=", "Zoë & Söhne", "%0d%0aBcc: eve@example.com"} {
		mails = append(mails, signIn(t, composer(t, name), "Ada"))
	}
	for i, m := range through(t, mails...) {
		if len(m.To) != 1 || m.To[0] != "ada@example.com" || m.From != "portal@willow.example" {
			t.Errorf("mail %d is from %q to %q", i, m.From, m.To)
		}
		h := m.Parsed(t).Header
		names := make(map[string]bool)
		for name, values := range h {
			names[name] = true
			if len(values) != 1 {
				t.Errorf("mail %d has %s %d times", i, name, len(values))
			}
		}
		for _, want := range []string{"From", "To", "Subject", "Date", "Message-Id", "References", "Auto-Submitted", "X-Auto-Response-Suppress", "Mime-Version", "Content-Type"} {
			delete(names, want)
		}
		if len(names) > 0 {
			t.Errorf("mail %d has headers of its own: %v", i, names)
		}
		from, err := netmail.ParseAddress(h.Get("From"))
		if err != nil || from.Address != "portal@willow.example" || from.Name != mails[i].FromName {
			t.Errorf("mail %d is from %q (%v), want the name %q", i, h.Get("From"), err, mails[i].FromName)
		}
		if text, page := m.Parts(t); text != mails[i].Text || page != mails[i].HTML {
			t.Errorf("mail %d arrived changed", i)
		}
	}
	// What is no address never gets as far as a server.
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, smtp.Options{Host: server.Addr, Roots: server.Roots})
	for i, to := range []string{"ada@example.com\r\nRCPT TO:<eve@example.com>", "ada@example.com>\r\nDATA", "ada@example.com, eve@example.com", "@evil.example:ada@example.com"} {
		m := mails[0]
		m.To = to
		if _, err := s.Send(t.Context(), m); err == nil {
			t.Errorf("recipient %d was taken", i)
		}
	}
	m := mails[0]
	m.From = "portal@willow.example>\r\nRCPT TO:<eve@example.com"
	if _, err := s.Send(t.Context(), m); err == nil || len(server.Mails()) > 0 {
		t.Errorf("an evil sender: %v, %d mails", err, len(server.Mails()))
	}
}
