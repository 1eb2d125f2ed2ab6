// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/limit"
)

// What guessing at what a program asks for comes to.

// TestProgramGuesses: whoever guesses at what a program has sent has five tries,
// with whatever cookies, and an address costs so many messages an hour.
func TestProgramGuesses(t *testing.T) {
	s := texts()
	w := withPhones(t, programs("text", s))
	b := w.browser()
	f := b.by("text", "email", "ada@example.com").form("/sign-in/m/text")
	old := b.copy()
	for range 5 {
		b.send(f, "code", "0000").is(422)
	}
	old.send(f, "code", "4711").is(http.StatusTooManyRequests)
	for i := range 4 {
		w.clock.advance(time.Minute)
		w.browser().from("192.0.2."+string(rune('1'+i))).by("text", "email", "ada@example.com").is(200)
	}
	w.clock.advance(time.Minute)
	w.browser().from("192.0.2.9").by("text", "email", "ada@example.com").is(http.StatusTooManyRequests)
	w.browser().from("192.0.2.9").by("text", "email", "bob@example.com").is(200)
}

// guessWords guesses once from each network, all at the same moment, and returns
// how often each status was answered, and how long those who have to wait are told
// to.
func guessWords(w *world, email []string, from ...netip.Addr) (statuses map[int]int, wait map[string]bool) {
	statuses, wait = map[int]int{}, map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, ip := range from {
		all.Go(func() {
			rec, _ := w.form(ip, "/sign-in/m/words", url.Values{"email": {email[i%len(email)]}, "words": {fmt.Sprint(i)}})
			mu.Lock()
			defer mu.Unlock()
			statuses[rec.Code]++
			if rec.Code == http.StatusTooManyRequests {
				wait[rec.Header().Get("Retry-After")] = true
			}
		})
	}
	all.Wait()
	return statuses, wait
}

// TestG04_GuessesFromEverywhere: 30 networks, each with one guess, try the words of
// one client; no limit by network or browser sees more than one of them. 20 are
// looked at and the rest have to wait, for an address that is not on file just the
// same, in whatever spelling. Nobody else has to wait, nor the client elsewhere.
func TestG04_GuessesFromEverywhere(t *testing.T) {
	s := words()
	w := withPhones(t, programs("words", s))
	var from []netip.Addr
	for i := range 30 {
		from = append(from, network(i))
	}
	spellings := func(name string) []string {
		return []string{name + "@example.com", name + "@EXAMPLE.com", "A" + name[1:] + "@example.com"}
	}
	ada, adaWaits := guessWords(w, spellings("ada"), from...)
	aad, aadWaits := guessWords(w, spellings("aad"), from...)
	if n := len(s.heard()); n != perSecret.Count || ada[422] != n || ada[429] != len(from)-n {
		t.Errorf("of %d guesses %d were looked at: %v", len(from), n, ada)
	}
	if fmt.Sprint(ada, adaWaits) != fmt.Sprint(aad, aadWaits) {
		t.Errorf("on file %v %v, and not on file %v %v", ada, adaWaits, aad, aadWaits)
	}
	b := w.browser().from("192.0.2.1")
	b.by("words", "email", "ada@example.com", "words", "right horse").is(429).says("wait.title").says("wait.now")
	b.ask("ada@example.com").is(200).says("sent.title")
	if got, _ := guessWords(w, []string{"bob@example.com"}, network(1)); got[422] != 1 {
		t.Errorf("another client's words: %v", got)
	}
	w.clock.advance(perSecret.Per / time.Duration(perSecret.Count))
	b.by("words", "email", "ada@example.com", "words", "right horse").in("c-ada")
}

// TestG04_GuessesInManySpellings: who guesses from one network types the address in
// another spelling each time, so that each looks like the first.
func TestG04_GuessesInManySpellings(t *testing.T) {
	w := withPhones(t, programs("words", words()))
	here := make([]netip.Addr, 8)
	for i := range here {
		here[i] = network(1)
	}
	got, _ := guessWords(w, []string{"ada@example.com", "Ada@example.com", "aDa@example.com", "adA@example.com"}, here...)
	if got[422] != perGuesser.Count || got[429] != len(here)-perGuesser.Count {
		t.Errorf("%d guesses: %v", len(here), got)
	}
}

