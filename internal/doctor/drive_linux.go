// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"path/filepath"
	"syscall"
)

// networkDrives are the kinds of network drive, by their number in Linux's
// statfs(2).
var networkDrives = map[uint32]string{
	0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB", 0xff534d42: "CIFS", 0x01021997: "9p", 0x00c36400: "Ceph", 0x5346414f: "AFS",
}

// NetworkDrive returns the kind of network drive that a file is on, or would be;
// empty if it is on none, or that cannot be told.
func NetworkDrive(file string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(filepath.Dir(file), &s) != nil {
		return ""
	}
	return networkDrives[uint32(s.Type)]
}
