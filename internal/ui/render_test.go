// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func render(t testing.TB, u *UI, p Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	u.Render(w, httptest.NewRequest("GET", "/sign-in", nil), p)
	return w
}

// everything is a page with every block there is, with what somebody typed in
// every place that takes it.
func everything(typed string) Page {
	slots := Slots{"typed": typed, "masked": typed, "suggestion": typed, "first": typed, "wait": typed, "life": typed}
	return Page{
		Title: "typo.title", Wrong: "email.shape", Slots: slots,
		Body: []Block{
			Lead("typo.lead"), Text("unknown.lead"), Tip("again.hint"), Heading("help.mail.head"),
			Steps{Numbered: true, Keys: []string{"sent.step1", "sent.life"}},
			Steps{Keys: []string{"help.mail.1", "help.mail.2"}},
			Link{Key: "typo.yes", Hint: "again.hint", Href: "/sign-in", Weight: Main},
			Link{Key: "sent.none", Href: "/sign-in/help", NewWindow: true},
			Form{
				Action: "/sign-in/magic-link",
				Hidden: []Hidden{{Name: "return_to", Value: typed}},
				Fields: []Field{
					{Name: "email", Label: "email.label", Hint: "email.hint", Value: typed, Wrong: true},
					{Name: "code", Label: "sent.code.label", Kind: CodeField},
				},
				Shared: true, SharedTicked: true,
				Buttons: []Button{{Key: "typo.yes", Name: "email", Value: typed, Weight: Main}, {Key: "typo.no", Weight: Other}, {Key: "here.switch"}},
			},
			Rows{{
				Keys: []string{"where.row"}, Slots: Slots{"kind": typed, "time": "2 March, 19:05"},
				Form: &Form{Action: "/sign-in/sessions/end", Buttons: []Button{{Key: "where.end", Weight: Other}}},
			}},
		},
	}
}

// shape returns the elements and attribute names of a page, without texts and
// values: what markup there is.
func shape(t testing.TB, page []byte) string {
	t.Helper()
	var b strings.Builder
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			b.WriteString("<" + tok.Data)
			for _, a := range tok.Attr {
				b.WriteString(" " + a.Key)
			}
			b.WriteString(">\n")
		case html.EndTagToken:
			b.WriteString("</" + z.Token().Data + ">\n")
		case html.CommentToken:
			b.WriteString("<!>\n")
		}
	}
}

var hostile = []string{
	`<img src=//evil.example>`,
	`"><script>alert(1)</script>`,
	`' onfocus=alert(1) autofocus x='`,
	`</title></style></script><svg onload=alert(1)>`,
	`{{.}} {{template "form"}} {practice}`,
	`javascript:alert(1)`,
	`<!--`,
	"\u202e\x00<\xff>",
	`&lt;b&gt;`,
}

// E14, W08: whatever is typed comes back as text, in every place of a page.
func TestE14_W08_NothingTypedIsMarkup(t *testing.T) {
	u := ui(t, willow())
	want := shape(t, render(t, u, everything("ada")).Body.Bytes())
	for _, typed := range hostile {
		if got := shape(t, render(t, u, everything(typed)).Body.Bytes()); got != want {
			t.Errorf("%q changed the page's markup to\n%s", typed, got)
		}
	}
}

