// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"testing"
	"time"
)

func TestMoved(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 11, 22, 17, 30, 0, 0, time.UTC)
	here, err := c.MovedHere(Notice{ID: "m1", To: "ada@example.com", First: "Ada", When: when})
	if err != nil {
		t.Fatal(err)
	}
	away, err := c.MovedAway(Notice{ID: "m2", To: "old@example.com", When: when})
	if err != nil {
		t.Fatal(err)
	}
	const (
		toHere = `Hello Ada,

Willow Creek Counseling changed your email address for the portal to this one on 22 November at 17:30 UTC. Use it to sign in from now on.

Did you not ask us for this? Then tell us. Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
		toAway = `Hello,

Willow Creek Counseling changed your email address for the portal on 22 November at 17:30 UTC. You cannot sign in with this address any more.

Did you not ask us for this? Then tell us. Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
	)
	if here.Text != toHere || here.Kind != "notice" || here.To != "ada@example.com" {
		t.Errorf("%q:\n%s", here.Subject, here.Text)
	}
	if away.Text != toAway || away.Subject != "Your address for the Client Portal has changed" || away.To != "old@example.com" {
		t.Errorf("%q:\n%s", away.Subject, away.Text)
	}
	if _, err := c.MovedAway(Notice{ID: "m2", To: "old@example.com"}); err == nil {
		t.Error("a notice without a time is sent")
	}
}

func TestWithdrawn(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	n := Notice{ID: "m3", To: "ada@example.com", First: "Ada", When: time.Date(2026, 11, 22, 17, 30, 0, 0, time.UTC)}
	m, err := c.Withdrawn(n)
	if err != nil {
		t.Fatal(err)
	}
	const text = `Hello Ada,

Willow Creek Counseling closed your portal access on 22 November.

Do you have a question? Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
	if m.Text != text || m.Subject != "Your Client Portal is closed" || m.Kind != "notice" {
		t.Errorf("%q, %q:\n%s", m.Subject, m.Kind, m.Text)
	}
	for name, set := range map[string]func(*Notice){
		"no time":        func(n *Notice) { n.When = time.Time{} },
		"two recipients": func(n *Notice) { n.To += ",eve@example.com" },
	} {
		bad := n
		set(&bad)
		if m, err := c.Withdrawn(bad); err == nil {
			t.Errorf("with %s it is sent to %q", name, m.To)
		}
	}
}

func TestUnlinked(t *testing.T) {
	c, err := composer(t, willow())
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Unlinked(Notice{ID: "m4", To: "ada@example.com", First: "Ada"}, "Google")
	if err != nil {
		t.Fatal(err)
	}
	const text = `Hello Ada,

Willow Creek Counseling took the Google account away from your portal. It cannot sign in here any more.

Did you not ask us for this? Then tell us. Call Willow Creek Counseling on +1 555 0100.

Willow Creek Counseling, +1 555 0100
`
	if m.Text != text || m.Subject != "A Google account was taken away" || m.Kind != "notice" {
		t.Errorf("%q, %q:\n%s", m.Subject, m.Kind, m.Text)
	}
}
