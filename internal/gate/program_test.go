// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// script is a program as the gate sees it, without a process: it answers as the
// test says and remembers what it was told.
type script struct {
	Description providers.Description
	First       providers.Step
	Answer      func(providers.Request) (providers.Step, *providers.Claim, error)
	Phone       bool

	mu    sync.Mutex
	begun int
	told  []providers.Request
	down  error
}

func (s *script) Describe() providers.Description {
	d := s.Description
	d.Text = "plugin"
	return d
}

func (s *script) Start(_ context.Context, r providers.Request) (providers.Step, error) {
	if s.First.Redirect != nil {
		s.note(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	return s.First, nil
}

func (s *script) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	s.note(r)
	return s.Answer(r)
}

func (s *script) note(r providers.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, r)
}

func (s *script) heard() []providers.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

func (s *script) Available() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *script) Ready(context.Context) error { return s.Available() }

func (s *script) fall(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = why
}

func (s *script) Within() time.Duration { return 100 * time.Millisecond }
func (s *script) SharesPhone() bool     { return s.Phone }

// programs adds ways in by a program.
func programs(name string, s *script) option {
	return func(c *Config, _ *HandlerOptions) {
		c.Methods = append(c.Methods, Method{"plugin:" + name, s})
	}
}

var (
	typeAddress = &providers.Ask{Title: "By text message", Button: "Text me", Fields: []providers.Field{
		{Name: "email", Kind: providers.Email, Label: "Your email address"},
	}}
	typeCode = &providers.Ask{Title: "Enter the code", Lead: "If we know you, it is on its way.", Button: "Go in", Fields: []providers.Field{
		{Name: "code", Kind: providers.Digits, Label: "The code"},
	}}
	typeCard = &providers.Ask{Title: "Your card", Button: "Go in", Fields: []providers.Field{
		{Name: "card", Kind: providers.Text, Label: "Card number", Hint: "It is on the front"},
	}}
)

func noSuch(text string) error { return &providers.Denial{Text: text, Field: "code"} }

// texts is a program that sends a code, which is always 4711.
func texts() *script {
	return &script{
		Description: providers.Description{Label: "a text message", Life: 10 * time.Minute, AfterAddress: typeCode},
		First:       providers.Step{Ask: typeAddress}, Phone: true,
		Answer: func(r providers.Request) (providers.Step, *providers.Claim, error) {
			switch {
			case r.State == nil:
				return providers.Step{Ask: typeCode, State: []byte("for " + r.Fields["email"])}, nil, nil
			case r.Fields["code"] == "4711":
				email := strings.TrimPrefix(string(r.State), "for ")
				return providers.Step{}, &providers.Claim{Subject: email, Email: email, EmailVerified: true, AMR: []string{"sms", "otp"}}, nil
			}
			return providers.Step{}, nil, noSuch("Not the code.")
		},
	}
}

// cards is a program that believes a card number, and claims what claim says.
func cards(claim *providers.Claim) *script {
	return &script{
		Description: providers.Description{Label: "your card"}, First: providers.Step{Ask: typeCard},
		Answer: func(r providers.Request) (providers.Step, *providers.Claim, error) {
			if r.Fields["card"] != "17" {
				return providers.Step{}, nil, &providers.Denial{Text: "We do not know <b>that</b> card.", Field: "card"}
			}
			c := *claim
			return providers.Step{}, &c, nil
		},
	}
}

// words is a program that takes an address and some words at once.
func words() *script {
	return &script{
		Description: providers.Description{Label: "your words"},
		First: providers.Step{Ask: &providers.Ask{Title: "Your words", Button: "Go in", Fields: []providers.Field{
			{Name: "email", Kind: providers.Email, Label: "Your email address"}, {Name: "words", Kind: providers.Text, Label: "Your words"},
		}}},
		Answer: func(r providers.Request) (providers.Step, *providers.Claim, error) {
			if r.Fields["words"] == "right horse" {
				return providers.Step{}, &providers.Claim{Subject: "1", Email: r.Fields["email"], EmailVerified: true}, nil
			}
			return providers.Step{}, nil, noSuch("Those are not your words.")
		},
	}
}

func adas(subject string) *providers.Claim {
	return &providers.Claim{Subject: subject, Email: "ada@example.com", EmailVerified: true, Authoritative: true}
}

// by fills in a program's first form.
func (b *browser) by(name string, fill ...string) *page {
	b.w.t.Helper()
	p := b.get("/sign-in/m/" + name + "?return_to=/files/7")
	return b.send(p.form("/sign-in/m/"+name), fill...)
}

// phones is a list of clients with phone numbers.
const phones = "id,email,name,phone,portal_access\n" +
	"c-ada,ada@example.com,Ada Lovelace,+1 555 0101,yes\n" +
	"c-bob,bob@example.com,Bob Stone,+1 555 0102,yes\n" +
	"c-off,off@example.com,Olive Off,+1 555 0103,no\n"

func withPhones(t *testing.T, opts ...option) *world {
	w := &world{clock: &clock{}}
	w.clock.t.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	w.begin(t, phones, opts...)
	return w
}

