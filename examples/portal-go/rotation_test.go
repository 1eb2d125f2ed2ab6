// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalgate/portalgate/identity"
	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

// gates are several gates on one store, as far as their keys are concerned.
type gates struct {
	t     *testing.T
	store *bolt.Store
	rings []*assertion.Ring
	asked int // for the key set
}

func newGates(t *testing.T, n int) *gates {
	t.Helper()
	st, err := bolt.Open(filepath.Join(t.TempDir(), "keys.db"), bolt.Options{Sweep: 10000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	g := &gates{t: t, store: st}
	for range n {
		g.rings = append(g.rings, g.open())
	}
	return g
}

func (g *gates) open() *assertion.Ring {
	g.t.Helper()
	r, err := assertion.Open(g.t.Context(), g.store)
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// RoundTrip fetches the key set from one gate after the other, as through a
// balancer.
func (g *gates) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	g.rings[g.asked%len(g.rings)].ServeKeys(w, req)
	g.asked++
	return w.Result(), nil
}

// refresh makes those gates look at the store that do so in this second.
func (g *gates) refresh(second, every int) {
	g.t.Helper()
	for i, r := range g.rings {
		if second%every == i*every/len(g.rings) {
			g.must(r.Refresh(g.t.Context()))
		}
	}
}

func (g *gates) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// sign is what a gate says of a client who sends a request now.
func sign(t *testing.T, r *assertion.Ring, now time.Time) string {
	t.Helper()
	token, err := r.For(identity.Claims{
		Issuer: issuer, Audience: issuer, Subject: "c-17", Email: "ada@example.com", Session: "s1",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// upstream is this portal with a clock that is off.
type upstream struct{ http.Handler }

func (g *gates) upstream(off time.Duration) upstream {
	return g.upstreamAt(func() time.Time { return time.Now().Add(off) })
}

func (g *gates) upstreamAt(now func() time.Time) upstream {
	g.t.Helper()
	v, err := identity.New(identity.Options{Issuer: issuer, Client: &http.Client{Transport: g}, Now: now})
	g.must(err)
	return upstream{portal(v.Protect)}
}

// accepts reports whether a request with that assertion gets through, and lets
// what it set off in the background come to its end.
func (u upstream) accepts(token string) bool {
	r := httptest.NewRequest("GET", "/api/me", nil)
	r.Header.Set(identity.HeaderAssertion, token)
	w := httptest.NewRecorder()
	u.ServeHTTP(w, r)
	synctest.Wait()
	return w.Code == http.StatusOK
}

// For ten hours somebody presses for a rotation once a minute, each time at
// another of three gates, which look at their store once a minute. Every tenth
// press makes one: never does an upstream, however its clock is off, however
// rarely it is used and whichever gate it gets its keys from, refuse what any
// gate has signed within the last minute: a gate may have signed it 20 s before
// it sent the request on, which arrives up to 39 s later.
func TestJ04_SixtyRotationsRefuseNobody(t *testing.T) {
	rotations, dense := 6, 4
	if os.Getenv("PORTALGATE_PROOF") != "" {
		rotations, dense = 60, 1
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGates(t, 3)
		busy := []upstream{g.upstream(0), g.upstream(-30 * time.Second), g.upstream(30 * time.Second)}
		rare := g.upstream(30 * time.Second)
		random := rand.New(rand.NewPCG(4, 4))
		const way = 40                            // seconds
		sent := make([][way]string, len(g.rings)) // by gate, in each of the last seconds
		var made, verified, refused, last int
		check := func(u upstream, second int) {
			verified++
			late := min(random.IntN(way), second)
			if !u.accepts(sent[random.IntN(len(sent))][(second-late)%way]) {
				refused++
			}
		}
		for second := 0; made < rotations || second < last+120; second++ {
			g.refresh(second, 60)
			for i, r := range g.rings {
				sent[i][second%way] = sign(t, r, time.Now())
			}
			if second%60 == 45 && made < rotations {
				var early *assertion.TooSoonError
				switch err := g.rings[second/60%3].Rotate(t.Context()); {
				case err == nil:
					made, last = made+1, second
				case !errors.As(err, &early) || !early.From.After(time.Now()) || early.From.After(time.Now().Add(10*time.Minute)):
					t.Fatalf("Rotate = %v", err)
				}
			}
			if second%dense == 0 || second < last+5 {
				for _, u := range busy {
					check(u, second)
				}
			}
			if random.IntN(500) == 0 {
				check(rare, second)
			}
			time.Sleep(time.Second)
		}
		fmt.Printf("proof: %d key rotations during %d verifications, %d refused\n", made, verified, refused)
		if refused > 0 {
			t.Errorf("%d of %d requests refused", refused, verified)
		}
	})
}

// The rotation that comes by itself once a month leaves the gates a day to
// notice, also those that could not look at their store for most of it.
func TestJ04_MonthlyRotationRefusesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates(t, 3)
		u := g.upstream(0)
		before := g.rings[0].Published()[0].ID
		time.Sleep(29 * 24 * time.Hour)
		for hour := range 72 {
			g.refresh(hour, 12)
			for i, r := range g.rings {
				if !u.accepts(sign(t, r, time.Now())) {
					t.Errorf("hour %d: gate %d refused", hour, i)
				}
			}
			time.Sleep(time.Hour)
		}
		if now := g.rings[0].Published()[1]; now.Role != "current" || now.ID != before {
			t.Errorf("after 32 days the key that was next is not current: %+v", now)
		}
	})
}

// A key in wrong hands is replaced. An upstream may fetch the new set 30 s
// after the last fetch, so only within those may it refuse what the gate signs
// now; and from then on it refuses what the thief signs. Where nobody but the
// thief turns up, there is nothing that makes it fetch the set, except that
// the one it has is old.
func TestJ04_ReplacedKeys(t *testing.T) {
	for _, tc := range []struct {
		name    string
		fetched time.Duration // so long before the keys were replaced
		until   time.Duration // after it, the latest moment of a refusal
	}{
		{"just now", 0, 30 * time.Second},
		{"10 s ago", 10 * time.Second, 20 * time.Second},
		{"29 s ago", 29 * time.Second, time.Second},
		{"30 s ago", 30 * time.Second, 0},
		{"4 minutes ago", 4 * time.Minute, 0},
		{"a day ago", 24 * time.Hour, 0},
		{"never", -1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGates(t, 1)
			gate, thief := g.rings[0], g.open() // who never looks at the store again
			used, quiet := g.upstream(0), g.upstream(0)
			if tc.fetched >= 0 {
				for _, u := range []upstream{used, quiet} {
					if !u.accepts(sign(t, gate, time.Now())) {
						t.Fatal("refused before anything happened")
					}
				}
				time.Sleep(tc.fetched)
			}
			g.must(gate.Replace(t.Context()))
			replaced := time.Now()
			for range 60 {
				since := time.Since(replaced)
				if ok := used.accepts(sign(t, gate, time.Now())); ok != (since >= tc.until) {
					t.Errorf("fetched %s: %v after, accepts the gate: %t", tc.name, since, ok)
				}
				if ok := used.accepts(sign(t, thief, time.Now())); ok != (since < tc.until) {
					t.Errorf("fetched %s: %v after, accepts the thief: %t", tc.name, since, ok)
				}
				time.Sleep(time.Second)
			}
			time.Sleep(time.Until(replaced.Add(10*time.Minute + time.Second)))
			if quiet.accepts(sign(t, thief, time.Now())) {
				t.Errorf("fetched %s: nobody else came, and 10 minutes later it accepts the thief", tc.name)
			}
		})
	}
}

