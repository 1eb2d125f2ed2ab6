// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// bubble runs f where time passes only when everybody waits, with no gate
// running yet. What f leaves in w.rt is closed; anything else that is left
// running fails the test.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	w := newWorld(t)
	outside := w.rt
	outside.Close()
	synctest.Test(t, func(t *testing.T) {
		w.t, w.rt = t, nil
		defer func() {
			if w.rt != nil {
				w.rt.Close()
			}
			w.t, w.rt = nil, outside
		}()
		f(t, w)
	})
	w.t = t
}

// opener is where a runtime gets its store from, and how often it asked.
type opener struct {
	n    atomic.Int64
	open func() (store.Backend, error)
}

// with makes o the way to the world's store, and w.rt and w.h a gate that has
// opened nothing yet.
func (w *world) with(o *opener, secret string) {
	w.t.Helper()
	w.rt = NewRuntime(Options{
		Gate: "main", Now: w.clock.now, Mark: &w.mark,
		Secret: func(context.Context) ([]byte, error) { return []byte(secret), nil },
		Open: func(context.Context) (store.Backend, error) {
			o.n.Add(1)
			return o.open()
		},
	})
	var err error
	if w.h, err = w.rt.Handler(w.conf, HandlerOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

const worldSecret = "0123456789abcdef0123456789abcdef"

func (w *world) bolt() (store.Backend, error) {
	s, err := bolt.Open(w.path, bolt.Options{Now: w.clock.now})
	if err != nil {
		return nil, err // and no *bolt.Store that is nil
	}
	return s, nil
}

// session signs Ada in without a network and returns what her browser sends.
func (w *world) session() *http.Cookie {
	w.t.Helper()
	rec := w.press(w.makeLink("c-ada", "ada@example.com"), "ada@example.com")
	for _, c := range rec.Result().Cookies() {
		if c.Name == "portalgate-main" && c.MaxAge > 0 {
			return &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
	w.t.Fatalf("signing in is answered %d", rec.Code)
	return nil
}

// visits asks for the portal's start page without a network.
func (w *world) visits(ctx context.Context, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, "GET", w.front+"/", nil)
	r.Header.Set("Accept", "text/html")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	w.serve(rec, r)
	return rec
}

func (w *world) lets(c *http.Cookie) bool {
	return strings.HasPrefix(w.visits(context.Background(), c).Body.String(), "portal ")
}

// Everything that a gate starts ends with it: a server that reloads for months
// must not gather workers and watchers.
func TestNothingIsLeftRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("gate", func(t *testing.T) {
		w := newWorld(t)
		b := w.signIn("ada@example.com")
		for range 5 {
			undo := w.use(w.next(w.csv, sampleClients))
			b.signedIn()
			undo()
		}
		w.rt.Close()
		if err := w.rt.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if _, err := w.rt.Use(w.conf); err != nil {
			t.Errorf("a configuration that comes too late: %v", err)
		}
	})
	goleak.VerifyNone(t, before)
}

// On a reload the requests of the old configuration outlive it. The store is
// not closed under them: what they are about to write is written.
func TestCloseWaitsForRequests(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		records := w.rt.eng.Load().records
		reached, release := make(chan struct{}), make(chan struct{})
		request, closing := make(chan error, 1), make(chan error, 1)
		go func() {
			request <- records.Update(context.Background(), records.Tag("c-bob"), func(_ time.Time, r *access.Record) error {
				close(reached)
				<-release
				r.WrongCodes = 7
				return nil
			})
		}()
		<-reached
		go func() { closing <- w.rt.Close() }()
		synctest.Wait()
		select {
		case <-closing:
			t.Fatal("Close did not wait")
		default:
		}
		late := make(chan *httptest.ResponseRecorder, 1)
		go func() { late <- w.visits(t.Context()) }()
		synctest.Wait()
		close(release)
		// Who comes while it closes is not let in, and not taken for nobody.
		if rec := <-late; rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
			t.Errorf("a request while it closes is answered %d", rec.Code)
		}
		if err := errors.Join(<-request, <-closing); err != nil {
			t.Fatal(err)
		}
		if _, err := records.Get(t.Context(), records.Tag("c-mum")); !errors.Is(err, store.ErrUnknown) {
			t.Errorf("a request that comes later is told %v", err)
		}
		w.open()
		if got := w.record("c-bob").WrongCodes; got != 7 {
			t.Errorf("%d was written", got)
		}
	})
}

// The server stops while the store is still being opened: it is opened, and
// closed.
func TestCloseWhileOpening(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		reached, release := make(chan struct{}), make(chan struct{})
		o := &opener{open: func() (store.Backend, error) {
			close(reached)
			<-release
			return w.bolt()
		}}
		w.with(o, worldSecret)
		used, closed := make(chan error, 1), make(chan error, 1)
		go func() { _, err := w.rt.Use(w.conf); used <- err }()
		<-reached
		go func() { closed <- w.rt.Close() }()
		synctest.Wait()
		close(release)
		if err := errors.Join(<-used, <-closed); err != nil {
			t.Fatal(err)
		}
		if w.rt.eng.Load() != nil {
			t.Error("the store is open after Close")
		}
		w.visits(t.Context())
		if got := o.n.Load(); got != 1 {
			t.Errorf("opened %d times", got)
		}
		w.open() // the file is free again
	})
}

