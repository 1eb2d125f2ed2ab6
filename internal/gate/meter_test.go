// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/assertion"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// scrape returns a gate's metrics as Prometheus gets them, by name and labels.
// The registry is as strict as Caddy's, and new each time, as after a reload.
func scrape(t testing.TB, rts ...*Runtime) map[string]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, rt := range rts {
		for _, c := range rt.Metrics() {
			if err := registry.Register(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("%d: %s", rec.Code, rec.Body)
	}
	series := make(map[string]string)
	for line := range strings.Lines(rec.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			series[name] = value
		}
	}
	return series
}

// are fails the test unless the metrics have these values; the names are
// without the prefix and the gate.
func (w *world) are(want map[string]int) {
	w.t.Helper()
	short := strings.NewReplacer("portalgate_", "", `{gate="main"}`, "", `,gate="main"`, "", `gate="main",`, "")
	got := make(map[string]string)
	for name, value := range scrape(w.t, w.rt) {
		got[short.Replace(name)] = value
	}
	for name, n := range want {
		if got[name] != fmt.Sprint(n) {
			w.t.Errorf("%s is %q, want %d", name, got[name], n)
		}
	}
}

// flaky is a mail program that fails the first time.
type flaky struct {
	mail.Sender
	failed atomic.Bool
}

func (f *flaky) Send(ctx context.Context, m mail.Message) (string, error) {
	if f.failed.CompareAndSwap(false, true) {
		return "", errors.New("busy")
	}
	return f.Sender.Send(ctx, m)
}

// TestMetrics does most of what is counted, and looks what was.
func TestMetrics(t *testing.T) {
	t.Parallel()
	mails := new(flaky)
	w := newWorld(t, public("/open/*"), func(c *Config, _ *HandlerOptions) { mails.Sender, c.Sender = c.Sender, mails })
	w.are(map[string]int{ // a counter that is not there from the start never seems to rise to 1
		`links_total{event="stopped"}`: 0, `limits_hit_total{limit="code"}`: 0, `requests_total{outcome="unknown"}`: 0,
	})
	b := w.browser()
	b.ask("ada@example.com")
	w.until("the mail has failed", mails.failed.Load)
	w.until("it is tried again", func() bool {
		w.clock.advance(10 * time.Second)
		return len(w.rt.Outbox().Messages()) > 0
	})
	m := w.letters("ada@example.com", 1)[0]
	stranger := w.browser().from("192.0.2.9")
	p := stranger.get(link(m))
	stranger.send(p.form("/sign-in/link"), "email", "eve@example.com").is(422)
	b.send(b.get(link(m)).form("/sign-in/link")).is(200)
	stranger.send(p.form("/sign-in/link"), "email", "ada@example.com")
	b.get("/open/x").is(200)
	w.browser().get("/open/x").is(200)
	w.browser().once().get("/files").is(303)
	w.browser().once().do("TRACE", "/", nil).is(405)

	c := w.browser().from("192.0.2.10")
	form := c.ask("nobody@example.com").form("/sign-in/code")
	for range codeTries + 2 {
		c.send(form, "code", "00000000").is(422)
	}
	for range 3 {
		c.ask("nobody@example.com").is(429)
	}
	w.idle()
	stop := c.get(stopOf(w.browser().mailed("bob@example.com")))
	c.send(stop.form("/sign-in/stop"), "email", "eve@example.com").is(422)
	c.send(stop.form("/sign-in/stop"), "email", "bob@example.com")
	w.are(map[string]int{
		`sign_ins_total{method="magic_link",outcome="signed_in"}`:     1,
		`sign_ins_total{method="magic_link",outcome="wrong_address"}`: 1,
		`sign_ins_total{method="magic_link",outcome="wrong_code"}`:    codeTries,
		`sign_ins_total{method="magic_link",outcome="limit"}`:         3,
		`links_total{event="asked"}`:                                  3,
		`links_total{event="sent"}`:                                   2,
		`links_total{event="not_sent"}`:                               1,
		`links_total{event="retried"}`:                                1,
		`links_total{event="used"}`:                                   1,
		`links_total{event="stopped"}`:                                1,
		`limits_hit_total{limit="code"}`:                              2,
		`limits_hit_total{limit="mail_minute"}`:                       3,
		`requests_total{outcome="signed_in"}`:                         2, // the first is where signing in led to
		`requests_total{outcome="public"}`:                            1,
		`requests_total{outcome="not_signed_in"}`:                     1,
		`requests_total{outcome="refused"}`:                           1,
		`requests_total{outcome="elsewhere"}`:                         0,
		"live_sessions":                                               1,
		"open_streams":                                                0,
		"streams_closed_total":                                        0,
		"clients_list_stale":                                          0,
	})

	// What is open is counted, and that it was closed with its session.
	began := make(chan struct{})
	w.reply = func(rw http.ResponseWriter, r *http.Request) {
		http.NewResponseController(rw).Flush()
		close(began)
		<-r.Context().Done()
	}
	b.headers.Set("Accept", "text/event-stream")
	var stream sync.WaitGroup
	stream.Go(func() { b.get("/events") })
	<-began
	w.are(map[string]int{"open_streams": 1, "streams_closed_total": 0})
	w.clock.advance(w.conf.Session.Idle)
	stream.Wait()
	w.are(map[string]int{"open_streams": 0, "streams_closed_total": 1, "live_sessions": 0})
	b.headers.Del("Accept")

	// A list of clients that cannot be read.
	w.write(w.csv, "id,email,name\nc-ada,nonsense,Ada\n")
	w.until("the list is stale", func() bool { return scrape(t, w.rt)[`portalgate_clients_list_stale{gate="main"}`] == "1" })
	w.write(w.csv, sampleClients)
	w.until("it is good again", func() bool { return scrape(t, w.rt)[`portalgate_clients_list_stale{gate="main"}`] == "0" })

	// A store that is down.
	w.db.fail.Store(true)
	b = w.browser()
	b.headers.Set("Cookie", "portalgate-main="+session.Token(strings.Repeat("a", session.TagSize), make([]byte, session.SecretSize)))
	b.get("/files").is(503)
	w.are(map[string]int{`requests_total{outcome="unknown"}`: 1, `store_seconds_count{op="get",outcome="failed"}`: 1})
}

