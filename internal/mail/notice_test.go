// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func seen() Notice {
	return Notice{
		ID: "n1", To: "ada@example.com", First: "Ada", Kind: "Firefox on Linux",
		When: time.Date(2026, 3, 3, 1, 5, 0, 0, time.UTC), Stop: stop,
	}
}

func notify(t testing.TB, n Notice) Message {
	t.Helper()
	p := willow()
	p.Zone = time.FixedZone("", -6*3600)
	c, err := composer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.NewBrowser(n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNewBrowser(t *testing.T) {
	m := notify(t, seen())
	const text = `Hello Ada,

Someone signed in to your portal on 2 March at 19:05 with Firefox on Linux. We had not seen it before.

Was it you? Then there is nothing to do.
If not: ` + stop + `
Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
	if m.Text != text {
		t.Errorf("the text part is\n%s\nwant\n%s", m.Text, text)
	}
	if m.Subject != "You signed in somewhere new" || m.ID != "n1@willow.example" || m.To != "ada@example.com" || m.From != "portal@willow.example" {
		t.Errorf("subject %q, id %q, to %q, from %q", m.Subject, m.ID, m.To, m.From)
	}
	want := strings.Fields("Was it you? Then there is nothing to do. " + strings.ReplaceAll(text, stop, "portal.example.com/sign-in/stop"))
	if shown := words(t, m.HTML); !slices.Equal(shown, want) {
		t.Errorf("the HTML part says\n%q\nthe text part\n%q", shown, want)
	}
	if strings.Count(m.HTML, `href="`) != 1 || !strings.Contains(m.HTML, `href="`+stop+`"`) {
		t.Error("it leads elsewhere than to the page that ends it")
	}
}

// What a browser says of itself is anybody's text, and so is a name. Neither
// may add a line to a mail of ours, a link, or a sentence.
func TestE14_HostileNotice(t *testing.T) {
	plain := notify(t, seen())
	for name, hostile := range map[string]string{
		"lines":    "Firefox\r\n\r\nBcc: eve@example.com\u2028x",
		"markup":   `<a href="https://evil.example">`,
		"slots":    "{stop} {reach} {{.}}",
		"turned":   "\u202exoferiF",
		"broken":   "Fire\xfffox\x00",
		"a speech": strings.Repeat("call 0900 ", 20),
	} {
		for field, set := range map[string]func(*Notice){
			"kind": func(n *Notice) { n.Kind = hostile }, "name": func(n *Notice) { n.First = hostile },
		} {
			n := seen()
			set(&n)
			m := notify(t, n)
			if strings.Count(m.Text, "\n") != strings.Count(plain.Text, "\n") || strings.Count(m.HTML, "<") != strings.Count(plain.HTML, "<") {
				t.Errorf("%s for a %s changed the letter:\n%s", name, field, m.Text)
			}
			if !utf8.ValidString(m.Text) || strings.ContainsFunc(strings.ReplaceAll(m.Text, "\n", ""), unseen) || strings.ContainsFunc(m.Subject, unicode.IsControl) {
				t.Errorf("%s for a %s left what cannot be seen in %q", name, field, m.Text)
			}
			if len(m.Text) > len(plain.Text)+longestName*utf8.UTFMax {
				t.Errorf("%s for a %s made a mail of %d bytes", name, field, len(m.Text))
			}
		}
	}
}

func TestE08_NewBrowserRefuses(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Notice){
		"no id":                func(n *Notice) { n.ID = "" },
		"a line in the id":     func(n *Notice) { n.ID += "\r\nX: y" },
		"two recipients":       func(n *Notice) { n.To = "ada@example.com,eve@example.com" },
		"a line in To":         func(n *Notice) { n.To += "\r\nBcc: eve@example.com" },
		"no stop link":         func(n *Notice) { n.Stop = "" },
		"a script for a link":  func(n *Notice) { n.Stop = "javascript:alert(1)" },
		"a line in the link":   func(n *Notice) { n.Stop += "\nx" },
		"a long link":          func(n *Notice) { n.Stop += strings.Repeat("x", 200) },
		"no time":              func(n *Notice) { n.When = time.Time{} },
		"no kind":              func(n *Notice) { n.Kind = "" },
		"a kind of just signs": func(n *Notice) { n.Kind = "\u202e\r\n" },
	} {
		n := seen()
		change(&n)
		m, err := c.NewBrowser(n)
		if err == nil || m != (Message{}) {
			t.Errorf("with %s it was composed", name)
			continue
		}
		for _, secret := range []string{"CCCC", "ada@", "eve@"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error about %s says %q", name, secret)
			}
		}
	}
}
