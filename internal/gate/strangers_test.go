// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Somebody with the mailbox signs in on Friday, and again from the same browser,
// which is known by then. The client reads the notice on Sunday: the press must
// still end what is open and forget the browser.
func TestS15_StopAfterDays(t *testing.T) {
	w := newWorld(t, wide)
	w.signIn("ada@example.com")
	w.notices("ada@example.com", 1)
	thief := w.signInAgain("ada@example.com")
	m := w.notices("ada@example.com", 2)[0]
	for range 2 {
		w.clock.advance(25 * time.Hour)
		thief.again("ada@example.com")
	}
	if n := w.told("ada@example.com"); n != 2 {
		t.Fatalf("%d notices, want 2: the browser is not known", n)
	}
	late := w.browser()
	p := late.get(stopOf(m)).says("stop.session.title")
	late.send(p.form("/sign-in/stop"), "email", "ada@example.com").says("stop.session.off")
	if thief.signedIn() {
		t.Error("the press has ended nothing")
	}
	if p := thief.get(link(w.browser().mailed("ada@example.com"))); !p.asks() {
		t.Error("the browser is still known")
	}
}

// Whoever can make the store slow must not be able to sign in unannounced: a
// session whose write comes so late that the notice may have been given up is
// not opened, and its repetition is.
func TestS15_SlowWrite(t *testing.T) {
	w := newWorld(t, wide)
	b := w.browser()
	p := b.get(link(b.mailed("ada@example.com")))
	h := &held{begun: make(chan struct{}, 1), going: make(chan struct{})}
	w.db.held.Store(h)
	done := make(chan *page)
	go func() { done <- b.send(p.form("/sign-in/link")) }()
	<-h.begun
	w.clock.advance(noticeLate)
	w.until("the notice is given up", func() bool { return w.db.notices.Load() <= 0 })
	close(h.going)
	if p := <-done; p.status != http.StatusServiceUnavailable || w.live("c-ada") != 0 {
		t.Fatalf("%d, with %d sessions", p.status, w.live("c-ada"))
	}
	b.send(p.form("/sign-in/link")).isPortal("/", "c-ada")
	if n := w.told("ada@example.com"); n != 1 {
		t.Errorf("%d notices, want 1", n)
	}
}

// The stranger, who has the mail, types wrong addresses until no more are
// taken. The client's press, from elsewhere, must not be refused with theirs.
func TestS15_StopIsNotLocked(t *testing.T) {
	w := newWorld(t, wide)
	w.signIn("ada@example.com")
	w.notices("ada@example.com", 1)
	thief := w.signInAgain("ada@example.com")
	m := w.notices("ada@example.com", 2)[0]
	there := w.browser().from("198.51.100.7")
	p := there.get(stopOf(m))
	for range 12 {
		there.send(p.form("/sign-in/stop"), "email", "bob@example.com").is(422)
	}
	there.send(p.form("/sign-in/stop"), "email", "ada@example.com").is(422) // no guessing without end
	phone := w.browser().from("203.0.113.9")
	q := phone.get(stopOf(m))
	phone.send(q.form("/sign-in/stop"), "email", "ada@example.com").says("stop.session.off")
	if thief.signedIn() {
		t.Error("the stranger is still in")
	}
}

// The row is given to another person before the notice was sent: it is none of
// their business who signed in as the one before.
func TestS15_NoticeIsNotForAnother(t *testing.T) {
	w := newWorld(t, wide)
	w.signIn("ada@example.com")
	w.write(w.csv, strings.Replace(sampleClients, "c-ada,ada@example.com,Ada Lovelace", "c-ada,eve@example.com,Eve Other", 1))
	w.until("the list has been read again", func() bool {
		c, err := w.conf.Clients.ByID(t.Context(), "c-ada")
		return err == nil && c.Email == "eve@example.com"
	})
	w.until("the change is noted", func() bool { return len(w.record("c-ada").Known) == 0 })
	w.clock.advance(movedWait)
	w.told("eve@example.com")
	for _, m := range w.rt.Outbox().Messages() {
		if m.To == "eve@example.com" && m.Subject != w.conf.UI.Text("notice.moved.subject", nil) {
			t.Errorf("a notice of Ada's sign-in went to Eve:\n%s", m.Text)
		}
	}
}

// A link that can be used by nobody any more must not be good for filling the
// queue, which is everybody's.
func TestS15_QueueIsNotFilled(t *testing.T) {
	w := newWorld(t, wide)
	m := w.browser().mailed("ada@example.com")
	b := w.browser()
	p := b.get(link(m))
	for range 10 {
		b.send(p.form("/sign-in/link"), "email", "bob@example.com")
	}
	before := w.db.puts.Load()
	for range 5 {
		other := w.browser()
		other.get(link(m)).says("open.off.title")
		f := other.get("/sign-in/magic-link").form("/sign-in/magic-link")
		f.action = "/sign-in/link"
		other.send(f, "email", "ada@example.com")
	}
	if n := w.db.puts.Load() - before; n != 0 {
		t.Errorf("%d items were queued", n)
	}
}

// Each press to stay signed in was a write, with an fsync: one client who keeps
// pressing made everybody's sign-in slow.
func TestPressesAreNotAllWritten(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	w.clock.advance(time.Minute)
	before := w.db.updates.Load()
	for range 30 {
		b.do("POST", "/sign-in/session", url.Values{}).is(200)
	}
	if n := w.db.updates.Load() - before; n != 1 {
		t.Errorf("%d writes for 30 presses in one second, want 1", n)
	}
}

// Handlers that never look at their request's context, file_server among them,
// went on sending a session's file after its end.
func TestH10_UnheedingHandler(t *testing.T) {
	w := newWorld(t, wide)
	b := w.signIn("ada@example.com")
	began := make(chan struct{})
	stopped := make(chan error, 1)
	w.reply = func(rw http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 4096)
		for i := 0; ; i++ {
			if _, err := rw.Write(chunk); err != nil {
				stopped <- err
				return
			}
			if i == 10 {
				close(began)
			}
		}
	}
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.front+"/file", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if res, err := b.c.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}()
	<-began
	other := b.copy()
	other.send(other.get("/sign-in/sign-out").form("/sign-in/sign-out"))
	select {
	case err := <-stopped:
		if err != context.Canceled {
			t.Errorf("it stopped with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the file is still being sent")
	}
}
