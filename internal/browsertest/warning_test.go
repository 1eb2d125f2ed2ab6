// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// TestWarningComesInTime leaves a page alone that somebody types into, whose
// clock is five hours slow. The gate's idle time is 30 minutes. Asking must not
// keep anybody signed in, however often the page does it (S14).
func TestWarningComesInTime(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := d.tab(newProfile(t))
	b.click("document.querySelector('textarea')")
	b.typeText("Dear Dr Zoë,")
	d.pass(27*time.Minute + 55*time.Second)
	b.shows("After 27:55", "")
	if n := d.asked.Load(); n > 3 {
		t.Errorf("the page has asked %d times in 28 minutes", n)
	}
	d.pass(10 * time.Second)
	b.shows("After 28:05", warned)
	b.until("the focus on the button", "document.activeElement.innerText == 'Stay signed in'")
	b.key(kb.Enter)
	b.until("the dialog to go", "!document.querySelector('dialog')")
	if got := must[string](b, "document.activeElement.tagName + document.querySelector('textarea').value"); got != "TEXTAREADear Dr Zoë," {
		t.Errorf("after the press the focus and the text are %q", got)
	}
	if n := d.pressed.Load(); n != 1 {
		t.Errorf("%d presses were sent, want 1", n)
	}
	d.pass(27*time.Minute + 50*time.Second)
	b.shows("27:50 after the press", "")
	d.pass(15 * time.Second)
	b.shows("28:05 after the press", warned)
	d.pass(100 * time.Second)
	b.shows("29:45 after the press", warned)
	d.pass(35 * time.Second)
	b.shows("30:20 after the press", over)
	if n := d.pressed.Load(); n != 1 {
		t.Errorf("%d presses were sent, want 1: only a person's counts", n)
	}
	if got := b.href(); got != d.url+"/#" && got != d.url+"/" {
		t.Errorf("the page has gone to %s by itself", got)
	}
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// TestPressInAnotherTab is two tabs of which one is used.
func TestPressInAnotherTab(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	p := newProfile(t)
	one, two := d.tab(p), d.tab(p)
	d.pass(28*time.Minute + 5*time.Second)
	one.shows("After 28:05 the first tab's", warned)
	two.shows("After 28:05 the second tab's", warned)
	two.press("Stay signed in")
	two.until("the dialog to go", "!document.querySelector('dialog')")
	d.pass(15 * time.Second)
	one.shows("15 s after the press elsewhere", "")
	// A page of the portal that is asked for is as good as a press.
	d.pass(20 * time.Minute)
	two.visit(d.url + "/other")
	two.until("the other page", "location.pathname == '/other'")
	d.pass(27*time.Minute + 30*time.Second)
	one.shows("27:30 after a page in the other tab", "")
	d.pass(35 * time.Second)
	one.shows("28:05 after a page in the other tab", warned)
}

// TestPutAway presses Esc: the dialog goes and stays away, and nothing is
// extended. That it has ended is news.
func TestPutAway(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := d.tab(newProfile(t))
	d.pass(28*time.Minute + 5*time.Second)
	b.shows("After 28:05", warned)
	b.key(kb.Escape)
	b.shows("After Esc", "")
	d.pass(time.Minute)
	b.shows("A minute after Esc", "")
	d.pass(70 * time.Second)
	b.shows("After the end", over)
	if d.pressed.Load() != 0 {
		t.Error("Esc was taken for a press to stay")
	}
}

// TestNoPressHelps is the absolute end, after 12 hours, which no press puts
// off: no button says that it would. Whoever is typing presses Enter without
// looking, which must lead nowhere.
func TestNoPressHelps(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := d.tab(newProfile(t))
	for range 35 {
		d.clock.Add(int64(20 * time.Minute))
		must[any](b, "sleep(20 * 60e3)")
		must[any](b, "fetch('/sign-in/session', { method: 'POST' }).then(r => r.text())")
	}
	d.pass(18*time.Minute + 5*time.Second)
	b.shows("At 11:58:05", last)
	b.key(kb.Enter)
	b.key(" ")
	b.shows("After Enter", last)
	d.pass(130 * time.Second)
	b.shows("At 12:00:15", over)
	b.key(kb.Enter)
	if n := len(b.profile.pages()); n != 1 {
		t.Errorf("Enter opened a window: there are %d", n)
	}
}

// TestEndedAndBack ends the session elsewhere while somebody is typing, who
// signs in again in a new window. Nothing typed is lost.
func TestEndedAndBack(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := d.tab(newProfile(t))
	b.click("document.querySelector('textarea')")
	b.typeText("half a sen")
	other := d.visitor()
	other.signIn("ada@example.com", 2)
	other.send(other.get("/sign-in/sessions"), "/sign-in/sessions/end")
	d.pass(28*time.Minute + 5*time.Second)
	b.shows("After it was ended elsewhere", over)
	b.until("the cover", "getComputedStyle(document.querySelector('dialog')).boxShadow.startsWith(getComputedStyle(document.body).backgroundColor)")

	next := b.popup(func() { b.press("Sign in again") })
	next.sees("We signed you out")
	next.press("Sign in again")
	next.sees("How would you like to sign in?")
	if must[bool](next, "!!window.opener") {
		t.Error("the new window has hold of the one that opened it")
	}
	next.fill("email", "ada@example.com")
	next.press("Send link")
	next.sees("Check your email")
	next.visit(link(d.letter("ada@example.com", 3)))
	next.sees("My page")
	must[any](b, "dispatchEvent(new Event('focus'))") // as when one comes back to the window
	b.until("the dialog to go", "!document.querySelector('dialog')")
	if got := must[string](b, "document.activeElement.tagName + document.querySelector('textarea').value"); got != "TEXTAREAhalf a sen" {
		t.Errorf("back at the page the focus and the text are %q", got)
	}
	b.typeText("tence")
	d.pass(28*time.Minute + 5*time.Second)
	b.shows("28 minutes later", warned)
}

// TestSignedOutNextDoor signs out in one tab, and turns to the other that was
// left open: "the next person here cannot see your portal" is true of it too.
func TestSignedOutNextDoor(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	p := newProfile(t)
	one, two := d.tab(p), d.tab(p)
	two.visit(d.url + "/sign-in/sign-out")
	two.press("Sign out")
	two.sees("You are signed out")
	must[any](one, "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
	one.until("the end to be told", "document.querySelector('h2')?.innerText == 'We signed you out'")
	one.shows("In the other tab", over)
}

// TestNotYou is a sign-in by somebody else, who got at a link: the notice of it
// takes Ada to a page whose press throws them out, once she has typed where the
// notice came to (S15).
func TestNotYou(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	thief, ada := d.tab(newProfile(t)), newProfile(t).first
	d.pass(10 * time.Second)
	ada.visit(stopOf(d.notice("ada@example.com", 1)))
	ada.sees("Was this not you?")
	ada.press("Sign it out")
	ada.reads("Type your email address.")
	ada.fill("email", "ada@example.com")
	ada.press("Sign it out")
	ada.reads("It is signed out")
	must[any](thief, "dispatchEvent(new Event('focus'))")
	thief.until("the end to be told", "document.querySelector('h2')?.innerText == 'We signed you out'")
	if said := ada.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// TestBackFromMemory leaves the portal for another site, and comes back by Back
// when the session is over: the browser kept the page and asks nobody.
func TestBackFromMemory(t *testing.T) {
	t.Parallel()
	d, elsewhere := openDesk(t), newSite(t)
	elsewhere.page("/", "<h1>Elsewhere</h1>")
	b := d.tab(newProfile(t))
	b.watchShows()
	b.visit("http://" + elsewhere.addr + "/")
	b.sees("Elsewhere")
	d.advance(31 * time.Minute)
	b.goBack()
	if !must[bool](b, "kept") {
		t.Fatal("this browser keeps no page to go back to, so that this test could not fail")
	}
	b.until("the end to be told", "document.querySelector('h2')?.innerText == 'We signed you out'")
	b.shows("After Back", over)
}

// TestAsleep closes a laptop, whose timers stand still meanwhile.
func TestAsleep(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := d.tab(newProfile(t))
	sleep := func(span time.Duration) {
		d.advance(span)
		must[any](b, "sleep("+quote(span.Milliseconds())+")")
	}
	d.pass(10 * time.Minute)
	sleep(18*time.Minute + 30*time.Second)
	d.pass(time.Minute)
	b.shows("A minute after waking", warned)
	sleep(8 * time.Hour)
	must[any](b, "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
	b.until("the end to be told at once", "document.querySelector('h2')?.innerText == 'We signed you out'")
}

// TestUnknownIsNotSignedOut lets asking fail in every way there is, at load and
// later. Somebody told that they are signed out, who is not, would sign in
// again for nothing, and not believe it the next time.
func TestUnknownIsNotSignedOut(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	answers := func(kind string, status int, body string) fault {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, body)
			return true
		}
	}
	faults := []fault{
		func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		answers("application/problem+json", 503, `{"type":"urn:portalgate:problem:unavailable","status":503}`),
		answers("text/html", 200, "<!doctype html><title>Hotel WiFi</title>"),
		answers("text/plain", 502, ""),
		answers("application/json", 200, "null"),
	}
	d.fault.Store(&faults[0])
	b := d.tab(newProfile(t))
	d.pass(26 * time.Minute)
	for _, f := range faults {
		d.fault.Store(&f)
		d.pass(30 * time.Second)
		b.shows("While asking fails", "")
	}
	d.fault.Store(nil)
	d.pass(30 * time.Second)
	b.shows("When it works again", warned)
	for _, f := range faults {
		d.fault.Store(&f)
		b.press("Stay signed in")
		d.settle()
		d.pass(5 * time.Second)
		b.shows("After a press that went nowhere", warned)
	}
	d.fault.Store(nil)
	b.press("Stay signed in")
	b.until("the dialog to go", "!document.querySelector('dialog')")
	for _, w := range b.complaints() {
		if strings.Contains(w, "exception") {
			t.Errorf("the script throws: %s", w)
		}
	}
}

// TestStaleAnswer lets an answer to a question come in after the press that was
// made meanwhile. It tells of a time that is past, and must not bring the
// warning back.
func TestStaleAnswer(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := d.tab(newProfile(t))
	d.pass(28*time.Minute + 5*time.Second)
	b.shows("After 28:05", warned)
	stale := must[string](b, "fetch('/sign-in/session').then(r => r.text())")
	asked, let := make(chan struct{}), make(chan struct{})
	late := fault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost || d.fault.Swap(nil) == nil {
			return false
		}
		close(asked)
		<-let
		io.WriteString(w, stale)
		return true
	})
	d.fault.Store(&late)
	must[any](b, "pass(15000)")
	<-asked
	b.press("Stay signed in")
	b.until("the dialog to go", "!document.querySelector('dialog')")
	close(let)
	d.settle()
	b.shows("After the old answer", "")
}

