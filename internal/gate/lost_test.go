// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import "testing"

// The queue comes back with a failover, and the record does not: the link was
// sent and used, and nobody remembers. The same link must not be made good
// again; another one is sent in its place.
func TestL10_LostItem(t *testing.T) {
	w := newWorld(t, wide)
	w.db.lost.Store(true)
	b := w.browser()
	b.ask("ada@example.com").says("sent.title")
	m := w.letters("ada@example.com", 1)[0]
	for _, a := range w.jarOf(b).asked {
		if got := w.rt.eng.Load().keys.linkHash(a.Item); w.record("c-ada").Links[0].Hash == got {
			t.Error("the link that may have been used is good again")
		}
	}
	if p := b.get(link(m)); !p.asks() || p.auto() {
		t.Errorf("the link completes without its address: %s", p.text())
	}
	w.idle()
	if n := w.sent("ada@example.com"); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
}

// jarOf is what a browser's cookies hold.
func (w *world) jarOf(b *browser) *jar {
	var line string
	for _, c := range b.c.Jar.Cookies(b.origin()) {
		line += c.Name + "=" + c.Value + "; "
	}
	return openJar([]string{line}, "main", false, &w.rt.eng.Load().keys, w.clock.now())
}
