// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

// walk does all that a client can do with a gate: signs in by link and by
// code, opens links again, wrong ones and foreign ones, stops one, looks at the
// sessions, ends one, signs out.
func walk(t *testing.T, g *testgate.Gate) *secrets {
	t.Helper()
	a, b, c := newBrowser(t, g), newBrowser(t, g), newBrowser(t, g)
	c.secrets, b.secrets = a.secrets, a.secrets

	l, _ := a.ask(g, "ada@example.com", 1)
	a.send(a.get(l.link), "/sign-in/link")
	a.mustBeIn(g)
	a.get(l.link) // used, signed in
	b.get(l.link) // used, somebody else

	m, sent := b.ask(g, "zoe@example.com", 1)
	b.send(sent, "/sign-in/code", "code", "00000000")
	p := c.get(m.link) // another browser's: takes the address
	c.send(p, "/sign-in/link", "email", "eve@example.com")
	c.get(m.link + "x")
	c.get(strings.Replace(m.link, "t=", "t=%20", 1))
	c.get(g.URL + "/sign-in/link?x=1&t=" + after(m.link, "t=") + "&y=2")
	c.do("POST", g.URL+"/sign-in/link", "t="+after(m.link, "t="))
	c.do("PUT", m.link, "")
	c.do("OPTIONS", m.link, "")
	c.get(g.URL + "/sign-in/nothing?t=" + after(m.link, "t="))
	// As mail programs and proxies on the way spoil it.
	for _, target := range []string{
		"/sign-in/link?t%3D%s", "/sign-in/link?%74=%s", "/sign-in/link?T=%s", "/sign-in/link?amp;t=%s", "/sign-in/link/?t=%s",
		"/sign-in/link?u=1&amp;t=%s", "/sign-in/link?t=3D%s", "/sign-in/stop?t=%s", "/sign-in?t=%s", "/sign-in/magic-link?t=%s",
	} {
		raw(t, g, request(strings.Replace(target, "%s", after(m.link, "t="), 1)))
	}
	for _, path := range []string{"/", "/portal", "/sign-in", "/assets/x"} {
		raw(t, g, request(path, "Referer: "+m.link))
	}
	raw(t, g, strings.Replace(request(after(m.link, g.URL)), "%HOST%", "127.0.0.1", 1))
	c.get(g.URL + "/portal?t=harmless")
	b.send(sent, "/sign-in/code", "code", m.code)
	b.mustBeIn(g)

	n, _ := c.ask(g, "grace+clinic@gmail.com", 1)
	stop := c.get(n.stop)
	for path := range formsIn(stop.body) {
		c.send(stop, path, "email", "grace+clinic@gmail.com")
	}
	c.get(n.link) // switched off

	for path := range formsIn(a.get(g.URL + "/sign-in/sessions").body) {
		a.send(a.get(g.URL+"/sign-in/sessions"), path)
	}
	b.get(g.URL + "/portal")
	for path := range formsIn(b.get(g.URL + "/sign-in/sign-out").body) {
		b.send(b.get(g.URL+"/sign-in/sign-out"), path)
	}
	return a.secrets
}

