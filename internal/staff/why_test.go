// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/gate"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/ui"
)

// chicago is where the clocks are that a client looks at: six hours behind UTC
// in winter.
var chicago = time.FixedZone("CST", -6*60*60)

// call is the moment at which a client calls: 14:15 in Chicago.
var call = time.Date(2026, 11, 26, 14, 15, 0, 0, chicago)

var lives = access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour}

// wellOff is a client with everything, of whom nothing is known yet.
func wellOff() gate.Standing {
	return gate.Standing{
		Now: call, Lifetimes: lives, TakesPIN: true, Methods: map[string]string{"google": "Google"},
		Client: directory.Client{ID: "c-ada", Email: "ada@example.com", Access: true, EmailOK: true},
		Record: &access.Record{Client: "c-ada", Address: "ada"},
	}
}

func ago(d time.Duration) time.Time { return call.Add(-d) }

// What may have happened to a client, by the rules themselves.

func link(id string, at time.Time, life time.Duration) func(*gate.Standing) {
	return func(s *gate.Standing) {
		s.Record.AddLink(at, access.Link{Hash: access.Hash(id), Made: at.Unix(), Expires: at.Add(life).Unix()})
	}
}

func mailed(asked time.Time, f mail.Fate, at time.Time, reason string) func(*gate.Standing) {
	return func(s *gate.Standing) {
		s.Mails = append([]gate.Mailed{{ID: "m", Kind: "link", Asked: asked, At: at, Fate: f, Reason: reason}}, s.Mails...)
	}
}

func signIn(id string, at time.Time) func(*gate.Standing) {
	return func(s *gate.Standing) {
		_, _, state := s.Record.Redeem(at, access.Redemption{
			Link: access.Hash(id), Nonce: "n", Session: access.Hash("s-" + id), Browser: "b", Method: "magic-link", Lifetimes: lives,
		})
		if state != access.Live {
			panic("the link does not work: " + state)
		}
	}
}

func pin(at time.Time, life time.Duration, wrong int) func(*gate.Standing) {
	return func(s *gate.Standing) {
		s.Record.AddPIN(at, access.PIN{ID: "pin", Expires: at.Add(life).Unix()})
		for range wrong {
			s.Record.ReservePIN(at, "pin")
		}
	}
}

func wrongPINs(n int) func(*gate.Standing) {
	return func(s *gate.Standing) {
		for i := range n {
			at := ago(time.Duration(n-i) * 3 * time.Hour) // never too many in a day
			if i%10 == 0 {
				s.Record.AddPIN(at, access.PIN{ID: "pin", Expires: at.Add(48 * time.Hour).Unix()})
			}
			s.Record.ReservePIN(at, "pin")
		}
	}
}

func wrongCodes(n int) func(*gate.Standing) {
	return func(s *gate.Standing) {
		for range n {
			s.Record.WrongCode(ago(time.Hour))
		}
	}
}

func linked(s *gate.Standing) {
	s.Record.Link(ago(30*24*time.Hour), access.Subject{Method: "google", Hash: "account"}, access.Stranger{})
}

func otherAccount(at time.Time) func(*gate.Standing) {
	return func(s *gate.Standing) {
		s.Record.EnterAs(at, access.Redemption{
			Session: "s-other", Method: "google", Lifetimes: lives, Bind: access.Subject{Method: "google", Hash: "another"},
		}, false)
	}
}

func with(f func(s *gate.Standing)) func(*gate.Standing) { return f }

var (
	noConsent = with(func(s *gate.Standing) { s.Client.EmailOK = false })
	noAccess  = with(func(s *gate.Standing) { s.Client.Access = false })
	complaint = with(func(s *gate.Standing) { s.Record.Complain(ago(time.Hour), "ada") })
	bounced   = mailed(ago(14*time.Minute), mail.Bounced, ago(13*time.Minute), "there is no such mailbox")
	mailDown  = with(func(s *gate.Standing) { s.MailDown = true })
	waits     = with(func(s *gate.Standing) { s.NextMail = call.Add(5 * time.Minute) })
)

