// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package access

// The race detector makes the model ten times slower and has nothing to find
// in it: a sequence is the work of one goroutine.
func init() { sequences = 1000 }
