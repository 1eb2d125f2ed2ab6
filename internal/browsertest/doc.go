// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package browsertest holds the tests that need a real browser: the walk a
// client takes, what a mail scanner that runs scripts can do to a link, and
// whether every page can be read and used by everybody.
//
// They drive a Chromium found in PATH and fail without one. axe-core comes
// from npm (package.json); pictures of every page are left in test-artifacts
// at the top of the tree, for people to look at.
//
// Nothing but tests is here. What does not need a browser to be seen is tested
// next to its code, where it is quicker.
package browsertest
