// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/ui"
)

// A visit that comes to another address than the public URL is sent there, and
// for ever if a proxy in front makes the right one look wrong: it ends TLS and
// the server does not believe it, or it passes on a Host of its own. The person
// would see no more than that their browser gives up.
//
// So that answer leaves a cookie that counts how often an address was sent on
// within a few seconds. A browser that really is on plain http neither keeps
// it nor sends it, so the usual visit to http is never taken for a circle; a
// gate whose public URL is http has no use for it.
const (
	circleName = "-hop"
	circleLife = 10 * time.Second
	circleMost = 2 // how often one address is sent on in that time
)

// elsewhere answers what came to another host or without TLS: a visit is sent
// to the gate's one origin, anything else is not for this server.
func (v *visit) elsewhere() {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		v.show(ui.Page{
			Status: http.StatusMisdirectedRequest, Title: "plain.title", Body: []ui.Block{ui.Lead("plain.lead")},
		})
		return
	}
	if v.circling() {
		v.endCircle()
		return
	}
	to := v.original.RequestURI()
	if !strings.HasPrefix(to, "/") {
		to = "/" // "GET http:.evil.example" would go on with the name of our host
	}
	v.w.Header().Set("Location", v.issuer+to)
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.w.Header().Set("Cache-Control", "no-store") // or a browser goes in a circle by itself, mended or not
	v.w.WriteHeader(http.StatusPermanentRedirect)
}

// circling reports whether the visit goes round in a circle, and counts that
// it is sent on if it does not.
func (v *visit) circling() bool {
	if !v.secure() {
		return false
	}
	if !v.front.HTTPS && hostOf(v.r.Host, "https") == v.host && v.r.Header.Get("X-Forwarded-Proto") == "https" {
		return true // a proxy says where the visitor is, and is not believed
	}
	j := jar{base: cookieBase(v.Name, true), secure: true}
	sum := sha256.Sum256([]byte(v.r.Host + v.original.RequestURI()))
	here := "." + base64.RawURLEncoding.EncodeToString(sum[:9])
	value, _ := oneCookie(v.r.Header["Cookie"], j.base+circleName)
	count, same := strings.CutSuffix(value, here)
	n, err := strconv.Atoi(count)
	switch {
	case !same || err != nil:
		n = 0
	case n >= circleMost:
		j.clear(v.w, circleName)
		return true
	}
	j.set(v.w, circleName, strconv.Itoa(n+1)+here, circleLife)
	return false
}

// endCircle answers a visit that goes round in a circle.
func (v *visit) endCircle() {
	if v.Circling != nil && v.rt.circled.Due(v.now) {
		v.Circling(v.r)
	}
	v.w.Header().Set("Retry-After", strconv.Itoa(int(circleLife/time.Second)))
	if !forPerson(v.r) {
		v.problem(http.StatusServiceUnavailable, "unavailable", "This address leads back to itself. Try again.")
		return
	}
	v.show(v.downPage())
}

// downPage says that something of ours has stopped.
func (v *visit) downPage() ui.Page {
	return ui.Page{Status: http.StatusServiceUnavailable, Title: "down.title", Body: []ui.Block{
		ui.Lead("down.lead"), ui.Text("down.next"), ui.Link{Key: "down.button", Href: v.Path, Weight: ui.Main},
	}}
}
