// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Back-off between the lives of a program that keeps ending.
const (
	firstDelay = 500 * time.Millisecond
	lastDelay  = 30 * time.Second
	healthy    = time.Minute // a life that long is forgiven its end

	// tooSlow calls in a row past their deadline, and the program is restarted.
	tooSlow = 3
	// linger is how long a closed Process still takes calls, whoever makes them,
	// and patience how much longer from those who were told that it is ready:
	// requests outlive the configuration that they began with, and on a busy
	// machine by much.
	linger   = 3 * time.Second
	patience = 27 * time.Second
)

// supervise gives the program one life after the other, until Close. It is the
// only one that starts and stops it.
func (p *Process) supervise() {
	defer close(p.over)
	// A start that is under way at Close is waited for as long as callers do.
	starting, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	defer context.AfterFunc(p.closing, func() { time.AfterFunc(p.linger+p.cmd.Timeout, giveUp) })()
	said := &voice{log: p.log}
	var at *place
	defer func() {
		if at != nil {
			at.remove()
		}
	}()
	for delay := time.Duration(0); ; {
		var r *run
		var err error
		began := time.Now()
		if p.cmd.Reattach != nil {
			p.log.Warn("a plugin is attached to that runs in a debugger: no checksum is checked, and nothing encrypted")
			r, err = attach(starting, p.cmd)
		} else {
			if at != nil && !at.intact(p.cmd.Digest) {
				p.log.Error("a plugin's private copy was changed, and is made again")
				at.remove()
				at = nil
			}
			if at == nil {
				at, err = copied(p.cmd.Path, p.cmd.Digest, p.cmd.runsAs())
			}
			if err == nil {
				r, err = begin(starting, p.cmd, at, said)
			}
		}
		if err == nil {
			p.log.Info("a plugin runs", zap.String("is", r.info.Name), zap.String("version", r.info.Version), zap.Duration("after", time.Since(began)))
			p.mu.Lock()
			p.slow, p.last = 0, r.description
			p.setLocked(r, nil)
			p.mu.Unlock()
			select {
			case <-r.gone.Done():
				p.set(nil, nil)
				r.end()
				err = errors.New("the program has ended")
			case <-p.closing.Done():
				p.drain(r)
				r.end()
				return
			}
		}
		if time.Since(began) >= healthy {
			delay = 0
		}
		p.log.Error("a plugin does not run", zap.Error(err), zap.Duration("next_try_in", delay))
		if r == nil || delay > p.delays[0] {
			p.set(nil, fmt.Errorf("%w: %v", ErrDown, err))
		}
		select {
		case <-p.after(delay):
		case <-p.closing.Done():
			p.refuse()
			return
		}
		delay = min(max(2*delay, p.delays[0]), p.delays[1])
	}
}

// drain waits until nobody needs a closed Process: late requests are still
// served for a while, and every call has its deadline.
func (p *Process) drain(r *run) {
	select {
	case <-p.after(p.linger):
		p.leave()
		select {
		case <-p.idle:
		case <-p.after(patience):
		case <-r.gone.Done():
		}
	case <-r.gone.Done():
	}
	p.refuse()
	select {
	case <-p.idle:
	case <-p.after(p.cmd.Timeout):
	}
}

// leave has the last who leaves close the door.
func (p *Process) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leaving = true; p.calls == 0 {
		p.refuseLocked()
	}
}

// refuse takes no more calls.
func (p *Process) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuseLocked()
}

func (p *Process) refuseLocked() {
	if p.refuses {
		return
	}
	p.refuses = true
	if p.calls == 0 {
		close(p.idle)
	}
	p.setLocked(nil, ErrDown)
}
