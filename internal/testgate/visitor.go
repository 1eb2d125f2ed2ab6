// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/html"
)

// Visitor is somebody with a browser of their own: its cookies, no script.
// Visitors of one gate share their connections.
type Visitor struct {
	gate   *Gate
	client *http.Client
}

// Page is an answer, at the end of whatever redirects led to it.
type Page struct {
	Status int
	Path   string
	Body   string
	Header http.Header
}

// Visitor returns one who has never been here.
func (g *Gate) Visitor() *Visitor {
	jar, _ := cookiejar.New(nil) // without options it cannot fail
	return &Visitor{gate: g, client: &http.Client{Jar: jar, Transport: g.visits()}}
}

// visits is how all visitors get here.
func (g *Gate) visits() *http.Transport {
	if g.shared == nil {
		g.shared = g.Transport()
		g.t.Cleanup(g.shared.CloseIdleConnections)
	}
	return g.shared
}

var linkInMail = regexp.MustCompile(`https?://localhost:\d+/sign-in/link\?t=[A-Za-z0-9._-]+`)

// SignIn signs clients in, each in a browser of their own. The gate must have
// limits that allow it; a client gets one mail a minute whatever they are.
func (g *Gate) SignIn(to ...string) []*Visitor {
	g.t.Helper()
	before := make(map[string]bool)
	for _, m := range g.Messages() {
		before[m.ID] = true
	}
	visitors := make([]*Visitor, len(to))
	for i, address := range to {
		visitors[i] = g.Visitor()
		p := visitors[i].Submit(visitors[i].Get("/sign-in/magic-link"), "/sign-in/magic-link", "email", address)
		if p.Status != http.StatusOK {
			g.t.Fatalf("asking for a link: %d at %s", p.Status, p.Path)
		}
	}
	links := make(map[string]string)
	Wait(g.t, "the links", func() bool {
		for _, m := range g.Messages() {
			if link := linkInMail.FindString(m.Text); link != "" && !before[m.ID] {
				links[m.To] = link
			}
		}
		return !slices.ContainsFunc(to, func(address string) bool { return links[address] == "" })
	})
	for i, v := range visitors {
		v.Submit(v.Get(strings.TrimPrefix(links[to[i]], g.URL)), "/sign-in/link")
		if !v.SignedIn() {
			g.t.Fatalf("visitor %d is not signed in", i)
		}
	}
	return visitors
}

// SignedIn reports whether the gate says so.
func (v *Visitor) SignedIn() bool {
	v.gate.t.Helper()
	return strings.Contains(v.Get("/sign-in/session").Body, `"signed_in":true`)
}

// Get visits a path.
func (v *Visitor) Get(path string) Page {
	v.gate.t.Helper()
	return v.do(http.MethodGet, path, nil)
}

// Submit sends the form of p that goes to action, with more fields filled in.
func (v *Visitor) Submit(p Page, action string, fields ...string) Page {
	v.gate.t.Helper()
	return v.do(http.MethodPost, action, v.gate.form(p, action, fields))
}

// Press is Submit that returns when the first answer has begun to arrive, and
// says when that was.
func (v *Visitor) Press(p Page, action string, fields ...string) time.Time {
	v.gate.t.Helper()
	once := *v.client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := once.Do(v.request(http.MethodPost, action, v.gate.form(p, action, fields)))
	at := time.Now()
	if err != nil {
		v.gate.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		v.gate.t.Fatalf("POST %s: %d", action, res.StatusCode)
	}
	return at
}

// Cookies is the Cookie header of this visitor's requests.
func (v *Visitor) Cookies() string {
	u, _ := url.Parse(v.gate.URL)
	var all []string
	for _, c := range v.client.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

func (v *Visitor) request(method, path string, form url.Values) *http.Request {
	v.gate.t.Helper()
	r, err := http.NewRequest(method, v.gate.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.gate.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", v.gate.URL)
	}
	return r
}

func (v *Visitor) do(method, path string, form url.Values) Page {
	v.gate.t.Helper()
	res, err := v.client.Do(v.request(method, path, form))
	if err != nil {
		v.gate.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.gate.t.Fatal(err)
	}
	return Page{Status: res.StatusCode, Path: res.Request.URL.Path, Body: string(body), Header: res.Header}
}

// form returns what the first form of p that goes to action would send, with
// more fields filled in.
func (g *Gate) form(p Page, action string, fields []string) url.Values {
	g.t.Helper()
	doc, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		g.t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || attribute(n, "action") != action {
			continue
		}
		values := make(url.Values)
		for in := range n.Descendants() {
			if in.Data == "input" && attribute(in, "type") == "hidden" {
				values.Set(attribute(in, "name"), attribute(in, "value"))
			}
		}
		for i := 0; i < len(fields); i += 2 {
			values.Set(fields[i], fields[i+1])
		}
		return values
	}
	g.t.Fatalf("%d at %s: no form to %s", p.Status, p.Path, action)
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// At is the same browser at another gate. Cookies know no port, so gates on one
// host that share a store and a secret know it too.
func (v *Visitor) At(g *Gate) *Visitor {
	return &Visitor{gate: g, client: &http.Client{Jar: v.client.Jar, Transport: g.visits()}}
}

// Roam is the same browser behind a balancer that sends each request to the
// next of these gates, those that follow a redirect too.
func (v *Visitor) Roam(gates ...*Gate) *Visitor {
	return &Visitor{gate: gates[0], client: &http.Client{Jar: v.client.Jar, Transport: &balancer{gates: gates}}}
}

type balancer struct {
	gates []*Gate
	n     atomic.Int64
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	g := b.gates[int(b.n.Add(1)-1)%len(b.gates)]
	to, err := url.Parse(g.URL)
	if err != nil {
		return nil, err
	}
	// Each gate stands for the one public address, and knows it by its own.
	from := "http://" + r.URL.Host
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = to.Host, to.Host
	for _, name := range []string{"Origin", "Referer"} {
		if rest, ok := strings.CutPrefix(r.Header.Get(name), from); ok {
			r.Header.Set(name, g.URL+rest)
		}
	}
	return g.visits().RoundTrip(r)
}
