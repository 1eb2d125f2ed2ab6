// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/store"
)

// cabinet is a list of clients in memory that staff can change; while jammed it
// can be read and not changed.
type cabinet struct {
	mu     sync.Mutex
	on     map[string]directory.Client
	was    map[string]bool
	jammed bool
	before func() // runs before a change is made
}

var errJammed = errors.New("jammed")

func newCabinet(clients ...directory.Client) *cabinet {
	s := &cabinet{on: map[string]directory.Client{}, was: map[string]bool{}}
	for _, c := range clients {
		c.Version = 1
		s.on[c.ID] = c
	}
	return s
}

func (s *cabinet) ByID(_ context.Context, id string) (directory.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.on[id]; ok {
		return c, nil
	}
	return directory.Client{}, directory.ErrNotFound
}

func (s *cabinet) ByAddress(_ context.Context, a address.Address) (directory.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.on {
		if b, _ := address.Parse(c.Email); b.Canonical() == a.Canonical() {
			return c, nil
		}
	}
	return directory.Client{}, directory.ErrNotFound
}

func (s *cabinet) Find(_ context.Context, q directory.Query) (found []directory.Client, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.on {
		if strings.HasPrefix(strings.ToLower(c.Name), strings.ToLower(q.Text)) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b directory.Client) int { return cmp.Compare(a.Name+a.ID, b.Name+b.ID) })
	return found, "", nil
}

func (s *cabinet) Add(ctx context.Context, c directory.Client, before directory.Before) (directory.Client, error) {
	c.ID = cmp.Or(c.ID, fmt.Sprint("c-", len(s.on)))
	if err := before(ctx, []string{c.ID}); err != nil {
		return directory.Client{}, err
	}
	if s.was[c.ID] {
		return directory.Client{}, directory.ErrDeleted
	}
	return s.put(c, 1)
}

func (s *cabinet) Change(_ context.Context, c directory.Client) (directory.Client, error) {
	return s.put(c, c.Version+1)
}

func (s *cabinet) put(c directory.Client, version int) (directory.Client, error) {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jammed {
		return directory.Client{}, errJammed
	}
	c.Version = version
	s.on[c.ID] = c
	return c, nil
}

func (s *cabinet) Remove(_ context.Context, id string, _ int) error {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jammed {
		return errJammed
	}
	s.was[id] = true
	delete(s.on, id)
	return nil
}

var ada = directory.Client{ID: "c-ada", Email: "ada@example.com", Name: "Ada Lovelace", Access: true, EmailOK: true}

// keeping is a world whose list of clients is kept here, with one client on it
// who is signed in in one browser, holds a link that another asked for, and a PIN.
func keeping(t *testing.T) (w *world, list *cabinet, in, asked *browser, mailed, pin string) {
	list = newCabinet(ada)
	w = newWorld(t, wide, pins, func(c *Config, _ *HandlerOptions) { c.Clients = list })
	in = w.signIn(ada.Email)
	w.clock.advance(2 * time.Minute)
	asked = w.browser()
	mailed = link(asked.mailed(ada.Email))
	made, err := w.rt.IssuePIN(t.Context(), PINOrder{Client: ada.ID, By: "desk", VerifiedBy: "called back"})
	if err != nil {
		t.Fatal(err)
	}
	return w, list, in, asked, mailed, made.PIN
}

