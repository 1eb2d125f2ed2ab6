// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/ui"
)

// The limits that an operator does not set (DESIGN section 6).
var (
	perBrowser     = limit.Rate{Count: 10, Per: 10 * time.Minute}
	unknownNetwork = limit.Rate{Count: 30, Per: 15 * time.Minute}
	mailMinute     = limit.Rate{Count: 1, Per: time.Minute}
	mailHour       = limit.Rate{Count: 5, Per: time.Hour}
)

// codeTries is how often a code may be typed for one link.
const codeTries = 5

// mailLimits are the limits of a mailbox, which are all in one group.
func (c *Config) mailLimits(k *keys, to address.Address, peek bool) []limit.Ask {
	return []limit.Ask{
		{Key: k.limitAddress("mail-minute", to), Rate: mailMinute, Peek: peek},
		{Key: k.limitAddress("mail-hour", to), Rate: mailHour, Peek: peek},
		{Key: k.limitAddress("mail-day", to), Rate: c.Limits.Mails, Peek: peek},
	}
}

// programLimits are those of what programs send to a mailbox.
func (c *Config) programLimits(k *keys, to address.Address, peek bool) []limit.Ask {
	return []limit.Ask{
		{Key: k.limitAddress("step-minute", to), Rate: mailMinute, Peek: peek},
		{Key: k.limitAddress("step-hour", to), Rate: mailHour, Peek: peek},
		{Key: k.limitAddress("step-day", to), Rate: c.Limits.Mails, Peek: peek},
	}
}

// secretLimit is that of what is typed for a program beside an address.
func secretLimit(k *keys, to address.Address, peek bool) limit.Ask {
	return limit.Ask{Key: k.limitAddress("step-secret", to), Rate: perSecret, Peek: peek}
}

// countAsk counts that a link was asked for. mailbox reports that only the
// mailbox's own limits refused.
func (v *visit) countAsk(ctx context.Context, f *flow, to address.Address, onFile bool) (d limit.Decision, mailbox bool, err error) {
	k := &v.eng.keys
	net := v.network()
	return v.countAddress(ctx, onFile, []limit.Ask{
		{Key: k.limitKey("ask-browser", f.Browser), Rate: perBrowser},
		{Key: k.limitKey("ask-network", net), Rate: v.Limits.Requests},
	}, []limit.Ask{
		{Key: k.limitKey("unknown-browser", f.Browser), Rate: v.Limits.Unknown},
		{Key: k.limitKey("unknown-network", net), Rate: unknownNetwork},
	}, v.mailLimits(k, to, false))
}

// countAddress counts an address that was typed: asks are about who types it, wrong
// about addresses that are not on file, and mails about this one. Limits about an
// address are kept under a keyed hash of it, on file or not, so that they tell
// nothing.
//
// In mode "conceal" every address counts, as one that may be wrong, and all in
// one go; the mailbox's own limits come last, for what a stranger is refused
// must not use them up. In mode "reveal" only one that is wrong does, and the mailbox's limits
// are asked apart: an address on file is refused during the wait like any
// other, and with the same wait.
func (v *visit) countAddress(ctx context.Context, onFile bool, asks, wrong, mails []limit.Ask) (d limit.Decision, mailbox bool, err error) {
	for _, a := range wrong {
		a.Peek = v.Reveal && onFile
		asks = append(asks, a)
	}
	if !v.Reveal {
		d, err = v.eng.backend.Allow(ctx, append(asks, mails...))
		return d, err == nil && !d.Allowed && slices.Min(d.Refused) >= len(asks), err
	}
	d, err = v.eng.backend.Allow(ctx, asks)
	if err != nil || !d.Allowed || !onFile {
		return d, false, err
	}
	d, err = v.eng.backend.Allow(ctx, mails)
	return d, true, err
}

// codeLimits are the limits of typing a code: one for each link that it could
// belong to, then the browser's and the network's.
func (v *visit) codeLimits(f *flow, links []*asked) []limit.Ask {
	k := &v.eng.keys
	var asks []limit.Ask
	for _, a := range links {
		asks = append(asks, limit.Ask{
			Key:  k.limitKey("code", a.Item),
			Rate: limit.Rate{Count: codeTries, Per: codeTries * time.Duration(a.Life) * time.Second},
		})
	}
	return append(asks,
		limit.Ask{Key: k.limitKey("code-browser", f.Browser), Rate: perBrowser},
		limit.Ask{Key: k.limitKey("code-network", v.network()), Rate: v.Limits.Requests})
}

// network is what of a visitor's address limits go by: an IPv4 address, or the
// /64 that one customer gets of IPv6.
func (v *visit) network() string {
	ip := v.front.IP.Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}

// wait tells a person to wait before using a method again.
func (v *visit) wait(m Method, d time.Duration, back string) {
	v.pause(d, m, back, "wait.now", ui.Page{Title: "wait.title", Body: []ui.Block{ui.Lead("wait.lead"), ui.Text("wait.calm")}})
}

// waitForMail tells a person to wait for another link where there is one to look
// for.
func (v *visit) waitForMail(d time.Duration, back string) {
	v.pause(d, v.home(), back, "wait.now", ui.Page{Title: "wait.links.title", Body: []ui.Block{
		ui.Lead("wait.links.lead"), ui.Link{Key: "sent.none", Href: v.Path + "/help"},
	}})
}

// pause shows a page that tells a person to wait with a method, and, after the
// words of other, the ways in that have not to be waited for.
func (v *visit) pause(d time.Duration, m Method, back string, other ui.Text, page ui.Page) {
	v.w.Header().Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	page.Status, page.Slots = http.StatusTooManyRequests, ui.Slots{"wait": ui.Wait(d)}
	if ways := v.offers(m, back); len(ways) > 0 {
		page.Body = append(append(page.Body, other), ways...)
	}
	v.show(page)
}
