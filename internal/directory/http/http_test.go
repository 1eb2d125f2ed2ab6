// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/directory/directorytest"
	"github.com/portalgate/portalgate/internal/store"
)

const token = "office-token-1"

// office is a practice's own system, as the package comment describes it.
type office struct {
	*httptest.Server
	t     *testing.T
	asked atomic.Int64

	mu      sync.Mutex
	clients []directory.Client
	instead func(w http.ResponseWriter, r *http.Request) // answers in its place
}

func newOffice(t *testing.T, clients ...directory.Client) *office {
	o := &office{t: t, clients: clients}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *office) set(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.asked.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.instead != nil {
		o.instead(w, r)
		return
	}
	var q struct{ Email, ID string }
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil || (q.Email == "") == (q.ID == "") {
		o.t.Errorf("asked %+v, %v", q, err)
	}
	if r.Method != "POST" || r.URL.String() != "/portalgate" || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Content-Type") != "application/json" {
		o.t.Errorf("asked by %s %s with %v", r.Method, r.URL, r.Header)
	}
	w.Header().Set("Content-Type", "application/json")
	for _, c := range o.clients {
		if q.ID == c.ID || q.Email != "" && strings.EqualFold(q.Email, c.Email) {
			io.WriteString(w, said(c))
			return
		}
	}
	io.WriteString(w, `{"client": null}`)
}

func said(c directory.Client) string {
	text, _ := json.Marshal(map[string]any{"client": map[string]any{
		"id": c.ID, "email": c.Email, "name": c.Name, "phone": c.Phone, "language": c.Language,
		"portal_access": c.Access, "email_ok": c.EmailOK, "room": 12,
	}, "took": "1ms"})
	return string(text)
}

func (o *office) directory(now func() time.Time) *Directory {
	o.t.Helper()
	d, err := New(Options{URL: o.URL + "/portalgate", Token: token, Now: now})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(d.client.CloseIdleConnections)
	return d
}

func TestConformance(t *testing.T) {
	directorytest.Run(t, directorytest.Harness{Open: func(t *testing.T, clients ...directory.Client) directory.Directory {
		return newOffice(t, clients...).directory(nil)
	}})
}

func parseAddress(t *testing.T, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// An outage of the practice's system, or nonsense from it, never looks like a
// practice that has no such client: that would end the client's sessions.
func TestOutageIsUnknown(t *testing.T) {
	ada := directorytest.Ada
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		io.WriteString(w, said(ada))
	}))
	defer other.Close()
	text := func(status int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	redirect := func(status int, to string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
	}
	changed := func(change func(c *directory.Client)) func(http.ResponseWriter, *http.Request) {
		c := ada
		change(&c)
		return text(200, said(c))
	}
	for name, instead := range map[string]func(http.ResponseWriter, *http.Request){
		"401":                text(401, `{"client": null}`),
		"404":                text(404, `{"client": null}`),
		"204":                text(204, ""),
		"201":                text(201, said(ada)),
		"500":                text(500, said(ada)),
		"redirect elsewhere": redirect(307, other.URL),
		"redirect here":      redirect(302, "/portalgate/"),
		"nothing":            text(200, ""),
		"a page":             text(200, "<html>maintenance</html>"),
		"null":               text(200, "null"),
		"a list":             text(200, "[]"),
		"no client":          text(200, "{}"),
		"another case":       text(200, `{"Client": null}`),
		"two answers":        text(200, said(ada)+said(ada)),
		"half an answer":     text(200, said(ada)[:40]),
		"a client of text":   text(200, `{"client": "c-ada"}`),
		"an empty client":    text(200, `{"client": {}}`),
		"no access":          text(200, `{"client": {"id":"c-ada","email":"ada@example.com","email_ok":true}}`),
		"access in words":    text(200, `{"client": {"id":"c-ada","email":"ada@example.com","email_ok":true,"portal_access":"yes"}}`),
		"no consent":         text(200, `{"client": {"id":"c-ada","email":"ada@example.com","portal_access":true}}`),
		"someone else":       changed(func(c *directory.Client) { c.ID, c.Email = "c-eve", "eve@example.com" }),
		"a bad id":           changed(func(c *directory.Client) { c.ID = "../c-ada" }),
		"a bad address":      changed(func(c *directory.Client) { c.Email = "Ada <ada@example.com>" }),
		"a bad name":         changed(func(c *directory.Client) { c.Name = "Ada\r\nBcc: eve@example.com" }),
		"too much":           changed(func(c *directory.Client) { c.Name = strings.Repeat("x", maxAnswer) }),
		"endless headers": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
			}
		},
		"a line that breaks": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, ada)
			o.set(func() { o.instead = instead })
			d := o.directory(nil)
			for what, ask := range map[string]func() (directory.Client, error){
				"ByID":      func() (directory.Client, error) { return d.ByID(t.Context(), ada.ID) },
				"ByAddress": func() (directory.Client, error) { return d.ByAddress(t.Context(), parseAddress(t, ada.Email)) },
			} {
				c, err := ask()
				if !errors.Is(err, store.ErrUnknown) || errors.Is(err, directory.ErrNotFound) || c != (directory.Client{}) {
					t.Errorf("%s = %+v, %v, want ErrUnknown", what, c, err)
				}
				for _, secret := range []string{token, "ada@", "Lovelace", "eve@"} {
					if strings.Contains(strings.ToLower(fmt.Sprint(err)), strings.ToLower(secret)) {
						t.Errorf("%s = %v, which repeats %q", what, err, secret)
					}
				}
			}
		})
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("the token went elsewhere %d times", n)
	}
	t.Run("nobody there", func(t *testing.T) {
		o := newOffice(t, ada)
		o.Close()
		if _, err := o.directory(nil).ByID(t.Context(), ada.ID); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("ByID = %v", err)
		}
	})
}

