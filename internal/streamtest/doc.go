// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package streamtest holds tests of what stays open through the portalgate
// binary, seen from both ends at once: WebSockets over HTTP/1.1 and HTTP/2,
// event streams, downloads and uploads, and what becomes of them when the
// session that they were opened in ends. Each test is named by the row of the
// threat catalogue that it is about.
//
// It has no code but tests and tests nothing that a package can test alone: a
// store that is down, say, which ends no stream.
package streamtest
