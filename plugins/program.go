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
type place struct {
	dir, program string
	lock         *os.File
}

// copied makes a private copy of the program at path, whose digest must be
// want, and hashes what it writes: what is executed is what was checked, however
// the file changes in between.
func copied(path string, want []byte) (*place, error) {
	sweep()
	dir, err := os.MkdirTemp("", prefix) // 0700
	if err != nil {
		return nil, fmt.Errorf("a private folder for the plugin: %v", err)
	}
	p := &place{dir: dir, program: filepath.Join(dir, "program"+filepath.Ext(path))}
	if err := p.fill(path, want); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

func (p *place) fill(path string, want []byte) (err error) {
	if p.lock, err = lockFolder(p.dir); err != nil {
		return err
	}
	from, err := open(path)
	if err != nil {
		return err
	}
	defer from.Close()
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
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || !abandoned(dir, info) {
			continue
		}
		os.RemoveAll(dir)
	}
}
