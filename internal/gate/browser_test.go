// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/tls"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/portalgate/portalgate/internal/ui"
)

// browser is a cookie jar that follows redirects, sends forms, and runs no
// script.
type browser struct {
	w  *world
	c  *http.Client
	ip string
	// headers are sent with every request.
	headers http.Header
}

// page is what a browser shows.
type page struct {
	status int
	body   string
	url    *url.URL
	header http.Header
	w      *world
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w: w, headers: http.Header{}, c: &http.Client{
		Jar: jar,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
		},
	}}
}

// from gives the browser a network of its own.
func (b *browser) from(ip string) *browser { b.ip = ip; return b }

func (b *browser) once() *browser {
	c := *b.c
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{w: b.w, c: &c, ip: b.ip, headers: b.headers}
}

func (b *browser) do(method, to string, form url.Values) *page {
	b.w.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = b.w.front + to
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, to, body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,*/*")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.ip != "" {
		req.Header.Set("Test-Ip", b.ip)
	}
	for k, v := range b.headers {
		req.Header[k] = v
	}
	resp, err := b.c.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return &page{status: resp.StatusCode, body: string(data), url: resp.Request.URL, header: resp.Header, w: b.w}
}

func (b *browser) get(to string) *page { b.w.t.Helper(); return b.do("GET", to, nil) }

// form is a form as it stands on a page.
type form struct {
	action string
	values url.Values
}

var (
	formRE  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)".*?</form>`)
	inputRE = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	attrRE  = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

// forms returns the forms of a page, with what they hold already; buttons
// with a name are left out.
func (p *page) forms() []form {
	var out []form
	for _, m := range formRE.FindAllStringSubmatch(p.body, -1) {
		f := form{action: html.UnescapeString(m[1]), values: url.Values{}}
		for _, in := range inputRE.FindAllString(m[0], -1) {
			a := map[string]string{}
			for _, kv := range attrRE.FindAllStringSubmatch(in, -1) {
				a[kv[1]] = html.UnescapeString(kv[2])
			}
			if a["name"] == "" || strings.HasPrefix(in, "<button") || a["type"] == "checkbox" && !strings.Contains(in, " checked") {
				continue
			}
			f.values.Set(a["name"], a["value"])
		}
		out = append(out, f)
	}
	return out
}

// form returns the page's form that posts to an action.
func (p *page) form(action string) form {
	p.w.t.Helper()
	for _, f := range p.forms() {
		if f.action == action {
			return f
		}
	}
	p.w.t.Fatalf("the page %s has no form to %s:\n%s", p.url.Path, action, p.body)
	return form{}
}

// send fills in a form and sends it.
func (b *browser) send(f form, fill ...string) *page {
	b.w.t.Helper()
	values := url.Values{}
	for k, v := range f.values {
		values[k] = v
	}
	for i := 0; i+1 < len(fill); i += 2 {
		values.Set(fill[i], fill[i+1])
	}
	return b.do("POST", f.action, values)
}

// says fails the test unless the page shows the text of a catalogue key.
func (p *page) says(key string, slots ...string) *page {
	p.w.t.Helper()
	s := ui.Slots{}
	for i := 0; i+1 < len(slots); i += 2 {
		s[slots[i]] = slots[i+1]
	}
	if !p.has(p.w.conf.UI.Text(key, s)) {
		p.w.t.Fatalf("%d %s does not say %q:\n%s", p.status, p.url.Path, p.w.conf.UI.Text(key, s), p.text())
	}
	return p
}

func (p *page) has(text string) bool {
	return strings.Contains(p.text(), strings.Join(strings.Fields(text), " "))
}

var (
	styleRE = regexp.MustCompile(`(?s)<(style|script)[^>]*>.*?</(style|script)>`)
	tagRE   = regexp.MustCompile(`<[^>]*>`)
)

func (p *page) text() string {
	s := tagRE.ReplaceAllString(styleRE.ReplaceAllString(p.body, ""), "")
	return strings.Join(strings.Fields(html.UnescapeString(s)), " ")
}

func (p *page) is(status int) *page {
	p.w.t.Helper()
	if p.status != status {
		p.w.t.Fatalf("%s answered %d, want %d:\n%s", p.url.Path, p.status, status, p.text())
	}
	return p
}

// ask asks for a link and returns the page that says it was sent.
func (b *browser) ask(email string, more ...string) *page {
	b.w.t.Helper()
	p := b.get("/sign-in/magic-link")
	return b.send(p.form("/sign-in/magic-link"), append([]string{"email", email}, more...)...)
}
