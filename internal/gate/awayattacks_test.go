// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/oidctest"
)

// What is tried against a sign-in at an issuer of OpenID Connect: THREATS O, and
// E where an account's address is not the one on file.

// TestO01_MixUp: two issuers, one of them hostile. It hands out codes of the
// honest one, names itself the honest one, or is named by it. What comes back is
// taken for the issuer that was left for, and by its own callback only.
func TestO01_MixUp(t *testing.T) {
	honest, evil := oidctest.New(t), oidctest.New(t)
	account(evil, "sub-evil", "ada@example.com")
	w := newWorld(t, others("honest", honest), others("evil", evil))
	b := w.browser()
	stolen, _ := url.Parse(b.comeBack(b.setOff("m/honest")))
	evil.Be(func(c *oidctest.Conduct) {
		c.Back = func(q url.Values) { q.Set("code", stolen.Query().Get("code")); q.Set("iss", honest.URL) }
	})
	b.get(b.comeBack(b.setOff("m/evil"))).out().says("google.down.title", "method", "evil")
	if evil.Hits(oidctest.Token) != 0 {
		t.Error("the honest issuer's code was taken to the other")
	}
	// An answer to one callback put before the other.
	evil.Be(func(c *oidctest.Conduct) { c.Back = nil })
	away := b.comeBack(b.setOff("m/evil"))
	b.get(strings.Replace(away, "/m/evil/", "/m/honest/", 1)).out().says("google.late.title")
	// The same account name at two issuers is two accounts.
	k := &w.rt.eng.Load().keys
	if k.account("oidc:evil", "s") == k.account("oidc:honest", "s") {
		t.Error("accounts of two issuers are one")
	}
}

// TestO02_State: answers with no state, another's, a used one, one of another
// browser, and one that is too old.
func TestO02_State(t *testing.T) {
	w := newWorld(t, googles(oidctest.New(t)), wide)
	b := w.browser()
	back := b.comeBack(b.setOff("google"))
	u, _ := url.Parse(back)
	for _, state := range []string{"", "x", "x.y", u.Query().Get("state") + "x", strings.ToUpper(u.Query().Get("state"))} {
		q := u.Query()
		if q.Set("state", state); state == "" {
			q.Del("state")
		}
		b.get("/sign-in/google/callback?"+q.Encode()).out().says("google.late.title", "method", "Google")
	}
	w.browser().get(back).out().says("google.late.title", "method", "Google") // another browser
	b.get(back).in("c-ada")
	b2 := w.browser()
	b2.get(back).out()
	late := b2.comeBack(b2.setOff("google"))
	w.clock.advance(openLife + time.Minute)
	b2.get(late).out().says("google.late.title", "method", "Google").says("google.late.lead", "method", "Google")
	// A claim does not wait either.
	b3 := w.browser()
	next := b3.once().get(b3.comeBack(b3.setOff("google"))).header.Get("Location")
	w.clock.advance(claimLife)
	b3.get(next).out()
}

// TestO02_Limit: setting off is counted by network.
func TestO02_Limit(t *testing.T) {
	w := newWorld(t, googles(oidctest.New(t)))
	for range awayNetwork.Count {
		w.browser().setOff("google")
	}
	b := w.browser()
	f := b.get("/sign-in").form("/sign-in/magic-link")
	f.action = "/sign-in/google"
	b.send(f).is(http.StatusTooManyRequests).says("wait.now").says("email.offer")
	b.ask("ada@example.com").is(200)
}

// TestO03_Nonce: the token of another attempt. TestO04_Code: a code of another
// browser, at an issuer that checks no PKCE.
func TestO03_Nonce(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	i.Be(func(c *oidctest.Conduct) { c.Claims = func(m map[string]any) { m["nonce"] = "another" } })
	w.browser().google().is(503).out().says("google.down.title", "method", "Google")
}

func TestO04_Code(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	i.Be(func(c *oidctest.Conduct) { c.NoPKCE = true })
	victim, attacker := w.browser(), w.browser()
	theirs, _ := url.Parse(victim.comeBack(victim.setOff("google")))
	mine, _ := url.Parse(attacker.comeBack(attacker.setOff("google")))
	q := mine.Query()
	q.Set("code", theirs.Query().Get("code"))
	mine.RawQuery = q.Encode()
	attacker.get(mine.String()).out()
}

// TestO05_Audience and TestO06_Signature: tokens for somebody else, and tokens
// that the issuer has not signed. Package google tries them one by one.
func TestO05_Audience(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	i.Be(func(c *oidctest.Conduct) { c.Claims = func(m map[string]any) { m["aud"] = "sibling" } })
	w.browser().google().out()
}

func TestO06_Signature(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	for _, sign := range []func([]byte) string{oidctest.Unsigned, oidctest.WithSecret, oidctest.WithOtherKey("key-1")} {
		i.Be(func(c *oidctest.Conduct) { c.Sign = sign })
		w.browser().google().is(503).out()
	}
}

