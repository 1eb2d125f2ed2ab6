// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package mailtest looks at mail from outside: the real binary, a real mail
// server, and what people get when either fails. It has no code but tests. What
// a sender must do in itself is tested beside it.
package mailtest
