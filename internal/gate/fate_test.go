// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/store"
)

// scripted is a mail server that answers as it is told.
type scripted struct {
	mail.Sender
	mu     sync.Mutex
	answer func(to string) error // guarded by mu; nil takes everything
	sent   []mail.Message        // guarded by mu; all that was tried
}

func (s *scripted) Send(ctx context.Context, m mail.Message) (string, error) {
	s.mu.Lock()
	answer := s.answer
	s.sent = append(s.sent, m)
	s.mu.Unlock()
	if answer != nil {
		if err := answer(m.To); err != nil {
			return "", err
		}
	}
	return s.Sender.Send(ctx, m)
}

func (s *scripted) script(answer func(to string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *scripted) tried() []mail.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]mail.Message(nil), s.sent...)
}

func (s *scripted) use(c *Config, _ *HandlerOptions) { s.Sender, c.Sender = c.Sender, s }

func always(err error) func(string) error { return func(string) error { return err } }

// fate waits until a client's newest mail has a fate.
func (w *world) fate(client string, want mail.Fate) Mailed {
	w.t.Helper()
	var m Mailed
	w.until("the mail is "+string(want), func() bool {
		all, _, err := w.rt.Mails(context.Background(), client)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(all) == 0 {
			return want == ""
		}
		m = all[0]
		return m.Fate == want
	})
	return m
}

// TestFates: what staff see of a mail, and what in mode "reveal" its client
// sees, is what really happened.
func TestFates(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	w := newWorld(t, reveal, wide, s.use)
	if all, withheld, err := w.rt.Mails(t.Context(), "c-ada"); len(all) > 0 || withheld || err != nil {
		t.Fatalf("before the first mail: %v, %v, %v", all, withheld, err)
	}
	b := w.browser()

	release := make(chan struct{})
	s.script(func(string) error { <-release; return nil })
	b.ask("ada@example.com").says("sent.now")
	w.fate("c-ada", mail.Queued)
	w.clock.advance(time.Minute)
	b.get("/sign-in/code").says("sent.slow")
	close(release)
	m := w.fate("c-ada", mail.Sent)
	if m.Kind != "link" || m.Reason != "" || !m.At.Equal(w.clock.now()) || !m.Asked.Equal(w.clock.now().Add(-time.Minute)) {
		t.Errorf("sent: %+v", m)
	}
	w.clock.advance(200 * time.Second)
	b.get("/sign-in/code").says("sent.ago", "wait", "about 4 minutes")

	s.script(always(&mail.Refusal{Reason: "the mailbox is full", Code: "452 4.2.2"}))
	b.ask("ada@example.com")
	if m = w.fate("c-ada", mail.Delayed); m.Reason != "the mailbox is full" {
		t.Errorf("delayed: %+v", m)
	}
	b.get("/sign-in/code").says("sent.slow")
	s.script(nil)
	w.until("it is tried again", func() bool {
		w.clock.advance(10 * time.Second)
		return w.fateOf("c-ada") == mail.Sent
	})

	w.clock.advance(2 * time.Minute)
	s.script(always(&mail.Refusal{Permanent: true, Reason: "there is no such mailbox", Code: "550 5.1.1"}))
	b.ask("ada@example.com")
	if m = w.fate("c-ada", mail.Bounced); m.Reason != "there is no such mailbox" {
		t.Errorf("bounced: %+v", m)
	}
	b.get("/sign-in/code").says("sent.bounced")
	w.idle() // it is not tried again
	all, _, err := w.rt.Mails(t.Context(), "c-ada")
	if err != nil || len(all) != 3 || all[0].Fate != mail.Bounced || all[2].Fate != mail.Sent {
		t.Errorf("all: %+v, %v", all, err)
	}

	w.clock.advance(2 * time.Minute)
	s.script(always(errors.New("connection refused")))
	b.ask("ada@example.com")
	if m = w.fate("c-ada", mail.Delayed); m.Reason != "our mail server does not take mail" {
		t.Errorf("unreachable: %+v", m)
	}
	w.clock.advance(25 * time.Hour)
	if all, _, _ = w.rt.Mails(t.Context(), "c-ada"); all[0].Reason != "given up, because it would come too late" {
		t.Errorf("a day later: %+v", all[0])
	}
}

