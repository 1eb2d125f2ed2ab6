// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Digest returns the SHA-256 of a plugin's file, as `sha256` in the Caddyfile
// takes it, and refuses a file that others than its owner could change.
func Digest(path string) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("reading the plugin: %v", err)
	}
	return h.Sum(nil), nil
}

// open opens a plugin's file and looks at what was opened, not at what the path
// names a moment later.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWaiting, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the plugin: %v", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkFile(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkFile(path string, info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("plugin %s is no regular file", path)
	case !executable(info):
		return fmt.Errorf("plugin %s may not be executed: chmod 0755 %s", path, path)
	case othersMayWrite(info):
		return fmt.Errorf("plugin %s could be changed by others than its owner: chmod go-w %s", path, path)
	case !ownedByUsOrRoot(info):
		return fmt.Errorf("plugin %s belongs neither to root nor to the user that the gate runs as", path)
	}
	return nil
}

// place is a private folder that lives as long as a Process: the copy that is
// executed, and the sockets.
//
// A plugin that runs as another user than the gate may enter the folder and run
// the copy, and change neither.
type place struct {
	dir, program string
	lock         *os.File
	as           *User // nil is the gate's own
}

// copied makes a private copy of the program at path, whose digest must be
// want, and hashes what it writes: what is executed is what was checked, however
// the file changes in between.
func copied(path string, want []byte, as *User) (*place, error) {
	if info, err := os.Stat(os.TempDir()); err == nil && othersMayWrite(info) && info.Mode()&os.ModeSticky == 0 {
		return nil, fmt.Errorf("in %[1]s others could put their program in the place of the plugin's private copy: chmod +t %[1]s", os.TempDir())
	}
	sweep()
	p := &place{as: as}
	for p.lock == nil {
		var err error
		if p.dir, err = os.MkdirTemp("", prefix); err != nil { // 0700
			return nil, fmt.Errorf("a private folder for the plugin: %v", err)
		}
		if p.lock, err = lockFolder(p.dir); err != nil {
			return nil, fmt.Errorf("locking the plugin's folder: %v", err)
		}
	}
	p.program = filepath.Join(p.dir, "program"+filepath.Ext(path))
	if err := p.fill(path, want); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

func (p *place) fill(path string, want []byte) error {
	from, err := open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	// A process that is started meanwhile would hold the copy open for writing
	// until it executes its own program, and ours would be "text file busy".
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(p.program, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o500)
	if err != nil {
		return fmt.Errorf("a private copy of the plugin: %v", err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, h), from)
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("a private copy of the plugin: %v", err)
	}
	if got := h.Sum(nil); string(got) != string(want) {
		return fmt.Errorf("plugin %s has the checksum %x, not %x: put the right file back, or reload with the new sha256", path, got, want)
	}
	return p.enter()
}

// intact reports whether the copy is still what was checked. A plugin that runs
// as the gate's user could have changed it, and would come back with the change
// after every crash.
func (p *place) intact(want []byte) bool {
	f, err := os.OpenFile(p.program, os.O_RDONLY|noWaiting|noFollowing, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && string(h.Sum(nil)) == string(want)
}

// enter lets another user in.
func (p *place) enter() error {
	if p.as == nil {
		return nil
	}
	err := errors.Join(os.Chown(p.program, -1, p.as.gid), os.Chmod(p.program, 0o550),
		os.Chown(p.dir, -1, p.as.gid), os.Chmod(p.dir, 0o710))
	if err != nil {
		return fmt.Errorf("letting user %d run its private copy: %v", p.as.uid, err)
	}
	return nil
}

// give makes the folder of the sockets the plugin's.
func (p *place) give(sockets string) error {
	if p.as == nil {
		return nil
	}
	if err := os.Chown(sockets, p.as.uid, p.as.gid); err != nil {
		return fmt.Errorf("giving user %d a folder for its socket: %v", p.as.uid, err)
	}
	return nil
}

func (p *place) remove() {
	os.RemoveAll(p.dir)
	if p.lock != nil {
		p.lock.Close()
	}
}

// prefix begins the names of our private folders.
const prefix = "portalgate-plugin-"

// sweep removes the folders of gates that were killed. A folder is locked for
// as long as its gate lives.
func sweep() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range folders {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() {
			removeAbandoned(dir, info)
		}
	}
}