// TestWithdrawn: what a change takes away is over when it returns, and for good.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	edit := func(f func(*directory.Client)) func(*world, *cabinet) error {
		return func(w *world, list *cabinet) error {
			c := list.on[ada.ID]
			f(&c)
			_, err := w.rt.ChangeClient(t.Context(), c, "desk")
			return err
		}
	}
	for _, tc := range []struct {
		name              string
		do                func(*world, *cabinet) error
		in, link, pin     bool // what still lets in
		putBack, unlisted bool
	}{
		{name: "access", do: edit(func(c *directory.Client) { c.Access = false }), putBack: true},
		{name: "the address", do: edit(func(c *directory.Client) { c.Email = "ada@other.example" }), putBack: true},
		{name: "consent", do: edit(func(c *directory.Client) { c.EmailOK = false }), in: true, pin: true, putBack: true},
		{name: "the name", do: edit(func(c *directory.Client) { c.Name = "Ada King" }), in: true, link: true, pin: true},
		{name: "the client", do: func(w *world, _ *cabinet) error { return w.rt.RemoveClient(t.Context(), ada.ID, 1, "desk") }, unlisted: true},
		{name: "the sessions", do: func(w *world, _ *cabinet) error { return w.rt.EndSessions(t.Context(), ada.ID, "desk") }, link: true, pin: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, list, in, asked, mailed, pin := keeping(t)
			if err := tc.do(w, list); err != nil {
				t.Fatal(err)
			}
			if tc.putBack { // by staff who have thought better of it
				c := ada
				c.Version = list.on[ada.ID].Version
				if _, err := w.rt.ChangeClient(t.Context(), c, "desk"); err != nil {
					t.Fatal(err)
				}
			}
			if got := in.signedIn(); got != tc.in {
				t.Errorf("still signed in: %v", got)
			}
			made, err := w.rt.ClientByID(t.Context(), ada.ID)
			if tc.unlisted != errors.Is(err, directory.ErrNotFound) {
				t.Fatal(err)
			}
			if got := !made.PINUntil.IsZero(); got != tc.pin {
				t.Errorf("the PIN works: %v", got)
			}
			if tc.pin {
				b := w.browser()
				p := b.get("/sign-in/pin")
				if p = b.send(p.form("/sign-in/pin"), "email", ada.Email, "pin", pin); !b.signedIn() {
					t.Errorf("the PIN does not sign in: %s", p.text())
				}
			}
			if p := asked.get(mailed); tc.link != strings.Contains(p.body, w.conf.UI.Text("open.here.title", nil)) {
				t.Errorf("the link: %s", p.text())
			}
			if !tc.unlisted && strings.Contains(w.logs.String(), "ada@") {
				t.Error("an address is in the log")
			}
		})
	}
}

// TestJammedList: the access record is changed first. A list that cannot be
// changed after that lets nobody in who would not have been.
func TestJammedList(t *testing.T) {
	t.Parallel()
	w, list, in, _, _, _ := keeping(t)
	order := ""
	list.before = func() {
		if in.signedIn() {
			order += "too early "
		}
	}
	list.jammed = true
	c := list.on[ada.ID]
	c.Access = false
	if _, err := w.rt.ChangeClient(t.Context(), c, "desk"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a list that fails: %v", err)
	}
	if err := w.rt.RemoveClient(t.Context(), ada.ID, 1, "desk"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a list that fails: %v", err)
	}
	if in.signedIn() || order != "" {
		t.Errorf("the client is signed in still; %s", order)
	}
}

// TestRosterRefuses: what cannot be changed signs nobody out.
func TestRosterRefuses(t *testing.T) {
	t.Parallel()
	list := newCabinet(ada, directory.Client{ID: "c-bob", Email: "bob@example.com", Name: "Bob", Access: true, EmailOK: true})
	w := newWorld(t, wide, func(c *Config, _ *HandlerOptions) { c.Clients = list })
	in := w.signIn(ada.Email)
	change := func(f func(*directory.Client)) error {
		c := list.on[ada.ID]
		f(&c)
		_, err := w.rt.ChangeClient(t.Context(), c, "desk")
		return err
	}
	var taken *directory.Taken
	if err := change(func(c *directory.Client) { c.Email = "BOB@example.com" }); !errors.As(err, &taken) || taken.By.ID != "c-bob" {
		t.Errorf("somebody else's address: %v", err)
	}
	var invalid *directory.Invalid
	if err := change(func(c *directory.Client) { c.Email = "ada" }); !errors.As(err, &invalid) || invalid.Field != "email" {
		t.Errorf("no address: %v", err)
	}
	if err := change(func(c *directory.Client) { c.Version, c.Access = 7, false }); !errors.Is(err, directory.ErrChanged) {
		t.Errorf("an old version: %v", err)
	}
	if err := w.rt.RemoveClient(t.Context(), ada.ID, 7, "desk"); !errors.Is(err, directory.ErrChanged) {
		t.Errorf("an old version: %v", err)
	}
	if _, err := w.rt.AddClient(t.Context(), directory.Client{ID: ada.ID, Email: "eve@example.com"}, "desk"); !errors.As(err, &invalid) || invalid.Field != "id" {
		t.Errorf("somebody's id: %v", err)
	}
	if !in.signedIn() {
		t.Error("the client was signed out")
	}
	if err := w.rt.RemoveClient(t.Context(), "c-bob", 1, "desk"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rt.AddClient(t.Context(), directory.Client{ID: "c-bob", Email: "eve@example.com"}, "desk"); !errors.Is(err, directory.ErrDeleted) {
		t.Errorf("an id that was somebody's: %v", err)
	}
	if on, err := w.rt.AddClient(t.Context(), directory.Client{Email: "eve@example.com", Access: true}, "desk"); err != nil || on.ID == "" || on.Version != 1 {
		t.Errorf("%+v, %v", on, err)
	}
	if !strings.Contains(w.logs.String(), `"client_added"`) || !strings.Contains(w.logs.String(), `"client_removed"`) {
		t.Error("what was done is not in the log")
	}
}

// TestListKeptElsewhere: a file is read and never changed.
func TestListKeptElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if ro := w.rt.Roster(); ro.Kept || ro.Stale || ro.PINs {
		t.Errorf("%+v", ro)
	}
	_, err := w.rt.AddClient(t.Context(), ada, "desk")
	_, err2 := w.rt.ChangeClient(t.Context(), ada, "desk")
	err3 := w.rt.RemoveClient(t.Context(), ada.ID, 0, "desk")
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, ErrElsewhere) {
			t.Errorf("a change: %v", err)
		}
	}
	if c, err := w.rt.ClientByAddress(t.Context(), "ADA@example.com"); err != nil || c.ID != "c-ada" {
		t.Errorf("%+v, %v", c, err)
	}
	found, _, err := w.rt.FindClients(t.Context(), directory.Query{Text: "ada@example.com"})
	if err != nil || len(found) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestLinkAsked: staff learn that a link was asked for with an address that is
