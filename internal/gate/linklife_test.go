// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"testing"
	"time"

	"github.com/portalgate/portalgate/providers"
)

// briefPINs is the way in by PINs that last five minutes.
type briefPINs struct{ digitsMethod }

func (briefPINs) Describe() providers.Description {
	return providers.Description{Text: "pin", Life: 5 * time.Minute, Digits: 6}
}

// TestLinkLife: how long a PIN lasts is not how long a link does.
func TestLinkLife(t *testing.T) {
	for want, all := range map[time.Duration][]Method{
		24 * time.Hour: {{"pin", briefPINs{}}}, time.Hour: {{"pin", briefPINs{}}, {"magic_link", hourLinks{}}},
	} {
		if got := (&Config{Methods: all}).linkLife(); got != want {
			t.Errorf("%d methods: %v, want %v", len(all), got, want)
		}
	}
}

// hourLinks is the way in by links that last an hour.
type hourLinks struct{ digitsMethod }

func (hourLinks) Describe() providers.Description {
	return providers.Description{Text: "email", Life: time.Hour}
}
