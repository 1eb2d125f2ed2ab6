// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mailtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/smtptest"
	"github.com/portalgate/portalgate/internal/testgate"
)

// sized returns how much to do: at the size that is published, or otherwise.
func sized(proof, ci int) int {
	if os.Getenv("PORTALGATE_PROOF") == "1" {
		return proof
	}
	return ci
}

// unreliable starts a mail server that refuses half of the mails for now, at
// random.
func unreliable(t *testing.T) *smtptest.Server {
	return smtptest.Start(t, smtptest.Options{Clear: true, Data: func(string, <-chan struct{}) error {
		if mathrand.IntN(2) == 0 {
			return smtptest.Refuse(451, [3]int{4, 3, 0}, "not now")
		}
		return nil
	}})
}

// TestKilled asks for many sign-in mails while the mail server refuses half of
// what it gets and gates are killed: each mail is taken once, save those whose
// answer a kill has lost, which come again with the same link; none is lost.
func TestKilled(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server := unreliable(t)
		killed(t, server, start(t, server, "", newSecret()))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server, redis, secret := unreliable(t), redistest.Standalone(t), newSecret()
		at := "store redis " + redis.URL()
		killed(t, server, start(t, server, at, secret), start(t, server, at, secret))
	})
}

// start starts a gate that mails through a server.
func start(t *testing.T, server *smtptest.Server, store, secret string) *testgate.Gate {
	t.Helper()
	return testgate.Start(t, testgate.Options{
		Mail:    "mail smtp {\n\thost " + server.Addr + "\n\ttls none\n\tfrom portal@willow.example\n}",
		Clients: clients(sized(1000, 200)),
		Gate:    "secret " + secret + "\n" + store + "\nlimits {\n\trequests 100000 10m\n\tunknown 100000 10m\n}",
		Global:  "servers {\n\ttrusted_proxies static 127.0.0.1/32\n}",
	})
}

func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func killed(t *testing.T, server *smtptest.Server, gates ...*testgate.Gate) {
	mails, kills := sized(1000, 200), sized(40, 5)
	var mu sync.Mutex
	asked := make(map[string]bool) // whose asking was answered
	var asking sync.WaitGroup
	for from := range 4 {
		asking.Go(func() {
			for i := from; i < mails; i += 4 {
				if ask := askAt(t, gates, i); ask {
					mu.Lock()
					asked[email(i)] = true
					mu.Unlock()
				}
			}
		})
	}
	for n := range kills { // one gate at a time, so that the other serves
		wait(t, 1500*time.Millisecond+mathrand.N(2*time.Second))
		gates[n%len(gates)].Kill()
		gates[n%len(gates)].Restart()
	}
	asking.Wait()
	// What a gate held when it was killed is taken up when the lease has run out.
	late := time.Now().Add(5 * time.Minute)
	for missing := 1; missing > 0 && time.Now().Before(late); wait(t, 200*time.Millisecond) {
		taken := make(map[string]bool)
		for _, m := range server.Mails() {
			taken[m.To[0]] = true
		}
		missing = 0
		for to := range asked {
			if !taken[to] {
				missing++
			}
		}
	}
	got := all(t, server)
	twice, lost := 0, 0
	for to := range asked {
		if len(got[to]) == 0 {
			lost++
		}
	}
	for to, mails := range got {
		for _, m := range mails[1:] {
			twice++
			if m != mails[0] {
				t.Errorf("%s got two mails with different links", to)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d mails were lost", lost, len(asked))
	}
	// A kill can only lose answers to what was being sent just then.
	if most := kills * 16; twice > most {
		t.Errorf("%d mails came twice with %d kills", twice, kills)
	}
	t.Logf("proof: %d sign-in mails, half of the tries refused at random, %d gates, %d times kill -9: %d lost, %d came twice, with the same link; %d askings without an answer",
		len(asked), len(gates), kills, lost, twice, mails-len(asked))
}

// wait waits for real time: what runs is other processes.
func wait(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// askAt asks for a link for a client at one gate after another, until a form
// could be sent. It reports whether that was answered.
func askAt(t *testing.T, gates []*testgate.Gate, i int) bool {
	for n := i; t.Context().Err() == nil; n++ {
		g := gates[n%len(gates)]
		jar, _ := cookiejar.New(nil) // without options it cannot fail
		c := &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		page, err := c.Get(g.URL + "/sign-in/magic-link")
		if err != nil {
			wait(t, 50*time.Millisecond)
			continue
		}
		body, err := io.ReadAll(page.Body)
		page.Body.Close()
		if err != nil || page.StatusCode != http.StatusOK {
			wait(t, 50*time.Millisecond)
			continue
		}
		form := url.Values{"email": {email(i)}}
		for _, field := range hidden.FindAllStringSubmatch(string(body), -1) {
			form.Set(field[1], html.UnescapeString(field[2]))
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/sign-in/magic-link", strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return false
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", g.URL)
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.1.%d.%d", i/250, i%250))
		once := *c
		once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		res, err := once.Do(r)
		if err != nil {
			return false // it may have been taken
		}
		res.Body.Close()
		return res.StatusCode == http.StatusSeeOther
	}
	return false
}

// taken is what makes a mail the same as another.
type taken struct{ id, token string }

// all is what a server took, by recipient.
func all(t *testing.T, server *smtptest.Server) map[string][]taken {
	got := make(map[string][]taken)
	for _, m := range server.Mails() {
		text, _ := m.Parts(t)
		link := linkInMail.FindStringSubmatch(text)
		if len(m.To) != 1 || link == nil {
			t.Fatalf("a mail to %q without a link", m.To)
		}
		got[m.To[0]] = append(got[m.To[0]], taken{m.Parsed(t).Header.Get("Message-Id"), link[1]})
	}
	return got
}
