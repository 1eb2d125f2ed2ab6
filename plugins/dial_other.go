// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package plugins

import "net"

// answeredBy cannot tell here who listens.
func answeredBy(*net.UnixConn, int) error { return nil }
