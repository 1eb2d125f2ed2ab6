// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/portalgate/portalgate/identity"
)

// TestStripMutations is one of the published figures: identity forged or
// stripped in none of 1 000 000 mutated requests (PORTALGATE_PROOF=1; 2 000
// otherwise). Each goes through Strip and Attach, then through what a reverse
// proxy does with hop-by-hop headers; what arrives must name the client and
// nobody else, hold no cookie of ours and every cookie of others.
func TestStripMutations(t *testing.T) {
	n := 2_000
	if os.Getenv("PORTALGATE_PROOF") == "1" {
		n = 1_000_000
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	who := identity.Claims{Subject: "ada", Email: "ada@example.com", Name: "Ada"}
	for i := range n {
		anonymous := i%4 == 0
		r, cookies := mutatedRequest(rng)
		sent := fmt.Sprint(r.Header)
		Strip(r)
		if wrong := leftovers(r); wrong != "" {
			t.Fatalf("seed %d, request %d: %s left of %s", seed, i, wrong, sent)
		}
		if got := cookiePieces(r.Header["Cookie"]); !slices.Equal(got, cookies) {
			t.Fatalf("seed %d, request %d: cookies %q, want %q, of %s", seed, i, got, cookies, sent)
		}
		Attach(r.Header, "token", identity.Claims{Subject: who.Subject, Email: who.Email, Name: who.Name, Anonymous: anonymous}, true)
		dropHopByHop(r.Header)
		if got, want := arrived(r.Header), wantArrived(anonymous); got != want {
			t.Fatalf("seed %d, request %d: arrived %s, want %s, of %s", seed, i, got, want, sent)
		}
	}
	t.Logf("proof: identity forged or stripped: 0 of %d mutated requests (seed %d)", n, seed)
}

func wantArrived(anonymous bool) string {
	if anonymous {
		return "[portalgate-assertion=token]"
	}
	return "[portalgate-assertion=token remote-email=ada@example.com remote-name=Ada remote-user=ada]"
}

// arrived lists the identity headers as an upstream that folds would see them.
func arrived(h http.Header) string {
	var got []string
	for name, values := range h {
		folded := strings.Trim(strings.Map(func(c rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", c) {
				return c
			}
			return '-'
		}, strings.ToLower(name)), "-")
		if strings.HasPrefix(folded, "portalgate") || strings.HasPrefix(folded, "remote") && folded != "remote-addr" {
			got = append(got, folded+"="+strings.Join(values, ","))
		}
	}
	slices.Sort(got)
	return fmt.Sprint(got)
}

// dropHopByHop is what net/http/httputil and Caddy's reverse_proxy do.
func dropHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for _, name := range strings.Split(v, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
}

func cookiePieces(values []string) (pieces []string) {
	for _, v := range values {
		for piece := range strings.SplitSeq(v, ";") {
			if piece = strings.Trim(piece, " \t"); piece != "" {
				pieces = append(pieces, piece)
			}
		}
	}
	return pieces
}

// mutatedRequest makes a hostile request and says which of its cookies are
// not ours and have to arrive.
func mutatedRequest(rng *rand.Rand) (r *http.Request, cookies []string) {
	r = request(http.Header{})
	for range rng.IntN(6) { // identity headers, misspelt
		name := misspelt(rng, pick(rng, identityNames[:]...))
		if rng.IntN(2) == 0 {
			name = textproto.CanonicalMIMEHeaderKey(name)
		}
		for range 1 + rng.IntN(3) {
			r.Header[name] = append(r.Header[name], pick(rng, "eve", "", "ada, eve", "=?utf-8?q?eve?=", strings.Repeat("e", 300)))
		}
	}
	for range rng.IntN(4) { // hop-by-hop tricks
		var tokens []string
		for range rng.IntN(5) {
			token := pick(rng, append(identityNames[:], "close", "keep-alive", "Upgrade", "Cookie", "Authorization",
				"X-Forwarded-For", "HTTP2-Settings", "TE", "", "\u212aeep-alive")...)
			if rng.IntN(3) == 0 {
				token = misspelt(rng, token)
			}
			tokens = append(tokens, pick(rng, "", " ", "\t", " \t")+token+pick(rng, "", " ", "\t"))
		}
		r.Header["Connection"] = append(r.Header["Connection"], strings.Join(tokens, ","))
	}
	for range rng.IntN(3) { // cookies, ours among them
		var line strings.Builder
		for i := range rng.IntN(6) {
			if i > 0 {
				line.WriteString(pick(rng, "; ", ";", ";;", " ; ", ";\t"))
			}
			if rng.IntN(2) == 0 {
				ours := pick(rng, "portalgate", "__Host-portalgate", "__Host-portalgate-main", "portalgate-main-flow-x", "__Host-portalgate-main-known")
				line.WriteString(pick(rng, "", "", "\u2000", `"`, "$", "=", "\x01") + anyCase(rng, ours) + pick(rng, "", "=", "=tag.secret", `="x"`))
				continue
			}
			other := pick(rng, "a=1", "sid=portalgate", "my-portalgate=1", `q="x y"`, "__Host-app=1", "__Secure-portalgate=1", "$Version=1", "é=ü", "b", "=c")
			cookies = append(cookies, other)
			line.WriteString(other)
		}
		r.Header["Cookie"] = append(r.Header["Cookie"], line.String())
	}
	if rng.IntN(4) == 0 {
		r.Trailer = http.Header{misspelt(rng, "Remote-User"): {"eve"}}
		r.Header["Trailer"] = []string{"Remote-User"}
	}
	if rng.IntN(4) == 0 {
		r.Header["Upgrade"] = []string{pick(rng, "websocket", "h2c", "websocket, h2c", "TLS/1.0")}
	}
	r.Header[pick(rng, "Accept", "X-Forwarded-For", "Remote-Addr", "Te")] = []string{"x"}
	return r, cookies
}

// misspelt changes case and separators, and puts separators at the ends.
func misspelt(rng *rand.Rand, name string) string {
	const separators = "!#$%&'*+-.^_`|~"
	var b strings.Builder
	if rng.IntN(6) == 0 {
		b.WriteByte(separators[rng.IntN(len(separators))])
	}
	same := separators[rng.IntN(len(separators))]
	for i := range len(name) {
		switch {
		case name[i] != '-':
			b.WriteByte(name[i])
		case rng.IntN(2) == 0:
			b.WriteByte(same)
		default:
			b.WriteByte(separators[rng.IntN(len(separators))])
		}
	}
	if rng.IntN(6) == 0 {
		b.WriteByte(separators[rng.IntN(len(separators))])
	}
	return anyCase(rng, b.String())
}

func anyCase(rng *rand.Rand, s string) string {
	switch rng.IntN(4) {
	case 0:
		return s
	case 1:
		return strings.ToLower(s)
	case 2:
		return strings.ToUpper(s)
	}
	b := []byte(s)
	for i, c := range b {
		if c|' ' >= 'a' && c|' ' <= 'z' && rng.IntN(2) == 0 {
			b[i] = c ^ ' '
		}
	}
	return string(b)
}

func pick(rng *rand.Rand, from ...string) string { return from[rng.IntN(len(from))] }