// TestO07_EmailVerified: an address that the issuer has not confirmed, said in
// ways that a lenient reader takes for yes.
func TestO07_EmailVerified(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	for _, v := range []any{false, "true", "false", 1, nil} {
		account(i, "sub-ada", "ada@example.com", "hd", "example.com", "email_verified", v)
		w.browser().google().is(403).out().says("google.unproved.title", "method", "Google")
	}
}

// TestO08_RecycledAddress: an address has had another owner. The account that
// was linked lets in, another with the same address does not, ever.
func TestO08_RecycledAddress(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	w.browser().google().in("c-ada")
	account(i, "sub-new-owner", "ada@example.com", "hd", "example.com")
	b := w.browser()
	b.google().is(403).out().says("google.account.title", "method", "Google").says("google.other", "method", "Google")
	if !strings.Contains(w.logs.String(), `"account_refused"`) {
		t.Error("it is not in the log")
	}
	if e := w.lastEvent("c-ada"); e.What != "account_refused" || e.Method != "google" {
		t.Errorf("staff are not told: the last event is %+v", e)
	}
	account(i, "sub-ada", "ada@example.com", "hd", "example.com")
	b.google().in("c-ada")
	if q := i.Asked()[2]; q.Get("prompt") != "select_account" {
		t.Error("after a refusal the issuer does not ask which account is meant")
	}
}

// TestO09_FirstLink: an account bears an address that its issuer does not give
// out. The mailbox is asked once; from then on the account is enough.
func TestO09_FirstLink(t *testing.T) {
	i := oidctest.New(t)
	account(i, "sub-ada", "ada@example.com")
	w := newWorld(t, googles(i))
	b := w.browser()
	b.google().is(200).out().says("google.once.title").says("google.once.lead", "method", "Google", "google", "ada@example.com")
	m := w.letters("ada@example.com", 1)[0]
	p := b.get(link(m))
	b.send(p.form("/sign-in/link")).in("c-ada")
	w.browser().google().in("c-ada")
}

// TestO09_ByCode: the code from that mail, typed in the same browser, is as good.
func TestO09_ByCode(t *testing.T) {
	i := oidctest.New(t)
	account(i, "sub-ada", "ada@example.com")
	w := newWorld(t, googles(i))
	b := w.browser()
	p := b.google().says("google.once.title")
	b.send(p.form("/sign-in/code"), "code", code(w.letters("ada@example.com", 1)[0])).in("c-ada")
	w.browser().google().in("c-ada")
}

// TestO09_Forwarded: the same account, but the link is used in another browser,
// where whoever reads the mailbox has not asked for it. They are in; the account
// is not linked, for it may be anybody's.
func TestO09_Forwarded(t *testing.T) {
	i := oidctest.New(t)
	account(i, "sub-stranger", "ada@example.com")
	w := newWorld(t, googles(i), wide)
	attacker := w.browser()
	attacker.google().out()
	m := w.letters("ada@example.com", 1)[0]
	ada := w.browser()
	p := ada.get(link(m))
	ada.send(p.form("/sign-in/link"), "email", "ada@example.com").in("c-ada")
	w.clock.advance(2 * time.Minute)
	attacker.google().out().says("google.once.title")
	account(i, "sub-ada", "ada@example.com", "hd", "example.com")
	w.browser().google().in("c-ada")
}

// TestO11_Errors: what an answer says is never shown, however long, and the
// attempt is over.
func TestO11_Errors(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	const script = "<script>alert(1)</script>"
	for _, tc := range []struct{ said, key string }{
		{"access_denied", "google.cancel.title"}, {"server_error", "google.down.title"}, {script, "google.down.title"},
	} {
		i.Be(func(c *oidctest.Conduct) {
			c.Back = func(q url.Values) {
				q.Set("error", tc.said)
				q.Set("error_description", script+strings.Repeat("x", 4<<10))
			}
		})
		b := w.browser()
		back := b.comeBack(b.setOff("google"))
		p := b.get(back).out().says(tc.key, "method", "Google").says("email.offer")
		if left := p.url.Query(); p.url.Path != "/sign-in/google/callback" || left.Get("flow") == "" || len(left) != 1 {
			t.Errorf("the answer stays in the address: %v", p.url)
		}
		if strings.Contains(p.body, "alert(1)") || strings.Contains(p.body, "xxx") {
			t.Error("the page repeats what was said")
		}
		if i.Hits(oidctest.Token) != 0 {
			t.Error("a code beside an error was exchanged")
		}
		b.get(p.url.RequestURI()).out().says(tc.key, "method", "Google") // reloaded
		asked := i.Hits(oidctest.Token)
		b.get(back).out().says(tc.key, "method", "Google") // and once more
		if i.Hits(oidctest.Token) != asked {
			t.Error("an answer that was refused was taken to the issuer again")
		}
	}
}

