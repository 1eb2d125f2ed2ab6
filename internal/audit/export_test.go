// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

// Hash is how hashes are made, which is no secret.
func Hash(ev Event) string { return ev.hash() }
