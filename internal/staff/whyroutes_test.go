// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"slices"
	"testing"
)

// TestT9_EveryPressIsARoute: what is offered can be done.
func TestT9_EveryPressIsARoute(t *testing.T) {
	routes := new(scripted).desk(t).Routes()
	for _, p := range []Press{LookAgain, AddClient, GiveAccess, RecordConsent, ChangeAddress, SendLink, MakePIN, Unlock, LiftWait, Unlink} {
		if !slices.Contains(routes, p.Route()) {
			t.Errorf("%s is %q, and there is no such route", p, p.Route())
		}
	}
	if Nothing.Route() != "" {
		t.Error("nothing has a route")
	}
}
