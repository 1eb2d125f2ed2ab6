// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	// plug in sign-in methods here
	_ "github.com/portalgate/portalgate/providers/google"
	_ "github.com/portalgate/portalgate/providers/magiclink"
	_ "github.com/portalgate/portalgate/providers/pin"
	_ "github.com/portalgate/portalgate/providers/plugin"
)
