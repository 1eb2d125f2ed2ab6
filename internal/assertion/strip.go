// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package assertion is what the gate tells an upstream about who is asking,
// and the only code that touches the headers it says it with. [Strip] takes
// out of a request whatever a visitor could have put there to be somebody
// else, and the gate's own cookies; a [Ring] signs the assertion with keys
// that all gates on one store share; [Attach] puts it in.
//
// It does not decide who is asking, and it never leaves out the assertion: if
// there is nothing to sign with, the caller gets an error and forwards nothing.
package assertion

import (
	"net/http"
	"strings"

	"github.com/portalgate/portalgate/identity"
)

// The names of the gate's cookies begin with one of these, whatever the gate
// is called.
var cookiePrefixes = [...]string{"portalgate", "__host-portalgate"}

// identityNames are the headers that say who is asking.
var identityNames = [...]string{
	identity.HeaderAssertion, identity.HeaderUser, identity.HeaderEmail, identity.HeaderName,
}

// Strip takes from a request everything that is ours to say:
//
//   - headers an upstream could take for one of the identity headers: names
//     that differ from one only by case and by characters that are no letter
//     or digit (CGI, WSGI and PHP fold "-", "_", "." and more into one)
//   - every token of Connection except close, keep-alive and upgrade: a proxy
//     drops what Connection names, so "Connection: Portalgate-Assertion" would
//     take away what we put there, and naming Cookie, Authorization or
//     X-Forwarded-For what others put there
//   - Upgrade to anything but a WebSocket: an upstream that takes "h2c" would
//     get requests on that connection that no gate has seen
//   - trailers, whole: net/http adds the ones that arrive with the body to the
//     request it made, by whatever name, after we have looked
//   - the gate's cookies, in any spelling that a cookie parser might trim to
//     one; the others stay byte for byte
//
// r must be a copy of the request that net/http made, with a Header of its own
// (its value slices may be shared; they are not written to): the trailers of
// the original cannot be got rid of. With nothing to take away, Strip does not
// allocate.
func Strip(r *http.Request) {
	r.Trailer = nil
	for name := range r.Header {
		if isIdentity(name) {
			delete(r.Header, name)
		}
	}
	delete(r.Header, "Trailer")
	stripConnection(r.Header)
	stripCookies(r.Header)
}

// CleanResponse takes from an upstream's response what only the gate may say
// to a browser: cookies under the gate's names, and identity headers. It is
// for every response that goes out, informational ones included.
func CleanResponse(h http.Header) {
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
	lines := h["Set-Cookie"]
	for _, line := range lines {
		if !isOurCookie(line) {
			continue
		}
		kept := make([]string, 0, len(lines))
		for _, line := range lines {
			if !isOurCookie(line) {
				kept = append(kept, line)
			}
		}
		set(h, "Set-Cookie", kept)
		return
	}
}

// isIdentity reports whether an upstream could take name for one of ours.
func isIdentity(name string) bool {
	if len(name) < len("RemoteUser") {
		return false // none of ours is shorter, and most names are
	}
	for _, ours := range identityNames {
		if foldsOnto(name, ours) {
			return true
		}
	}
	return false
}

// foldsOnto reports whether name and ours have the same letters and digits,
// ASCII case aside. That is more than any upstream folds ("RemoteUser" counts
// as well), and simpler than what each of them does.
func foldsOnto(name, ours string) bool {
	j := 0
	for i := range len(name) {
		if !isAlnum(name[i]) {
			continue
		}
		for j < len(ours) && !isAlnum(ours[j]) {
			j++
		}
		if j == len(ours) || lower(name[i]) != lower(ours[j]) {
			return false
		}
		j++
	}
	return j == len(ours)
}

func stripConnection(h http.Header) {
	delete(h, "Http2-Settings") // goes with "Upgrade: h2c"
	if up := h["Upgrade"]; up != nil && (len(up) != 1 || !equalFold(up[0], "websocket")) {
		delete(h, "Upgrade")
	}
	values := h["Connection"]
	harmless := true
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			harmless = harmless && keepsConnection(token)
		}
	}
	if harmless {
		return
	}
	var kept []string
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			if keepsConnection(token) {
				kept = append(kept, trimBlank(token))
			}
		}
	}
	if len(kept) > 0 {
		kept = []string{strings.Join(kept, ", ")}
	}
	set(h, "Connection", kept)
}

// keepsConnection reports whether a token of Connection is about the
// connection, not the name of a header to drop.
func keepsConnection(token string) bool {
	token = trimBlank(token)
	return equalFold(token, "close") || equalFold(token, "keep-alive") || equalFold(token, "upgrade")
}

func stripCookies(h http.Header) {
	values := h["Cookie"]
	for i, v := range values {
		if !hasOurCookie(v) {
			continue
		}
		kept := values[:i:i] // a copy as soon as something is added
		for _, v := range values[i:] {
			if hasOurCookie(v) {
				v = withoutOurCookies(v)
			}
			if v != "" {
				kept = append(kept, v)
			}
		}
		set(h, "Cookie", kept)
		return
	}
}

func hasOurCookie(v string) bool {
	for piece := range strings.SplitSeq(v, ";") {
		if isOurCookie(piece) {
			return true
		}
	}
	return false
}

func withoutOurCookies(v string) string {
	var b strings.Builder
	for piece := range strings.SplitSeq(v, ";") {
		switch {
		case isOurCookie(piece):
			continue
		case b.Len() == 0:
			b.Grow(len(v))
			piece = strings.TrimLeft(piece, " \t") // the blank after a ";" that is gone
		default:
			b.WriteByte(';')
		}
		b.WriteString(piece)
	}
	return b.String()
}

// isOurCookie reports whether a cookie ("name=value" and, in Set-Cookie, what
// follows) is the gate's, or could be taken for it: parsers differ in case and
// in what they trim before a name (blanks, quotes, Unicode spaces, and "=",
// with which a browser would send back "=portalgate=x" as "portalgate=x").
func isOurCookie(cookie string) bool {
	i := 0
	for i < len(cookie) && cookie[i] != '_' && !isAlnum(cookie[i]) {
		i++
	}
	name := cookie[i:]
	for _, prefix := range cookiePrefixes {
		if len(name) >= len(prefix) && equalFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// set puts values under a canonical name, or removes the name if there are none.
func set(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
		return
	}
	h[name] = values
}

func trimBlank(s string) string { return strings.Trim(s, " \t") }

// equalFold is strings.EqualFold for ASCII: that one takes the Kelvin sign for
// a k. b is lower case.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != b[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= lower(c) && lower(c) <= 'z'
}
