// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func request(h http.Header) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = h
	return r
}

// A visitor who says to be somebody else, in every spelling that can arrive:
// as it is, in other case, more than once, empty, long, as a list.
func TestH01_SpoofedIdentityHeaders(t *testing.T) {
	for _, name := range identityNames {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), swapCase(name)} {
			for _, values := range [][]string{{"eve"}, {"eve", "eve", "eve"}, {""}, {strings.Repeat("e", 8<<10)}, {"ada, eve"}, nil} {
				r := request(http.Header{spelling: values, "Accept": {"*/*"}})
				Strip(r)
				if want := (http.Header{"Accept": {"*/*"}}); !reflect.DeepEqual(r.Header, want) {
					t.Errorf("%s with %d values: left %v", spelling, len(values), slices.Collect(maps.Keys(r.Header)))
				}
			}
		}
	}
}

// CGI, WSGI and PHP make one variable of Remote-User, Remote_User and
// Remote.User. Every character that may stand in a header's name is tried, and
// some that may not.
func TestH02_SeparatorAliases(t *testing.T) {
	for _, name := range identityNames {
		for _, sep := range strings.Split("! # $ % & ' * + - . ^ _ ` | ~ : / ( ) -- __ -_ \u2010 \u00a0", " ") {
			for _, alias := range []string{strings.ReplaceAll(name, "-", sep), " " + strings.ReplaceAll(name, "-", sep), sep + name, name + sep} {
				r := request(http.Header{alias: {"eve"}})
				Strip(r)
				if len(r.Header) != 0 {
					t.Errorf("%q stayed", alias)
				}
			}
		}
	}
	for _, other := range []string{"Remote-Users", "X-Remote-User", "Remote-Addr", "Remote", "User", "Portalgate", "Remote-Use", "Accept", "-", ""} {
		r := request(http.Header{other: {"x"}})
		Strip(r)
		if len(r.Header) != 1 {
			t.Errorf("%q was taken away", other)
		}
	}
}

// Trap 9: "Connection: close, Portalgate-Assertion" made the proxy behind us
// drop the header we had just put in. Other people's headers are not the
// visitor's to drop either.
func TestH03_HopByHop(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, nil},
		{"harmless", []string{"keep-alive, Upgrade"}, []string{"keep-alive, Upgrade"}},
		{"ours", []string{"close, Portalgate-Assertion"}, []string{"close"}},
		{"ours alone", []string{"Portalgate-Assertion"}, nil},
		{"other case", []string{"pORTALGATE-aSSERTION, cLOSE"}, []string{"cLOSE"}},
		{"tabs", []string{"\tRemote-User\t,\tkeep-alive\t"}, []string{"keep-alive"}},
		{"twice", []string{"keep-alive", "Remote-User", "upgrade, Remote-Email"}, []string{"keep-alive, upgrade"}},
		{"underscores", []string{"Remote_User, close"}, []string{"close"}},
		{"Cookie and others", []string{"Cookie, Authorization, X-Forwarded-For, X-Forwarded-Proto, close"}, []string{"close"}},
		{"empty tokens", []string{",, close,"}, []string{"close"}},
		{"empty", []string{""}, nil},
		{"Kelvin sign", []string{"\u212aeep-alive"}, nil},
	} {
		h := http.Header{"Accept": {"*/*"}}
		if tc.in != nil {
			h["Connection"] = tc.in
		}
		r := request(h)
		Strip(r)
		if got := r.Header["Connection"]; !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// An upstream that speaks HTTP/2 in the clear takes "Upgrade: h2c" for the
// start of a connection of its own with the visitor: the proxy then copies
// bytes, and every request on it carries what headers the visitor likes.
func TestUpgradeOnlyToWebSocket(t *testing.T) {
	for _, tc := range []struct {
		in   []string
		kept bool
	}{
		{[]string{"websocket"}, true},
		{[]string{"WebSocket"}, true},
		{[]string{"h2c"}, false},
		{[]string{"websocket, h2c"}, false},
		{[]string{"websocket", "h2c"}, false},
		{[]string{"web\u017focket"}, false},
		{[]string{""}, false},
	} {
		r := request(http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": tc.in, "Http2-Settings": {"AAMAAABk"}})
		Strip(r)
		if _, kept := r.Header["Upgrade"]; kept != tc.kept {
			t.Errorf("Upgrade %q: kept %v", tc.in, kept)
		}
		if _, kept := r.Header["Http2-Settings"]; kept || r.Header.Get("Connection") != "Upgrade" {
			t.Errorf("Upgrade %q: left %v", tc.in, r.Header)
		}
	}
}

// Trailers arrive after the headers were looked at, and net/http adds them to
// the request it made whether they were announced or not (trap). The upstream
// here is what a handler behind the gate would see at the end of the body.
func TestH04_Trailers(t *testing.T) {
	type seen struct{ before, after http.Header }
	got := make(chan seen, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, original *http.Request) {
		r := original.Clone(original.Context())
		Strip(r)
		before := r.Trailer
		io.Copy(io.Discard, r.Body)
		if _, there := r.Header["Trailer"]; there {
			t.Error("Trailer header stayed")
		}
		got <- seen{before, r.Trailer}
	}))
	defer s.Close()
	for _, announced := range []string{"", "Trailer: Remote-User\r\n", "Trailer: Remote-User, Portalgate-Assertion\r\n"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+announced+
			"\r\n1\r\na\r\n0\r\nRemote-User: eve\r\nPortalgate-Assertion: e\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if g := <-got; g.before != nil || g.after != nil {
			t.Errorf("%q: trailers %v, at the end %v", announced, g.before, g.after)
		}
	}
}

