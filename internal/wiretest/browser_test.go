// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/portalgate/portalgate/internal/testgate"
)

// browser is a visitor of one or more gates, with one jar. It keeps every
// secret that it was given.
type browser struct {
	t       *testing.T
	jar     http.CookieJar
	client  *http.Client
	secrets *secrets
}

func newBrowser(t *testing.T, g *testgate.Gate) *browser {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	tr := g.Transport()
	t.Cleanup(tr.CloseIdleConnections)
	b := &browser{t: t, jar: jar, secrets: new(secrets)}
	b.client = &http.Client{Jar: jar, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// page is an answer.
type page struct {
	status int
	header http.Header
	at     *url.URL
	body   string
}

func (b *browser) do(method, target, body string) page {
	b.t.Helper()
	for range 10 {
		req, err := http.NewRequest(method, target, strings.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		if method == "POST" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
		}
		res, err := b.client.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range res.Cookies() {
			b.secrets.add(c.Value)
		}
		p := page{res.StatusCode, res.Header, req.URL, string(text)}
		for _, f := range formsIn(p.body) {
			b.secrets.add(f.Get("nonce"))
		}
		to := res.Header.Get("Location")
		if to == "" {
			return p
		}
		next, err := req.URL.Parse(to)
		if err != nil {
			b.t.Fatal(err)
		}
		b.secrets.add(next.Fragment)
		method, body, target = "GET", "", strings.SplitN(next.String(), "#", 2)[0]
	}
	b.t.Fatal("too many redirects")
	return page{}
}

func (b *browser) get(target string) page { b.t.Helper(); return b.do("GET", target, "") }

// send fills in and sends the form of a page that goes to a path.
func (b *browser) send(p page, path string, fields ...string) page {
	b.t.Helper()
	form, ok := formsIn(p.body)[path]
	if !ok {
		b.t.Fatalf("%d at %s: no form to %s", p.status, p.at.Path, path)
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do("POST", p.at.Scheme+"://"+p.at.Host+path, form.Encode())
}

// formsIn returns the hidden fields of a page's forms, by where they go.
func formsIn(body string) map[string]url.Values {
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return nil
	}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	forms := make(map[string]url.Values)
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		values := url.Values{}
		for in := range n.Descendants() {
			if in.Data == "input" && attr(in, "type") == "hidden" {
				values.Set(attr(in, "name"), attr(in, "value"))
			}
		}
		forms[attr(n, "action")] = values
	}
	return forms
}

var (
	linkIn = regexp.MustCompile(`https?://localhost:\d+/sign-in/link\?t=[A-Za-z0-9._-]+`)
	stopIn = regexp.MustCompile(`https?://localhost:\d+/sign-in/stop\?t=[A-Za-z0-9._-]+`)
	codeIn = regexp.MustCompile(`\b\d{4} ?\d{4}\b`)
)

// letter is what a mail holds.
type letter struct{ link, stop, code string }

// ask asks for a link and reads the mail, which is the n-th to that address.
func (b *browser) ask(g *testgate.Gate, to string, n int) (letter, page) {
	b.t.Helper()
	sent := b.send(b.get(g.URL+"/sign-in/magic-link"), "/sign-in/magic-link", "email", to)
	text := g.Mail(to, n).Text
	l := letter{linkIn.FindString(text), stopIn.FindString(text), strings.ReplaceAll(codeIn.FindString(text), " ", "")}
	if l.link == "" || l.stop == "" || l.code == "" {
		b.t.Fatalf("the mail has link %v, stop link %v, code %v", l.link != "", l.stop != "", l.code != "")
	}
	b.secrets.add(after(l.link, "t="), after(l.stop, "t="), l.code)
	return l, sent
}

func after(s, sep string) string { _, s, _ = strings.Cut(s, sep); return s }

// signIn signs in by the n-th mail to ada.
func (b *browser) signIn(g *testgate.Gate, n int) {
	b.t.Helper()
	l, _ := b.ask(g, "ada@example.com", n)
	b.send(b.get(l.link), "/sign-in/link")
	b.mustBeIn(g)
}

func (b *browser) mustBeIn(g *testgate.Gate) {
	b.t.Helper()
	if p := b.get(g.URL + "/portal"); p.status != http.StatusOK || p.at.Path != "/portal" {
		b.t.Fatalf("not signed in: %d at %s", p.status, p.at.Path)
	}
}

// cookies is the Cookie header for a gate.
func (b *browser) cookies(g *testgate.Gate) string {
	u, _ := url.Parse(g.URL)
	var all []string
	for _, c := range b.jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// client is a raw connection to a gate.
type client struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, g *testgate.Gate) *client {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if g.Roots != nil {
		conn = tls.Client(conn, &tls.Config{RootCAs: g.Roots, ServerName: "localhost"})
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{conn, bufio.NewReader(conn)}
}

// answer reads one response whole.
func (c *client) answer(method string) (*http.Response, string, error) {
	res, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// raw sends a request on a connection of its own, and returns the response.
// %HOST% stands for the gate's host.
func raw(t *testing.T, g *testgate.Gate, request string) (*http.Response, string) {
	t.Helper()
	c := dial(t, g)
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "%HOST%", host(g))); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, body, err := c.answer(method)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return res, body
}

func host(g *testgate.Gate) string { return after(g.URL, "://") }

// request writes a raw GET.
func request(path string, headers ...string) string {
	all := ""
	for _, h := range headers {
		if h != "" {
			all += h + "\r\n"
		}
	}
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %%HOST%%\r\n%s\r\n", path, all)
}