// The practice's own settings are its operator's, and are text as well.
func TestE14_PracticeIsText(t *testing.T) {
	want := shape(t, render(t, ui(t, willow()), everything("ada")).Body.Bytes())
	for _, v := range hostile {
		p := willow()
		p.Name, p.From, p.Email, p.Phone = v, v, v, v+"1"
		got := shape(t, render(t, ui(t, p), everything("ada")).Body.Bytes())
		// A phone number with letters in it is not one that can be dialled.
		got, plain := strings.ReplaceAll(got, "<a href>\n", ""), strings.ReplaceAll(want, "<a href>\n", "")
		if strings.ReplaceAll(got, "</a>\n", "") != strings.ReplaceAll(plain, "</a>\n", "") {
			t.Errorf("%q changed the page's markup to\n%s", v, got)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	u := ui(f, willow())
	want := shape(f, render(f, u, everything("ada")).Body.Bytes())
	f.Fuzz(func(t *testing.T, typed string) {
		if typed == "" || clean(typed) == "" {
			return // without a name another text is shown
		}
		if got := shape(t, render(t, u, everything(typed)).Body.Bytes()); got != want {
			t.Errorf("%q changed the page's markup to\n%s", typed, got)
		}
	})
}

// W06, W07, W08, W10: what every page says to a browser, whatever its status.
func TestW06_W07_W08_W10_Headers(t *testing.T) {
	u := ui(t, willow())
	want := map[string]string{
		"Content-Type":                 "text/html; charset=utf-8",
		"Content-Language":             "en",
		"Cache-Control":                "no-store",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"X-Robots-Tag":                 "noindex",
		"Strict-Transport-Security":    "max-age=31536000",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=()",
	}
	for _, status := range []int{0, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable} {
		p := everything("ada")
		p.Status = status
		w := render(t, u, p)
		if status == 0 {
			status = http.StatusOK
		}
		if w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%d: %s: %q, want %q", status, name, got, value)
			}
		}
	}
	p := willow()
	p.PublicURL.Scheme = "http"
	if got := render(t, ui(t, p), everything("ada")).Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("over plain http: Strict-Transport-Security: %q", got)
	}
}

// W08: the policy names the one style sheet, and the script where there is
// one, by what a browser will see between the tags.
func TestW08_PolicyNamesWhatIsThere(t *testing.T) {
	u := ui(t, willow())
	inStyle, inScript := regexp.MustCompile(`(?s)<style>(.*)</style>`), regexp.MustCompile(`(?s)<script>(.*)</script>`)
	const rest = "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for name, tc := range map[string]struct {
		form   Form
		script bool
	}{
		"plain":    {Form{Action: "/sign-in/link"}, false},
		"auto":     {Form{Action: "/sign-in/link", Auto: true}, true},
		"fragment": {Form{Action: "/sign-in/link", Fragment: true}, true},
	} {
		w := render(t, u, Page{Title: "open.here.title", Body: []Block{tc.form}})
		body := w.Body.String()
		want := "default-src 'none'; style-src '" + digest(inStyle.FindStringSubmatch(body)[1]) + "'; "
		m := inScript.FindStringSubmatch(body)
		if (m != nil) != tc.script {
			t.Errorf("%s: script on the page: %v, want %v", name, m != nil, tc.script)
		}
		if m != nil {
			want += "script-src '" + digest(m[1]) + "'; "
		}
		if got := w.Header().Get("Content-Security-Policy"); got != want+rest {
			t.Errorf("%s: Content-Security-Policy\n got %s\nwant %s", name, got, want+rest)
		}
		if regexp.MustCompile(`\s(style|on\w+)=`).MatchString(body) {
			t.Errorf("%s: the page has a style or handler of its own, which the policy forbids", name)
		}
	}
}

func TestScriptIsSmall(t *testing.T) {
	if len(script) > 1024 || strings.Contains(script, "eval") {
		t.Errorf("the script has %d bytes, or evaluates", len(script))
	}
	if strings.Contains(script, "SPDX") || strings.Contains(style, "SPDX") {
		t.Error("the copyright notice is sent to every phone")
	}
}

// The bytes of a page must not depend on anything but the page: a difference
// between two answers tells a known address from an unknown one.
func TestRenderIsDeterministic(t *testing.T) {
	first := render(t, ui(t, willow()), everything("ada@example.com"))
	for range 50 {
		w := render(t, ui(t, willow()), everything("ada@example.com"))
		if !bytes.Equal(w.Body.Bytes(), first.Body.Bytes()) {
			t.Fatal("the same page twice is not the same")
		}
	}
}

func TestPageIsSmall(t *testing.T) {
	if n := render(t, ui(t, willow()), everything(strings.Repeat("a", 64)+"@example.com")).Body.Len(); n > 15<<10 {
		t.Errorf("a page with everything on it has %d bytes", n)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	ui(t, willow()).Render(w, httptest.NewRequest("HEAD", "/sign-in", nil), everything("ada"))
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d bytes, Content-Length %q", w.Body.Len(), w.Header().Get("Content-Length"))
	}
}
