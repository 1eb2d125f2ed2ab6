// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/mail"
)

// subjects are one address of each sort, equally long.
var subjects = []string{"ada@example.com", "zed@example.com", "off@example.com", "mum@example.com"}

// A walkStep is what one request showed to whoever sent it, and what it cost
// when all that it set off was done.
type walkStep struct {
	what   string
	answer string
	status int
	cost   cost
}

// transcript walks a world and notes everything.
type transcript struct {
	w     *world
	typed string
	steps []walkStep
}

func (tr *transcript) do(c wire, what, method, to string, form url.Values) *page {
	tr.w.t.Helper()
	before := tr.w.cost()
	p, raw := c.do(method, to, form)
	tr.w.idle()
	tr.steps = append(tr.steps, walkStep{what, masked(raw, tr.typed), p.status, tr.w.cost().since(before)})
	return p
}

func (tr *transcript) send(c wire, what string, f form, fill ...string) *page {
	tr.w.t.Helper()
	for i := 0; i+1 < len(fill); i += 2 {
		f.values.Set(fill[i], fill[i+1])
	}
	return tr.do(c, what, "POST", f.action, f.values)
}

// ask asks for a link and looks at the page that follows.
func (tr *transcript) ask(c wire, what string) *page {
	tr.w.t.Helper()
	p := tr.do(c, what+": form", "GET", "/sign-in/magic-link?return_to=%2Ffiles%2F42", nil)
	p = tr.send(c, what, p.form("/sign-in/magic-link"), "email", tr.typed)
	if p.status != 303 {
		return p
	}
	return tr.do(c, what+": sent", "GET", p.header.Get("Location"), nil)
}

func (tr *transcript) has(status int) bool {
	return slices.ContainsFunc(tr.steps, func(s walkStep) bool { return s.status == status })
}

// differences compares transcripts step by step.
func differences(t *testing.T, all []*transcript, statuses ...int) {
	t.Helper()
	for _, tr := range all[1:] {
		if len(tr.steps) != len(all[0].steps) {
			t.Fatalf("%s took %d steps, %s %d", tr.typed, len(tr.steps), all[0].typed, len(all[0].steps))
		}
		for i, s := range tr.steps {
			want := all[0].steps[i]
			if s.answer != want.answer {
				t.Errorf("%s, step %d %q: the answer tells it from %s\ngot\n%s\nwant\n%s", tr.typed, i, s.what, all[0].typed, s.answer, want.answer)
			}
			if s.cost != want.cost {
				t.Errorf("%s, step %d %q: cost %+v, for %s %+v", tr.typed, i, s.what, s.cost, all[0].typed, want.cost)
			}
		}
	}
	for _, status := range statuses {
		if !all[0].has(status) {
			t.Errorf("the walk never met a %d: it does not show what it is to show", status)
		}
	}
}

// TestE01_ContentOracle: an attacker compares every byte of every answer for an
// address that may be on file with those for one that is not. In mode "conceal"
// an address that is known, unknown, without access and without consent to mail
// are answered with the same bytes and at the same cost: asking, "Send it
// again", wrong and spent codes, and each limit.
func TestE01_ContentOracle(t *testing.T) {
	var all []*transcript
	for _, typed := range subjects {
		w := newWorld(t)
		tr := &transcript{w: w, typed: typed}
		c := w.wire("192.0.2.1")
		p := tr.ask(c, "ask")
		code := func(what, digits string) *page {
			return tr.send(c, what, p.form("/sign-in/code"), "code", digits)
		}
		code("no code", "12 34")
		for range codeTries {
			code("wrong code", "00000000").is(422).says("code.wrong")
		}
		code("spent code", "00000000").is(422).says("code.spent")
		tr.send(c, "again, too soon", p.form("/sign-in/magic-link")).is(429).says("wait.links.title")
		w.clock.advance(time.Minute)
		again := tr.send(c, "again", p.form("/sign-in/magic-link")).is(303)
		p = tr.do(c, "again: sent", "GET", again.header.Get("Location"), nil)
		for range 5 { // one spent, one not; then the browser's own limit
			code("wrong code of two", "00000000")
		}
		w.clock.advance(time.Minute) // gives the browser one try back
		again = tr.send(c, "a third", p.form("/sign-in/magic-link")).is(303)
		p = tr.do(c, "a third: sent", "GET", again.header.Get("Location"), nil)
		for range 2 {
			code("wrong code of three", "00000000").is(422)
		}
		code("code, browser over", "00000000").is(429).says("wait.title")
		for range 5 {
			w.clock.advance(time.Minute)
			tr.send(c, "again and again", p.form("/sign-in/magic-link"))
		}
		all = append(all, tr)
	}
	differences(t, all, 303, 422, 429)
}

