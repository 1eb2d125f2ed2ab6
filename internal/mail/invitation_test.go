// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func invited() Invitation {
	return Invitation{ID: "i1", To: "ada@example.com", First: "Ada", Words: "We look forward to seeing you.", Link: link, Life: 24 * time.Hour}
}

func invite(t testing.TB, in Invitation) Message {
	t.Helper()
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Invitation(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInvitation(t *testing.T) {
	m := invite(t, invited())
	const text = `Hello Ada,

Willow Creek Counseling has opened a private portal for you. You do not need a password.

We look forward to seeing you.

Sign in:
` + link + `

We will ask you for your email address. Type ada@example.com.
The button works once. It lasts 24 hours.

Next time, go to portal.example.com, choose "I'm an existing client", and type the same address.
Tip: save portal.example.com on your phone or computer.

Does someone else read this mailbox? Then ask us for another way in.
Was this not meant for you? Then tell us. Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
	if m.Text != text {
		t.Errorf("the text part is\n%s\nwant\n%s", m.Text, text)
	}
	if m.Subject != "Your Client Portal at Willow Creek Counseling" || m.Kind != "invitation" || m.ID != "i1@willow.example" {
		t.Errorf("subject %q, kind %q, id %q", m.Subject, m.Kind, m.ID)
	}
	want := "Press Sign in to open it. You do not need a password. " + strings.Replace(text, "Sign in:", "Sign in", 1)
	if shown := words(t, m.HTML); !slices.Equal(shown, strings.Fields(want)) {
		t.Errorf("the HTML part says\n%q\nthe text part\n%q", shown, strings.Fields(want))
	}
	if len(m.HTML) > 20<<10 || strings.Contains(m.HTML, "<img") {
		t.Errorf("the HTML part has %d bytes", len(m.HTML))
	}
	bare := invited()
	bare.Words = " \u200b\n "
	if got := invite(t, bare).Text; got != strings.Replace(text, "We look forward to seeing you.\n\n", "", 1) {
		t.Errorf("without words:\n%s", got)
	}
}

func TestLinkSent(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.LinkSent(invited(), stop)
	if err != nil {
		t.Fatal(err)
	}
	const text = `Hello Ada,

Willow Creek Counseling sent you this link to sign in.

We look forward to seeing you.

Sign in:
` + link + `

If we ask for your email address, type ada@example.com.
The button works once. It lasts 24 hours.

Was this not meant for you? Then tell us. Call Willow Creek Counseling on +1 555 0100.
To switch the link off: ` + stop + `

Willow Creek Counseling, +1 555 0100
`
	if m.Text != text || m.Subject != "Sign in to your Client Portal" || m.Kind != "sign-in" {
		t.Errorf("%q, %q:\n%s", m.Subject, m.Kind, m.Text)
	}
	if _, err := c.LinkSent(invited(), stop+"\nx"); err == nil {
		t.Error("with a stop link of two lines it is composed")
	}
}

// What staff write, and a name on file, may add no line to our mail, no markup,
// no link that hides where it leads, and no header.
func TestE14_HostileInvitation(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("invitation", func(t *testing.T) { hostileWords(t, c.Invitation, 2) })
	t.Run("link", func(t *testing.T) {
		hostileWords(t, func(in Invitation) (Message, error) { return c.LinkSent(in, stop) }, 3)
	})
}

// hostileWords puts what may stand in words and names into a mail, which has so many
// links of its own.
func hostileWords(t *testing.T, compose func(Invitation) (Message, error), links int) {
	written := func(in Invitation) Message {
		m, err := compose(in)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	plain := written(invited())
	for name, hostile := range map[string]string{
		"lines":    "x\r\n\r\nBcc: eve@example.com\u2028\u2029\x85y",
		"markup":   `<a href="https://evil.example">Sign in</a><img src=x>`,
		"a link":   "https://evil.example/link?t=x",
		"slots":    "{life} {reach} {{.}}",
		"turned":   "\u202exoferiF\u2066",
		"broken":   "Fire\xfffox\x00",
		"a speech": strings.Repeat("call 0900 ", 100),
	} {
		for field, set := range map[string]func(*Invitation){
			"words": func(in *Invitation) { in.Words = hostile }, "name": func(in *Invitation) { in.First = hostile },
		} {
			in := invited()
			set(&in)
			m := written(in)
			if strings.Count(m.Text, "\n") != strings.Count(plain.Text, "\n") {
				t.Errorf("%s in the %s adds a line:\n%s", name, field, m.Text)
			}
			if strings.Count(m.HTML, "<") != strings.Count(plain.HTML, "<") || strings.Count(m.HTML, `href="`) != links {
				t.Errorf("%s in the %s adds markup", name, field)
			}
			if m.Subject != plain.Subject || m.To != plain.To || m.From != plain.From || !oneLine(strings.ReplaceAll(m.Text, "\n", "")) {
				t.Errorf("%s in the %s is in more than its place:\n%q", name, field, m.Text)
			}
			if len([]rune(m.Text)) > len([]rune(plain.Text))+MaxWords {
				t.Errorf("%s in the %s is %d characters long", name, field, len(m.Text))
			}
		}
	}
}

func TestE08_InvitationRefuses(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(*Invitation){
		"a recipient of two lines": func(in *Invitation) { in.To = "ada@example.com\r\nBcc: eve@example.com" },
		"two recipients":           func(in *Invitation) { in.To = "ada@example.com,eve@example.com" },
		"an id of two lines":       func(in *Invitation) { in.ID = "a\r\nb" },
		"a link of two lines":      func(in *Invitation) { in.Link = link + "\nx" },
		"a link too long":          func(in *Invitation) { in.Link = link + strings.Repeat("x", longest) },
		"no link":                  func(in *Invitation) { in.Link = "" },
		"no life":                  func(in *Invitation) { in.Life = 0 },
	} {
		in := invited()
		set(&in)
		if _, err := c.Invitation(in); err == nil || strings.Contains(err.Error(), "eve") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.LinkSent(in, stop); err == nil || strings.Contains(err.Error(), "eve") {
			t.Errorf("%s in a link that is sent: %v", name, err)
		}
	}
}

func TestUnlocked(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Unlocked(Notice{ID: "u1", To: "ada@example.com", First: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	const text = `Hello Ada,

Willow Creek Counseling turned your PINs and email codes on again. They were off after too many wrong ones.

Did you not ask us for this? Then tell us. Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
	if m.Text != text || m.Subject != "A way in is open again" || m.Kind != "notice" {
		t.Errorf("%q, %q:\n%s", m.Subject, m.Kind, m.Text)
	}
}
