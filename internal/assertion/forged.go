// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package assertion

import (
	"net/http"
	"strings"
)

// Forged returns the identity headers with that value, in spellings that an
// upstream, or what is before it, may take for one: for whoever sends them to
// the gate, to see what comes out behind it.
func Forged(value string) http.Header {
	h := make(http.Header)
	for _, name := range identityNames {
		for _, spelled := range []string{
			name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."),
		} {
			h[spelled] = []string{value} // as it is spelled, which Set would undo
		}
	}
	return h
}
