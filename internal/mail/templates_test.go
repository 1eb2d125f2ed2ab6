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
	subjectFile, textFile, htmlFile = "sign-in.subject", "sign-in.txt", "sign-in.html"

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

// written composes ada's mail with templates.
func written(t *testing.T, dir fstest.MapFS, first string) (Message, error) {
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
	m, err := written(t, templates(map[string]string{subjectFile: "Your way in to {{.Practice}}\n"}), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	want := "Hi Ada,\n\n" + link + "\n\nor 01234567, for 24 hours. Not you? " + stop + "\nWillow Creek Counseling +1 555 0100\n"
	if m.Subject != "Your way in to Willow Creek Counseling" || m.Text != want || !strings.Contains(m.HTML, `href="`+link+`"`) {
		t.Errorf("composed %+v", m)
	}
	if m, err = written(t, templates(nil), "Ada"); err != nil || m.Subject != "Sign in to your Client Portal" {
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
		if _, err := written(t, templates(tc.files), "Ada"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestE14_OwnTemplates: what stands in a name is no markup in a practice's own
// words either.
func TestE14_OwnTemplates(t *testing.T) {
	m, err := written(t, templates(map[string]string{subjectFile: "For {{.First}}"}), "<img src=//evil>\r\nBcc: e\u202e{{.Link}}")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(m.HTML, "<img") || !oneLine(m.Subject) || strings.Contains(m.Text, "\r") {
		t.Errorf("the name became %q, %q, %q", m.Subject, m.Text, m.HTML)
	}
}

const (
	goodInvitationText = "Hi {{.First}},\n\n{{.Message}}\n\n{{.Link}}\n\nType {{.Address}} within {{.Life}}.\n{{.Practice}}\n"
	goodInvitationHTML = `<p>Hi {{.First}}</p><p>{{.Message}}</p><a href="{{.Link}}">Come in</a>`
	goodLinkText       = goodInvitationText + "Not for you? {{.Stop}}\n"
	goodLinkHTML       = goodInvitationHTML + `<a href="{{.Stop}}">Not for you?</a>`
)

// staffs composes both mails that staff send, with templates for both.
func staffs(t *testing.T, files map[string]string, in Invitation) (invitation, sent Message, err error) {
	t.Helper()
	dir := fstest.MapFS{}
	for name, text := range map[string]string{
		"invitation.txt": goodInvitationText, "invitation.html": goodInvitationHTML, "link.txt": goodLinkText, "link.html": goodLinkHTML,
	} {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tpl, err := LoadTemplates(dir)
	if err != nil {
		return Message{}, Message{}, err
	}
	u, err := ui.New(willow())
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewComposer(u, tpl)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.SignIn(ada()); err != nil || m.Subject != "Sign in to your Client Portal" {
		t.Errorf("the sign-in mail, which has no templates: %q, %v", m.Subject, err)
	}
	if invitation, err = c.Invitation(in); err != nil {
		return Message{}, Message{}, err
	}
	sent, err = c.LinkSent(in, stop)
	return invitation, sent, err
}

// T7: a practice invites in its own words.
func TestT07_OwnInvitation(t *testing.T) {
	in := invited()
	in.Words = "See you <soon> & bring 'it'.\nonly=url(x)"
	invitation, sent, err := staffs(t, map[string]string{"invitation.subject": "Welcome to {{.Practice}}, {{.First}}"}, in)
	if err != nil {
		t.Fatal(err)
	}
	want := "Hi Ada,\n\nSee you <soon> & bring 'it'. only=url(x)\n\n" + link + "\n\nType ada@example.com within 24 hours.\nWillow Creek Counseling\n"
	if invitation.Text != want || invitation.Subject != "Welcome to Willow Creek Counseling, Ada" || invitation.Kind != "invitation" {
		t.Errorf("%q:\n%s", invitation.Subject, invitation.Text)
	}
	if sent.Text != want+"Not for you? "+stop+"\n" || sent.Subject != "Sign in to your Client Portal" {
		t.Errorf("%q:\n%s", sent.Subject, sent.Text)
	}
	for _, m := range []Message{invitation, sent} {
		if !strings.Contains(m.HTML, `href="`+link+`"`) || strings.Contains(m.HTML, "<soon>") {
			t.Errorf("the page is %s", m.HTML)
		}
	}
	in.Words = ""
	if _, _, err := staffs(t, nil, in); err != nil {
		t.Errorf("without words of staff's: %v", err)
	}
}

func TestT07_OwnInvitationRefused(t *testing.T) {
	without := func(text, what string) string { return strings.Replace(text, what, "", 1) }
	for name, tc := range map[string]struct{ file, text, want string }{
		"a code that there is not":        {"invitation.txt", goodInvitationText + "\n{{.Code}}", `invitation.txt:10:2`},
		"a stop link that there is not":   {"invitation.html", goodInvitationHTML + "{{.Stop}}", `no entry for key "Stop"`},
		"no link":                         {"invitation.txt", without(goodInvitationText, "{{.Link}}"), "invitation.txt lacks the link"},
		"no words of staff's":             {"invitation.txt", without(goodInvitationText, "{{.Message}}"), "invitation.txt lacks what staff write to the client; write {{.Message}}"},
		"none in the page":                {"link.html", without(goodLinkHTML, "{{.Message}}"), "link.html lacks what staff write"},
		"no stop link":                    {"link.txt", without(goodLinkText, "{{.Stop}}"), "link.txt lacks the link for who did not ask"},
		"words of staff's in the subject": {"invitation.subject", "{{.Message}}", "more than one line of 100 characters"},
		"a picture from elsewhere":        {"invitation.html", goodInvitationHTML + "<img src=//x>", `invitation.html has "<img"`},
		"a page alone":                    {"link.txt", "", "write both link.txt and link.html"},
		"another name":                    {"invite.txt", "x", "invite.txt is not the name of a template"},
	} {
		in := invited()
		in.Words = strings.Repeat("W", MaxWords)
		if _, _, err := staffs(t, map[string]string{tc.file: tc.text}, in); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if _, err := LoadTemplates(fstest.MapFS{".keep": {}}); err == nil || !strings.Contains(err.Error(), "there may be: sign-in.subject") {
		t.Errorf("an empty folder: %v", err)
	}
}
