// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portalgate/portalgate/internal/ui"
)

const (
	link = "https://portal.example.com/sign-in/link?t=AAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	stop = "https://portal.example.com/sign-in/stop?t=AAAAAAAAAAAAAAAA.CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
)

func willow() ui.Practice {
	return ui.Practice{
		Name:      "Willow Creek Counseling",
		Phone:     "+1 555 0100",
		Email:     "hello@willow.example",
		From:      "portal@willow.example",
		PublicURL: &url.URL{Scheme: "https", Host: "portal.example.com"},
	}
}

func composer(t testing.TB, p ui.Practice) (*Composer, error) {
	t.Helper()
	u, err := ui.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return NewComposer(u, nil)
}

func ada() SignIn {
	return SignIn{ID: "m1", To: "ada@example.com", First: "Ada", Link: link, Stop: stop, Code: "01234567", Life: 24 * time.Hour}
}

func compose(t testing.TB, p ui.Practice, in SignIn) Message {
	t.Helper()
	c, err := composer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.SignIn(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSignIn(t *testing.T) {
	m := compose(t, willow(), ada())
	const text = `Hello Ada,

You asked to sign in to Willow Creek Counseling.

Sign in:
` + link + `

The button works once. It lasts 24 hours.

Is this email on another phone or computer?
Type this code in the window where you asked:
01234567

Did you not ask for this? Then you can leave it. No one can sign in without this email.
To switch the link off: ` + stop + `

Keep this email to yourself. We never ask you to tell us the code.

Willow Creek Counseling, +1 555 0100
`
	for _, tc := range []struct{ name, got, want string }{
		{"ID", m.ID, "m1@willow.example"},
		{"FromName", m.FromName, "Willow Creek Counseling"},
		{"From", m.From, "portal@willow.example"},
		{"To", m.To, "ada@example.com"},
		{"Subject", m.Subject, "Sign in to your Client Portal"},
		{"Text", m.Text, text},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}

// Somebody without a name on file, and a practice without a phone.
func TestSignInWithoutNameOrPhone(t *testing.T) {
	p, in := willow(), ada()
	p.Phone, in.First = "", ""
	m := compose(t, p, in)
	if !strings.HasPrefix(m.Text, "Hello,\n") || !strings.HasSuffix(m.Text, "\nWillow Creek Counseling, hello@willow.example\n") {
		t.Errorf("the letter begins or ends oddly:\n%s", m.Text)
	}
}

var tag = regexp.MustCompile(`(?s)<!--.*?-->|<[^>]*>`)

// words returns what a mail program shows of an HTML part.
func words(t *testing.T, part string) []string {
	t.Helper()
	_, body, ok := strings.Cut(part, "<body")
	if !ok {
		t.Fatal("no body")
	}
	body = strings.ReplaceAll(body, letter{}.Filler(), "")
	return strings.Fields(html.UnescapeString(tag.ReplaceAllString("<body"+body, " ")))
}

func TestBothPartsSayTheSame(t *testing.T) {
	m := compose(t, willow(), ada())
	shown := words(t, m.HTML)
	preview := strings.Fields("Press Sign in. You do not need a password.")
	if !slices.Equal(shown[:len(preview)], preview) {
		t.Fatalf("the preview line is %q", shown[:len(preview)])
	}
	// The text part's "Sign in:" is a button there, and the link to switch off
	// is shown without its token.
	want := strings.Fields(strings.NewReplacer("Sign in:", "Sign in", stop, "portal.example.com/sign-in/stop").Replace(m.Text))
	if shown = shown[len(preview):]; !slices.Equal(shown, want) {
		t.Errorf("the HTML part says\n%q\nthe text part\n%q", shown, want)
	}
}

func TestHTMLPart(t *testing.T) {
	m := compose(t, willow(), ada())
	if len(m.HTML) >= 20<<10 {
		t.Errorf("%d bytes, want less than 20 KB", len(m.HTML))
	}
	for _, no := range []string{"<img", "<style", "<script", "<table", "<link", "url(", "@import", "src=", "onclick"} {
		if strings.Contains(strings.ToLower(m.HTML), no) {
			t.Errorf("there is %s in it", no)
		}
	}
	for _, l := range []string{link, stop} {
		if !strings.Contains(m.HTML, `href="`+l+`"`) {
			t.Errorf("it does not lead to %q", l)
		}
	}
	for _, l := range regexp.MustCompile(`(?:href="|https?:)[^"<]*`).FindAllString(m.HTML, -1) {
		if l = strings.TrimPrefix(l, `href="`); l != link && l != stop {
			t.Errorf("it leads to %q", l)
		}
	}
	if n := strings.Count(m.HTML, ">01234567<"); n != 1 {
		t.Errorf("the code stands in %d elements of its own, want 1", n)
	}
}

// A locked phone shows the subject and the first lines to whoever holds it,
// who may be the one who asked: the code must not get that far.
func TestCodeIsNotInThePreview(t *testing.T) {
	m := compose(t, willow(), ada())
	_, body, _ := strings.Cut(m.HTML, "<body")
	for name, s := range map[string]string{
		"HTML": html.UnescapeString(tag.ReplaceAllString("<body"+body, " ")),
		"text": m.Text,
	} {
		if at := utf8.RuneCountInString(s[:strings.Index(s, "01234567")]); at < 250 {
			t.Errorf("the code comes %d characters into the %s part, want at least 250", at, name)
		}
	}
	if strings.Contains(m.Subject, "01234567") {
		t.Error("the code is in the subject")
	}
}

// Whatever gets into a header ends the header with a line break, and the rest
// is headers, recipients or a mail of the attacker's own.
func TestE08_HeaderInjection(t *testing.T) {
	evil := []string{
		"\r\nBcc: eve@example.com", "\nX: y", "\r", "\x00", "\u2028", "\u0085", "\r\n.\r\nMAIL FROM:<eve@example.com>", "\u202e", "%0d%0a ",
	}
	for _, e := range evil {
		for name, in := range map[string]func(*SignIn){
			"ID":   func(in *SignIn) { in.ID += e },
			"To":   func(in *SignIn) { in.To += e },
			"Link": func(in *SignIn) { in.Link += e },
			"Stop": func(in *SignIn) { in.Stop += e },
			"Code": func(in *SignIn) { in.Code += e },
		} {
			s := ada()
			in(&s)
			c, err := composer(t, willow())
			if err != nil {
				t.Fatal(err)
			}
			m, err := c.SignIn(s)
			if err == nil || m != (Message{}) {
				t.Errorf("%s with %q after it was composed", name, e)
				continue
			}
			for _, secret := range []string{"BBBB", "CCCC", "01234567", "ada@"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error about %s says %q", name, secret)
				}
			}
		}
		for name, set := range map[string]func(*ui.Practice){
			"Name": func(p *ui.Practice) { p.Name += e },
			"From": func(p *ui.Practice) { p.From += e },
		} {
			p := willow()
			set(&p)
			if _, err := composer(t, p); err == nil && e != "%0d%0a " { // a name may have a percent sign
				t.Errorf("a practice whose %s has %q after it got a composer", name, e)
			}
		}
	}
}

func TestSignInRefuses(t *testing.T) {
	long := link + strings.Repeat("x", 201-len(link))
	for _, tc := range []struct {
		name   string
		change func(*SignIn)
		ok     bool
	}{
		{"a link of 200 characters", func(in *SignIn) { in.Link = long[:200] }, true},
		{"a link of 201", func(in *SignIn) { in.Link = long }, false},
		{"a stop link of 201", func(in *SignIn) { in.Stop = long }, false},
		{"no link", func(in *SignIn) { in.Link = "" }, false},
		{"a script for a link", func(in *SignIn) { in.Link = "javascript:alert(1)" }, false},
		{"a link with a space", func(in *SignIn) { in.Link = "https://portal.example.com/ x" }, false},
		{"no stop link", func(in *SignIn) { in.Stop = "" }, false},
		{"no code", func(in *SignIn) { in.Code = "" }, false},
		{"no life", func(in *SignIn) { in.Life = 0 }, false},
		// A hash in base64url may begin so; one mail in 32 would never leave.
		{"an id that begins with a hyphen", func(in *SignIn) { in.ID = "-_hash" }, true},
		{"no id", func(in *SignIn) { in.ID = "" }, false},
		{"an id with a domain", func(in *SignIn) { in.ID = "a@b" }, false},
		{"two recipients", func(in *SignIn) { in.To = "ada@example.com,eve@example.com" }, false},
		{"a recipient with a name", func(in *SignIn) { in.To = "Ada <ada@example.com>" }, false},
		{"a quoted recipient", func(in *SignIn) { in.To = `"ada@example.com"@evil.example` }, false},
		{"two at signs", func(in *SignIn) { in.To = "ada@evil.example@example.com" }, false},
		{"a modifier", func(in *SignIn) { in.To = "grace+clinic@gmail.com" }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := ada()
			tc.change(&in)
			c, err := composer(t, willow())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.SignIn(in); (err == nil) != tc.ok {
				t.Errorf("SignIn = %v, want success: %v", err, tc.ok)
			}
		})
	}
}

// The client list comes from elsewhere, and a name in it may be anything.
func TestE14_HostileNames(t *testing.T) {
	for _, tc := range []struct{ name, first, hello string }{
		{"markup", `<img src=//evil>`, "Hello <img src=//evil>,"},
		{"a template", `{{.}} {code} {stop}`, "Hello {{.}} {code} {stop},"},
		{"a bidi override", "Ada\u202egpj.exe", "Hello Adagpj.exe,"},
		{"isolates and marks", "\u2066A\u200fda\u2069", "Hello Ada,"},
		{"zero-width characters", "A\u200bd\ufeffa", "Hello Ada,"},
		{"lines of its own", "Ada,\r\n\r\nYour code is 1\u2028x", "Hello Ada, Your code is 1 x,"},
		{"only what cannot be seen", "\u202e\r\n\x00", "Hello,"},
		{"broken UTF-8", "A\xffda", "Hello Ada,"},
		{"a Persian name with its joiner", "علی\u200cرضا", "Hello علی\u200cرضا,"},
		{"a sentence", strings.Repeat("call 0900 ", 20), "Hello call 0900 call 0900 call 0900 call 0900,"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := ada()
			in.First = tc.first
			m := compose(t, willow(), in)
			hello, _, _ := strings.Cut(m.Text, "\n")
			if hello != tc.hello {
				t.Errorf("the text part begins %q, want %q", hello, tc.hello)
			}
			if strings.Contains(m.HTML, "<img") {
				t.Error("the name became markup")
			}
			if shown := strings.Join(words(t, m.HTML), " "); !strings.Contains(shown, strings.Join(strings.Fields(tc.hello), " ")) {
				t.Errorf("the HTML part does not say %q", tc.hello)
			}
		})
	}
}