// Whoever was on file counts as on file for five minutes, and whoever was not is
// asked about again.
func TestAskedAgain(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := newOffice(t, directorytest.Ada)
	d := o.directory(func() time.Time { return now })
	ask := func(id string, wantOn bool, wantAsked int64) {
		t.Helper()
		before := o.asked.Load()
		c, err := d.ByID(t.Context(), id)
		if wantOn != (err == nil && c.ID == id) || !wantOn && !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("ByID(%q) = %+v, %v", id, c, err)
		}
		if n := o.asked.Load() - before; n != wantAsked {
			t.Errorf("ByID(%q) asked %d times, want %d", id, n, wantAsked)
		}
	}
	ask("c-ada", true, 1)
	ask("c-ada", true, 0)
	o.set(func() { o.clients = nil })
	now = now.Add(knownFor - 1)
	ask("c-ada", true, 0)
	now = now.Add(1)
	ask("c-ada", false, 1)
	ask("c-ada", false, 1)
	o.set(func() { o.clients = []directory.Client{directorytest.Ada} })
	ask("c-ada", true, 1)
	now = now.Add(-time.Hour) // a clock that is put back makes nobody known for longer
	ask("c-ada", true, 1)
	// A look-up by address always asks, and what it learns is what is known.
	moved := directorytest.Ada
	moved.Name = "Ada King"
	o.set(func() { o.clients = []directory.Client{moved} })
	if c, err := d.ByAddress(t.Context(), parseAddress(t, moved.Email)); err != nil || c != moved {
		t.Errorf("ByAddress = %+v, %v", c, err)
	}
	if c, err := d.ByID(t.Context(), moved.ID); err != nil || c != moved {
		t.Errorf("ByID = %+v, %v", c, err)
	}
}

// A crowd that wants to know the same is one question, and a practice's system
// that hangs holds everybody up for two seconds, not for longer.
func TestHangingOffice(t *testing.T) {
	o := newOffice(t, directorytest.Ada)
	release := make(chan struct{})
	instead := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		io.Copy(io.Discard, r.Body)
		instead(w, r)
	})
	t.Cleanup(func() { close(release) }) // before the server closes
	d := o.directory(nil)
	begun := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := d.ByID(t.Context(), "c-ada"); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("ByID = %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took < patience/2 || took > 3*patience {
		t.Errorf("took %v", took)
	}
	if n := o.asked.Load(); n > 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{
		"", "office.example.com", "http://office.example.com/x", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "https://", "https:///x",
		"https://u:p@office.example.com/", "https://office.example.com/?a=b", "https://office.example.com/?", "https://office.example.com/#x", "ftp://localhost/", "unix:/run/x",
	} {
		if d, err := New(Options{URL: u, Token: token}); err == nil || d != nil {
			t.Errorf("New took url %q", u)
		}
	}
	for _, u := range []string{"https://office.example.com/portalgate", "http://localhost:3000/x", "http://127.0.0.1:3000", "http://[::1]:3000/"} {
		if _, err := New(Options{URL: u, Token: token}); err != nil {
			t.Errorf("New refused url %q: %v", u, err)
		}
	}
	for _, s := range []string{"", "a b", "a\nb", "tökén"} {
		if _, err := New(Options{URL: "https://office.example.com/", Token: s}); err == nil || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("New with token %q: %v", s, err)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(time.Now)
	for i := range 3 * most {
		c.put(directory.Client{ID: fmt.Sprint(i)}, c.generation())
	}
	if n := len(c.young) + len(c.old); n > 2*most {
		t.Errorf("%d are remembered", n)
	}
	gen := c.generation()
	c.drop("x")
	c.put(directory.Client{ID: "x"}, gen)
	if _, ok := c.get("x"); ok {
		t.Error("an answer from before somebody was gone was kept")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		said(directorytest.Ada), said(directorytest.Zoe), `{"client":null}`, `{"client":{}}`, "", "null", "[]", `{"client":{"id":1}}`,
		`{"client":{"id":"c-ada","email":"ada@example.com","portal_access":null,"email_ok":true}}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, byID bool) {
		q := question{Email: "ADA@example.com"}
		if byID {
			q = question{ID: "c-ada"}
		}
		c, err := parse(text, q)
		if err != nil {
			if errors.Is(err, store.ErrUnknown) == errors.Is(err, directory.ErrNotFound) || c != (directory.Client{}) {
				t.Errorf("%+v, %v", c, err)
			}
			return
		}
		if _, _, wrong := directory.Check(c); len(wrong) > 0 {
			t.Errorf("%+v: %v", c, wrong)
		}
		if byID && c.ID != "c-ada" || !byID && strings.ToLower(c.Email) != "ada@example.com" {
			t.Errorf("asked about another, answered %+v", c)
		}
	})
}