// TestE03_LimitOracle: limits that count only for people who exist tell who
// exists. The mailbox's (minute, hour, day), the browser's and the network's
// refuse every address after the same count, with the same wait.
func TestE03_LimitOracle(t *testing.T) {
	few := func(c *Config, _ *HandlerOptions) {
		c.Limits.Requests = limit.Rate{Count: 4, Per: 10 * time.Minute}
	}
	var mailbox, network []*transcript
	for _, typed := range subjects {
		w := newWorld(t)
		tr := &transcript{w: w, typed: typed}
		for i := range 7 { // a fresh browser and network each time: only the mailbox is the same
			tr.ask(w.wire(fmt.Sprintf("192.0.2.%d", i+1)), "mailbox, hour")
			w.clock.advance(time.Minute)
		}
		for i := range 9 {
			w.clock.advance(15 * time.Minute)
			tr.ask(w.wire(fmt.Sprintf("192.0.2.%d", i+101)), "mailbox, day")
		}
		mailbox = append(mailbox, tr)

		w = newWorld(t, few)
		tr = &transcript{w: w, typed: typed}
		for range 6 {
			c := w.wire("192.0.2.1")
			p := tr.ask(c, "network")
			if p.status == 200 {
				tr.send(c, "network, code", p.form("/sign-in/code"), "code", "00000000")
			}
			w.clock.advance(90 * time.Second) // the mailbox allows it, the network in the end not
		}
		network = append(network, tr)
	}
	differences(t, mailbox, 303, 429)
	differences(t, network, 303, 422, 429)
}

// blockedSender takes no mail before it is told to.
type blockedSender struct {
	mail.Sender
	gate chan struct{}
}

func (s *blockedSender) Send(ctx context.Context, m mail.Message) (string, error) {
	select {
	case <-s.gate:
		return s.Sender.Send(ctx, m)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// TestE02_MailLeavesAfterTheAnswer: if the answer waited for the mail, its time
// would tell who is mailed. The whole answer arrives while the mail program
// still hangs.
func TestE02_MailLeavesAfterTheAnswer(t *testing.T) {
	s := &blockedSender{gate: make(chan struct{})}
	w := newWorld(t, func(c *Config, _ *HandlerOptions) { s.Sender, c.Sender = c.Sender, s })
	b := w.browser()
	b.c.Timeout = 20 * time.Second // else a failure would hang
	b.ask("ada@example.com").is(200).says("sent.title")
	b.ask("zed@example.com").is(200).says("sent.title")
	if n := len(w.rt.Outbox().Messages()); n != 0 {
		t.Fatalf("%d mails were sent through a sender that hangs", n)
	}
	close(s.gate)
	w.letters("ada@example.com", 1)
}

// TestE01_NoMailToOthers: who is not on file, has no access or has not agreed to
// mail gets none, and no wrong address on file is written to.
func TestE01_NoMailToOthers(t *testing.T) {
	w := newWorld(t)
	for _, typed := range subjects {
		w.browser().from("192.0.2.1").ask(typed).is(200).says("sent.conceal.lead", "typed", typed)
	}
	w.idle()
	for _, m := range w.rt.Outbox().Messages() {
		if m.To != "ada@example.com" {
			t.Errorf("mail went to another address than the one of the client with access and consent")
		}
	}
	w.letters("ada@example.com", 1)
}

// TestS07_Reveal: in mode "reveal" only the documented text differs, and who has
// no access or no consent is told the same as who is not on file.
func TestS07_Reveal(t *testing.T) {
	var all []*transcript
	for _, typed := range subjects[1:] {
		w := newWorld(t, reveal)
		tr := &transcript{w: w, typed: typed}
		for range 7 {
			tr.ask(w.wire("192.0.2.1"), "ask")
		}
		c := w.wire("192.0.2.2")
		for range 7 {
			tr.ask(c, "ask")
		}
		if tr.has(303) {
			t.Errorf("%s: a link is promised that is not sent", typed)
		}
		all = append(all, tr)
	}
	differences(t, all, 422, 429)

	w := newWorld(t, reveal)
	p := w.browser().ask("zed@example.com").is(422).says("unknown.lead", "typed", "zed@example.com").says("unknown.reach")
	if !strings.Contains(p.text(), "+1 555 0100") {
		t.Error("the page does not say how to reach the practice")
	}
	w.browser().ask("ada@example.com").is(200).says("sent.reveal.lead", "typed", "ada@example.com")
	if w.letters("ada@example.com", 1)[0].To != "ada@example.com" {
		t.Error("no mail")
	}
}
