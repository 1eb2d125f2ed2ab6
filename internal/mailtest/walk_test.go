// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mailtest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/internal/smtptest"
	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) { os.Exit(testgate.Main(m)) }

var linkInMail = regexp.MustCompile(`(?m)^https?://localhost:\d+(/sign-in/link\?t=[A-Za-z0-9._-]+)$`)

// TestSMTP signs a client in through a mail server that wants STARTTLS and a
// password, which is told to nobody else.
func TestSMTP(t *testing.T) {
	const password = "correct-horse-battery"
	server := smtptest.Start(t, smtptest.Options{User: "gate", Password: password})
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, server.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	t.Setenv("SMTP_PASSWORD", password)
	g := testgate.Start(t, testgate.Options{Mail: "mail smtp {\n\thost " + server.Addr + "\n\tuser gate\n\tpassword {env.SMTP_PASSWORD}\n\tfrom portal@willow.example\n}"})
	v := g.Visitor()
	if p := ask(v, "ada@example.com"); !strings.Contains(p.Body, "It comes from <strong><bdi>portal@willow.example</bdi></strong>.") {
		t.Error("the page does not say who the mail comes from")
	}
	testgate.Wait(t, "the mail", func() bool { return len(server.Mails()) > 0 })
	m := server.Mails()[0]
	if h := m.Parsed(t).Header; h.Get("Subject") != "Sign in to your Client Portal" || h.Get("From") != `"Willow Creek Counseling" <portal@willow.example>` {
		t.Errorf("the mail is %q from %q", h.Get("Subject"), h.Get("From"))
	}
	text, _ := m.Parts(t)
	link := linkInMail.FindStringSubmatch(text)
	if link == nil {
		t.Fatalf("no link on a line of its own in\n%s", text)
	}
	if strings.Contains(g.Log(), "ada@example.com") { // later there is the portal's request, at DEBUG
		t.Error("the log holds the address")
	}
	v.Submit(v.Get(link[1]), "/sign-in/link")
	if !v.SignedIn() {
		t.Error("the link did not sign in")
	}
	res, err := http.Get(g.Admin + "/config/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	config, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"the configuration": string(config), "the log": g.Log()} {
		for _, secret := range []string{password, link[1]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret", where)
			}
		}
	}
}

func ask(v *testgate.Visitor, email string) testgate.Page {
	return v.Submit(v.Get("/sign-in/magic-link"), "/sign-in/magic-link", "email", email)
}

func clients(n int) string {
	var list strings.Builder
	list.WriteString("id,email,name,portal_access,email_ok\n")
	for i := range n {
		fmt.Fprintf(&list, "%d,%s,Client %d,yes,yes\n", 1000+i, email(i), i)
	}
	return list.String()
}

func email(i int) string { return fmt.Sprintf("client%d@example.com", i) }