// TestE06_WrongAddressesAtAProgram: in "reveal" a program's page says who is not on
// file, as the link's does, and so as seldom: after 5 wrong addresses a browser
// has to wait, for a known one as well, or going on would tell; 30 in a network.
// Known ones use up none of that. The link's own tries are apart.
func TestE06_WrongAddressesAtAProgram(t *testing.T) {
	w := withPhones(t, reveal, programs("text", texts()))
	b := w.browser()
	b.by("text", "email", "ada@example.com").is(200)
	for i := range 5 {
		b.by("text", "email", fmt.Sprintf("p%d@example.com", i)).is(422).says("unknown.title")
	}
	b.by("text", "email", "p5@example.com").is(429).says("wait.title")
	b.by("text", "email", "bob@example.com").is(429).says("wait.title")
	b.ask("zed@example.com").is(422).says("unknown.title")

	told := 0
	for i := range 9 { // fresh browsers in one network
		b := w.browser().from("192.0.2.1")
		for j := range 4 {
			if b.by("text", "email", fmt.Sprintf("q%d-%d@example.com", i, j)).status == 422 {
				told++
			}
		}
	}
	if told != unknownNetwork.Count {
		t.Errorf("a network was told of %d addresses, want %d", told, unknownNetwork.Count)
	}
}

// TestG02_PagesWithoutEnd: a visitor who keeps no cookie has a program's page shown,
// and answers it, without end, to keep the program busy. It is not asked any more
// then, the page says how long, and other ways and other networks are untouched.
func TestG02_PagesWithoutEnd(t *testing.T) {
	s := texts()
	w := withPhones(t, programs("text", s), func(c *Config, _ *HandlerOptions) {
		c.Limits.Requests = limit.Rate{Count: 3, Per: time.Hour}
	})
	look := func(ip string) *page { return w.browser().from(ip).get("/sign-in/m/text") }
	for range 4 {
		look("192.0.2.1").is(200)
	}
	for range 2 {
		w.browser().from("192.0.2.1").do("POST", "/sign-in/m/text", url.Values{"email": {"ada@example.com"}}).is(403)
	}
	p := look("192.0.2.1").is(429).says("wait.title").says("wait.now")
	if p.header.Get("Retry-After") != "600" {
		t.Errorf("Retry-After is %q", p.header.Get("Retry-After"))
	}
	w.browser().from("192.0.2.1").do("POST", "/sign-in/m/text", url.Values{"email": {"ada@example.com"}}).is(429)
	if s.begun != 6 {
		t.Errorf("it was asked %d times, want 6", s.begun)
	}
	look("192.0.2.2").is(200)
	w.clock.advance(10 * time.Minute)
	look("192.0.2.1").is(200)
}

// TestG02_PagesOfAnotherSite: a page of another site, open in some browser of an
// office, has its browser look at a program's page as at a picture, or send a form
// there, without end. The program is not asked, and nobody in the office has to wait.
func TestG02_PagesOfAnotherSite(t *testing.T) {
	s := texts()
	w := withPhones(t, programs("text", s), func(c *Config, _ *HandlerOptions) {
		c.Limits.Requests = limit.Rate{Count: 3, Per: time.Hour}
	})
	for range 20 {
		for method, want := range map[string]int{"GET": 204, "POST": 403} {
			r := httptest.NewRequest(method, w.front+"/sign-in/m/text", strings.NewReader("email=ada@example.com"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Dest", "iframe")
			rec := httptest.NewRecorder()
			if err := w.h.ServeHTTP(rec, r, Front{IP: netip.MustParseAddr("192.0.2.1")}, nil); err != nil || rec.Code != want {
				t.Fatalf("%s is answered %d, %v", method, rec.Code, err)
			}
		}
	}
	if s.begun != 0 {
		t.Errorf("it was asked %d times", s.begun)
	}
	w.browser().from("192.0.2.1").get("/sign-in/m/text").is(200)
}

// TestT10_WaitAtAProgram: strangers type a client's address so often that a program
// is asked no more about it. Staff end that for the client who calls.
func TestT10_WaitAtAProgram(t *testing.T) {
	w := withPhones(t, programs("words", words()))
	var from []netip.Addr
	for i := range perSecret.Count {
		from = append(from, network(i))
	}
	guessWords(w, []string{"ada@example.com"}, from...)
	b := w.browser().from("192.0.2.1")
	b.by("words", "email", "ada@example.com", "words", "right horse").is(429)
	if err := w.rt.Unlock(t.Context(), "c-ada", "desk"); err != nil {
		t.Fatal(err)
	}
	b.by("words", "email", "ada@example.com", "words", "right horse").in("c-ada")
}
