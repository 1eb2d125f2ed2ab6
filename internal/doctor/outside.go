// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxSkew is how far two clocks may be apart unmentioned.
	maxSkew = 5 * time.Second
	// dateSkew is that for one that tells whole seconds, through a network.
	dateSkew = 30 * time.Second
	// patience is how long one answer is waited for.
	patience = 5 * time.Second
)

// get asks the gate as a browser would, and follows nothing.
func (e *exam) get(ctx context.Context, target string, header http.Header) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, nil, err
	}
	if header != nil {
		r.Header = header
	}
	res, err := e.HTTP.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res, body, err
}

// address looks at the gate from where its clients are.
func (e *exam) address(ctx context.Context) {
	host := e.url.Hostname()
	if loopback(e.url) {
		e.say(Wrong, "public_url", "%s is this machine alone, for trying things out; write the address that clients know: public_url https://portal.example.com", e.url)
	} else if net.ParseIP(host) == nil {
		if all, err := e.DNS.LookupHost(ctx, host); err != nil || len(all) == 0 {
			e.say(Wrong, "public_url", "%s has no address in DNS; publish an A or AAAA record for it that leads to this server", host)
			return
		}
	}
	res, body, err := e.get(ctx, e.url.String()+e.gate.Path+"/session", nil)
	if err != nil {
		e.unreached(err)
		return
	}
	var session struct {
		SignedIn *bool `json:"signed_in"`
	}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		e.say(Wrong, "public_url", "%s is sent on to %q; write as public_url the address at which the gate is, or have what is in front pass on the Host header and say X-Forwarded-Proto: https", e.url, res.Header.Get("Location"))
		return
	case json.Unmarshal(body, &session) != nil || session.SignedIn == nil:
		e.say(Wrong, "public_url", "something else than a gate answers at %s%s (status %d); put `portalgate` into the site of that name, without a path before it", e.url, e.gate.Path, res.StatusCode)
		return
	}
	e.say(OK, "public_url", "a gate answers at %s", e.url)
	e.clock(res)
	e.cookies(ctx)
	if e.url.Scheme == "https" && e.url.Port() == "" {
		e.plain(ctx)
	}
}

// unreached says why there was no answer.
func (e *exam) unreached(err error) {
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.say(Wrong, "tls", "browsers do not trust the certificate of %s (%v); let Caddy get one for that name, or renew the one that is in front", e.url.Host, bad.Err)
		return
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		e.say(Wrong, "tls", "%s does not speak TLS; serve the site as https", e.url.Host)
		return
	}
	e.say(Wrong, "public_url", "nothing answers at %s (%v); open the port in the firewall, and have the name lead to this server", e.url, short(err))
}

// short is an error without the request it is about.
func short(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// clock holds this machine's against that of whoever answered.
func (e *exam) clock(res *http.Response) {
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return
	}
	if apart := e.Now().Sub(date).Abs(); apart > dateSkew {
		e.say(Wrong, "clock", "this machine's is %s apart from that of what answers at %s; let both follow a time server", apart.Round(time.Second), e.url.Host)
		return
	}
	e.say(OK, "clock", "it is right, as far as can be seen")
}

// cookies looks at what the page to sign in sets. The front page is another, and
// sets none, where it asks new clients first.
func (e *exam) cookies(ctx context.Context) {
	res, _, err := e.get(ctx, e.url.String()+e.Begin, nil)
	if err != nil {
		e.unreached(err)
		return
	}
	want := "portalgate-" + e.name + "-"
	if e.url.Scheme == "https" {
		want = "__Host-" + want
	}
	for _, c := range res.Cookies() {
		if !strings.HasPrefix(c.Name, want) {
			continue
		}
		if c.Path != "/" || c.Domain != "" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || e.url.Scheme == "https" && !c.Secure {
			e.say(Wrong, "cookies", "something in front changes the gate's cookies on their way; have it leave Set-Cookie alone")
			return
		}
		e.say(OK, "cookies", "they are of this gate and bound to this host")
		return
	}
	e.say(Wrong, "cookies", "the page to sign in sets no cookie %s...; if another gate is at this address, give this one its own public_url, else have what is in front leave Set-Cookie alone", want)
}

// plain looks at the same name without TLS.
func (e *exam) plain(ctx context.Context) {
	res, _, err := e.get(ctx, "http://"+e.url.Host+"/", nil)
	switch {
	case err != nil:
		e.say(OK, "redirect", "nothing answers without TLS")
	case res.StatusCode < 300 || res.StatusCode > 399 || !strings.HasPrefix(res.Header.Get("Location"), e.url.String()):
		e.say(Wrong, "redirect", "http://%s answers without TLS (status %d); have it redirect to %s", e.url.Host, res.StatusCode, e.url)
	default:
		e.say(OK, "redirect", "http://%s leads to %s", e.url.Host, e.url)
	}
}

func (e *exam) proxies() {
	good := !e.Forwarded
	if e.Forwarded {
		e.say(Wrong, "proxies", "a peer that is not trusted sends X-Forwarded-For; if it is your own proxy, all who come through it count as one visitor until the global options have, in a block of servers: trusted_proxies static <its address>; the log names it")
	}
	for _, s := range e.seen.servers {
		if s.TrustedProxies == nil {
			continue
		}
		for _, r := range s.TrustedProxies.Ranges {
			if wide(r) {
				good = false
				e.say(Wrong, "proxies", "server %s trusts %s, so that anybody can say where they come from and escape the limits; write the addresses of your own proxies only", s.name, r)
			}
		}
		if s.Strict == 0 {
			good = false
			e.say(Look, "proxies", "server %s reads X-Forwarded-For from the left, where visitors write; add trusted_proxies_strict unless your proxy drops what comes in", s.name)
		}
	}
	if good {
		e.say(OK, "proxies", "nobody can say to come from elsewhere")
	}
}
