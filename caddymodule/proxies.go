// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// A proxy in front that Caddy was not told to trust makes every visitor one,
// for the limits, or sends them in a circle. The one who can mend it reads the
// log, so that is where it is said, with what to write. Strangers can send the
// same headers: hence at most once an hour, and never the header's value.

// reportForwarded reports a peer that says for whom it asks and is not trusted.
func (g *liveGate) reportForwarded(r *http.Request) {
	if trusted(r) || !g.runtime.forwarded.Due(time.Now()) {
		return
	}
	peer, write := trustIn(r)
	g.config.Log.Warn("a peer that is not trusted sends X-Forwarded-For, which is ignored: "+
		"if this is your own proxy, all who come through it count as one visitor until the global options have the lines that follow; "+
		"if you do not know it, do not trust it, for anybody can send that header",
		zap.String("gate", g.config.Name), zap.String("peer", peer), zap.String("write", write))
}

// reportCircle says why a visit went round in a circle.
func (g *liveGate) reportCircle(r *http.Request) {
	peer, write := trustIn(r)
	because := "it came over plain http, and the peer is not trusted to say otherwise: " +
		"if it is your own proxy and ends TLS, write the lines that follow into the global options and have it send X-Forwarded-Proto: https; " +
		"if you do not know it, do not trust it, for anybody can make a visit look so"
	switch {
	case r.TLS != nil || forwardedHTTPS(r):
		because = "it came to a host that is not that of public_url: if the peer is your own proxy, have it pass on the Host header that it gets"
		write = ""
	case trusted(r):
		because = "it came over plain http, and the proxy does not say otherwise: have it send X-Forwarded-Proto: https"
		write = ""
	}
	g.config.Log.Warn("a visit was sent to public_url and came back as it was",
		zap.String("gate", g.config.Name), zap.String("peer", peer), zap.String("because", because), zap.String("write", write))
}

// trustIn returns the peer of a request, and what an operator writes who
// trusts it.
func trustIn(r *http.Request) (peer, write string) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "a unix socket", "servers {\n\ttrusted_proxies_unix\n\ttrusted_proxies_strict\n}"
	}
	ip = ip.Unmap().WithZone("")
	return ip.String(), fmt.Sprintf("servers {\n\ttrusted_proxies static %s/%d\n\ttrusted_proxies_strict\n}", ip, ip.BitLen())
}

// trusted reports whether the operator trusts the peer of a request.
func trusted(r *http.Request) bool {
	t, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return t
}
