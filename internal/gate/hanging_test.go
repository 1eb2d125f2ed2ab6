// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/mail"
)

// hung takes a mail and never answers.
type hung struct{}

func (hung) Send(ctx context.Context, _ mail.Message) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// TestHangingServer: sign-in pages answer in their usual time while the mail
// server hangs with all that it can hold, and more mails wait behind those.
func TestHangingServer(t *testing.T) {
	asks := 60
	if proof() {
		asks = 400
	}
	list := "id,email,name\n"
	for i := range asks {
		list += fmt.Sprintf("m-%d,m%d@example.com,Many %d\n", i, i, i)
	}
	worlds := make([]*world, 2)
	for i, s := range []mail.Sender{new(sink), hung{}} {
		w := &world{clock: &clock{}}
		w.clock.t.Store(time.Now().UnixNano())
		w.begin(t, list, wide, reveal, sender(s))
		worlds[i] = w
	}
	// In turn, so that whatever else the machine does happens to both.
	took := make([][]time.Duration, 2)
	for i := range asks {
		for n, w := range worlds {
			b := w.browser().from(fmt.Sprintf("10.0.%d.%d", i/250, i%250))
			page := b.get("/sign-in/magic-link")
			begun := time.Now()
			b.send(page.form("/sign-in/magic-link"), "email", fmt.Sprintf("m%d@example.com", i)).is(200) // and the page that says so
			took[n] = append(took[n], time.Since(begun))
		}
	}
	at := func(n, percent int) time.Duration {
		slices.Sort(took[n])
		return took[n][(len(took[n])*percent+99)/100-1]
	}
	if at(1, 50) > 3*at(0, 50)+20*time.Millisecond {
		t.Errorf("asking takes %v with a server that hangs, %v with one that does not", at(1, 50), at(0, 50))
	}
	t.Logf("proof: asking for a link %d times, its page included: p50 %v, p99 %v with a mail server that hangs; %v, %v with one that answers at once",
		asks, at(1, 50), at(1, 99), at(0, 50), at(0, 99))
}
