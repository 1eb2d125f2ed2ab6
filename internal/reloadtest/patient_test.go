// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package reloadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// patient is a browser of somebody who knows that the gate may die at any
// moment: it reports what was lost, and looks at a page again until it comes.
type patient struct {
	http.Client
	gate string // URL
	from string // the address it comes from
}

func newPatient(gate, from string) *patient {
	jar, _ := cookiejar.New(nil) // without options it cannot fail
	return &patient{gate: gate, from: from, Client: http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		// A connection would not live long.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came back, after the redirects within the gate.
type answer struct {
	status int
	body   string
	in     bool // it set a session's cookie
}

// errLost: no answer came, or that the gate is not up yet.
var errLost = errors.New("no answer")

// once sends a request, once.
func (b *patient) once(ctx context.Context, method, path string, form url.Values) (a answer, err error) {
	for range 5 {
		var body io.Reader
		if form != nil {
			body = strings.NewReader(form.Encode())
		}
		r, err := http.NewRequestWithContext(ctx, method, b.gate+path, body)
		if err != nil {
			return a, err
		}
		r.Header.Set("Accept", "text/html")
		r.Header.Set("X-Forwarded-For", b.from)
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", b.gate)
		}
		res, err := b.Do(r)
		if err != nil {
			return a, fmt.Errorf("%w: %v", errLost, err)
		}
		for _, c := range res.Cookies() { // whatever becomes of the rest, the jar has them
			a.in = a.in || c.Name == sessionCookie && c.Value != ""
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		to := res.Header.Get("Location")
		switch {
		case a.in:
			return a, nil
		case err != nil, res.StatusCode >= 500:
			return a, fmt.Errorf("%w: %d, %v", errLost, res.StatusCode, err)
		case !strings.HasPrefix(to, "/sign-in"):
			a.status, a.body = res.StatusCode, string(text)
			return a, nil
		}
		method, form = "GET", nil
		path, _, _ = strings.Cut(to, "#")
	}
	return a, errors.New("redirected in a circle")
}

// sessionCookie is the session's of the gate "main" on http.
const sessionCookie = "portalgate-main"

// until sends a request until it is answered.
func (b *patient) until(ctx context.Context, method, path string, form url.Values) (a answer, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(60 * time.Second)
	for {
		if a, err = b.once(ctx, method, path, form); !errors.Is(err, errLost) {
			return a, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return a, ctx.Err()
		case <-late:
			return a, err
		}
	}
}

// cookie is the session's; empty if the browser has none.
func (b *patient) cookie() string {
	u, _ := url.Parse(b.gate)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}

// formIn returns what the form of a page to an address would send; of any of
// its forms, if that is empty.
func formIn(page, action string) url.Values {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil
	}
	for n := range doc.Descendants() {
		if n.Data != "form" || action != "" && attr(n, "action") != action {
			continue
		}
		values := make(url.Values)
		for in := range n.Descendants() {
			if in.Data == "input" && attr(in, "type") == "hidden" {
				values.Set(attr(in, "name"), attr(in, "value"))
			}
		}
		return values
	}
	return nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

var signInLink = regexp.MustCompile(`/sign-in/link\?t=[A-Za-z0-9._-]+`)

// linkIn returns the path of the sign-in link in a mail.
func linkIn(text string) string { return signInLink.FindString(text) }
