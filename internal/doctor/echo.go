// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/rand"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/assertion"
)

// headers looks for ways by which a visitor's own identity headers get to the
// application: past the gate, in the configuration; and through it, where the
// doctor stands in the application's place.
func (e *exam) headers(ctx context.Context) {
	good := true
	for _, dial := range slices.Sorted(maps.Keys(e.seen.proxies)) {
		guarded, open := false, ""
		for _, v := range e.seen.proxies[dial] {
			if v.gates[e.name] {
				guarded = true
			} else if len(v.gates) == 0 {
				open = v.at
			}
		}
		if guarded && open != "" {
			good = false
			e.say(Wrong, "headers", "%s is behind the gate, and reached without it on %s, where a visitor's own Remote-User arrives; put `portalgate` before that reverse_proxy, or take it away", dial, open)
		}
	}
	if e.Echo != nil {
		good = e.echo(ctx) && good
	}
	switch {
	case good && e.Echo != nil:
		e.say(OK, "headers", "no identity header of a visitor's own making arrives")
	case good:
		e.say(OK, "headers", "no way around the gate is in the configuration; with --echo <the application's address> the doctor stands in its place and looks at what arrives")
	}
}

// echo sends forged identity headers to a page that needs no sign-in, and looks
// at what comes out behind the gate. The application has to be stopped for it.
func (e *exam) echo(ctx context.Context) bool {
	if len(e.seen.public) == 0 {
		e.Echo.Close()
		e.say(Look, "headers", "no page is public, so that nothing can be sent through the gate without a client; for this look, add a line to it: public /portalgate-doctor")
		return false
	}
	forged, mark := rand.Text(), "/"+rand.Text()
	var mu sync.Mutex
	var arrived http.Header
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Doctor") != mark {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		arrived = r.Header.Clone()
	})}
	go func() { _ = server.Serve(e.Echo) }()
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(stop)
	}()

	header := assertion.Forged(forged)
	header.Set("X-Doctor", mark)
	path := strings.TrimSuffix(e.seen.public[0], "/*")
	if path != e.seen.public[0] {
		path += mark
	}
	if _, _, err := e.get(ctx, e.url.String()+path, header); err != nil {
		e.unreached(err)
		return false
	}
	mu.Lock()
	defer mu.Unlock()
	if arrived == nil {
		e.say(Wrong, "headers", "what is asked for at %s%s did not arrive at %s; name the address that reverse_proxy has", e.url, path, e.Echo.Addr().(*net.TCPAddr))
		return false
	}
	var through []string
	for name, values := range arrived {
		if slices.Contains(values, forged) {
			through = append(through, name)
		}
	}
	if len(through) > 0 {
		slices.Sort(through)
		e.say(Wrong, "headers", "a visitor's own %s arrives at the application; have every request go through `portalgate`, and nothing after it set these", strings.Join(through, ", "))
		return false
	}
	return true
}
