// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/portalgate/portalgate/internal/access"
)

// scanner is a program that looks into mails before their readers do. It knows
// the mail's links, and of people's addresses what the pages say.
type scanner struct {
	name  string
	agent string
	// methods are those that each link is opened with, in turn.
	methods []string
	cookies bool
	// once has it look at the first answer only, without following redirects.
	once    bool
	headers []string // name, value, …
	visits  int      // times that it opens each link; 0 is 1
	// forms are the ways in which it fills forms; none is not sending any.
	forms []filling
	// buttons has it press each button of a form in turn, not only the first.
	buttons bool
	// depth is how many pages on from a link it goes.
	depth int
	// fragment has it put a link's fragment wherever a form has room for it.
	fragment bool
}

// filling makes up what to type into a field.
type filling func(field *html.Node, page string) string

func untouched(f *html.Node, _ string) string { return attr(f, "value") }

func noise(f *html.Node, _ string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	for range 12 {
		b.WriteByte(letters[rand.IntN(len(letters))])
	}
	if strings.Contains(attr(f, "type")+attr(f, "name"), "mail") {
		return b.String() + "@example.com"
	}
	return b.String()
}

func digits(*html.Node, string) string { return fmt.Sprintf("%08d", rand.IntN(100_000_000)) }

func commonAddress(*html.Node, string) string {
	names := []string{"admin@example.com", "info@example.com", "test@example.com", "postmaster@example.com"}
	return names[rand.IntN(len(names))]
}

var addressRE = regexp.MustCompile(`[^\s<>"'()]+@[a-z0-9.-]+\.[a-z]+`)

// fromPage types the last address that the page shows, if it shows one.
func fromPage(_ *html.Node, page string) string {
	found := addressRE.FindAllString(html.UnescapeString(page), -1)
	if len(found) == 0 {
		return "name@example.com"
	}
	return strings.NewReplacer("•••", "", "•", "").Replace(found[len(found)-1])
}

var (
	get      = []string{"GET"}
	headGet  = []string{"HEAD", "GET"}
	everyWay = []string{"OPTIONS", "HEAD", "GET"}
	everyHow = []filling{untouched, noise, digits, commonAddress, fromPage}
)

// scanners are 25 ways to look at a link without a script. Those that drive a
// real browser are in package browsertest.
var scanners = []scanner{
	{name: "reads headers", agent: "LinkChecker/10.2", methods: []string{"HEAD"}},
	{name: "asks what is allowed", agent: "curl/8.5.0", methods: []string{"OPTIONS"}},
	{name: "first hop only", agent: "Mozilla/5.0 (compatible; MSIE 10.0) SafeLinks", methods: get, once: true},
	{name: "follows", agent: "Mimecast-URLProtect/1.0", methods: get},
	{name: "follows with cookies", agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/128.0", methods: get, cookies: true},
	{name: "head first", agent: "BarracudaCentral/1.0", methods: headGet},
	{name: "head first with cookies", agent: "ProofpointURLDefense/3.0", methods: headGet, cookies: true},
	{name: "every method", agent: "Cisco-IronPort/15.0", methods: everyWay, cookies: true},
	{name: "chat preview", agent: "Slackbot-LinkExpanding 1.0", methods: headGet, visits: 3},
	{name: "messenger preview", agent: "WhatsApp/2.23.20.0 A", methods: get, visits: 5},
	{name: "chat preview of teams", agent: "Mozilla/5.0 SkypeUriPreview Preview/0.5", methods: get, cookies: true, visits: 2},
	{name: "prefetch", agent: "Mozilla/5.0 Chrome/128.0", methods: get, cookies: true, headers: []string{"Sec-Purpose", "prefetch", "Purpose", "prefetch"}},
	{name: "prerender", agent: "Mozilla/5.0 Chrome/128.0", methods: get, cookies: true, headers: []string{"Sec-Purpose", "prefetch;prerender"}, forms: []filling{untouched}},
	{name: "many times", agent: "Mozilla/5.0 (compatible; URLScan)", methods: everyWay, visits: 50},
	{name: "crawls", agent: "Mozilla/5.0 (compatible; Crawler/2.0)", methods: get, cookies: true, depth: 3},
	{name: "sends forms as they are", agent: "Mozilla/5.0 FortiMail", methods: get, cookies: true, forms: []filling{untouched}, depth: 1},
	{name: "sends forms without cookies", agent: "TrendMicro-Sandbox/1", methods: get, forms: []filling{untouched, noise}, depth: 1},
	{name: "presses every button", agent: "Mozilla/5.0 Detonation/4", methods: get, cookies: true, forms: []filling{untouched}, buttons: true, depth: 2},
	{name: "fills in noise", agent: "Mozilla/5.0 Detonation/5", methods: get, cookies: true, forms: []filling{noise}, buttons: true, depth: 1},
	{name: "fills in digits", agent: "Mozilla/5.0 Detonation/6", methods: get, cookies: true, forms: []filling{digits}, buttons: true, depth: 2},
	{name: "fills in usual addresses", agent: "Mozilla/5.0 Phish-Form-Tester", methods: get, cookies: true, forms: []filling{commonAddress}, visits: 3, buttons: true, depth: 1},
	{name: "fills in what the page holds", agent: "Mozilla/5.0 Phish-Form-Tester/2", methods: get, cookies: true, forms: []filling{fromPage}, visits: 2, buttons: true, depth: 2},
	{name: "brings the fragment along", agent: "Mozilla/5.0 Sandbox-Fragment", methods: get, forms: []filling{untouched, noise}, buttons: true, depth: 2, fragment: true},
	{name: "brings the fragment and cookies along", agent: "Mozilla/5.0 Sandbox-Fragment/2", methods: get, cookies: true, forms: []filling{untouched, fromPage}, buttons: true, depth: 2, fragment: true},
	{name: "does everything ten times", agent: "Mozilla/5.0 Sandbox-Full", methods: everyWay, cookies: true, forms: everyHow, visits: 10, buttons: true, depth: 1, fragment: true},
}

// Mail scanners open links, send their forms and press their buttons. None
// uses a link up or switches it off, none gets a session, and the client's own
// browser finds the link as it was sent.
func TestL03_ScannersBurnNothing(t *testing.T) {
	burned := 0
	for _, s := range scanners {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t, wide)
			client := w.browser()
			client.send(client.get("/files/42").form("/sign-in/magic-link"), "email", "ada@example.com").says("sent.title")
			m := w.letters("ada@example.com", 1)[0]
			defer func() {
				if t.Failed() {
					burned++
				}
			}()
			if len(link(m)) == 0 || len(stopOf(m)) == 0 {
				t.Fatal("the mail has no links")
			}
			sent := s.run(w, link(m), stopOf(m))
			if len(s.forms) > 0 && len(s.headers) == 0 && sent == 0 {
				t.Fatal("a scanner that sends forms has sent none")
			}
			if n := len(w.record("c-ada").Sessions) + len(w.record("c-ada").Known); n != 0 {
				t.Fatalf("the scanner has %d sessions and known browsers", n)
			}
			for _, r := range w.upstream() {
				t.Fatalf("the scanner reached the portal at %s", r.URL.Path)
			}
			p := client.get(link(m)).says("open.here.title")
			client.send(p.form("/sign-in/link")).isPortal("/files/42", "c-ada")
		})
	}
	if proof() {
		fmt.Printf("proof: scanners burned %d of %d\n", burned, len(scanners))
	}
	if len(scanners) != 25 {
		t.Errorf("%d scanners; 25 is what is published", len(scanners))
	}
}

