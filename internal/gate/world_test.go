// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/directory/file"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/mail"
	"github.com/portalgate/portalgate/internal/mail/outbox"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
	"github.com/portalgate/portalgate/internal/ui"
	"github.com/portalgate/portalgate/providers"
)

// world is a gate with everything real but the mail's way and the clock.
type world struct {
	t      testing.TB
	rt     *Runtime
	h      *Handler
	conf   *Config
	server *httptest.Server
	front  string // its URL
	clock  *clock
	db     *counted
	csv    string
	path   string // of the store
	logs   *lockedBuffer
	mark   testMark
	pause  time.Duration // of the worker
	// stretch is what it costs to try a PIN; next to nothing, if not set.
	stretch Stretch
	// store opens another store than the one at path; nil is that one.
	store func() (store.Backend, error)

	mu     sync.Mutex
	passed []*http.Request // what reached the upstream
	reply  http.HandlerFunc
}

// testMark is a mark in memory: it stays when the store is put back.
type testMark struct{ n atomic.Int64 }

func (m *testMark) Load(context.Context, string) (int64, error)     { return m.n.Load(), nil }
func (m *testMark) Save(_ context.Context, _ string, n int64) error { m.n.Store(n); return nil }

// clock is the time of the gate and its store; it stands unless told.
type clock struct{ t atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.t.Load()) }
func (c *clock) advance(d time.Duration) { c.t.Add(int64(d)) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *lockedBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = bytes.Buffer{}
}

const sampleClients = "id,email,name,portal_access,email_ok\n" +
	"c-ada,ada@example.com,Ada Lovelace,yes,yes\n" +
	"c-bob,bob@example.com,Bob Stone,yes,yes\n" +
	"c-off,off@example.com,Olive Off,no,yes\n" +
	"c-mum,mum@example.com,Mum NoMail,yes,no\n"

// linkMethod is what providers/magiclink does, without Caddy.
type linkMethod struct{}

func (linkMethod) Describe() providers.Description {
	return providers.Description{Text: "email", Life: 24 * time.Hour}
}

func (linkMethod) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: &providers.Ask{Fields: []providers.Field{{Name: "email", Kind: providers.Email}}}}, nil
}

func (linkMethod) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	return providers.Step{SendLink: &providers.SendLink{Address: r.Fields["email"], Life: 24 * time.Hour}}, nil, nil
}

// digitsMethod is what providers/pin does, without Caddy.
type digitsMethod struct{}

func (digitsMethod) Describe() providers.Description {
	return providers.Description{Text: "pin", Life: 24 * time.Hour, Digits: 6}
}

func (digitsMethod) Start(context.Context, providers.Request) (providers.Step, error) {
	return providers.Step{Ask: &providers.Ask{Fields: []providers.Field{
		{Name: "email", Kind: providers.Email}, {Name: "pin", Kind: providers.Digits},
	}}}, nil
}

func (digitsMethod) Continue(_ context.Context, r providers.Request) (providers.Step, *providers.Claim, error) {
	secret := strings.ReplaceAll(r.Fields["pin"], " ", "")
	if len(secret) != 6 {
		return providers.Step{}, nil, &providers.Denial{Reason: "pin.shape", Field: "pin"}
	}
	return providers.Step{CheckSecret: &providers.CheckSecret{Address: r.Fields["email"], Secret: secret}}, nil, nil
}

// pins adds the way in by a PIN.
func pins(c *Config, _ *HandlerOptions) { c.Methods = append(c.Methods, Method{"pin", digitsMethod{}}) }

type option func(*Config, *HandlerOptions)

func reveal(c *Config, _ *HandlerOptions) { c.Reveal = true }

func public(paths ...string) option {
	return func(_ *Config, o *HandlerOptions) { o.Public = paths }
}

// wide lifts the limits, for what is not about them.
func wide(c *Config, _ *HandlerOptions) {
	lots := limit.Rate{Count: 1 << 20, Per: time.Minute}
	c.Limits = Limits{Requests: lots, Unknown: lots, Mails: lots}
}

// sender is where a world's mail goes.
func kept(c *Config, _ *HandlerOptions) { c.Clients = nil }

func sender(s mail.Sender) option { return func(c *Config, _ *HandlerOptions) { c.Sender = s } }

func newWorld(t testing.TB, opts ...option) *world {
	t.Helper()
	w := &world{clock: &clock{}}
	w.clock.t.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	w.begin(t, sampleClients, opts...)
	return w
}

// begin makes a world of one that may have a clock and a store already.
func (w *world) begin(t testing.TB, clients string, opts ...option) {
	t.Helper()
	dir := fastDir(t)
	w.t, w.pause, w.logs = t, -1, &lockedBuffer{}
	w.csv, w.path = filepath.Join(dir, "clients.csv"), filepath.Join(dir, "gate.db")
	if err := os.WriteFile(w.csv, []byte(clients), 0o600); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	w.front = w.server.URL
	w.open(opts...)
	t.Cleanup(func() {
		w.server.Close()
		w.rt.Close()
	})
}

