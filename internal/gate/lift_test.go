// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"net/http"
	"testing"
	"time"
)

// TestT10_LiftedWait: a client who has asked too often is on the phone. Staff end
// the wait: the next link can be asked for at once, the client is told of it by
// mail, and it is written down, once.
func TestT10_LiftedWait(t *testing.T) {
	t.Parallel()
	const ada = "ada@example.com"
	w := newWorld(t)
	b := w.browser()
	for range mailHour.Count {
		b.mailed(ada)
	}
	w.clock.advance(61 * time.Second)
	b.ask(ada).is(http.StatusTooManyRequests)
	if s := w.rt.Standing(t.Context(), "c-ada"); !s.NextMail.After(s.Now) {
		t.Fatal("she does not have to wait")
	}
	before := w.told(ada)
	for range 2 { // the second time there is no wait
		if err := w.rt.Unlock(t.Context(), "c-ada", "desk"); err != nil {
			t.Fatal(err)
		}
	}
	w.idle()
	if n := w.told(ada); n != before+1 {
		t.Errorf("%d notices, want one", n-before)
	}
	if e := w.lastEvent("c-ada"); e.What != "notice_sent" {
		t.Errorf("the newest event is %+v, not that she was told", e)
	}
	b.ask(ada).is(http.StatusOK).says("sent.title")
	if err := w.rt.Unlock(t.Context(), "c-nobody", "desk"); err == nil {
		t.Error("a wait was lifted for nobody")
	}
}
