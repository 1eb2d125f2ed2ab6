// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package redistest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
