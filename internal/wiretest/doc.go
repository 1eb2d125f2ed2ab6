// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package wiretest holds tests of the portalgate binary as the network sees
// it: raw bytes in at the front, raw bytes out at an upstream that records
// them, and whatever the process has logged, traced and counted meanwhile. Each
// test is named by the row of the threat catalogue that it is about.
//
// It has no code but tests and tests nothing that a package can test alone.
package wiretest