// TestProgramByAddress: one thing is asked after the other, and the program is
// told of the one client what the configuration says, and nothing else.
func TestProgramByAddress(t *testing.T) {
	s := texts()
	w := withPhones(t, programs("text", s))
	b := w.browser()
	p := b.by("text", "email", "Ada@Example.com").is(200)
	if !p.has("Enter the code") || !p.has("If we know you, it is on its way.") {
		t.Fatalf("after the address: %s", p.text())
	}
	b.send(p.form("/sign-in/m/text"), "code", "4711").in("c-ada")
	told := s.heard()
	if len(told) != 2 || told[0].Phone != "+1 555 0101" || told[0].Language != "en" || string(told[1].State) != "for ada@example.com" ||
		len(told[0].Fields) != 1 || len(told[1].Fields) != 1 {
		t.Errorf("the program was told %+v", told)
	}
	if got := claims(t, w.upstream()[0].Header.Get("Portalgate-Assertion")); !strings.Contains(got, `"amr":["plugin:text","sms","otp"]`) {
		t.Errorf("the assertion says %s", got)
	}
	w.notices("ada@example.com", 2) // of the browser, and of the account

	s.Phone = false
	w.clock.advance(time.Hour)
	p = w.browser().by("text", "email", "bob@example.com")
	w.browser().send(p.form("/sign-in/m/text"), "code", "4711") // another's form
	w.until("the program is asked", func() bool { return len(s.heard()) >= 3 })
	if told := s.heard(); len(told) != 3 || told[2].Phone != "" {
		t.Errorf("a phone number that is not shared was told: %+v", told[2:])
	}
	if log := w.logs.String(); strings.Contains(log, "4711") || strings.Contains(log, "555") || strings.Contains(log, "for ada") {
		t.Error("the log holds what was typed, or a phone number")
	}
}

// TestProgramAway: what comes back from another place is taken to the program
// that has sent the browser there, with its state.
func TestProgramAway(t *testing.T) {
	s := cards(adas("1"))
	s.Answer = func(r providers.Request) (providers.Step, *providers.Claim, error) {
		switch {
		case r.Fields["card"] != "":
			return providers.Step{State: []byte("s"), Redirect: &providers.Redirect{
				URL: "https://id.example/?to=" + r.Attempt, Origins: []string{"https://id.example"},
			}}, nil, nil
		case string(r.State) == "s" && r.Fields["ok"] == "1":
			return providers.Step{}, adas("1"), nil
		}
		return providers.Step{}, nil, noSuch("They do not know you.")
	}
	w := withPhones(t, programs("card", s))
	b := w.browser()
	_, attempt, _ := strings.Cut(b.sentTo(b.by("card", "card", "17")), "?to=")
	w.browser().get("/sign-in/m/card/callback?ok=1&state=" + attempt).out().says("plugin.late.title")
	b.get("/sign-in/m/card/callback?ok=1&state=" + attempt).in("c-ada")
	_, attempt, _ = strings.Cut(b.sentTo(b.by("card", "card", "17")), "?to=")
	if p := b.get("/sign-in/m/card/callback?state=" + attempt); !p.says("plugin.refused.title").has("They do not know you.") {
		t.Errorf("refused: %s", p.text())
	}
}

// TestG01_DownIsUnavailable: a program that does not run is shown as such on
// every page that offers it; every other way in works.
func TestG01_DownIsUnavailable(t *testing.T) {
	s := texts()
	w := withPhones(t, programs("text", s))
	p := w.browser().by("text", "email", "ada@example.com")
	s.fall(errors.New("it has ended"))
	before := len(s.heard())
	for _, path := range []string{"/sign-in", "/sign-in/magic-link", "/sign-in/m/text"} {
		p := w.browser().get(path)
		if path == "/sign-in/m/text" {
			p.is(503).says("plugin.down.title")
		} else {
			p.is(200).says("method.down", "method", "a text message")
		}
		if strings.Contains(p.body, `href="/sign-in/m/text`) || strings.Contains(p.body, `action="/sign-in/m/text`) {
			t.Errorf("%s leads to what does not run", path)
		}
	}
	w.browser().send(p.form("/sign-in/m/text"), "code", "1234").is(503)
	w.signIn("ada@example.com")
	if n := len(s.heard()); n > before+1 {
		t.Errorf("it was asked %d times while it was down", n-before)
	}
	s.fall(nil)
	if p := w.browser().get("/sign-in"); !p.has("Sign in with a text message") {
		t.Errorf("it is back, and the page says %s", p.text())
	}
}

// TestProgramOnce: the same attempt opens one session, whatever is sent again.
func TestProgramOnce(t *testing.T) {
	w := withPhones(t, programs("text", texts()))
	b := w.browser()
	f := b.by("text", "email", "ada@example.com").form("/sign-in/m/text")
	old := b.copy()
	b.send(f, "code", "4711").in("c-ada")
	p := b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))
	old.send(f, "code", "4711").out()
}

// TestOwnTextsAreCut: whoever gives a text, pages show 200 characters of it.
func TestOwnTextsAreCut(t *testing.T) {
	w := newWorld(t)
	if got := w.conf.UI.Text(ui.Own(strings.Repeat("ż", 300)), nil); len([]rune(got)) != 200 {
		t.Errorf("%d characters", len([]rune(got)))
	}
}
