// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package upstreamtest runs the examples in other languages: over the published
// assertions, and as what really stands behind a real gate. It needs what they
// need (Node, Python, PHP), and fails where that is missing.
package upstreamtest
