// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory/file"
)

// proof reports whether the sizes are those that are published.
func proof() bool { return os.Getenv("PORTALGATE_PROOF") == "1" }

// probe is one measured sign-in: asking, and the page that follows.
type probe struct{ post, page time.Duration }

// TestE02_TimingOracle: an attacker who cannot tell answers apart measures how
// long they take. Requests for known and unknown addresses of one length are
// interleaved at random, without a network between that would hide anything,
// and compared by the area under the curve (Mann-Whitney): 0.5 is guessing.
// The page after the answer is measured as well: if the worker began at once,
// what it does for an address on file would show there.
func TestE02_TimingOracle(t *testing.T) {
	n, bound := 300, 0.12 // five standard deviations: not one run in a million fails by chance
	if proof() {
		n, bound = 20_000, 0.01
	}
	var list strings.Builder
	list.WriteString("id,email,name\n")
	for i := range n {
		fmt.Fprintf(&list, "c%d,p%06d@example.com,Ada Lovelace\n", i, 2*i) // the even ones are on file
	}
	csv := filepath.Join(t.TempDir(), "clients.csv")
	if err := os.WriteFile(csv, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	clients, err := file.Open(csv)
	if err != nil {
		t.Fatal(err)
	}
	onFile := func(c *Config, _ *HandlerOptions) { c.Clients = clients }
	w := newWorld(t, wide, onFile)
	w.rt.Close()
	w.pause = 0 // the worker waits as it does in earnest
	w.open(wide, onFile)

	order := make([]int, 2*n)
	for i := range order {
		order[i] = i
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var known, unknown []probe
	for i, o := range order {
		into := &known
		if o%2 == 1 {
			into = &unknown
		}
		p := w.probe(i, fmt.Sprintf("p%06d@example.com", o))
		if i >= 50 { // what comes first warms up
			*into = append(*into, p)
		}
		for w.db.queued.Load() > 5_000 { // there is room for all of them
			runtime.Gosched()
		}
		w.clock.advance(time.Second)
	}
	check := func(what string, of func(probe) time.Duration) {
		a, b := durations(known, of), durations(unknown, of)
		area, gap := auc(a, b), (median(a) - median(b)).Abs()
		if proof() {
			fmt.Printf("proof: enumeration AUC of %s %.4f, medians %v apart, over %d and %d requests\n", what, area, gap, len(a), len(b))
		}
		if math.Abs(area-0.5) > bound {
			t.Errorf("%s: AUC %.4f, want 0.5 within %.2f", what, area, bound)
		}
		// Of few requests, beside all the other tests, the medians of the same
		// thing are further apart.
		if proof() && gap > time.Millisecond {
			t.Errorf("%s: medians %v apart, want under 1ms", what, gap)
		}
	}
	check("asking", func(p probe) time.Duration { return p.post })
	check("the page after", func(p probe) time.Duration { return p.page })
	w.idle()
	if len(w.rt.Outbox().Messages()) == 0 {
		t.Error("nothing was mailed: that was not measured which should be")
	}
}

// probe asks for a link from a fresh browser and network, and looks at the page
// that follows, straight at the handler.
func (w *world) probe(i int, email string) (p probe) {
	w.t.Helper()
	k := &w.rt.eng.Load().keys
	ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	f := &flow{id: randomID(), Nonce: randomBytes(32), Browser: randomID() + randomID(), Made: w.clock.now().Unix()}
	cookie := &http.Cookie{Name: "portalgate-main-flow-" + f.id, Value: sealJSON(k.flow, f, f.id)}
	form := url.Values{"email": {email}, "return_to": {"/"}, "flow": {f.id}, "nonce": {k.formNonce(f)}}
	r := httptest.NewRequest("POST", w.front+"/sign-in/magic-link", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(cookie)
	serve := func(r *http.Request, status int) (*httptest.ResponseRecorder, time.Duration) {
		rec := httptest.NewRecorder()
		start := time.Now()
		err := w.h.ServeHTTP(rec, r, Front{IP: ip}, nil)
		took := time.Since(start)
		if err != nil || rec.Code != status {
			w.t.Fatalf("%s %s answered %d, %v; want %d", r.Method, r.URL.Path, rec.Code, err, status)
		}
		return rec, took
	}
	rec, took := serve(r, http.StatusSeeOther)
	p.post = took
	r = httptest.NewRequest("GET", w.front+"/sign-in/code", nil)
	for _, c := range append(rec.Result().Cookies(), cookie) {
		r.AddCookie(c)
	}
	_, p.page = serve(r, http.StatusOK)
	return p
}

func durations(all []probe, of func(probe) time.Duration) []time.Duration {
	out := make([]time.Duration, len(all))
	for i, p := range all {
		out[i] = of(p)
	}
	return out
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// auc is the probability that one of a is longer than one of b, ties counted
// half: the Mann-Whitney U over the number of pairs.
func auc(a, b []time.Duration) float64 {
	b = slices.Clone(b)
	slices.Sort(b)
	var u float64
	for _, x := range a {
		below, _ := slices.BinarySearch(b, x)
		upTo, _ := slices.BinarySearch(b, x+1)
		u += float64(below) + float64(upTo-below)/2
	}
	return u / float64(len(a)) / float64(len(b))
}

// TestAUC: the measure finds what it is to find.
func TestAUC(t *testing.T) {
	for _, tc := range []struct {
		a, b []time.Duration
		want float64
	}{
		{[]time.Duration{1, 2, 3}, []time.Duration{1, 2, 3}, 0.5},
		{[]time.Duration{4, 5}, []time.Duration{1, 2, 3}, 1},
		{[]time.Duration{1}, []time.Duration{1, 2}, 0.25},
	} {
		if got := auc(tc.a, tc.b); got != tc.want {
			t.Errorf("auc(%v, %v) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
