// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package sharedtest looks at several gates on one Redis from outside: the real
// binary, the real server, and what happens to people when either fails. What a
// store must do in itself is in package storetest.
package sharedtest
