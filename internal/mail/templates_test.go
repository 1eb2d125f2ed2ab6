// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/portalgate/portalgate/internal/ui"
)

const (
	goodText = "Hi {{.First}},\n\n{{.Link}}\n\nor {{.Code}}, for {{.Life}}. Not you? {{.Stop}}\n{{.Practice}} {{.Phone}}\n"
	goodHTML = `<p>Hi {{.First}}</p><a href="{{.Link}}">Sign in</a> {{.Code}} <a href="{{.Stop}}">Not you?</a>`
)

func templates(files map[string]string) fstest.MapFS {
	dir := fstest.MapFS{textFile: {Data: []byte(goodText)}, htmlFile: {Data: []byte(goodHTML)}, ".keep": {}}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

// own composes ada's mail with templates.
func own(t *testing.T, dir fstest.MapFS, first string) (Message, error) {
	t.Helper()
	tpl, err := LoadTemplates(dir)
	if err != nil {
		return Message{}, err
	}
	u, err := ui.New(willow())
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewComposer(u, tpl)
	if err != nil {
		t.Fatal(err)
	}
	in := ada()
	in.First = first
	return c.SignIn(in)
}

func TestTemplates(t *testing.T) {
	m, err := own(t, templates(map[string]string{subjectFile: "Your way in to {{.Practice}}\n"}), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	want := "Hi Ada,\n\n" + link + "\n\nor 01234567, for 24 hours. Not you? " + stop + "\nWillow Creek Counseling +1 555 0100\n"
	if m.Subject != "Your way in to Willow Creek Counseling" || m.Text != want || !strings.Contains(m.HTML, `href="`+link+`"`) {
		t.Errorf("composed %+v", m)
	}
	if m, err = own(t, templates(nil), "Ada"); err != nil || m.Subject != "Sign in to your Client Portal" {
		t.Errorf("without a subject of its own: %q, %v", m.Subject, err)
	}
}

// A template that would send mails nobody can use is refused when it is loaded,
// with what to write instead.
func TestTemplatesRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a typing error", map[string]string{textFile: "Hi\n{{.Lnk}}\n"}, "sign-in.txt:2"},
		{"half an action", map[string]string{htmlFile: "<p>\n\n{{.Link"}, "sign-in.html:3"},
		{"no link in the text", map[string]string{textFile: strings.Replace(goodText, "{{.Link}}", "", 1)}, "sign-in.txt lacks the link; write {{.Link}} on a line of its own"},
		{"a link with a full stop behind it", map[string]string{textFile: strings.Replace(goodText, "{{.Link}}", "{{.Link}}.", 1)}, "on a line of its own"},
		{"no link in the page", map[string]string{htmlFile: strings.Replace(goodHTML, "{{.Link}}", "#", 1)}, `write <a href="{{.Link}}">`},
		{"no stop link", map[string]string{textFile: strings.Replace(goodText, "{{.Stop}}", "", 1)}, "{{.Stop}}"},
		{"no code", map[string]string{textFile: strings.Replace(goodText, "{{.Code}}", "", 1)}, "{{.Code}}"},
		{"no code in the page", map[string]string{htmlFile: strings.Replace(goodHTML, "{{.Code}}", "", 1)}, "sign-in.html lacks the code"},
		{"the code in the subject", map[string]string{subjectFile: "{{.Code}}"}, "locked phone"},
		{"a subject of two lines", map[string]string{subjectFile: "a\r\nBcc: eve@example.com"}, "more than one line"},
		{"a picture from elsewhere", map[string]string{htmlFile: goodHTML + `<img src="https://willow.example/open.gif">`}, "loads nothing"},
		{"a script", map[string]string{htmlFile: goodHTML + `<script>x()</script>`}, "loads nothing"},
		{"a style that loads", map[string]string{htmlFile: goodHTML + `<p style="background:url(//x)">`}, "loads nothing"},
		{"too long", map[string]string{htmlFile: goodHTML + strings.Repeat("x", maxTemplate)}, "longer than 64 KB"},
		{"text alone", map[string]string{htmlFile: ""}, "write both sign-in.txt and sign-in.html"},
		{"another name", map[string]string{"signin.txt": "x"}, "signin.txt is not the name of a template; there are: sign-in.subject, sign-in.txt, sign-in.html"},
	} {
		if _, err := own(t, templates(tc.files), "Ada"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestE14_OwnTemplates: what stands in a name is no markup in a practice's own
// words either.
func TestE14_OwnTemplates(t *testing.T) {
	m, err := own(t, templates(map[string]string{subjectFile: "For {{.First}}"}), "<img src=//evil>\r\nBcc: e\u202e{{.Link}}")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(m.HTML, "<img") || !oneLine(m.Subject) || strings.Contains(m.Text, "\r") {
		t.Errorf("the name became %q, %q, %q", m.Subject, m.Text, m.HTML)
	}
}
