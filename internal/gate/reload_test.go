// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/internal/directory/file"
)

// next is the configuration after w.conf: the same, with the list of clients
// read from a file anew.
func (w *world) next(csv, list string) *Config {
	w.t.Helper()
	if err := os.WriteFile(csv, []byte(list), 0o600); err != nil {
		w.t.Fatal(err)
	}
	clients, err := file.Open(csv)
	if err != nil {
		w.t.Fatal(err)
	}
	c := *w.conf
	c.Clients = clients
	return &c
}

// use puts a configuration into force.
func (w *world) use(c *Config) (undo func()) {
	w.t.Helper()
	h, err := w.rt.Handler(c, HandlerOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if undo, err = w.rt.Use(c); err != nil {
		w.t.Fatal(err)
	}
	w.conf, w.h = c, h
	return undo
}

// reload is a reload after the list of clients was changed.
func (w *world) reload(list string) { w.use(w.next(w.csv, list)) }

func (w *world) write(csv, list string) {
	w.t.Helper()
	if err := os.WriteFile(csv, []byte(list), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// A client is taken off the list, and the configuration reloaded; later the
// client is put back, in the same way. The session of before is over at once
// and for good, whatever lay in between: a request that was refused, a while,
// nothing at all, or a store that was down.
func TestL13_WithdrawnByReload(t *testing.T) {
	for between, happens := range map[string]func(w *world, c *http.Cookie){
		"a request": func(w *world, c *http.Cookie) {
			if w.lets(c) {
				w.t.Error("let in after the reload")
			}
		},
		"a while": func(*world, *http.Cookie) { synctest.Wait() },
		"nothing": func(*world, *http.Cookie) {},
		"a store that is down": func(w *world, _ *http.Cookie) {
			w.db.fail.Store(true) // too late for what is settled by now
			<-time.After(3 * time.Second)
		},
	} {
		for name, change := range withdrawals {
			t.Run(between+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					w.open()
					cookie := w.session()
					if !w.lets(cookie) {
						t.Fatal("not signed in to begin with")
					}
					w.db.fail.Store(strings.Contains(between, "down"))
					w.reload(change(sampleClients))
					happens(w, cookie)
					w.reload(sampleClients)
					w.db.fail.Store(false)
					<-time.After(2 * time.Second) // what failed is tried again
					if w.lets(cookie) || w.live("c-ada") != 0 {
						t.Error("a session came back with the row")
					}
					if !w.lets(w.session()) {
						t.Error("a session made since is over")
					}
					// The next change on the list counts as the first did.
					w.reload(change(sampleClients))
					synctest.Wait()
					if w.live("c-ada") != 0 {
						t.Error("the second time nothing was settled")
					}
				})
			})
		}
	}
}

// The list changes while the store is down, and the configuration is reloaded
// for some other reason. What the watch could not settle is not lost with it.
func TestL13_WithdrawnWhileTheStoreIsDown(t *testing.T) {
	for name, change := range withdrawals {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.open()
				cookie := w.session()
				w.db.fail.Store(true)
				w.write(w.csv, change(sampleClients))
				<-time.After(10 * time.Second)
				for range 3 {
					w.reload(change(sampleClients))
				}
				w.reload(sampleClients)
				w.db.fail.Store(false)
				<-time.After(2 * time.Second)
				if w.lets(cookie) || w.live("c-ada") != 0 {
					t.Error("a session came back with the row")
				}
			})
		})
	}
}

// A row went while the gate was down, and is put back while it runs, by a reload
// or in the file itself. Nobody has asked for anything in between, so nothing
// but the row's return tells that it was gone.
func TestL13_PutBackAfterDown(t *testing.T) {
	for name, putBack := range map[string]func(w *world){
		"reloaded": func(w *world) { w.reload(sampleClients) },
		"watched":  func(w *world) { w.write(w.csv, sampleClients) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.open()
				cookie := w.session()
				w.rt.Close()
				w.write(w.csv, withdrawals["row removed"](sampleClients))
				w.open()
				putBack(w)
				<-time.After(10 * time.Second)
				if w.live("c-ada") != 0 || w.lets(cookie) {
					t.Error("a session came back with the row")
				}
			})
		})
	}
}

// The gate is closed while the store is down and a change waits for it, which was
// said once: what waits ends as well, or the bubble would not.
func TestCloseWithChangesUnsettled(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		w.session()
		w.db.fail.Store(true)
		w.reload(withdrawals["access off"](sampleClients))
		<-time.After(3 * time.Second)
		if err := w.rt.Close(); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(w.logs.String(), "those after it wait"); n != 1 {
			t.Errorf("that a change waits was said %d times", n)
		}
	})
}

