// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/html"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory/file"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// house is a gate in this process whose clock and store obey the test, so that
// every page that it has can be reached, those of bad days included.
type house struct {
	t     testing.TB
	url   string
	rt    *gate.Runtime
	conf  gate.Config
	h     atomic.Pointer[gate.Handler]
	clock atomic.Int64
	store faulty
	// before, if set, sees every request first, and may answer it instead.
	before func(http.ResponseWriter, *http.Request) bool
	portal string // what every page of the portal is
}

// faulty is a store whose plug can be pulled.
type faulty struct {
	store.Backend
	down atomic.Bool
}

func (f *faulty) Allow(ctx context.Context, asks []limit.Ask) (limit.Decision, error) {
	if f.down.Load() {
		return limit.Decision{}, fmt.Errorf("pulled the plug: %w", store.ErrUnknown)
	}
	return f.Backend.Allow(ctx, asks)
}

// linkMethod is providers/magiclink without Caddy.
type linkMethod struct{}

func (linkMethod) Describe() providers.Description {
	return providers.Description{Text: "email", Life: 24 * time.Hour}
}

func (linkMethod) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: &providers.Ask{Fields: []providers.Field{{Name: "email", Kind: providers.Email}}}}, nil
}

func (linkMethod) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	return providers.Step{SendLink: &providers.SendLink{Address: r.Fields["email"], Life: 24 * time.Hour}}, nil, nil
}

// pinMethod is providers/pin without Caddy.
type pinMethod struct{}

func (pinMethod) Describe() providers.Description {
	return providers.Description{Text: "pin", Life: 24 * time.Hour, Digits: 6}
}

func (pinMethod) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: &providers.Ask{Fields: []providers.Field{
		{Name: "email", Kind: providers.Email}, {Name: "pin", Kind: providers.Digits},
	}}}, nil
}

func (pinMethod) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	typed := strings.ReplaceAll(r.Fields["pin"], " ", "")
	switch len(typed) {
	case 6:
		return providers.Step{CheckSecret: &providers.CheckSecret{Address: r.Fields["email"], Secret: typed}}, nil, nil
	case 8:
		return providers.Step{}, nil, &providers.Denial{Reason: "pin.code", Field: "pin"}
	}
	return providers.Step{}, nil, &providers.Denial{Reason: "pin.shape", Field: "pin"}
}

const clients = `id,email,name,portal_access
c-ada,ada@example.com,Ada Lovelace,yes
c-bob,bob@example.com,Bob Stone,yes
c-cleo,cleo@example.com,,yes
c-long,wolfeschlegelsteinhausenbergerdorff.hubert.blaine@psychotherapy-practice.example.com,Hubert Blaine Wolfeschlegelsteinhausenbergerdorff,yes
`

// openHouse starts a gate of a practice. Limits are wide unless set.
func openHouse(t testing.TB, practice ui.Practice, reveal bool) *house {
	t.Helper()
	h := &house{t: t, portal: "the portal"}
	h.clock.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	server := httptest.NewServer(http.HandlerFunc(h.serve))
	h.url = server.URL
	h.rt = gate.NewRuntime(gate.Options{
		Gate: "main", Now: h.now, PIN: gate.Stretch{Passes: 1, KiB: 8},
		Secret: func(context.Context) ([]byte, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
		Open: func(context.Context) (store.Backend, error) {
			db, err := bolt.Open(filepath.Join(t.TempDir(), "gate.db"), bolt.Options{Now: h.now})
			h.store.Backend = db
			return &h.store, err
		},
	})
	t.Cleanup(func() {
		server.Close()
		h.rt.Close()
	})
	origin, err := url.Parse(h.url)
	practice.From, practice.PublicURL = "portal@willow.example", origin
	pages, uerr := ui.New(practice)
	if err = errors.Join(err, uerr); err != nil {
		t.Fatal(err)
	}
	lots := limit.Rate{Count: 1 << 20, Per: time.Minute}
	h.conf = gate.Config{
		Name: "main", PublicURL: origin, Path: "/sign-in", UI: pages, Reveal: reveal,
		Session: access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour},
		Limits:  gate.Limits{Requests: lots, Unknown: lots, Mails: lots},
		Methods: []gate.Method{{Name: "magic_link", Authenticator: linkMethod{}}, {Name: "pin", Authenticator: pinMethod{}}},
		Sender:  h.rt.Outbox(), Log: zap.NewNop(),
	}
	h.onFile(clients)
	return h
}

// onFile makes csv the list of clients, in a file with this name.
func (h *house) onFile(csv string) (path string) {
	h.t.Helper()
	path = filepath.Join(h.t.TempDir(), "clients.csv")
	if err := os.WriteFile(path, []byte(csv), 0o600); err != nil {
		h.t.Fatal(err)
	}
	list, err := file.Open(path)
	if err != nil {
		h.t.Fatal(err)
	}
	c := h.conf
	c.Clients = list
	h.use(&c)
	return path
}

