// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Loopback lets a request through only if it comes from this machine and asks
// for this machine by name. The second half is against DNS rebinding: a web
// site that points its own name at 127.0.0.1 makes the visitor's browser, a
// loopback peer, fetch the mailbox and hand it over; the Host header still
// carries the site's name. Where either cannot be told, it fails closed.
func Loopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackPeer(r.RemoteAddr) || !loopbackName(r.Host) || proxied(r.Header) {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "This mailbox can only be read on the machine it runs on. Open it there, as http://localhost and its port.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// proxied reports whether somebody on this machine passes on what came from
// elsewhere: a tunnel is a loopback peer too.
func proxied(h http.Header) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

func loopbackPeer(remote string) bool {
	a, err := netip.ParseAddrPort(remote)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// loopbackName reports whether host, a Host header, is "localhost", a name
// under it (RFC 6761: never anywhere else), or a loopback address.
func loopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if v6, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(v6, "]")
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