func TestUseOfAnotherName(t *testing.T) {
	w := newWorld(t)
	other := *w.conf
	other.Name = "other"
	undo, err := w.rt.Use(&other)
	if err == nil || undo != nil || !strings.Contains(err.Error(), `gate "other" cannot take the place of gate "main"`) {
		t.Errorf("Use = %v", err)
	}
	if w.rt.conf.Load() != w.conf {
		t.Error("a configuration that was refused is in force")
	}
}

// Another process has the store: the old one, that a service manager has not
// stopped yet. Nobody's start fails for that, nobody is signed out, and when
// the store is free it is opened.
func TestStoreIsLockedForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		cookie := w.session()
		w.rt.Close()

		held, err := w.bolt()
		if err != nil {
			t.Fatal(err)
		}
		o := &opener{open: w.bolt}
		w.with(o, worldSecret)
		if _, err := w.rt.Use(w.conf); err != nil {
			t.Fatalf("Use = %v", err)
		}
		if log := w.logs.String(); !strings.Contains(log, "already in use by another process") {
			t.Error("the log does not say why the store is not open")
		}
		for n := range int64(3) {
			rec := w.visits(t.Context(), cookie)
			if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || len(rec.Result().Cookies()) != 0 {
				t.Errorf("a client is answered %d, with %d cookies", rec.Code, len(rec.Result().Cookies()))
			}
			if got := o.n.Load(); got != n+1 {
				t.Errorf("tried %d times, want %d", got, n+1)
			}
			if n == 2 {
				held.Close()
			}
			<-time.After(time.Second)
		}
		if !w.lets(cookie) || o.n.Load() != 4 {
			t.Errorf("not signed in after the store came, %d tries", o.n.Load())
		}
	})
}

// A store that was made with another secret is no store that is away for a
// while: starting with it would sign everybody out, or write a second set of
// records beside the first.
func TestStoreOfAnotherSecret(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o := &opener{open: w.bolt}
		w.with(o, "another secret of 32 characters.")
		w.rt.conf.Store(nil)
		undo, err := w.rt.Use(w.conf)
		if err == nil || undo != nil {
			t.Fatal("a store of another secret is used")
		}
		for _, advice := range []string{`the store of gate "main" was made with another secret`, "give the gate the secret it had, or a new store"} {
			if !strings.Contains(err.Error(), advice) {
				t.Errorf("%q does not say %q", err, advice)
			}
		}
		if strings.Contains(err.Error(), "another secret of") {
			t.Error("the error tells the secret")
		}
		if w.rt.conf.Load() != nil {
			t.Error("the configuration that was refused is in force")
		}
		if rec := w.visits(t.Context()); rec.Code != 503 {
			t.Errorf("a request is answered %d", rec.Code)
		}
		w.open() // the file is free again, and as it was
	})
}

// A store that is away is asked for once a second, however many requests come,
// and nobody who gives up waiting is kept.
func TestOpeningIsTriedOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		reached, release := make(chan struct{}), make(chan struct{})
		o := &opener{}
		o.open = func() (store.Backend, error) {
			switch o.n.Load() {
			case 1:
				close(reached)
				<-release
				fallthrough
			case 2:
				return nil, fmt.Errorf("no route to the store: %w", store.ErrUnknown)
			}
			return w.bolt()
		}
		w.with(o, worldSecret)
		fifty := func(want int, tries int64) {
			t.Helper()
			atOnce(50, func(int) {
				if rec := w.visits(t.Context()); rec.Code != want {
					t.Errorf("answered %d, want %d", rec.Code, want)
				}
			})
			if got := o.n.Load(); got != tries {
				t.Errorf("tried %d times, want %d", got, tries)
			}
		}
		used := make(chan error, 1)
		go func() { _, err := w.rt.Use(w.conf); used <- err }()
		<-reached
		impatient, cancel := context.WithCancel(t.Context())
		left := make(chan int, 1)
		go func() { left <- w.visits(impatient).Code }()
		synctest.Wait()
		cancel()
		if got := <-left; got != 503 {
			t.Errorf("a request that gave up is answered %d", got)
		}
		go func() {
			synctest.Wait()
			close(release)
		}()
		fifty(503, 1)
		if err := <-used; err != nil {
			t.Errorf("Use = %v", err)
		}
		<-time.After(time.Second - 1)
		fifty(503, 1)
		<-time.After(1)
		fifty(503, 2)
		<-time.After(time.Second)
		fifty(303, 3)
		<-time.After(time.Minute)
		fifty(303, 3)
	})
}
