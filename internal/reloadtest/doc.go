// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package reloadtest holds tests of the portalgate binary while what it runs
// on gives way under it: its configuration is reloaded, well or badly, under
// load and long connections, and its process is killed in the midst of
// sign-ins. What is compared with bare Caddy is the same binary without a gate
// in its configuration.
//
// It has no code but tests and tests nothing that a package can test alone:
// that what was written is on the disk, which the end of a process cannot show,
// is a test of the store's.
package reloadtest
