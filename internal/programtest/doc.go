// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package programtest holds tests of the portalgate binary with sign-in methods
// that are programs: good ones that are replaced while people sign in by them,
// and bad ones, which must cost their own way in and nothing else.
//
// It has no code but tests. What a program may say is tested where it is heard,
// in package plugins, and what the gate makes of it in package gate.
package programtest