// TestRefusedClean: whatever comes of an answer, the page that tells it has
// nothing of it in its address, where a history, a screenshot or a reload would
// find it.
func TestRefusedClean(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	const clean = "/sign-in/google/callback?flow="
	for name, tc := range map[string]struct {
		account []any // beside the usual
		change  func(c *oidctest.Conduct)
		key     string
		status  int
	}{
		"not on file": {account: []any{"email", "nobody@example.com"}, key: "google.nomatch.title", status: 403},
		"unverified":  {account: []any{"email_verified", false}, key: "google.unproved.title", status: 403},
		"cancelled":   {change: func(c *oidctest.Conduct) { c.Back = func(q url.Values) { q.Set("error", "access_denied") } }, key: "google.cancel.title", status: 200},
		"a lie":       {change: func(c *oidctest.Conduct) { c.Sign = oidctest.Unsigned }, key: "google.down.title", status: 503},
		"nobody":      {account: []any{"email", ""}, key: "google.down.title", status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			account(i, "sub-ada", "ada@example.com", append([]any{"hd", "example.com"}, tc.account...)...)
			i.Be(func(c *oidctest.Conduct) {
				c.Back, c.Sign = nil, nil
				if tc.change != nil {
					tc.change(c)
				}
			})
			b := w.browser()
			back := b.comeBack(b.setOff("google"))
			first := b.once().get(back)
			to := first.header.Get("Location")
			if first.status != http.StatusSeeOther || !strings.HasPrefix(to, clean) || strings.ContainsAny(to[len(clean):], "&=?") {
				t.Fatalf("answered %d to %q, and not away from the answer", first.status, to)
			}
			b.get(to).is(tc.status).out().says(tc.key, "method", "Google").says("email.offer")
		})
	}
	p := w.browser().once().get("/sign-in/google/callback?state=old&code=x")
	if p.status != http.StatusSeeOther || p.header.Get("Location") != "/sign-in/google/callback?late" {
		t.Errorf("an answer to nothing: %d to %q", p.status, p.header.Get("Location"))
	}
}

// TestO13_AddressChanged: staff change the address of a client whose account is
// linked. Sessions end, and the account is no longer theirs.
func TestO13_AddressChanged(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	b := w.browser()
	b.google().in("c-ada")
	changeAddress(w, "ada@example.com", "lovelace@example.com")
	b.get("/x").out()
	w.browser().google().is(403).out().says("google.nomatch.title", "method", "Google")
	account(i, "sub-lovelace", "lovelace@example.com", "hd", "example.com")
	w.browser().google().in("c-ada")
	r, err := w.rt.eng.Load().records.Get(t.Context(), w.rt.eng.Load().records.Tag("c-ada"))
	if err != nil || len(r.Subjects) != 1 {
		t.Errorf("%d accounts are linked, %v", len(r.Subjects), err)
	}
}

// TestO14_Silent: another site sends a browser to the address that sets off, by
// GET or by a form of its own. Nothing sets off without a press on our page.
func TestO14_Silent(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	b := w.browser()
	b.get("/sign-in/google")
	b.headers.Set("Sec-Fetch-Site", "cross-site")
	b.headers.Set("Origin", "https://evil.example")
	p := b.do("POST", "/sign-in/google", url.Values{"return_to": {"/x"}}).is(403).out().says("crossed.title")
	b.headers.Del("Sec-Fetch-Site")
	b.headers.Del("Origin")
	b.do("POST", "/sign-in/google", url.Values{"return_to": {"/x"}}).is(403).out()
	if len(i.Asked()) != 0 {
		t.Error("set off without a press")
	}
	b.sentTo(b.send(p.form("/sign-in/google")))
}

// TestE04_NotOnFile: an account whose address is not on file, has no access, or
// is spelled otherwise. All are told the same.
func TestE04_NotOnFile(t *testing.T) {
	i := oidctest.New(t)
	w := newWorld(t, googles(i))
	var texts []string
	for _, email := range []string{"nobody@example.com", "off@example.com", "a.da@example.com"} {
		account(i, "sub-x", email, "hd", "example.com")
		p := w.browser().google().is(403).out().says("google.nomatch.title", "method", "Google").says("google.nomatch.exact", "method", "Google")
		texts = append(texts, strings.ReplaceAll(p.text(), email, "ADDRESS"))
	}
	if texts[0] != texts[1] || texts[0] != texts[2] {
		t.Errorf("told apart: %q", texts)
	}
}

// TestE12_Plus: an address on file has a "+" sign, or dots that Gmail does not
// see. The plain account never matches; and that it is the sign is told only
// where the client has signed in before.
func TestE12_Plus(t *testing.T) {
	i := oidctest.New(t)
	account(i, "sub-grace", "grace@gmail.com")
	w := newWorld(t, googles(i))
	rewrite(w, sampleClients+"c-grace,grace+clinic@gmail.com,Grace,yes,yes\n")
	w.browser().google().is(403).out().says("google.nomatch.title", "method", "Google")
	b := w.signIn("grace+clinic@gmail.com")
	p := b.get("/sign-in/sign-out")
	b.send(p.form("/sign-in/sign-out"))
	b.google().is(403).out().says("google.plus.title", "method", "Google")
	account(i, "sub-grace", "g.race@gmail.com")
	b.google().is(403).out().says("google.nomatch.title", "method", "Google")
}