// A scanner that types address after address closes that one way of the link,
// and only that: see also TestL05_ForwardedLink.
func TestL03_ScannerThatSubmitsForms(t *testing.T) {
	w := newWorld(t)
	client := w.browser()
	m := client.mailed("ada@example.com")
	s := scanner{agent: "Sandbox", methods: get, cookies: true, forms: []filling{noise}, visits: access.WrongAddresses + 2}
	s.run(w, link(m))
	phone := w.browser()
	phone.get(link(m)).says("open.off.title")
	p := client.get(link(m)).says("open.here.title")
	client.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
}

// run has the scanner do what it does with the links of a mail, and returns how
// many forms it sent.
func (s scanner) run(w *world, links ...string) (sent int) {
	w.t.Helper()
	b := w.browser().from("203.0.113.7")
	b.headers.Set("User-Agent", s.agent)
	for i := 0; i+1 < len(s.headers); i += 2 {
		b.headers.Set(s.headers[i], s.headers[i+1])
	}
	if !s.cookies {
		b.c.Jar = nil
	}
	if s.once {
		b = b.once()
	}
	for _, link := range links {
		for range max(s.visits, 1) {
			for _, method := range s.methods {
				p := b.do(method, link, nil)
				if p.status >= 400 {
					w.t.Errorf("%s of a link is answered %d", method, p.status)
				}
				sent += s.explore(b, p, token(link), s.depth, map[string]bool{})
			}
		}
	}
	return sent
}

// explore sends a page's forms and follows its links, to a depth.
func (s scanner) explore(b *browser, p *page, token string, depth int, seen map[string]bool) (sent int) {
	doc, err := html.Parse(strings.NewReader(p.body))
	if err != nil || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		return 0
	}
	for _, f := range elements(doc, "form") {
		for _, fill := range s.forms {
			presses := elements(f, "button")
			if !s.buttons && len(presses) > 0 {
				presses = presses[:1]
			}
			if len(presses) == 0 {
				presses = []*html.Node{nil} // sent by a script
			}
			for _, button := range presses {
				answer := b.do("POST", attr(f, "action"), s.fill(f, button, fill, p.body, token))
				if answer.status >= 500 {
					b.w.t.Errorf("a form to %s is answered %d", attr(f, "action"), answer.status)
				}
				sent++
				if depth > 0 {
					sent += s.explore(b, answer, token, depth-1, seen)
				}
			}
		}
	}
	for _, a := range elements(doc, "a") {
		href := attr(a, "href")
		if depth > 0 && strings.HasPrefix(href, "/") && !seen[href] {
			seen[href] = true
			sent += s.explore(b, b.get(href), token, depth-1, seen)
		}
	}
	return sent
}

// fill returns a form as the scanner sends it by a button.
func (s scanner) fill(f, button *html.Node, fill filling, page, token string) url.Values {
	values := url.Values{}
	for _, in := range elements(f, "input") {
		name, value := attr(in, "name"), attr(in, "value")
		switch attr(in, "type") {
		case "hidden":
			if s.fragment && value == "" {
				value = token
			}
		case "checkbox":
			if rand.IntN(2) == 0 {
				continue
			}
		default:
			value = fill(in, page)
		}
		values.Set(name, value)
	}
	if button != nil && attr(button, "name") != "" {
		values.Set(attr(button, "name"), attr(button, "value"))
	}
	return values
}

// elements returns the elements of a name under n.
func elements(n *html.Node, name string) (found []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			found = append(found, d)
		}
	}
	return found
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