// not on file, for a day, in both modes.
func TestLinkAsked(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]option{"conceal": nil, "reveal": {reveal}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, opts...)
			asked := func() time.Time {
				at, err := w.rt.LinkAsked(t.Context(), " Zed@Example.com")
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			if !asked().IsZero() {
				t.Error("asked for before anybody did")
			}
			at := w.clock.now()
			w.browser().ask("zed@example.com")
			w.idle()
			if !asked().Equal(at.Truncate(time.Second)) {
				t.Errorf("asked at %v, want %v", asked(), at)
			}
			w.clock.advance(23 * time.Hour)
			w.browser().ask("zed@example.com")
			w.idle()
			w.clock.advance(23 * time.Hour)
			if asked().IsZero() {
				t.Error("the second time is forgotten with the first")
			}
			w.clock.advance(2 * time.Hour)
			if !asked().IsZero() {
				t.Error("remembered for more than a day")
			}
		})
	}
}

// TestSheet: what staff see is how it is.
func TestSheet(t *testing.T) {
	t.Parallel()
	w, _, in, _, _, _ := keeping(t)
	s, err := w.rt.ClientByID(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Sessions) != 1 || s.Sessions[0].Method != "magic_link" || s.LinkUntil.IsZero() || s.PINUntil.IsZero() || s.LastSignIn.IsZero() || len(s.Mails) < 2 {
		t.Errorf("%+v", s)
	}
	for range 20 {
		b := w.browser()
		b.send(b.get("/sign-in/pin").form("/sign-in/pin"), "email", ada.Email, "pin", "000000")
	}
	w.clock.advance(13 * time.Hour)
	if s, err = w.rt.ClientByID(t.Context(), ada.ID); err != nil || len(s.Sessions) != 0 || s.WrongPINs == 0 {
		t.Errorf("%v, %+v", err, s)
	}
	if in.signedIn() {
		t.Error("a session that is over is not shown, and lets in")
	}
	if _, err := w.rt.ClientByID(t.Context(), "c-eve"); !errors.Is(err, directory.ErrNotFound) {
		t.Error(err)
	}
}

// TestChangedAddressIsTold: where staff change an address the client is told at
// both, as where it changes in a file.
func TestChangedAddressIsTold(t *testing.T) {
	t.Parallel()
	w, list, _, _, _, _ := keeping(t)
	c := list.on[ada.ID]
	c.Email = "ada@elsewhere.example"
	if _, err := w.rt.ChangeClient(t.Context(), c, "desk"); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(movedWait)
	w.wake()
	told := func(m outbox.Entry) bool { return m.Subject == w.conf.UI.Text("notice.moved.subject", nil) }
	for _, email := range []string{ada.Email, c.Email} {
		w.mails(email, 1, told)
	}
}
