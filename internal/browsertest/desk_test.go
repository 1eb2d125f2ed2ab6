// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
)

// desk is where somebody sits with a page of the portal open that includes
// session.js: a house whose time passes in the browser's tabs as well.
type desk struct {
	*house
	asked, pressed atomic.Int64 // requests for /sign-in/session
	fault          atomic.Pointer[fault]
	tabs           []*tab
}

// fault stands in for an answer of /sign-in/session, unless it returns false.
type fault func(http.ResponseWriter, *http.Request) bool

// The page has the strictest policy under which the script can load at all,
// and rules that would make a dialog without its own unreadable.
const (
	deskPage = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Portal</title><link rel="stylesheet" href="/desk.css"><script src="/sign-in/session.js" defer></script>
<main><h1>My page</h1><label for="note">Your note</label><textarea id="note" rows="8"></textarea></main></html>`
	deskStyle = `:root { color-scheme: light dark; font-size: 62.5% }
body { margin: 2em; font: large sans-serif; background: Canvas; color: CanvasText }
textarea { width: 100%; box-sizing: border-box; font: inherit }
dialog, dialog * { all: unset; position: static; color: #aaa; background: #bbb; font: 7px/1 serif; display: inline; outline: none; opacity: .5 }`
)

func openDesk(t testing.TB) *desk {
	d := &desk{house: openHouse(t, willow(), false)}
	d.portal = deskPage
	d.before = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/desk.css":
			w.Header().Set("Content-Type", "text/css")
			io.WriteString(w, deskStyle)
			return true
		case "/sign-in/session":
			if d.asked.Add(1); r.Method == http.MethodPost {
				d.pressed.Add(1)
			}
			if f := d.fault.Load(); f != nil {
				return (*f)(w, r)
			}
		}
		return false
	}
	return d
}

// clock is the time in a tab, which is wrong by hours, as visitors' clocks
// are. It passes when the test says so. Short waits are not the script's.
const clock = `(() => {
	let now = %d, last = 0;
	const timers = new Map(), { setTimeout, setInterval, clearTimeout, fetch } = window;
	Date.now = () => now;
	window.pending = 0;
	window.fetch = async (...args) => {
		pending++;
		try {
			const answer = await fetch(...args);
			await answer.clone().arrayBuffer();
			return answer;
		} finally { setTimeout(() => pending--) }
	};
	window.setTimeout = (f, ms, ...args) => {
		if (!(ms >= 300)) return setTimeout(f, ms, ...args);
		timers.set(--last, { f, at: now + ms });
		return last;
	};
	window.setInterval = (f, ms) => {
		timers.set(--last, { f, at: now + ms, every: ms });
		return last;
	};
	window.clearTimeout = window.clearInterval = id => timers.delete(id) || clearTimeout(id);
	window.sleep = ms => {
		now += ms;
		for (const timer of timers.values()) timer.at += ms;
	};
	window.pass = ms => {
		now += ms;
		for (const [id, timer] of [...timers]) {
			if (timer.at > now) continue;
			if (timer.every) timer.at = now + timer.every;
			else timers.delete(id);
			timer.f();
		}
	};
})()`

// clockIn puts the clock in a tab, for all pages to come.
func (d *desk) clockIn(b *tab) {
	d.t.Helper()
	err := command(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: fmt.Sprintf(clock, d.now().Add(-5*time.Hour).UnixMilli()),
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// tab opens a tab at the desk with the portal's page in it.
func (d *desk) tab(p *profile) *tab {
	d.t.Helper()
	b := p.first
	if len(d.tabs) > 0 {
		b = p.tab()
	}
	d.clockIn(b)
	if len(d.tabs) == 0 {
		b.visit(d.url + "/sign-in/magic-link")
		b.fill("email", "ada@example.com")
		b.press("Send link")
		b.sees("Check your email")
		b.visit(link(d.letter("ada@example.com", 1)))
	} else {
		b.visit(d.url + "/page")
	}
	b.sees("My page")
	d.tabs = append(d.tabs, b)
	d.settle()
	return b
}

// pass lets time pass at the desk, 5 seconds at a time.
func (d *desk) pass(span time.Duration) {
	d.t.Helper()
	for ; span > 0; span -= 5 * time.Second {
		step := min(span, 5*time.Second)
		d.advance(step)
		for _, b := range d.tabs {
			must[any](b, fmt.Sprintf("pass(%d)", step.Milliseconds()))
		}
		d.settle()
	}
}

// settle waits until every tab has its answers.
func (d *desk) settle() {
	d.t.Helper()
	for _, b := range d.tabs {
		b.until("the answers", "pending == 0")
	}
}

// dialog is what the dialog says, in lines; nothing if there is none to see.
func (b *tab) dialog() string {
	b.t.Helper()
	return strings.ReplaceAll(must[string](b, `(d => d && d.matches(':modal') ? [...d.children].map(e => e.innerText).join("|") : "")(document.querySelector('dialog'))`), "\n", " ")
}

const (
	warned = "Are you still there?|We will sign you out in 2 minutes to keep your portal private.|Stay signed in|Sign out"
	last   = "Are you still there?|We will sign you out in 2 minutes to keep your portal private.|Sign out"
	over   = "We signed you out|Sign in again"
)

// shows fails the test unless the dialog says this.
func (b *tab) shows(when, want string) {
	b.t.Helper()
	if got := b.dialog(); got != want {
		b.t.Errorf("%s the dialog says %q, want %q", when, got, want)
	}
}
