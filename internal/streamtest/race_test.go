// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package streamtest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/portalgate/portalgate/internal/testgate"
)

// TestH10_OpenedAsItEnds opens streams at the very moment at which the session
// is ended: one that was let in before, and is noted as open after, would be
// overlooked by whoever closes what is open.
func TestH10_OpenedAsItEnds(t *testing.T) {
	t.Parallel()
	n := sized(100, 10)
	up := newUpstream(t)
	g := testgate.Start(t, options(up, n))
	here := signIn(g, 0, n)
	f := make(figures)
	opened, turned := 0, 0
	for i, v := range here {
		page := v.Get("/sign-in/sign-out")
		ended := make(chan struct{})
		var (
			at          time.Time // of the end; read after ended
			some        sync.WaitGroup
			openers     sync.WaitGroup
			live, after atomic.Int64
		)
		for j := range 4 * len(kinds) {
			k := kinds[j%len(kinds)]
			some.Add(1)
			openers.Go(func() {
				via := k.transport(g)
				defer (&http.Client{Transport: via}).CloseIdleConnections()
				var once sync.Once
				defer once.Do(some.Done)
				last := func() {}
				for m := 0; ; m++ {
					over := false
					select {
					case <-ended:
						over = true
					default:
					}
					begun := time.Now()
					st, err := start(g, up, k, fmt.Sprintf("race%d-%d-%d", i, j, m), plan{cookies: v.Cookies(), via: via, quiet: true})
					if err == nil && k.path == "/upload" { // it is answered when it ends, or not even then
						select {
						case <-st.far.live:
						case <-st.over:
							err = errAnswer(http.StatusUnauthorized)
						case <-time.After(time.Second):
							st.hang()
							err = errAnswer(http.StatusUnauthorized)
						}
					}
					once.Do(some.Done)
					switch {
					case err == nil:
						live.Add(1)
						last() // one is open while the next is opened
						last = st.hang
						t.Cleanup(st.hang)
					case refused(err):
						after.Add(1)
					}
					if !over {
						continue
					}
					if err == nil && begun.After(at) {
						t.Errorf("%s: opened after the answer to the sign-out", k.name)
					}
					return
				}
			})
		}
		some.Wait() // each has opened one, and is about to open the next
		at = v.Press(page, "/sign-in/sign-out")
		close(ended)
		openers.Wait()
		var last time.Time
		testgate.Wait(t, "the streams to be closed", func() bool {
			open, at := up.closed(fmt.Sprintf("race%d-", i))
			last = at
			return open == 0
		})
		if last.Sub(at) > time.Second {
			t.Errorf("round %d: a stream was open %v after the session's end", i, last.Sub(at))
		}
		f.add("at the upstream", last.Sub(at))
		opened, turned = opened+int(live.Load()), turned+int(after.Load())
	}
	t.Logf("proof: streams opened while their session was ended: %d in %d sessions, %d more were refused; open a second later: 0", opened, n, turned)
	f.report(t, "the last of those that were opened while their session was ended, closed", soon())
}

// TestW14_NothingAfterSignOut has 100 requests under way in a session that is
// due to be noted as active when it is signed out. None that is begun after the
// answer may get through, and the note may not bring the session back.
func TestW14_NothingAfterSignOut(t *testing.T) {
	t.Parallel()
	const parallel = 100
	n := sized(200, 10)
	up := newUpstream(t)
	g := testgate.Start(t, options(up, n))
	here := signIn(g, 0, n)
	<-time.After(61 * time.Second) // activity is noted once a minute
	through, refusals := 0, 0
	for i, v := range here {
		page := v.Get("/sign-in/sign-out")
		one := &http2.Transport{TLSClientConfig: g.Transport().TLSClientConfig}
		many := kinds[0].transport(g)
		type try struct {
			s      string
			begun  time.Time
			status int
		}
		var (
			ready   sync.WaitGroup
			begin   = make(chan struct{})
			ended   = make(chan struct{})
			running sync.WaitGroup
			mu      sync.Mutex
			tries   []try // guarded by mu
		)
		for j := range parallel {
			tr := many
			if j%10 > 0 { // the rest share a connection
				tr = one
			}
			get := func(path, cookies string) int {
				req, _ := http.NewRequest(http.MethodGet, g.URL+path, nil)
				req.Header.Set("Cookie", cookies)
				res, err := tr.RoundTrip(req)
				if err != nil {
					return 0
				}
				defer res.Body.Close()
				io.Copy(io.Discard, res.Body)
				return res.StatusCode
			}
			ready.Add(1)
			running.Go(func() {
				get("/assets/page", "") // connects, and is no activity
				ready.Done()
				<-begin
				for m := 0; ; m++ {
					over := false
					select {
					case <-ended:
						over = true
					default:
					}
					a := try{s: fmt.Sprintf("w14-%d-%d-%d", i, j, m)}
					a.begun = time.Now()
					a.status = get("/page?s="+a.s, v.Cookies())
					mu.Lock()
					tries = append(tries, a)
					mu.Unlock()
					if over {
						return
					}
				}
			})
		}
		ready.Wait()
		close(begin)
		<-time.After(rand.N(20 * time.Millisecond))
		at := v.Press(page, "/sign-in/sign-out")
		close(ended)
		running.Wait()
		one.CloseIdleConnections()
		(&http.Client{Transport: many}).CloseIdleConnections()
		for _, a := range tries {
			late, arrived := a.begun.After(at), up.seen(a.s)
			switch {
			case late && (arrived || a.status != http.StatusUnauthorized):
				t.Errorf("begun %v after the answer to the sign-out: status %d, arrived: %v", a.begun.Sub(at), a.status, arrived)
			case arrived:
				through++
			default:
				refusals++
			}
		}
	}
	for i, v := range here {
		if v.SignedIn() {
			t.Errorf("session %d is back", i)
		}
	}
	t.Logf("proof: requests around %d sign-outs: %d went through, %d were refused; begun after the answer and through: 0", n, through, refusals)
}
