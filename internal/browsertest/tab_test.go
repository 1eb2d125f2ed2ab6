// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what should be there at once.
const patience = 20 * time.Second

// tab is one tab, driven as a person drives it: by what can be read on the
// page, a mouse and a keyboard.
type tab struct {
	t       testing.TB
	profile *profile
	ctx     context.Context

	mu       sync.Mutex
	warnings []string  // what the browser complained about
	requests []request // for documents
}

// request is one request for a document, as it was sent.
type request struct{ method, url string }

// heard is called for every event of the tab.
func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.warnings = append(b.warnings, string(e.Entry.Source)+": "+e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.warnings = append(b.warnings, "exception: "+e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument {
			b.requests = append(b.requests, request{e.Request.Method, e.Request.URL})
		}
	}
}

// complaints returns what the browser said against the pages so far: a broken
// Content-Security-Policy or a script that threw. An answer that is not 200 is
// no complaint, though browsers log it, and neither is what was cleared when
// we asked for it.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for _, w := range b.warnings {
		if !strings.Contains(w, "the server responded with a status of") && !strings.Contains(w, ": Cleared data types: ") {
			found = append(found, w)
		}
	}
	return found
}

func (b *tab) sent() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]request(nil), b.requests...)
}

// visit types an address into the address bar. It does not wait for the page.
func (b *tab) visit(url string) {
	b.t.Helper()
	if err := command(b.ctx, page.Navigate, page.NavigateParams{URL: url}); err != nil {
		b.t.Fatalf("going to a page: %v", err)
	}
}

// eval evaluates an expression in the page.
func eval[T any](b *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// must is eval for what cannot fail.
func must[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := eval[T](b, expression)
	if err != nil {
		b.t.Fatalf("asking the page: %v", err)
	}
	return v
}

// until waits until the page makes an expression true. Between two pages there
// is nothing to ask, which is not an error.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := eval[bool](b, "document.readyState == 'complete' && !!("+expression+")"); err == nil && ok {
			return
		}
		select {
		case <-deadline:
			text, _ := eval[string](b, "location.pathname + '\\n' + document.body.innerText")
			b.t.Fatalf("waited in vain for %s; the page is %s", what, text)
		case <-tick.C:
		}
	}
}

// sees waits for a page with this heading.
func (b *tab) sees(heading string) {
	b.t.Helper()
	b.until("a page headed "+heading, "document.querySelector('h1')?.innerText.trim() == "+quote(heading))
}

// reads waits for a page with this text.
func (b *tab) reads(text string) {
	b.t.Helper()
	b.until("the text "+text, "document.body.innerText.replace(/\\s+/g, ' ').includes("+quote(text)+")")
}

// named finds what can be pressed by the words on it.
const named = `(words => [...document.querySelectorAll('button, a, label')].find(e => e.innerText.trim() == words && e.checkVisibility()))`

// press presses the button, link or label with these words, with the mouse.
func (b *tab) press(words string) {
	b.t.Helper()
	b.until("something to press that says "+words, named+"("+quote(words)+")")
	b.click(named + "(" + quote(words) + ")")
}

// click presses the middle of an element.
func (b *tab) click(element string) {
	b.t.Helper()
	at := must[struct{ X, Y float64 }](b, `(e => {
		e.scrollIntoView({ block: 'center', behavior: 'instant' });
		const r = e.getClientRects()[0];
		return { X: r.x + r.width / 2, Y: r.y + r.height / 2 };
	})(`+element+`)`)
	b.clickAt(at.X, at.Y)
}

func (b *tab) clickAt(x, y float64) {
	b.t.Helper()
	for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
		err := command(b.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
			Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1,
		})
		if err != nil {
			b.t.Fatalf("pressing: %v", err)
		}
	}
}

// fill clicks into the field with this name and types over what is there.
func (b *tab) fill(name, text string) {
	b.t.Helper()
	field := "document.querySelector('input[name=" + name + "]:not([type=hidden])')"
	b.until("a field "+name, field)
	b.click(field)
	must[any](b, field+".select()")
	b.typeText(text)
}

func (b *tab) typeText(text string) {
	b.t.Helper()
	if err := command(b.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		b.t.Fatalf("typing: %v", err)
	}
}

// key presses keys on the keyboard.
func (b *tab) key(keys string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.KeyEvent(keys)); err != nil {
		b.t.Fatalf("pressing a key: %v", err)
	}
}

// href is where the address bar says that we are.
func (b *tab) href() string {
	b.t.Helper()
	return must[string](b, "location.href")
}

// quote writes a value as the page's script would.
func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("browsertest: %v", err)) // strings and numbers always encode
	}
	return string(data)
}

// pressInMail presses a link in the mail that the mailbox shows. A mail stands
// in a frame of its own origin, which only the mouse reaches into.
func (b *tab) pressInMail(words string) {
	b.t.Helper()
	b.until("the mail", "document.querySelector('iframe')")
	frame := must[struct{ X, Y float64 }](b, `(r => ({ X: r.x, Y: r.y }))(document.querySelector('iframe').getBoundingClientRect())`)
	all, err := chromedp.Targets(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	src := must[string](b, "document.querySelector('iframe').src")
	for _, i := range all {
		if i.Type != "iframe" || i.URL != src {
			continue
		}
		ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(i.TargetID))
		defer cancel()
		if err := chromedp.Do(ctx); err != nil {
			b.t.Fatal(err)
		}
		mail := &tab{t: b.t, profile: b.profile, ctx: ctx}
		mail.until("a link in the mail", named+"("+quote(words)+")")
		at := must[struct{ X, Y float64 }](mail, `(r => ({ X: r.x + r.width / 2, Y: r.y + r.height / 2 }))(`+
			named+"("+quote(words)+").getClientRects()[0])")
		b.clickAt(frame.X+at.X, frame.Y+at.Y)
		return
	}
	b.t.Fatal("the mail is not in a frame of its own")
}