// The other gates on a store learn within a minute that keys were replaced.
// Until then they publish the old set and sign with the old key, so that the
// last refusal can come 30 s after that. Two gates at which it is asked for at
// once make one set.
func TestJ04_ReplacedKeysOnThreeGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates(t, 3)
		us := []upstream{g.upstream(-30 * time.Second), g.upstream(0), g.upstream(30 * time.Second)}
		old := g.open()
		refused := 0
		for second := range 300 {
			g.refresh(second, 60)
			if second == 100 {
				done := make(chan error)
				for _, r := range g.rings[:2] {
					go func() { done <- r.Replace(t.Context()) }()
				}
				g.must(<-done)
				g.must(<-done)
			}
			for i, r := range g.rings {
				for j, u := range us {
					ok := u.accepts(sign(t, r, time.Now()))
					switch {
					case !ok && (second < 100 || second >= 190):
						t.Errorf("second %d: upstream %d refuses gate %d", second, j, i)
					case !ok:
						refused++
					}
				}
			}
			if second >= 190 {
				for _, u := range us {
					if u.accepts(sign(t, old, time.Now())) {
						t.Errorf("second %d: the old key is good", second)
					}
				}
			}
			time.Sleep(time.Second)
		}
		if refused == 0 {
			t.Error("nothing was refused: this shows nothing")
		}
		set := string(g.rings[0].JWKS())
		for _, r := range g.rings[1:] {
			if string(r.JWKS()) != set {
				t.Error("the gates publish different sets")
			}
		}
	})
}