// whys are the reasons, each with what makes it so, in the order of their
// precedence.
var whys = []struct {
	name     string
	happened []func(*gate.Standing)
	says     string
	do       Press
}{
	{"nobody can tell", []func(*gate.Standing){with(func(s *gate.Standing) { *s = gate.Standing{Now: call, Unknown: true} })},
		"We cannot tell right now, because the list of clients or the store does not answer.", LookAgain},
	{"not on file", []func(*gate.Standing){with(func(s *gate.Standing) { *s = gate.Standing{Now: call} })},
		"Nobody like this is on file.", AddClient},
	{"no access", []func(*gate.Standing){noAccess},
		"Portal access is off for this client.", GiveAccess},
	{"PINs off", []func(*gate.Standing){wrongPINs(access.WrongPINs)},
		"PINs are off for this client after too many wrong ones.", Unlock},
	{"PIN wrong", []func(*gate.Standing){pin(ago(time.Hour), 24*time.Hour, 4)},
		"The PIN was typed wrong 4 times.", MakePIN},
	{"PIN wrong once", []func(*gate.Standing){pin(ago(time.Hour), 24*time.Hour, 1)},
		"The PIN was typed wrong once.", MakePIN},
	{"another account", []func(*gate.Standing){linked, otherAccount(ago(13 * time.Minute))},
		"Another Google account than the one linked to this client was used at 14:02.", Unlink},
	{"PIN expired", []func(*gate.Standing){pin(ago(25*time.Hour), 24*time.Hour, 0)},
		"The PIN expired at 13:15.", MakePIN},
	{"no consent", []func(*gate.Standing){noConsent},
		"This client does not want email, so no link can be sent.", RecordConsent},
	{"a complaint", []func(*gate.Standing){complaint},
		"Mail is held back, because this client called one of your mails spam.", Unlock},
	{"bounced", []func(*gate.Standing){link("l", ago(14*time.Minute), 24*time.Hour), bounced},
		"The mail to this client bounced at 14:02, because there is no such mailbox.", ChangeAddress},
	{"bounced, nobody says why, long ago", []func(*gate.Standing){mailed(ago(50*time.Hour), mail.Bounced, ago(49*time.Hour), "")},
		"The mail to this client bounced on 24 November at 13:15.", ChangeAddress},
	{"mail server down", []func(*gate.Standing){mailDown},
		"The mail server takes no mail right now.", MakePIN},
	{"delayed", []func(*gate.Standing){link("l", ago(time.Hour), 24*time.Hour), mailed(ago(time.Hour), mail.Delayed, ago(time.Minute), "the mailbox is full")},
		"The client's mail service has not taken the mail asked for at 13:15 yet.", MakePIN},
	{"queued", []func(*gate.Standing){mailed(ago(2*time.Minute), mail.Queued, ago(time.Minute), "")},
		"The mail asked for at 14:13 has not left yet.", MakePIN},
	{"waiting", []func(*gate.Standing){link("l", ago(time.Hour), 24*time.Hour), mailed(ago(time.Hour), mail.Delivered, ago(time.Hour), ""), waits},
		"Links were asked for too often, so the next can be asked for at 14:20.", LiftWait},
	{"link superseded", []func(*gate.Standing){
		link("l1", ago(5*time.Hour), 24*time.Hour), link("l2", ago(4*time.Hour), 24*time.Hour), link("l3", ago(3*time.Hour), 24*time.Hour), link("l4", ago(2*time.Hour), 24*time.Hour)},
		"A link stopped working at 12:15, because a newer mail took its place.", SendLink},
	{"link expired", []func(*gate.Standing){link("l", ago(2*time.Hour), time.Hour), mailed(ago(2*time.Hour), mail.Delivered, ago(2*time.Hour), "")},
		"The link in the last mail expired at 13:15.", SendLink},
	{"link stopped", []func(*gate.Standing){link("l", ago(2*time.Hour), 24*time.Hour), with(func(s *gate.Standing) { s.Record.StopLink(ago(time.Hour), "l") })},
		"The link in the mail was switched off at 13:15.", SendLink},
	{"link used, and signed out since", []func(*gate.Standing){link("l", ago(2*time.Hour), 24*time.Hour), signIn("l", ago(time.Hour)),
		with(func(s *gate.Standing) { s.Record.EndAll(ago(time.Minute), "") })},
		"The link was used at 13:15, and each works once.", SendLink},
	{"codes off", []func(*gate.Standing){link("l", ago(time.Hour), 24*time.Hour), mailed(ago(time.Hour), mail.Delivered, ago(time.Hour), ""), wrongCodes(access.WrongCodes)},
		"Codes from mails are off after too many wrong ones, but links work.", Unlock},
	{"a PIN waits", []func(*gate.Standing){pin(ago(time.Hour), 24*time.Hour, 0)},
		"Nothing is in the way: there is a PIN, which expires on 27 November at 13:15.", Nothing},
	{"a link waits", []func(*gate.Standing){link("l", ago(time.Hour), 24*time.Hour), mailed(ago(time.Hour), mail.Delivered, ago(time.Hour), "")},
		"Nothing is in the way: the link mailed at 13:15 still works.", Nothing},
	{"signed in", []func(*gate.Standing){link("l", ago(10*time.Minute), 24*time.Hour), signIn("l", ago(5*time.Minute))},
		"Nothing is in the way: this client is signed in.", Nothing},
	{"never asked", nil,
		"Nothing is in the way, but nobody has asked for a link in the last 24 hours.", SendLink},
}