// What only changes about a client who stays signs nobody out.
func TestReloadSignsNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		cookie := w.session()
		for range 3 {
			w.reload(strings.Replace(sampleClients, "Ada Lovelace", "Countess Lovelace", 1))
			w.reload(sampleClients + "c-new,new@example.com,New Client,yes,yes\n")
		}
		<-time.After(10 * time.Second)
		if !w.lets(cookie) {
			t.Error("a reload signed a client out")
		}
	})
}

// A configuration that did not come to run gives way to the one before, whose
// list is watched again in place of its own.
func TestUndo(t *testing.T) {
	off := withdrawals["access off"](sampleClients)
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		cookie := w.session()
		before, beforeH := w.conf, w.h
		failed := w.next(filepath.Join(filepath.Dir(w.csv), "failed.csv"), sampleClients)
		undo := w.use(failed)
		if w.rt.conf.Load() != failed {
			t.Error("the new configuration is not in force")
		}
		for range 2 { // once more does nothing
			undo()
			if w.rt.conf.Load() != before {
				t.Error("the configuration before is not in force")
			}
		}
		w.conf, w.h = before, beforeH
		w.write(filepath.Join(filepath.Dir(w.csv), "failed.csv"), off)
		<-time.After(10 * time.Second)
		if w.live("c-ada") != 1 || !w.lets(cookie) {
			t.Error("the list of the configuration that was undone is still watched")
		}
		w.write(w.csv, off)
		<-time.After(10 * time.Second)
		if w.live("c-ada") != 0 {
			t.Error("the list of the configuration before is not watched again")
		}
	})
}

func TestUndoTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		w.session()
		undo := w.use(w.next(w.csv, sampleClients))
		later := w.next(filepath.Join(filepath.Dir(w.csv), "later.csv"), sampleClients)
		w.use(later)
		undo()
		if w.rt.conf.Load() != later {
			t.Error("a later configuration was undone with an earlier one")
		}
		w.write(filepath.Join(filepath.Dir(w.csv), "later.csv"), withdrawals["row removed"](sampleClients))
		<-time.After(10 * time.Second)
		if w.live("c-ada") != 0 {
			t.Error("the later configuration's list is not watched")
		}
	})
}

// The first configuration of a gate has none before it.
func TestUndoTheFirst(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.with(&opener{open: w.bolt}, worldSecret)
		undo, err := w.rt.Use(w.conf)
		if err != nil {
			t.Fatal(err)
		}
		undo()
		if w.rt.conf.Load() != w.conf {
			t.Error("requests that still run have no configuration")
		}
	})
}

// The list is watched by the very second: reloads come while it is read and
// while what changed is settled, with the store there and away. That two wait
// for each other would end the bubble as a deadlock.
func TestReloadWhileTheListChanges(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open()
		cookie := w.session()
		lists := []string{sampleClients, withdrawals["row removed"](sampleClients), withdrawals["id given to another person"](sampleClients)}
		for i := range 60 {
			w.write(w.csv, lists[i%3])
			w.db.fail.Store(i%4 == 3)
			<-time.After(time.Duration(i%5) * time.Second) // with 3 the watch takes the list at this moment
			undo := w.use(w.next(w.csv, lists[i/2%3]))
			if i%6 == 5 {
				undo()
			}
			w.visits(t.Context(), cookie)
		}
		w.db.fail.Store(false)
		w.reload(sampleClients)
		<-time.After(10 * time.Second)
		if w.lets(cookie) {
			t.Error("a session came back with the row")
		}
		if !w.lets(w.session()) {
			t.Error("nobody can sign in any more")
		}
	})
}

// The same without a bubble, where everything runs at once, and the gate is
// closed in the midst of it.
func TestReloadsAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w := newWorld(t)
	cookie := w.session()
	lists := []string{sampleClients, withdrawals["row removed"](sampleClients), withdrawals["access off"](sampleClients)}
	var configs [3]*Config
	for i, list := range lists {
		configs[i] = w.next(filepath.Join(filepath.Dir(w.csv), string('a'+rune(i))), list)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for n := range 120 {
			undo, err := w.rt.Use(configs[n%3])
			if err != nil {
				t.Error(err)
				return
			}
			if n%5 == 4 {
				undo()
			}
		}
	})
	for range 3 {
		all.Go(func() {
			for n := range 100 {
				w.db.fail.Store(n%10 == 9)
				w.visits(ctx, cookie)
			}
			w.db.fail.Store(false)
		})
	}
	all.Go(func() {
		for range 20 {
			w.visits(ctx, cookie)
		}
		if err := w.rt.Close(); err != nil {
			t.Error(err)
		}
	})
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Fatalf("they wait for each other:\n%s", &stacks)
	}
	w.rt.mu.Lock()
	defer w.rt.mu.Unlock()
	if w.rt.watch != nil {
		t.Error("a list is watched after Close, and nobody will stop it")
	}
}