// An upstream (or whoever may write a response there) sets the gate's cookies
// in the client's browser, or names somebody in a header that the next proxy
// outwards believes.
func TestH05_UpstreamResponse(t *testing.T) {
	h := http.Header{
		"Set-Cookie": {
			"sid=1; Path=/; HttpOnly",
			"__Host-portalgate-main=evil; Secure; Path=/",
			"__HOST-PORTALGATE-main-known=evil",
			" portalgate-main=evil",
			"=portalgate-main=evil", // a nameless cookie comes back as portalgate-main
			"\u2000__Host-portalgate-main=evil",
			"lang=de",
		},
		"Remote-User":          {"eve"},
		"portalgate_assertion": {"e"},
		"Content-Type":         {"text/html"},
	}
	CleanResponse(h)
	want := http.Header{"Set-Cookie": {"sid=1; Path=/; HttpOnly", "lang=de"}, "Content-Type": {"text/html"}}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("left %v", h)
	}
	h = http.Header{"Set-Cookie": {"portalgate=x"}}
	CleanResponse(h)
	if len(h) != 0 {
		t.Errorf("left %v", h)
	}
}

// The gate's cookies open a session; the upstream has no use for them and its
// logs should not hold them. What it set itself it gets back byte for byte.
func TestStripCookies(t *testing.T) {
	const ours = "__Host-portalgate-main=tag.secret"
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"ours alone", []string{ours}, nil},
		{"ours first", []string{ours + "; a=1; b=2"}, []string{"a=1; b=2"}},
		{"ours between", []string{"a=1; " + ours + "; b=2"}, []string{"a=1; b=2"}},
		{"ours last", []string{"a=1; b=2; " + ours}, []string{"a=1; b=2"}},
		{"all kinds", []string{ours + "; __Host-portalgate-main-flow-x=1; a=1; portalgate-main-known=2; __Host-portalgate-other=3"}, []string{"a=1"}},
		{"no blanks", []string{"a=1;" + ours + ";b=2"}, []string{"a=1;b=2"}},
		{"many headers", []string{"a=1", ours, "b=2; " + ours}, []string{"a=1", "b=2"}},
		{"other case", []string{"__HOST-Portalgate-main=1; PORTALGATE=1; a=1"}, []string{"a=1"}},
		{"tab", []string{"\t" + ours + ";\t" + ours}, nil},
		{"$Version", []string{"$Version=1; " + ours + "; $Path=/"}, []string{"$Version=1; $Path=/"}},
		{"dollar", []string{"$" + ours}, nil},
		{"Unicode blank", []string{"\u2000" + ours + "; a=1"}, []string{"a=1"}},
		{"quote", []string{`"` + ours + `"`}, nil},
		{"nameless", []string{"=" + ours}, nil},
		{"without a value", []string{"portalgate; a=1"}, []string{"a=1"}},
		{"others untouched", []string{`a="x y";  b=\x; c; =d;; e=portalgate; my-portalgate=1; __Host-other=1 `}, []string{`a="x y";  b=\x; c; =d;; e=portalgate; my-portalgate=1; __Host-other=1 `}},
		{"oddities around ours", []string{`a="x y";  b=\x;; ` + ours + `; e=é `}, []string{`a="x y";  b=\x;; e=é `}},
	} {
		shared := slices.Clone(tc.in)
		r := request(http.Header{"Cookie": tc.in})
		Strip(r)
		if got := r.Header["Cookie"]; !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if !slices.Equal(tc.in, shared) {
			t.Errorf("%s: wrote to a slice the log may share", tc.name)
		}
	}
}

