// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/session"
)

// leadsTo returns the origin to which a browser at base goes that is answered
// with a Location, by the rules of the WHATWG URL standard for special schemes:
// control characters and spaces around it are cut off, tab, CR and LF dropped
// wherever they are, a backslash is a slash, any number of slashes begins an
// authority, and the last @ ends the user.
func leadsTo(base *url.URL, location string) string {
	s := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
	scheme := base.Scheme
	if i := strings.IndexFunc(s, func(r rune) bool { return !isSchemeRune(r) }); i > 0 && s[i] == ':' && isLetterRune(rune(s[0])) {
		given, rest := strings.ToLower(s[:i]), s[i+1:]
		special := slices.Contains([]string{"http", "https", "ws", "wss", "ftp"}, given)
		switch {
		case !special:
			return given + ":" // javascript:, data:, file: and what else there is
		case given == scheme && (rest == "" || !isSlash(rest[0]) || len(rest) < 2 || !isSlash(rest[1])):
			return origin(base) // relative all the same
		}
		return given + "://" + authority(rest)
	}
	if len(s) >= 2 && isSlash(s[0]) && isSlash(s[1]) {
		return scheme + "://" + authority(s)
	}
	return origin(base)
}

func authority(s string) string {
	s = strings.TrimLeft(s, `/\`)
	if i := strings.IndexAny(s, `/\?#`); i >= 0 {
		s = s[:i]
	}
	return strings.ToLower(s[strings.LastIndex(s, "@")+1:])
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

func isLetterRune(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

func isSchemeRune(r rune) bool {
	return isLetterRune(r) || '0' <= r && r <= '9' || r == '+' || r == '-' || r == '.'
}

// TestLeadsTo: the judge of the other tests knows an open redirect.
func TestLeadsTo(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "portal.example"}
	for location, want := range map[string]string{
		"/a": "https://portal.example", "": "https://portal.example", "https:evil.example": "https://portal.example",
		"//evil.example": "https://evil.example", `/\evil.example/x`: "https://evil.example", `\\evil.example`: "https://evil.example",
		"/\t/evil.example": "https://evil.example", " \x01//evil.example": "https://evil.example", "///evil.example": "https://evil.example",
		"http:evil.example": "http://evil.example", "https://portal.example@evil.example": "https://evil.example",
		"javascript:alert(1)": "javascript:", "JaVa\nScript:x": "javascript:", `https:/\evil.example`: "https://evil.example",
	} {
		if got := leadsTo(base, location); got != want {
			t.Errorf("leadsTo(%q) = %q, want %q", location, got, want)
		}
	}
}

// nasty are return paths that have opened redirects elsewhere.
var nasty = []string{
	"//evil.example", "///evil.example", "////evil.example", "//evil.example/", "//evil.example/%2e%2e", "//evil.example/..",
	`/\evil.example`, `\/evil.example`, `\\evil.example`, `/\/evil.example`, `\`, `/\`, `/\\evil.example`, `//\evil.example`,
	"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\r\n/evil.example", "\t//evil.example", " //evil.example", "/ /evil.example",
	"/\v/evil.example", "/\f/evil.example", "/\x00/evil.example", "/\u2028/evil.example", "/\u00a0/evil.example", "/\u3000/evil.example",
	"/%09/evil.example", "/%0a/evil.example", "/%0d%0a/evil.example", "/%00/evil.example", "/%2f/evil.example", "/%2fevil.example",
	"/%5cevil.example", "/%5c%5cevil.example", "/%2f%2fevil.example", "%2f%2fevil.example", "/%252f/evil.example", "/%255cevil.example",
	"/%25252fevil.example", "/.//evil.example", "/..//evil.example", "/a/..//evil.example", "/a/../..//evil.example", "/./\\evil.example",
	"/%2e%2e//evil.example", "/%2e/%2e%2e//evil.example", "/;//evil.example", "/;/../..//evil.example",
	"http://evil.example", "https://evil.example", "HTTPS://evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example",
	`https:\\evil.example`, "http:evil.example", "ftp://evil.example", "ws://evil.example", "javascript:alert(1)", "JavaScript:alert(1)",
	"java\tscript:alert(1)", "\x01javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "file:///etc/passwd", "about:blank",
	"blob:https://evil.example/1", "view-source:http://evil.example", "mailto:a@evil.example", "tel:123",
	"@evil.example", "/@evil.example", "//@evil.example", "//portal@evil.example", "//user:pw@evil.example", ":80", ":@evil.example",
	"evil.example", ".evil.example", "www.evil.example", "?//evil.example", "#//evil.example", "/#//evil.example", "/?//evil.example",
	"/?next=//evil.example", "//[::1]", "//[::1]:80/", "//127.0.0.1", "//2130706433", "//0x7f.1", "//evil%2eexample", "//evil。example", "//ⓔvil.example",
	"/%E3%80%82evil.example", "/%c0%af/evil.example", "/%c1%9cevil.example", "//evil.example:443", "//evil.example?x", "//evil.example#x", `//evil.example\@portal`,
	"/sign-in", "/sign-in/", "/sign-in/sign-out", "/sign-in/link?t=x", "/x/../sign-in/sign-out", "/x/%2e%2e/sign-in/sign-out", "/./sign-in/sign-out", "/sign-in/../sign-in/stop",
	"/\x7f", "/\xff", "/\xc3\x28", "/a b", "/é", "/%", "/%zz", "/%2", "", " ", "a", "*", ".", "..", "../..", "./a", "~", "/" + strings.Repeat("a", maxReturn),
	"/a\r\nSet-Cookie: x=y", "/a%0d%0aSet-Cookie:%20x=y", "/a\nLocation: //evil.example", "<script>", "/<script>alert(1)</script>", `/"onmouseover="x`, "/'",
}

// fine are return paths that must survive as they are.
var fine = []string{
	"/", "/files", "/files/42", "/files/42?tab=a", "/files/42?tab=a&x=%20y", "/a/b/c/", "/~ada/x.html", "/a.b-c_d", "/search?q=a%2Fb%26c", "/f%C3%BCr",
	"/x?next=/y", "/a/b;v=1", "/a:b", "/a,b", "/a+b?c+d", "/sign-ins", "/sign-in-help", "/x/sign-in", "/a%20b", "/?a=b", "/mail/@ada",
}

// returnCorpus is the nasty entries and what can be put together from their
// parts, n entries in all, the same in every run.
func returnCorpus(n int) []string {
	var out []string
	seen := make(map[string]bool)
	add := func(s string) {
		if !seen[s] && len(out) < n {
			seen[s] = true
			out = append(out, s)
		}
	}
	for _, s := range append(slices.Clone(nasty), fine...) {
		add(s)
	}
	slash := []string{"/", `\`, "%2f", "%5c", "%252f", "/.", "/%2e", "/;", "/\t", "/\r\n", "/%09", "/%0a", "\u2215", "/\u200b", "/%00"}
	first := []string{"", "/", " ", "\t", "\x00", "/a/..", "https:", "http:", "/?", "/@", "portal.example", "%00", "\ufeff", "/%2e%2e"}
	host := []string{"evil.example", "evil.example/", "portal.example@evil.example", "evil.example:443/x", "[::ffff:7f00:1]", "EVIL.example?x=1", "evil%2Eexample"}
	for i := 0; len(out) < n; i++ {
		a, b := slash[i%len(slash)], slash[i/len(slash)%len(slash)]
		f, h := first[i/len(slash)/len(slash)%len(first)], host[i%len(host)]
		if i >= len(slash)*len(slash)*len(first) {
			h += fmt.Sprint("#", i) // never the end of the corpus
		}
		add(f + a + b + h)
	}
	return out
}

func corpusSize() int {
	if proof() {
		return 2000
	}
	return 300
}

// wantReturn fails the test unless a browser that is sent to location stays, and
// is not sent to one of the gate's own pages.
func wantReturn(t *testing.T, base *url.URL, entry, way, location string) {
	t.Helper()
	if got := leadsTo(base, location); got != origin(base) {
		t.Errorf("%s: %q became %q, which leads to %s", way, entry, location, got)
	}
	if !strings.HasPrefix(location, "/") {
		t.Errorf("%s: %q became %q, which is no path", way, entry, location)
	}
}

// TestW01_SafeReturn: what comes out of any return path is a path of this site
// to every browser, is not changed by a second look, and is not the gate's.
func TestW01_SafeReturn(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "portal.example"}
	corpus := returnCorpus(2000)
	for _, s := range corpus {
		checkReturn(t, base, s)
	}
	for _, s := range fine {
		if got := safeReturn(s, "/sign-in"); got != s {
			t.Errorf("safeReturn(%q) = %q, want it as it is", s, got)
		}
	}
	if proof() {
		fmt.Printf("proof: open redirects 0 of %d entries by the function\n", len(corpus))
	}
}

func checkReturn(t *testing.T, base *url.URL, s string) {
	t.Helper()
	got := safeReturn(s, "/sign-in")
	wantReturn(t, base, s, "safeReturn", got)
	if again := safeReturn(got, "/sign-in"); again != got {
		t.Errorf("safeReturn(%q) = %q, and of that %q", s, got, again)
	}
	if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' }) || len(got) > maxReturn {
		t.Errorf("safeReturn(%q) = %q has what no Location needs", s, got)
	}
	u, err := url.Parse(got)
	if err != nil || u.Host != "" || u.Scheme != "" {
		t.Fatalf("safeReturn(%q) = %q is no path to net/url: %v", s, got, err)
	}
	if to := base.ResolveReference(u); to.Host != base.Host || to.Path == "/sign-in" || strings.HasPrefix(to.Path, "/sign-in/") {
		t.Errorf("safeReturn(%q) = %q leads to %s", s, got, to)
	}
}

func FuzzSafeReturn(f *testing.F) {
	for _, s := range append(slices.Clone(nasty), fine...) {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: "portal.example"}
	f.Fuzz(func(t *testing.T, s string) { checkReturn(t, base, s) })
}

// TestW01_OpenRedirect: an attacker mails around links to our sign-in page that
// lead to the attacker's site afterwards. Every entry goes in by the query, by
// the form's hidden field, and as the return path kept with a link, as if an
// earlier check had failed; every Location that comes out stays on the origin.
func TestW01_OpenRedirect(t *testing.T) {
	w := newWorld(t, wide)
	base := w.conf.PublicURL
	corpus := returnCorpus(corpusSize())
	for i, s := range corpus {
		w.byQuery(base, s)
		w.byLink(base, i, s)
		if i < len(nasty) && i%3 == 0 || proof() {
			w.byField(base, i, s)
		}
		w.clock.advance(time.Second)
	}
	if proof() && !t.Failed() {
		fmt.Printf("proof: open redirects 0 of %d entries by query, hidden field and stored link\n", len(corpus))
	}
}

// straight asks the handler without a network between.
func (w *world) straight(method, target string, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, w.front+target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "text/html")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	from := netip.AddrFrom4([4]byte(randomBytes(4))) // a network of its own: this is not about limits
	if err := w.h.ServeHTTP(rec, r, Front{IP: from}, func(rw http.ResponseWriter, r *http.Request) error {
		fmt.Fprint(rw, "portal")
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// newFlow is a flow as a page of ours would have begun it, and its cookie.
func (w *world) newFlow(f flow) (*flow, *http.Cookie) {
	f.id, f.Nonce, f.Made = randomID(), randomBytes(session.SecretSize), w.clock.now().Unix()
	f.Browser = randomID() + randomID()
	return &f, &http.Cookie{Name: "portalgate-main-flow-" + f.id, Value: sealJSON(w.rt.eng.Load().keys.flow, &f, f.id)}
}

func (w *world) fromFlow(f *flow, more ...string) url.Values {
	v := url.Values{"flow": {f.id}, "nonce": {w.rt.eng.Load().keys.formNonce(f)}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

// byQuery: what the pages make of ?return_to=.
func (w *world) byQuery(base *url.URL, s string) {
	t := w.t.(*testing.T)
	for _, at := range []string{"/sign-in", "/sign-in/magic-link"} {
		rec := w.straight("GET", at+"?return_to="+url.QueryEscape(s), nil)
		p := &page{status: rec.Code, body: rec.Body.String(), w: w}
		wantReturn(t, base, s, "query to hidden field", p.form("/sign-in/magic-link").values.Get("return_to"))
	}
}

// byField: what the queue keeps of the form's hidden field.
func (w *world) byField(base *url.URL, i int, s string) {
	t := w.t.(*testing.T)
	f, cookie := w.newFlow(flow{})
	to := fmt.Sprintf("p%d@example.com", i)
	rec := w.straight("POST", "/sign-in/magic-link", w.fromFlow(f, "email", to, "return_to", s), cookie)
	if len(s) > 0 && rec.Code != http.StatusSeeOther && rec.Code != http.StatusBadRequest {
		t.Fatalf("asking with return path %q: %d", s, rec.Code)
	}
	w.idle()
	if rec.Code != http.StatusSeeOther {
		return // bytes that are no text are no form
	}
	a, _ := address.Parse(to)
	r, err := w.rt.eng.Load().records.Get(t.Context(), w.rt.eng.Load().records.Scratch(a))
	if err != nil || len(r.Links) != 1 {
		t.Fatalf("nothing was kept of the ask: %v", err)
	}
	if back := r.Links[0].ReturnTo; back != "" {
		wantReturn(t, base, s, "hidden field to link", back)
	}
}

// byLink: where a redeemed link leads whose return path is a foul one, and where
// it leads when it is opened again by who is signed in.
func (w *world) byLink(base *url.URL, i int, s string) {
	t := w.t.(*testing.T)
	rs, now := w.rt.eng.Load().records, w.clock.now()
	to, _ := address.Parse("ada@example.com")
	secret, tag := randomBytes(session.SecretSize), rs.Tag("c-ada")
	err := rs.Update(t.Context(), tag, func(_ time.Time, r *access.Record) error {
		r.Bind(now, "c-ada", rs.Address(to))
		r.AddLink(now, access.Link{Hash: access.HashOf(secret), Made: now.Unix(), Expires: now.Unix() + 3600, ReturnTo: s})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	token := session.Token(tag, secret)
	f, cookie := w.newFlow(flow{Token: token})
	rec := w.straight("POST", "/sign-in/link", w.fromFlow(f, "email", "ada@example.com"), cookie)
	if rec.Code != http.StatusSeeOther {
		t.Fatalf("redeeming a link with return path %q: %d", s, rec.Code)
	}
	wantReturn(t, base, s, "link", rec.Header().Get("Location"))
	for _, c := range rec.Result().Cookies() {
		if c.Name == "portalgate-main" {
			rec = w.straight("GET", "/sign-in/link?t="+token, nil, c)
			wantReturn(t, base, s, "used link, signed in", rec.Header().Get("Location"))
			if i%20 == 0 { // the landing page offers to go on
				rec = w.straight("GET", "/sign-in?return_to="+url.QueryEscape(s), nil, c)
				if strings.Contains(rec.Body.String(), `href="//`) || strings.Contains(rec.Body.String(), `href="http`) || strings.Contains(rec.Body.String(), `href="java`) {
					t.Errorf("%q: the landing page leads elsewhere", s)
				}
			}
		}
	}
}