// TestNobodySignedIn is a public page of the portal: the script asks once, and
// leaves it alone.
func TestNobodySignedIn(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	b := newProfile(t).first
	d.before = func(pass func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/" {
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, deskPage)
				return true
			}
			return pass(w, r)
		}
	}(d.before)
	d.clockIn(b)
	b.visit(d.url + "/")
	b.sees("My page")
	d.tabs = append(d.tabs, b)
	d.settle()
	d.pass(40 * time.Minute)
	must[any](b, "dispatchEvent(new Event('focus'))")
	d.settle()
	b.shows("With nobody signed in", "")
	if n := d.asked.Load(); n != 1 {
		t.Errorf("the page has asked %d times, want once", n)
	}
}

// TestWarningCanBeUsedByEverybody shows the dialog to axe in light and dark, on
// the narrowest phone and in twice the size, over a page whose own rules would
// make it unreadable, and keeps a picture of each.
func TestWarningCanBeUsedByEverybody(t *testing.T) {
	t.Parallel()
	source, pictures := axe(t), pictures(t)
	d := openDesk(t)
	b := d.tab(newProfile(t))
	look := func(name, want string) {
		b.shows(name, want)
		b.examine("session-"+name, source, pictures, true)
		if got := must[string](b, "document.querySelector('dialog').computedName || document.querySelector('dialog').ariaLabel"); !strings.HasPrefix(want, got+"|") || got == "" {
			t.Errorf("%s: the dialog is called %q", name, got)
		}
	}
	d.pass(28*time.Minute + 5*time.Second)
	look("warning", warned)
	d.pass(150 * time.Second)
	look("ended", over)
}
