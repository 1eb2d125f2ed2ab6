// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"testing"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
)

// TestMailedByAnotherGate: a mail of another gate is opened at this one, which still
// holds the record as it was before. Neither its link nor its stop link is dead.
func TestMailedByAnotherGate(t *testing.T) {
	w := newWorld(t)
	w.rt.eng.Load().records.Share()
	w.signIn("ada@example.com") // the record is read here
	here := w.rt
	there := NewRuntime(Options{
		Gate: "main", Now: w.clock.now, Mark: &w.mark, Pause: -1, Secret: here.o.Secret,
		Open: func(context.Context) (store.Backend, error) { return keptOpen{w.db}, nil },
	})
	t.Cleanup(func() { there.Close() })
	if _, err := there.Handler(w.conf, HandlerOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := there.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.rt = there
	tok := w.makeLink("c-ada", "ada@example.com")
	w.rt = here

	tag, secret, _ := session.ParseToken(tok)
	stop := session.Token(tag, here.eng.Load().keys.stopSecret(access.HashOf(secret)))
	b := w.browser()
	p := b.get("/sign-in/stop?t=" + stop).says("stop.title")
	b.send(p.form("/sign-in/stop"), "email", "ada@example.com").says("stop.done.title")
	b.get("/sign-in/link?t=" + tok).says("stopped.title")
}