func FuzzSignIn(f *testing.F) {
	f.Add("Ada", "ada@example.com", "m1")
	f.Add("<b>\r\n\u202e", "a@b\r\nBcc: c@d", "x\n")
	f.Add("01234567", `"a b"@c`, "..")
	c, err := composer(f, willow())
	if err != nil {
		f.Fatal(err)
	}
	plain := compose(f, willow(), ada())
	f.Fuzz(func(t *testing.T, first, to, id string) {
		in := ada()
		in.First, in.To, in.ID = first, to, id
		m, err := c.SignIn(in)
		if err != nil {
			return
		}
		for _, h := range []string{m.ID, m.FromName, m.From, m.To, m.Subject} {
			if strings.ContainsFunc(h, unicode.IsControl) || !utf8.ValidString(h) {
				t.Errorf("header %q", h)
			}
		}
		if m.To != to {
			t.Errorf("To = %q, want it as given", m.To)
		}
		if !utf8.ValidString(m.Text) || strings.ContainsFunc(strings.ReplaceAll(m.Text, "\n", ""), unseen) {
			t.Errorf("the text part has characters that cannot be seen: %q", m.Text)
		}
		// A name moves nothing else: the same lines, and the same tags.
		if strings.Count(m.Text, "\n") != strings.Count(plain.Text, "\n") ||
			strings.Count(m.HTML, "<") != strings.Count(plain.HTML, "<") {
			t.Errorf("the name %q changed the letter", first)
		}
	})
}
