// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// User is an account of the operating system that a plugin runs as.
type User struct{ uid, gid int }

// nobody is whom a plugin runs as if the gate is root and was told nothing else.
// It is the kernel's overflow id, which owns no file.
var nobody = &User{65534, 65534}

// ParseUser reads the name of a user, a user's number, or a user's and a group's
// with a colon between. A gate that may not run programs as that user is told so
// here, and not when somebody signs in.
func ParseUser(s string) (*User, error) {
	u, err := lookUp(s)
	if err != nil {
		return nil, fmt.Errorf("user: %v", err)
	}
	switch us := os.Geteuid(); {
	case u.uid == 0 || u.gid == 0:
		return nil, fmt.Errorf("user: %s is root: a plugin is a stranger's program; name another", s)
	case us == -1:
		return nil, fmt.Errorf("user: programs cannot be run as %s on this system; leave `user` out", s)
	case us != 0 && us != u.uid:
		return nil, fmt.Errorf("user: the gate runs as user %d and may not run a program as %s (%d): leave `user` out, or start the gate as root", us, s, u.uid)
	}
	return u, nil
}

func lookUp(s string) (*User, error) {
	number, group, both := strings.Cut(s, ":")
	uid, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		if both {
			return nil, fmt.Errorf("%q is neither a name, nor a number, nor two numbers with a colon between", s)
		}
		return account(user.Lookup(s))
	}
	if !both {
		return account(user.LookupId(number))
	}
	gid, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%q is no group's number", group)
	}
	return &User{int(uid), int(gid)}, nil
}

func account(a *user.User, err error) (*User, error) {
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(a.Uid)
	if err != nil {
		return nil, fmt.Errorf("user %s has no number", a.Username)
	}
	gid, err := strconv.Atoi(a.Gid)
	if err != nil {
		return nil, fmt.Errorf("user %s has no group", a.Username)
	}
	return &User{uid, gid}, nil
}

// runsAs returns whom a plugin runs as; nil is the gate's own user, which is
// never root's.
func (c Command) runsAs() *User {
	switch {
	case os.Geteuid() != 0:
		return nil
	case c.User == nil:
		return nobody
	}
	return c.User
}

// explain says what is to be done about a program that could not be started as u.
func (u *User) explain(err error) error {
	switch {
	case u == nil:
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: user %d must be able to pass through %s and to run programs there", err, u.uid, os.TempDir())
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: the gate is root, but may not run programs as user %d: it lacks CAP_SETUID and CAP_SETGID", err, u.uid)
	}
	return err
}