func (w *world) fateOf(client string) mail.Fate {
	all, _, err := w.rt.Mails(context.Background(), client)
	if err != nil || len(all) == 0 {
		return ""
	}
	return all[0].Fate
}

// TestFateBounds: a client who asks for years fills nothing.
func TestFateBounds(t *testing.T) {
	var p postbag
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		r := mailNote{ID: fmt.Sprint(i), Kind: "link", To: "hash", Asked: now.Unix(), Fate: mail.Queued}
		p.note(r, now)
		p.note(r, now) // another try
	}
	if len(p.Mails) != maxMails || p.Mails[0].ID != "84" || p.Mails[maxMails-1].ID != "99" {
		t.Errorf("%d mails from %s", len(p.Mails), p.Mails[0].ID)
	}
	if p.became("1", mail.Bounced, "", now) {
		t.Error("a mail that is forgotten became something")
	}
	for _, tc := range []struct {
		before, then mail.Fate
		news         bool
	}{
		{mail.Queued, mail.Sent, true}, {mail.Sent, mail.Delayed, true}, {mail.Delayed, mail.Delivered, true},
		{mail.Delivered, mail.Delayed, false}, {mail.Bounced, mail.Sent, false}, {mail.Delivered, mail.Complained, true},
		{mail.Complained, mail.Delivered, false}, {mail.Sent, mail.Queued, false}, {mail.Sent, mail.Sent, false},
	} {
		p := postbag{Mails: []mailNote{{ID: "a", Fate: tc.before}}}
		if got := p.became("a", tc.then, "", now); got != tc.news {
			t.Errorf("%s after %s: news %v, want %v", tc.then, tc.before, got, tc.news)
		}
	}
}

// TestMailServerDown: nothing depends on a mail server but mail, and that it is
// down is seen.
func TestMailServerDown(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	s.script(always(errors.New("connection refused by 192.0.2.1")))
	w := newWorld(t, wide, s.use)
	b := w.browser()
	b.ask("ada@example.com").is(200)
	w.fate("c-ada", mail.Delayed)
	w.are(map[string]int{"mail_server_down": 1, `mails_total{fate="delayed"}`: 1})
	if !strings.Contains(w.logs.String(), "the mail server does not take mail") || !strings.Contains(w.logs.String(), "connection refused") {
		t.Error("the log does not say so")
	}
	s.script(nil)
	w.until("it is sent", func() bool {
		w.clock.advance(10 * time.Second)
		return w.fateOf("c-ada") == mail.Sent
	})
	w.until("that is seen", func() bool { return !w.rt.mailServer.down.Load() })
	w.are(map[string]int{"mail_server_down": 0, `mails_total{fate="sent"}`: 1})
	if n := strings.Count(w.logs.String(), "the mail server takes mail again"); n != 1 {
		t.Errorf("the log says %d times that it takes mail again", n)
	}
	for _, no := range []string{"ada@", "link?t="} {
		if strings.Contains(w.logs.String(), no) {
			t.Errorf("the log holds %q", no)
		}
	}
}