// ordinary is what a browser sends, without a cookie of ours.
func ordinary() http.Header {
	return http.Header{
		"Accept": {"text/html"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"de"}, "User-Agent": {"Mozilla/5.0"},
		"Cookie": {"a=1; b=2"}, "Connection": {"keep-alive"}, "Referer": {"https://portal.example.com/"},
		"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"portal.example.com"},
	}
}

func TestStripNothingCostsNothing(t *testing.T) {
	r := request(ordinary())
	if n := testing.AllocsPerRun(100, func() { Strip(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !reflect.DeepEqual(r.Header, ordinary()) {
		t.Errorf("left %v", r.Header)
	}
}

func BenchmarkStrip(b *testing.B) {
	b.Run("nothing", func(b *testing.B) {
		r := request(ordinary())
		b.ReportAllocs()
		for b.Loop() {
			Strip(r)
		}
	})
	b.Run("our cookie", func(b *testing.B) {
		h := ordinary()
		r := request(h)
		cookies := []string{"a=1; __Host-portalgate-main=abcdefghijklmnop.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq; b=2"}
		b.ReportAllocs()
		for b.Loop() {
			h["Cookie"] = cookies
			Strip(r)
		}
	})
}

// The fuzzer writes a request as it could stand on the wire.
func FuzzStrip(f *testing.F) {
	f.Add("Remote-User: eve\r\nCookie: a=1; portalgate=x\r\nConnection: close, Remote-User")
	f.Add("PORTALGATE_ASSERTION: e\r\nRemote.Name: e\r\ncookie: \u2000__Host-portalgate-main=1;;=portalgate=2")
	f.Add("Trailer: Remote-User\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: Upgrade,\tHTTP2-Settings")
	f.Add("Cookie: $Version=1; PortalGate; a=\"; portalgate=1\"")
	f.Fuzz(func(t *testing.T, text string) {
		r := request(http.Header{})
		for line := range strings.SplitSeq(text, "\r\n") {
			name, value, _ := strings.Cut(line, ":")
			r.Header.Add(name, strings.Trim(value, " \t"))
		}
		Strip(r)
		if wrong := leftovers(r); wrong != "" {
			t.Error(wrong)
		}
		again := r.Header.Clone()
		Strip(r)
		if !reflect.DeepEqual(again, r.Header) {
			t.Errorf("a second Strip made %v of %v", r.Header, again)
		}
	})
}

// leftovers says what a stripped request still holds that it must not. It is
// written from the rules, not from Strip.
func leftovers(r *http.Request) string {
	for name := range r.Header {
		folded := strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '-'
		}, strings.ToLower(name))
		switch strings.Trim(folded, "-") {
		case "portalgate-assertion", "remote-user", "remote-email", "remote-name":
			return "header " + name
		}
	}
	for _, v := range r.Header["Connection"] {
		for _, token := range strings.Split(v, ",") {
			switch strings.ToLower(strings.Trim(token, " \t")) {
			case "close", "keep-alive", "upgrade":
			default:
				return "Connection: " + token
			}
		}
	}
	for _, v := range r.Header["Cookie"] {
		for _, piece := range strings.Split(v, ";") {
			piece = strings.ToLower(strings.TrimSpace(piece))
			if strings.HasPrefix(piece, "portalgate") || strings.HasPrefix(piece, "__host-portalgate") {
				return "cookie " + piece
			}
		}
	}
	for _, c := range r.Cookies() {
		if n := strings.ToLower(c.Name); strings.HasPrefix(n, "portalgate") || strings.HasPrefix(n, "__host-portalgate") {
			return "cookie " + c.Name
		}
	}
	if u := r.Header["Upgrade"]; u != nil && (len(u) != 1 || !strings.EqualFold(u[0], "websocket")) {
		return "Upgrade"
	}
	if r.Trailer != nil || r.Header["Trailer"] != nil {
		return "trailers"
	}
	return ""
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if isAlnum(c) && c >= 'A' {
			b[i] = c ^ ' '
		}
	}
	return string(b)
}

// TestForgedIsStripped: what is sent to see whether it comes through is what is
// taken out.
func TestForgedIsStripped(t *testing.T) {
	r := &http.Request{Header: Forged("x")}
	if n := len(r.Header); n < 16 {
		t.Errorf("%d spellings", n)
	}
	if Strip(r); len(r.Header) > 0 {
		t.Errorf("left: %v", r.Header)
	}
}