// TestMetricsOfTwo: the gates of a server share its registry.
func TestMetricsOfTwo(t *testing.T) {
	other := NewRuntime(Options{Gate: "other"})
	defer other.Close()
	got := scrape(t, newWorld(t).rt, other)
	for _, gate := range []string{"main", "other"} {
		if name := `portalgate_live_sessions{gate="` + gate + `"}`; got[name] != "0" {
			t.Errorf("%s is %q", name, got[name])
		}
	}
}

// TestT05_BoundedLabels: a label that a visitor chooses is memory that a
// visitor takes, and somebody's address on other people's screens.
func TestT05_BoundedLabels(t *testing.T) {
	w := newWorld(t, public("/open/*"))
	visit := func(i int) {
		word := fmt.Sprintf("w%dx%x", i, randomBytes(5))
		r := httptest.NewRequest([]string{"GET", "POST", "HEAD", "PUT", strings.ToUpper(word)}[i%5],
			w.front+[]string{"/", "/open/", "/sign-in/", "/sign-in/link?t=", "/sign-in/magic-link?return_to=/"}[i/5%5]+word,
			strings.NewReader("email="+word+"@example.com&code=00000000&t="+word))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("User-Agent", word)
		r.Header.Set("Cookie", "portalgate-main="+word+"; portalgate-main-flow-"+word+"="+word)
		if i%7 == 0 {
			r.Host = word + ".example"
		}
		if err := w.h.ServeHTTP(httptest.NewRecorder(), r, Front{}, func(http.ResponseWriter, *http.Request) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	n := 2_000
	if proof() {
		n = 100_000
	}
	for i := range 100 {
		visit(i)
	}
	before := scrape(t, w.rt)
	for i := range n {
		visit(i)
	}
	for i := range 50 { // and forms that are taken
		b := w.browser().from(fmt.Sprintf("192.0.2.%d", i))
		b.ask(fmt.Sprintf("w%dx@example.com", i))
	}
	after := scrape(t, w.rt)
	store := 0 // a call that was not made before is a histogram more
	for name := range after {
		if strings.HasPrefix(name, "portalgate_store_seconds") {
			store++
		}
		for _, word := range []string{"w1", "example", "192.0.2", "/", "@"} {
			if strings.Contains(name, word) {
				t.Errorf("a label has a visitor's word: %s", name)
			}
		}
	}
	if len(after)-store > len(before)+5 || store > 7*2*13 {
		t.Errorf("%d series became %d, %d of them the store's", len(before), len(after), store)
	}
	t.Logf("proof: %d series after %d odd requests", len(after), n)
}

// TestScrapeCost: whoever asks for the metrics holds up nobody.
func TestScrapeCost(t *testing.T) {
	n := 10_000
	if proof() {
		n = 100_000
	}
	root, err := seal.New([]byte("0123456789abcdef0123456789abcdef"), "main")
	if err != nil {
		t.Fatal(err)
	}
	sh := &shelf{values: map[string]store.Value{}}
	records := session.New(sh, root, time.Now, time.Time{})
	ring, err := assertion.Open(t.Context(), sh)
	if err != nil {
		t.Fatal(err)
	}
	lt := access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour}
	for i := range n {
		id := fmt.Sprintf("c-%06d", i)
		err := records.Update(t.Context(), records.Tag(id), func(now time.Time, r *access.Record) error {
			link := access.HashOf([]byte(id))
			r.Bind(now, id, link)
			r.AddLink(now, access.Link{Hash: link, Made: now.Unix(), Expires: now.Unix() + 60})
			r.Redeem(now, access.Redemption{Link: link, Nonce: link, Session: link, Method: "magic_link", Lifetimes: lt})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rt := NewRuntime(Options{Gate: "main"})
	rt.conf.Store(&Config{Session: lt})
	rt.eng.Store(&engine{records: records, ring: ring})
	best := time.Hour
	for range 20 {
		begun := time.Now()
		if got := scrape(t, rt)[`portalgate_live_sessions{gate="main"}`]; got != fmt.Sprint(n) && got != "1e+05" {
			t.Fatalf("%s live sessions, want %d", got, n)
		}
		best = min(best, time.Since(begun))
	}
	t.Logf("proof: a scrape takes %v with %d live sessions", best, n)
	if best > 200*time.Millisecond {
		t.Errorf("a scrape takes %v with %d live sessions", best, n)
	}
}