// use has the house go by another configuration.
func (h *house) use(c *gate.Config) {
	h.t.Helper()
	handler, err := h.rt.Handler(c, gate.HandlerOptions{})
	if err == nil {
		_, err = h.rt.Use(c)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.h.Store(handler)
}

func (h *house) now() time.Time          { return time.Unix(0, h.clock.Load()) }
func (h *house) advance(d time.Duration) { h.clock.Add(int64(d)) }

func (h *house) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", h.now().UTC().Format(http.TimeFormat))
	if h.before != nil && h.before(w, r) {
		return
	}
	ip, _ := netip.ParseAddrPort(r.RemoteAddr)
	err := h.h.Load().ServeHTTP(w, r.WithContext(r.Context()), gate.Front{IP: ip.Addr()}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		_, err := io.WriteString(w, h.portal)
		return err
	})
	if err != nil {
		h.t.Errorf("the gate returned an error: %v", err)
	}
}

// visitor reaches pages: a browser without a window.
type visitor struct {
	h *house
	c http.Client
}

func (h *house) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &visitor{h, http.Client{Jar: jar}}
}

// shown is a page as the gate answered it.
type shown struct {
	header http.Header
	body   string
	forms  map[string]url.Values // by action, with what they hold
}

func (v *visitor) get(path string) *shown {
	v.h.t.Helper()
	return v.do("GET", path, nil)
}

// send sends the page's form to action, with fields filled in.
func (v *visitor) send(p *shown, action string, fields ...string) *shown {
	v.h.t.Helper()
	form, ok := p.forms[action]
	if !ok {
		v.h.t.Fatalf("the page has no form to %s, only %v", action, p.forms)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.do("POST", action, form)
}

// do asks for a page; headers are pairs.
func (v *visitor) do(method, path string, form url.Values, headers ...string) *shown {
	v.h.t.Helper()
	to := path
	if strings.HasPrefix(path, "/") {
		to = v.h.url + path
	}
	req, err := http.NewRequest(method, to, strings.NewReader(form.Encode()))
	if err != nil {
		v.h.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := v.c.Do(req)
	if err != nil {
		v.h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.h.t.Fatal(err)
	}
	p := &shown{header: resp.Header, body: string(body)}
	p.findForms(v.h.t)
	return p
}

func (p *shown) findForms(t testing.TB) {
	doc, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	p.forms = map[string]url.Values{}
	var values url.Values
	for n := range doc.Descendants() {
		at := map[string]string{}
		for _, a := range n.Attr {
			at[a.Key] = a.Val
		}
		switch {
		case n.Data == "form":
			if values = p.forms[at["action"]]; values == nil { // the first of two
				values = url.Values{}
				p.forms[at["action"]] = values
			} else {
				values = url.Values{}
			}
		case n.Data == "input" && at["type"] != "checkbox":
			values.Set(at["name"], at["value"])
		}
	}
}

// ask asks for a link.
func (v *visitor) ask(email string, fields ...string) *shown {
	v.h.t.Helper()
	v.h.advance(2 * time.Minute) // past the wait between two mails to one address
	p := v.get("/sign-in/magic-link")
	return v.send(p, "/sign-in/magic-link", append([]string{"email", email}, fields...)...)
}

// signIn walks the whole way with the n-th mail to an address.
func (v *visitor) signIn(email string, n int, fields ...string) {
	v.h.t.Helper()
	v.ask(email, fields...)
	if p := v.send(v.get(link(v.h.letter(email, n))), "/sign-in/link"); p.body != v.h.portal {
		v.h.t.Fatalf("signing in ended on %s", p.body)
	}
}

// letter waits for the n-th sign-in mail to an address, counted from 1.
func (h *house) letter(email string, n int) outbox.Entry {
	h.t.Helper()
	return h.mail(email, n, link)
}

// notice waits for the n-th notice of a sign-in somewhere new.
func (h *house) notice(email string, n int) outbox.Entry {
	h.t.Helper()
	return h.mail(email, n, func(m outbox.Entry) string {
		if link(m) != "" {
			return ""
		}
		return stopOf(m)
	})
}

// mail waits for the n-th mail to an address that has something in it.
func (h *house) mail(email string, n int, has func(outbox.Entry) string) outbox.Entry {
	h.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var found []outbox.Entry
		for _, m := range h.rt.Outbox().Messages() {
			if m.To == email && has(m) != "" {
				found = append(found, m)
			}
		}
		if len(found) >= n {
			return found[len(found)-n]
		}
		select {
		case <-deadline:
			h.t.Fatalf("%d mails came, want %d", len(found), n)
		case <-tick.C:
		}
	}
}

var (
	linkIn = regexp.MustCompile(`https?://\S+/link\?t=\S+`)
	stopIn = regexp.MustCompile(`https?://\S+/stop\?t=\S+`)
	codeIn = regexp.MustCompile(`(?m)^\d{8}$`)
)

func link(m outbox.Entry) string   { return linkIn.FindString(m.Text) }
func stopOf(m outbox.Entry) string { return stopIn.FindString(m.Text) }
func code(m outbox.Entry) string   { return codeIn.FindString(m.Text) }