// TestW01_RawTargets: the same by what is asked for itself, the return path's
// own source, and by a Referer, which a page's script is told to come back to.
func TestW01_RawTargets(t *testing.T) {
	w := newWorld(t)
	base := w.conf.PublicURL
	for _, s := range returnCorpus(corpusSize()) {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || s == "" {
			continue // no request line
		}
		for _, host := range []string{base.Host, "other.example"} {
			raw := w.requestRaw("GET " + s + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
			head, _, _ := strings.Cut(raw, "\r\n\r\n")
			_, location, ok := strings.Cut(head, "\r\nLocation: ")
			if !ok {
				continue
			}
			location, _, _ = strings.Cut(location, "\r\n")
			if got := leadsTo(base, location); got != origin(base) {
				t.Errorf("GET %s with Host %s leads to %s by %q", s, host, got, location)
			}
			if u, err := url.Parse(location); err == nil && u.Query().Has("return_to") && strings.HasPrefix(location, "/sign-in?") {
				wantReturn(t, base, s, "request target", u.Query().Get("return_to"))
			}
		}
	}
	for _, s := range returnCorpus(corpusSize()) {
		r := httptest.NewRequest("POST", w.front+"/api", nil)
		r.Header.Set("Referer", origin(base)+s)
		rec := httptest.NewRecorder()
		if err := w.h.ServeHTTP(rec, r, Front{IP: netip.MustParseAddr("192.0.2.1")}, nil); err != nil || rec.Code != 401 {
			t.Fatalf("%d, %v", rec.Code, err)
		}
		for _, field := range strings.Split(rec.Body.String(), `"`) {
			if strings.HasPrefix(field, "http") && leadsTo(base, field) != origin(base) {
				t.Errorf("Referer %q: %s", s, field)
			}
		}
	}
}

// TestS01_ReturnPathTravels: the page first asked for is where the link leads,
// also on another device and after a typing error, a second ask and a wrong code.
func TestS01_ReturnPathTravels(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.get("/files/42?tab=a")
	p = b.send(p.form("/sign-in/magic-link"), "email", "no address").is(422)
	p = b.send(p.form("/sign-in/magic-link"), "email", "ada@example.com").is(200)
	p = b.send(p.form("/sign-in/code"), "code", "00000000").is(422)
	w.letters("ada@example.com", 1)
	w.clock.advance(time.Minute)
	p = b.send(p.form("/sign-in/magic-link")).is(200).says("sent.title")
	m := w.letters("ada@example.com", 2)[0]
	phone := w.browser()
	q := phone.get(link(m))
	if got := phone.send(q.form("/sign-in/link"), "email", "ada@example.com"); got.body != "portal /files/42?tab=a for c-ada" {
		t.Errorf("landed on %s: %s", got.url, got.text())
	}
}