// TestRetriesStandBehind: fifty mails to a domain that is dead, each tried again
// and hanging each time, do not delay the first mail of somebody else.
func TestRetriesStandBehind(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	var list strings.Builder
	list.WriteString(sampleClients)
	for i := range 50 {
		fmt.Fprintf(&list, "d-%d,c%d@dead.example,Dead %d,yes,yes\n", i, i, i)
	}
	w := &world{clock: &clock{}}
	w.clock.t.Store(time.Now().UnixNano())
	w.begin(t, list.String(), wide, s.use)
	hang := make(chan struct{})
	var hanging atomic.Int64
	busy := &mail.Refusal{Reason: "the mail service has trouble", Code: "451 4.3.0"}
	s.script(always(busy))
	for i := range 50 {
		w.browser().from(fmt.Sprintf("192.0.2.%d", i)).ask(fmt.Sprintf("c%d@dead.example", i))
	}
	w.until("all were tried", func() bool { return len(s.tried()) >= 50 })
	s.script(func(to string) error {
		if strings.HasSuffix(to, "@dead.example") {
			hanging.Add(1)
			<-hang
			return busy
		}
		return nil
	})
	w.until("others are tried again", func() bool {
		w.clock.advance(5 * time.Second)
		return hanging.Load() == againHands
	})
	begun := time.Now()
	w.browser().ask("ada@example.com")
	w.letters("ada@example.com", 1)
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("the first mail took %v", took)
	}
	if n := hanging.Load(); n > againHands {
		t.Errorf("%d mails were tried again at once, want at most %d", n, againHands)
	}
	close(hang)
}

// TestLeasesOutlastAServer: a slow mail server must not hold mails until their
// leases run out, or another gate would send them as well. So nothing is leased
// before its sending begins, and that ends well before the lease does.
func TestLeasesOutlastAServer(t *testing.T) {
	t.Parallel()
	if workTime >= leaseTime || sendTime >= workTime {
		t.Error("a mail may take longer than its lease")
	}
	hang := make(chan struct{})
	s := new(scripted)
	s.script(func(string) error { <-hang; return nil })
	var list strings.Builder
	list.WriteString(sampleClients)
	for i := range 40 {
		fmt.Fprintf(&list, "m-%d,m%d@example.com,Many %d,yes,yes\n", i, i, i)
	}
	w := &world{clock: &clock{}}
	w.clock.t.Store(time.Now().UnixNano())
	w.begin(t, list.String(), wide, s.use)
	for i := range 40 {
		w.browser().from(fmt.Sprintf("192.0.2.%d", i)).ask(fmt.Sprintf("m%d@example.com", i))
	}
	w.until("all hands are full", func() bool { return len(s.tried()) == freshHands })
	left, err := w.db.Backend.Lease(t.Context(), store.Fresh, 100, time.Nanosecond)
	if err != nil || len(left) != 40-freshHands {
		t.Errorf("%d mails were not leased, want %d (%v)", len(left), 40-freshHands, err)
	}
	close(hang)
	w.clock.advance(time.Second)
	w.idle()
	again := make(map[string]bool)
	for _, m := range s.tried() {
		if again[m.ID] {
			t.Errorf("mail %s was sent twice", m.ID)
		}
		again[m.ID] = true
	}
}

// TestNotMailedAnyMore: a link that was used, superseded or switched off while
// its mail waited is not mailed.
func TestNotMailedAnyMore(t *testing.T) {
	t.Parallel()
	s := new(scripted)
	w := newWorld(t, wide, s.use)
	b := w.browser()
	b.ask("ada@example.com")
	first := w.letters("ada@example.com", 1)[0]
	w.clock.advance(2 * time.Minute)
	s.script(always(&mail.Refusal{Reason: "later", Code: "450"}))
	b.ask("ada@example.com")
	w.fate("c-ada", mail.Delayed)
	links := func() (n int) { // the sign-in is told of as well
		for _, m := range s.tried() {
			if m.Kind == "sign-in" {
				n++
			}
		}
		return n
	}
	n := links()
	b.send(b.get(link(first)).form("/sign-in/link")) // switches the waiting one off
	s.script(nil)
	w.until("it is dropped", func() bool {
		w.clock.advance(10 * time.Second)
		return w.db.queued.Load() == 0
	})
	if got := links(); got != n {
		t.Errorf("it was tried %d times more", got-n)
	}
}
