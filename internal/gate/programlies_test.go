// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"html"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/providers"
)

// What a program that means ill may say, and what comes of it: nothing.

// TestG04_AnotherPluginsAccount: an account is its method's own. A program that
// names another's account has not shown it, and a client who has used one card is not
// let in by another.
func TestG04_AnotherPluginsAccount(t *testing.T) {
	hers, thief := cards(adas("17")), cards(&providers.Claim{Subject: "17", Email: "ada@example.com", EmailVerified: true})
	w := withPhones(t, programs("card", hers), programs("thief", thief))
	w.browser().by("card", "card", "17").in("c-ada")
	b := w.browser()
	// The mailbox is asked, as for an account that nobody has seen.
	b.by("thief", "card", "17").out().says("plugin.once.title")
	b.by("card", "card", "17").in("c-ada")
	hers.Answer = cards(adas("18")).Answer
	w.browser().by("card", "card", "17").is(403).says("plugin.account.title")
}

// TestG04_ClaimsOfNobody: addresses that are not clients', staff's among them,
// that are none, or that nobody has checked.
func TestG04_ClaimsOfNobody(t *testing.T) {
	for _, tc := range []struct {
		claim providers.Claim
		key   string
	}{
		{providers.Claim{Subject: "1", Email: "desk@willow.example", EmailVerified: true, Authoritative: true}, "plugin.nomatch.title"},
		{providers.Claim{Subject: "1", Email: "off@example.com", EmailVerified: true, Authoritative: true}, "plugin.nomatch.title"},
		{providers.Claim{Subject: "1", Email: "ada@example.com\r\nbcc: x", EmailVerified: true}, "plugin.nomatch.title"},
		{providers.Claim{Subject: "1", Email: "ada@example.com", Authoritative: true}, "plugin.unproved.title"},
		{providers.Claim{Email: "ada@example.com", EmailVerified: true, Authoritative: true}, "plugin.down.title"},
		{providers.Claim{Subject: "1", EmailVerified: true, Authoritative: true}, "plugin.down.title"},
	} {
		w := withPhones(t, programs("card", cards(&tc.claim)))
		w.browser().by("card", "card", "17").out().says(tc.key)
		if len(w.upstream()) != 0 {
			t.Errorf("%+v was let in", tc.claim)
		}
	}
}

// TestG04_Markup: a program's texts are text, cut at 200 characters, and name no
// slot of ours.
func TestG04_Markup(t *testing.T) {
	s := cards(adas("1"))
	s.Description.Label = "<img src=x>"
	s.First.Ask = &providers.Ask{
		Title: "<script>alert(1)</script>", Lead: "{phone} <!--", Button: `"><form action=//evil.example>`,
		Fields: []providers.Field{{Name: "card", Kind: providers.Text, Label: strings.Repeat("ż", 300), Hint: "</label>"}},
	}
	w := withPhones(t, programs("card", s))
	p := w.browser().get("/sign-in/m/card")
	for _, raw := range []string{"<script>alert", "<img", "<!--", "<form action=//evil"} {
		if strings.Contains(p.body, raw) {
			t.Errorf("the page has markup of the program's: %s", raw)
		}
	}
	if !p.has("<script>alert(1)</script>") || !p.has("{phone} <!--") || strings.Contains(p.body, strings.Repeat("ż", 201)) {
		t.Errorf("the texts are shown as %s", p.text())
	}
	if p = w.browser().by("card", "card", "1"); !p.is(422).has("We do not know <b>that</b> card.") || !strings.Contains(p.body, `value="1"`) {
		t.Errorf("a denial is shown as %s", p.text())
	}
	if p = w.browser().get("/sign-in/magic-link"); strings.Contains(p.body, "<img") || !p.has("Sign in with <img src=x>") {
		t.Errorf("it is offered as %s", p.text())
	}
}

// TestG04_EvilRedirect: a program sends browsers to the places that its
// configuration names, at the first press and later, and nowhere else.
func TestG04_EvilRedirect(t *testing.T) {
	for to, ok := range map[string]bool{
		"https://id.example/go?x=1": true, "https://evil.example/": false, "https://id.example@evil.example/": false,
		"http://id.example/": false, "javascript:alert(1)": false, "//id.example/": false,
	} {
		step := providers.Step{Redirect: &providers.Redirect{URL: to, Origins: []string{"https://id.example"}}, State: []byte("s")}
		later := cards(adas("1"))
		later.Answer = func(providers.Request) (providers.Step, *providers.Claim, error) { return step, nil, nil }
		at := &script{Description: providers.Description{Label: "the clinic", Away: true}, First: step}
		w := withPhones(t, programs("later", later), programs("at-once", at))
		b := w.browser()
		p := b.by("later", "card", "17")
		email := b.get("/sign-in/magic-link").form("/sign-in/magic-link")
		email.action = "/sign-in/m/at-once"
		for _, p := range []*page{p, b.send(email)} {
			if !ok {
				if p.is(503).says("plugin.down.title"); strings.Contains(p.body, "evil") || strings.Contains(p.body, "alert") {
					t.Errorf("%s is on the page", to)
				}
				continue
			}
			if got := b.sentTo(p); got != to {
				t.Errorf("sent to %s, not %s", got, to)
			}
		}
	}
}

// TestG04_AnotherQuestion: what was asked and what the program wants to see again
// stay together, sealed, in one attempt. What answers an earlier question, or
// another program's, is not taken to it.
func TestG04_AnotherQuestion(t *testing.T) {
	s := cards(nil)
	s.First.State = []byte("secret-1")
	s.Answer = func(r providers.Request) (providers.Step, *providers.Claim, error) {
		switch string(r.State) + r.Fields["card"] + r.Fields["pet"] {
		case "secret-117":
			return providers.Step{State: []byte("secret-2"), Ask: &providers.Ask{Title: "Your pet", Button: "Go in", Fields: []providers.Field{
				{Name: "pet", Kind: providers.Text, Label: "Its name"},
			}}}, nil, nil
		case "secret-2Rex":
			return providers.Step{}, adas("1"), nil
		}
		return providers.Step{}, nil, &providers.Denial{Text: "No."}
	}
	w := withPhones(t, wide, programs("card", s), programs("other", cards(adas("2"))))
	b := w.browser()
	p := b.get("/sign-in/m/card?return_to=/files/7")
	card := p.form("/sign-in/m/card")
	pet := b.send(card, "card", "17").form("/sign-in/m/card")
	if p = b.send(card, "card", "17"); !p.has("Your pet") || len(s.heard()) != 1 {
		t.Errorf("the first form again, after it was answered: %s", p.text())
	}
	stray := pet
	stray.action = "/sign-in/m/other"
	b.send(stray, "pet", "Rex").out()
	if p = b.send(pet, "pet", "Rover"); !p.is(422).has("No.") || !p.has("Your pet") {
		t.Errorf("a wrong answer: %s", p.text())
	}
	if strings.Contains(html.UnescapeString(p.body), "secret-") {
		t.Error("the program's state is on the page")
	}
	b.send(p.form("/sign-in/m/card"), "pet", "Rex").in("c-ada")
	for _, r := range s.heard() {
		if len(r.Fields) != 1 {
			t.Errorf("the program was told %v", r.Fields)
		}
	}
}
