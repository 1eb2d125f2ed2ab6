// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package doctor

// NetworkDrive cannot be told here.
func NetworkDrive(string) string { return "" }