func whyUI(t *testing.T) *ui.UI {
	t.Helper()
	u, err := ui.New(ui.Practice{Name: "Willow", Phone: "1", From: "a@example.com", Zone: chicago, PublicURL: &url.URL{Scheme: "https", Host: "portal.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestT9_Why has each reason told in one sentence, with the press that helps
// most, and every sentence of the catalogue be some reason's.
func TestT9_Why(t *testing.T) {
	u := whyUI(t)
	said := make(map[string]bool)
	for _, tc := range whys {
		s := wellOff()
		for _, f := range tc.happened {
			f(&s)
		}
		r := Why(s)
		says := r.Say(u, call)
		if says != tc.says || r.Do != tc.do {
			t.Errorf("%s: %q and %q, want %q and %q", tc.name, says, r.Do, tc.says, tc.do)
		}
		if strings.Count(says, ". ") > 0 || !strings.HasSuffix(says, ".") {
			t.Errorf("%s: not one sentence: %q", tc.name, says)
		}
		said[r.Key] = true
	}
	var texts map[string]string
	data, err := os.ReadFile("../ui/en.json")
	if err == nil {
		err = json.Unmarshal(data, &texts)
	}
	if err != nil {
		t.Fatal(err)
	}
	for key := range texts {
		if strings.HasPrefix(key, "why.") && !strings.HasPrefix(key, "why.when.") && !said[strings.TrimSuffix(key, ".once")] {
			t.Errorf("no reason says %s", key)
		}
	}
}

// TestT9_TheFirstCounts has several things be so at once: the one told is the
// one without which the others would not help.
func TestT9_TheFirstCounts(t *testing.T) {
	all := []struct {
		key  string
		make func(*gate.Standing)
	}{
		{"why.access", noAccess},
		{"why.pin.off", wrongPINs(access.WrongPINs)},
		{"why.account", func(s *gate.Standing) { linked(s); otherAccount(ago(time.Minute))(s) }},
		{"why.consent", noConsent},
		{"why.complaint", complaint},
		{"why.bounced", bounced},
		{"why.mail.down", mailDown},
		{"why.wait", waits},
		{"why.codes", wrongCodes(access.WrongCodes)},
	}
	for first := range all {
		s := wellOff()
		for _, c := range all[first:] {
			c.make(&s)
		}
		if r := Why(s); r.Key != all[first].key {
			t.Errorf("from %s on all is so, and it says %s", all[first].key, r.Key)
		}
	}
}

// TestT9_WhatIsOverIsNotTold has things be over that were so once.
func TestT9_WhatIsOverIsNotTold(t *testing.T) {
	for _, tc := range []struct {
		name     string
		happened []func(*gate.Standing)
		want     string
	}{
		{"a mail that bounced, and one since that did not",
			[]func(*gate.Standing){bounced, link("l", ago(time.Minute), time.Hour), mailed(ago(time.Minute), mail.Delivered, ago(time.Minute), "")}, "why.link.live"},
		{"another account, before the client signed in",
			[]func(*gate.Standing){linked, otherAccount(ago(20 * time.Minute)), link("l", ago(10*time.Minute), time.Hour), signIn("l", ago(5*time.Minute))}, "why.in"},
		{"another account, and none is linked any more", []func(*gate.Standing){linked, otherAccount(ago(time.Minute)),
			with(func(s *gate.Standing) { s.Record.Unlink(call, "account") })}, "why.quiet"},
		{"another account, days ago", []func(*gate.Standing){linked, otherAccount(ago(25 * time.Hour))}, "why.quiet"},
		{"a complaint about an earlier address", []func(*gate.Standing){with(func(s *gate.Standing) { s.Record.Complain(ago(time.Hour), "ada's old") })}, "why.quiet"},
		{"a PIN that expired before a link was asked for",
			[]func(*gate.Standing){pin(ago(25*time.Hour), 24*time.Hour, 0), link("l", ago(time.Minute), time.Hour), mailed(ago(time.Minute), mail.Sent, ago(time.Minute), "")}, "why.link.live"},
		{"a link that expired days ago", []func(*gate.Standing){link("l", ago(50*time.Hour), time.Hour)}, "why.quiet"},
		{"no consent, and a PIN instead", []func(*gate.Standing){noConsent, pin(ago(time.Minute), time.Hour, 0)}, "why.pin.live"},
		{"mail is down, and the client is in", []func(*gate.Standing){link("l", ago(10*time.Minute), time.Hour), signIn("l", ago(5*time.Minute)), mailDown}, "why.in"},
		{"a link asked for after signing in elsewhere", []func(*gate.Standing){
			link("l", ago(10*time.Minute), time.Hour), signIn("l", ago(5*time.Minute)), link("m", ago(time.Minute), time.Hour), mailed(ago(time.Minute), mail.Delayed, ago(time.Minute), "")}, "why.mail.delayed"},
	} {
		s := wellOff()
		for _, f := range tc.happened {
			f(&s)
		}
		if r := Why(s); r.Key != tc.want {
			t.Errorf("%s: it says %s, want %s", tc.name, r.Key, tc.want)
		}
	}
}

// TestT9_NoPINs has nothing offered that a gate does not have.
func TestT9_NoPINs(t *testing.T) {
	s := wellOff()
	s.TakesPIN = false
	mailDown(&s)
	if r := Why(s); r.Do != SendLink {
		t.Errorf("without PINs it offers %q", r.Do)
	}
}