// shippedFilter is the log block of the Caddyfile that we ship, with more in it.
func shippedFilter(t *testing.T, more string) string {
	t.Helper()
	b, err := os.ReadFile("../../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)\n\tlog \{\n\t\tformat filter \{\n(.*?)\n\t\t\}\n\t\}\n`).FindSubmatch(b)
	if block == nil {
		t.Fatal("the Caddyfile has no filter in its log")
	}
	return "log {\n\tformat filter {\n" + more + string(block[1]) + "\n\t}\n}"
}

// TestT01T03_Secrets is issue 2's "no secret of a whole DEBUG run": whoever
// reads the log, or is the upstream, learns nothing to sign in with. Caddy logs
// requests whole: URIs, Referer, Location. At DEBUG reverse_proxy logs the
// identity headers too, which only a filter keeps out; without one that is all
// that shows, the gate warns of it, and at INFO there is nothing.
func TestT01T03_Secrets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		o           testgate.Options
		debug, bare bool
	}{
		{"JSON", testgate.Options{Global: shippedFilter(t, "")}, true, false},
		{"console, TLS", testgate.Options{TLS: true, Global: shippedFilter(t, "wrap console\n")}, true, false},
		{"no filter", testgate.Options{}, true, true},
		{"INFO, no filter", testgate.Options{Global: "log {\n\tlevel INFO\n}"}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := newUpstream(t)
			tc.o.Upstream = up.addr
			g := testgate.Start(t, tc.o)
			s := walk(t, g)
			s.absent(t, "the upstream", strings.Join(up.all(), "\n"))
			for _, raw := range up.all() {
				s.add(assertionIn(raw))
			}
			s.add(storedSecret(t, g))
			for _, entry := range g.Messages() {
				s.add(entry.ID)
			}
			log := g.Log()
			if strings.Contains(log, "upstream roundtrip") != tc.debug || strings.Count(log, "handled request") < 10 {
				t.Fatal("the log has no DEBUG lines of reverse_proxy, or no access log")
			}
			if tc.bare {
				if !strings.Contains(log, "at level DEBUG reverse_proxy logs the identity headers") {
					t.Error("nothing warns of what is logged")
				}
				log = identityLogged.ReplaceAllString(log, "")
			}
			s.absent(t, "the log", log)
			for _, address := range []string{"ada@example.com", "grace+clinic@gmail.com", "zoe@example.com", "Ada Lovelace"} {
				if i := strings.Index(log, address); i >= 0 {
					t.Errorf("the log has a client's address or name: %s", around(log, i, address))
				}
			}
		})
	}
}

// identityLogged is what reverse_proxy logs of the identity at DEBUG.
var identityLogged = regexp.MustCompile(`"(Portalgate-Assertion|Remote-Email|Remote-Name)": ?\["[^"]*"\]`)

// storedSecret is the gate's root secret, which it made itself.
func storedSecret(t *testing.T, g *testgate.Gate) string {
	t.Helper()
	all, _ := filepath.Glob(g.File("data/caddy/portalgate/*/secret"))
	if len(all) != 1 {
		t.Fatalf("%d root secrets", len(all))
	}
	b, err := os.ReadFile(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestT02_ErrorLog has everything fail with a secret in hand: an error that a
// handler returns is logged with the request's URI, access log or not.
func TestT02_ErrorLog(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	filter := shippedFilter(t, "")
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Global: filter})
	b := newBrowser(t, g)
	l, _ := b.ask(g, "ada@example.com", 1)
	b.send(b.get(l.link), "/sign-in/link")
	b.mustBeIn(g)
	if p := b.get(g.URL + "/hangup"); p.status != http.StatusBadGateway {
		t.Errorf("upstream down: %d", p.status)
	}
	m, sent := b.ask(g, "zoe@example.com", 1)
	for range 5 { // the client goes before the answer comes
		io.WriteString(dial(t, g), strings.ReplaceAll(request(after(m.link, g.URL), "Cookie: "+b.cookies(g)), "%HOST%", host(g)))
		c := dial(t, g)
		io.WriteString(c, "POST /sign-in/link?t="+after(m.link, "t=")+" HTTP/1.1\r\nHost: "+host(g)+"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nt="+after(m.link, "t="))
		c.Close()
	}
	// A store that cannot be opened.
	if err := g.Reload(g.Caddyfile(testgate.Options{Upstream: up.addr, Global: filter, Gate: "store embedded /dev/null/main.db"})); err != nil {
		t.Fatal(err)
	}
	b.client.CloseIdleConnections()
	for _, path := range []string{after(m.link, g.URL), after(m.stop, g.URL), "/portal", "/sign-in/session"} {
		if p := b.get(g.URL + path); p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
			t.Errorf("no store: %d at %s", p.status, p.at.Path)
		}
	}
	b.send(sent, "/sign-in/code", "code", m.code)
	for _, raw := range up.all() {
		b.secrets.add(assertionIn(raw))
	}
	b.secrets.absent(t, "the log", g.Log())
	if !strings.Contains(g.Log(), `"status":502`) {
		t.Error("the log does not tell of the upstream")
	}
}