// fastDir is a folder for one test, in memory where the system has such a place:
// a store waits for its disk at every change, and most tests are not about that.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "portalgate")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// open starts the gate; again after w.rt was closed, it is a restart.
func (w *world) open(opts ...option) {
	w.t.Helper()
	u, err := url.Parse(w.front)
	if err != nil {
		w.t.Fatal(err)
	}
	pages, err := ui.New(ui.Practice{
		Name: "Willow Creek Counseling", Phone: "+1 555 0100", Email: "hello@willow.example", From: "hello@willow.example",
		Zone: time.UTC, PublicURL: u, Path: "/sign-in",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := file.Open(w.csv)
	if err != nil {
		w.t.Fatal(err)
	}
	w.rt = NewRuntime(Options{
		Gate: "main", Now: w.clock.now, Mark: &w.mark, Pause: w.pause, Move: -1, PIN: cmp.Or(w.stretch, Stretch{Passes: 1, KiB: 8}),
		Secret: func(context.Context) ([]byte, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
		Open: func(context.Context) (store.Backend, error) {
			if w.store != nil {
				return w.store()
			}
			db, err := bolt.Open(w.path, bolt.Options{Now: w.clock.now})
			if err != nil {
				return nil, err
			}
			w.db = &counted{Backend: db}
			return w.db, nil
		},
	})
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	w.conf = &Config{
		Name: "main", PublicURL: u, Path: "/sign-in", UI: pages,
		Session: access.Lifetimes{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour},
		Limits: Limits{
			Requests: limit.Rate{Count: 60, Per: 10 * time.Minute},
			Unknown:  limit.Rate{Count: 5, Per: 15 * time.Minute},
			Mails:    limit.Rate{Count: 10, Per: 24 * time.Hour},
		},
		Methods: []Method{{"magic_link", linkMethod{}}}, Clients: list, Sender: w.rt.Outbox(),
		Log: zap.New(zapcore.NewCore(enc, zapcore.AddSync(w.logs), zap.DebugLevel)),
	}
	var ho HandlerOptions
	for _, o := range opts {
		o(w.conf, &ho)
	}
	if w.conf.Clients == nil { // as with `clients managed`
		w.conf.Clients = w.rt.Managed()
	}
	if w.h, err = w.rt.Handler(w.conf, ho); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rt.Use(w.conf); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rt.open(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	ip, _ := netip.ParseAddrPort(r.RemoteAddr)
	f := Front{IP: ip.Addr(), HTTPS: r.TLS != nil}
	if fake := r.Header.Get("Test-Ip"); fake != "" {
		f.IP = netip.MustParseAddr(fake)
		r.Header.Del("Test-Ip")
	}
	err := w.h.ServeHTTP(rw, r.WithContext(r.Context()), f, func(rw http.ResponseWriter, r *http.Request) error {
		w.mu.Lock()
		w.passed = append(w.passed, r.Clone(context.Background()))
		reply := w.reply
		w.mu.Unlock()
		if reply != nil {
			reply(rw, r)
			return nil
		}
		fmt.Fprintf(rw, "portal %s for %s", r.URL.RequestURI(), r.Header.Get("Remote-User"))
		return nil
	})
	if err != nil {
		w.t.Errorf("the handler returned an error, which a server would log with the URL: %v", err)
	}
	// Browsers carry a fragment, and with it a link's secret, across a redirect
	// that has none of its own.
	for _, own := range []string{"/sign-in/link", "/sign-in/stop"} {
		if to := rw.Header().Get("Location"); strings.HasPrefix(to, "/") && !strings.Contains(to, "#") && strings.HasPrefix(r.URL.Path, own) {
			w.t.Errorf("%s %s leads to %s, where a fragment would be carried along", r.Method, r.URL.Path, to)
		}
	}
}

func (w *world) upstream() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*http.Request(nil), w.passed...)
}

// letters waits until n mails with a link have been sent to an address and
// returns them, newest first.
func (w *world) letters(email string, n int) []outbox.Entry {
	w.t.Helper()
	return w.mails(email, n, func(m outbox.Entry) bool { return link(m) != "" })
}

// notices is letters, for those that tell of a sign-in; it lets the time pass
// that they wait.
func (w *world) notices(email string, n int) []outbox.Entry {
	w.t.Helper()
	w.clock.advance(noticeWait)
	w.wake()
	return w.mails(email, n, func(m outbox.Entry) bool { return link(m) == "" })
}

func (w *world) mails(email string, n int, of func(outbox.Entry) bool) []outbox.Entry {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var got []outbox.Entry
		for _, m := range w.rt.Outbox().Messages() {
			if m.To == email && of(m) {
				got = append(got, m)
			}
		}
		if len(got) >= n {
			return got
		}
		select {
		case <-deadline:
			w.t.Fatalf("%d mails to the address after 20 s, want %d\n%s", len(got), n, w.logs)
		case <-tick.C:
		}
	}
}

// idle waits until the queue has been worked off.
func (w *world) idle() {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if w.db.queued.Load() == 0 {
			return
		}
		select {
		case <-deadline:
			w.t.Fatal("the queue is not worked off")
		case <-tick.C:
		}
	}
}

var (
	linkRE = regexp.MustCompile(`https?://\S+/link\?t=\S+`)
	stopRE = regexp.MustCompile(`https?://\S+/stop\?t=\S+`)
	codeRE = regexp.MustCompile(`(?m)^\d{8}$`)
)

func link(m outbox.Entry) string   { return linkRE.FindString(m.Text) }
func stopOf(m outbox.Entry) string { return stopRE.FindString(m.Text) }
func code(m outbox.Entry) string   { return codeRE.FindString(m.Text) }

func token(link string) string { _, t, _ := strings.Cut(link, "?t="); return t }

// signIn walks the whole way for an address and returns the browser and the
// page it landed on.
func (w *world) signIn(email string, more ...string) *browser {
	w.t.Helper()
	b := w.browser()
	have := 0
	for _, m := range w.rt.Outbox().Messages() {
		if m.To == email && link(m) != "" {
			have++
		}
	}
	b.ask(email, more...)
	m := w.letters(email, have+1)[0]
	p := b.get(link(m))
	p = b.send(p.form("/sign-in/link"))
	if !strings.HasPrefix(p.body, "portal ") {
		w.t.Fatalf("signing in landed on %d %s:\n%s", p.status, p.url.Path, p.text())
	}
	return b
}