// TestT04_Traces has the server trace requests: a span has the path, so a
// secret may not be in one.
func TestT04_Traces(t *testing.T) {
	var mu sync.Mutex
	var spans strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		spans.Write(body)
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Site: "tracing"})
	s := walk(t, g)
	seen := func() string {
		mu.Lock()
		defer mu.Unlock()
		return spans.String()
	}
	testgate.Wait(t, "spans", func() bool { return strings.Contains(seen(), "/sign-in/sign-out") })
	for _, raw := range up.all() {
		s.add(assertionIn(raw))
	}
	s.absent(t, "the spans", seen())
	for _, name := range []string{"portalgate.outcome", "not_signed_in", "portalgate.store update", "portalgate.store allow"} {
		if !strings.Contains(seen(), name) {
			t.Errorf("no span of the gate has %s", name)
		}
	}
	if strings.Contains(seen(), "access/") {
		t.Error("the spans have a record's key")
	}
	for _, address := range []string{"ada@example.com", "Ada Lovelace"} {
		if strings.Contains(seen(), address) {
			t.Error("the spans have a client's address or name")
		}
	}
}

// TestT05T06_MetricsAndDumps scrapes the metrics after many odd requests: a
// label that a visitor chooses is memory that a visitor takes. And no memory
// is to be had from the site.
func TestT05T06_MetricsAndDumps(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{Upstream: up.addr, Global: "metrics"})
	scrape := func() string {
		res, err := http.Get(g.Admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	s := walk(t, g)
	odd := func(from, to int) {
		c := dial(t, g)
		for i := from; i < to; i++ {
			n := strings.Repeat("x", i%50)
			io.WriteString(c, strings.ReplaceAll(request("/sign-in/"+n+"?email=eve-"+n+"@example.com", "User-Agent: "+n), "%HOST%", host(g)))
			if _, _, err := c.answer("GET"); err != nil {
				t.Fatal(err)
			}
		}
	}
	odd(0, 200)
	series := func(text string) int {
		return len(regexp.MustCompile(`(?m)^(caddy|portalgate)_`).FindAllString(text, -1))
	}
	before := series(scrape())
	odd(200, 600)
	after := scrape()
	if !strings.Contains(after, `portalgate_sign_ins_total{gate="main",method="magic_link",outcome="signed_in"}`) {
		t.Error("the metrics have none of the gate's")
	}
	if before == 0 || series(after) > before+10 { // a status or two may be new
		t.Errorf("%d series became %d", before, series(after))
	}
	s.absent(t, "the metrics", after)
	for _, word := range []string{"@example.com", `"1001"`, "eve-", "/sign-in/x"} {
		if strings.Contains(after, word) {
			t.Errorf("the metrics have %q", word)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/vars", "/metrics", "/config/"} {
		if res, _ := raw(t, g, request(path)); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("GET %s on the site: %d", path, res.StatusCode)
		}
	}
}

// TestT03_Rewrite shows that the filter holds where more than reverse_proxy
// logs: a rewrite behind the gate logs the request whole, at DEBUG.
func TestT03_Rewrite(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := testgate.Start(t, testgate.Options{
		Upstream: up.addr, Global: shippedFilter(t, ""),
		Site: "handle_path /api/* {\n\treverse_proxy " + up.addr + "\n}",
	})
	b := newBrowser(t, g)
	b.signIn(g, 1)
	b.get(g.URL + "/api/x")
	got := up.of("/x")
	if len(got) != 1 || wrongIn(got[0], "1001") != "" {
		t.Fatal("the request did not arrive as it should")
	}
	b.secrets.add(assertionIn(got[0]), "ada@example.com")
	log := g.Log()
	b.secrets.absent(t, "the log", log)
	if !strings.Contains(log, "rewrote request") {
		t.Error("the log has no line of the rewrite")
	}
}
