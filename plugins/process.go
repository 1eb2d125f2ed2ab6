// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/portalgate/portalgate/plugins/proto/authenticator/v1"
	"github.com/portalgate/portalgate/providers"
)

// ErrDown is returned by a [Process] while its program does not run.
var ErrDown = errors.New("the plugin is down")

// Command is a program and how it is to be run.
type Command struct {
	// Path is the program's file, and Digest its SHA-256; see [Digest].
	Path   string
	Digest []byte
	Args   []string
	// Env is the program's whole environment, as NAME=value. It inherits
	// nothing.
	Env []string
	// User is whom the program runs as. Nil is the gate's own user, but nobody
	// (65534) if the gate is root: a plugin never is.
	User *User
	// Config is handed to the program, as a JSON object.
	Config json.RawMessage
	// Redirects are the origins to which the program may send a browser.
	Redirects []string
	// AMR is what a claim may say of how somebody proved who they are; the rest
	// of what it says is left out. None is the default.
	AMR []string
	// Timeout is how long a call may take. If zero it is 2 s, and 10 min for a
	// program that is attached to: whoever debugs takes their time.
	Timeout time.Duration
	// NoTLS leaves the socket between the two unencrypted, for a program that
	// cannot do go-plugin's mutual TLS. The socket's folder is private all the
	// same.
	NoTLS bool
	// Reattach, unless nil, is a program that runs already, in a debugger. It
	// is not started: Path, Digest, Args, Env, User and NoTLS are without effect, so
	// no checksum is checked and nothing is encrypted.
	Reattach *Reattach
}

// Process is a sign-in method that runs as a program of its own. It starts the
// program when first asked to, starts it again when it ends, and checks all it
// says. Its methods may be called concurrently. After [Process.Close] it takes
// no more calls.
type Process struct {
	cmd  Command
	log  *zap.Logger
	over chan struct{} // closed when nothing is left of it

	closing context.Context // ends with Close
	close   context.CancelFunc

	mu      sync.Mutex
	started bool
	closed  bool
	leaving bool // takes no more calls when nobody is left
	refuses bool // takes no more calls
	run     *run // the program's life, nil between two
	down    error
	changed chan struct{} // closed when run or down changes
	calls   int           // under way, and callers who were told that it is ready
	idle    chan struct{} // closed when it refuses calls and none is left
	slow    int
	last    providers.Description
	// delays is the back-off: first and last.
	delays [2]time.Duration
	linger time.Duration
	// after is time.After, but in tests of the back-off.
	after func(time.Duration) <-chan time.Time
}

// New makes a Process. It starts nothing.
func New(c Command, log *zap.Logger) *Process {
	switch {
	case c.Timeout != 0:
	case c.Reattach != nil:
		c.Timeout = 10 * time.Minute
	default:
		c.Timeout = 2 * time.Second
	}
	closing, end := context.WithCancel(context.Background())
	return &Process{
		cmd: c, log: log, over: make(chan struct{}), changed: make(chan struct{}), closing: closing, close: end,
		idle:   make(chan struct{}),
		delays: [2]time.Duration{firstDelay, lastDelay}, linger: linger, after: time.After,
	}
}

// Warm starts the program in the background, if that was not done.
func (p *Process) Warm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warmLocked()
}

func (p *Process) warmLocked() {
	if !p.started && !p.closed {
		p.started = true
		go p.supervise()
	}
}

// Ready starts the program, if that was not done, and waits until it takes calls,
// at most within. It returns why if it does not. Until ctx ends the program then
// takes calls, also if it is closed meanwhile, though not for more than half a
// minute.
func (p *Process) Ready(ctx context.Context, within time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if _, err := p.live(wait); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leaveLocked()
	})
	return nil
}

// Available returns why the method cannot be used now; nil if it can, as far as
// is known.
func (p *Process) Available() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses {
		return ErrDown
	}
	return p.down
}

// Close lets calls that are under way, and those of requests that began before
// (see [Process.Ready]), finish, and stops the program. It does not wait; [Process.Done] tells.
func (p *Process) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.close()
	if !p.started {
		p.refuses = true
		close(p.over)
	}
}

// Done is closed when the program has ended after Close and nothing is left.
func (p *Process) Done() <-chan struct{} { return p.over }

// Describe says how the program presents itself, as far as it has said so.
func (p *Process) Describe() providers.Description {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Text == "" {
		return providers.Description{Text: "plugin"}
	}
	return p.last
}

// Start begins a sign-in.
func (p *Process) Start(ctx context.Context, req providers.Request) (providers.Step, error) {
	var step providers.Step
	err := p.do(ctx, func(ctx context.Context, r *run) error {
		answer, err := r.rpc.Start(ctx, &authv1.StartRequest{Request: requestToWire(req)})
		if err != nil {
			return err
		}
		if d := answer.GetDenial(); d != nil {
			return denied(d)
		}
		step = stepFromWire(answer.GetStep(), p.cmd.Redirects)
		return odd(checkStep(step))
	})
	if err != nil {
		return providers.Step{}, err
	}
	return step, nil
}

// Continue takes what came back.
func (p *Process) Continue(ctx context.Context, req providers.Request) (providers.Step, *providers.Claim, error) {
	var step providers.Step
	var claim *providers.Claim
	err := p.do(ctx, func(ctx context.Context, r *run) error {
		answer, err := r.rpc.Continue(ctx, &authv1.ContinueRequest{Request: requestToWire(req)})
		if err != nil {
			return err
		}
		switch a := answer.GetAnswer().(type) {
		case *authv1.ContinueResponse_Denial:
			return denied(a.Denial)
		case *authv1.ContinueResponse_Claim:
			claim = claimFromWire(a.Claim)
			if err := odd(checkClaim(claim)); err != nil {
				return err
			}
			claim.AMR = p.allowed(claim.AMR)
			return nil
		}
		step = stepFromWire(answer.GetStep(), p.cmd.Redirects)
		return odd(checkStep(step))
	})
	if err != nil {
		return providers.Step{}, nil, err
	}
	return step, claim, nil
}

// allowed returns what the configuration lets a claim say.
func (p *Process) allowed(amr []string) (ok []string) {
	for _, a := range p.cmd.AMR {
		for _, said := range amr {
			if a == said {
				ok = append(ok, a)
				break
			}
		}
	}
	return ok
}

// oddError is an answer that nobody may act on.
type oddError struct{ error }

func odd(err error) error {
	if err != nil {
		return &oddError{fmt.Errorf("the plugin's answer: %w", err)}
	}
	return nil
}

func denied(w *authv1.Denial) error {
	d := &providers.Denial{Text: w.GetText(), Field: w.GetField()}
	if err := odd(checkDenial(d)); err != nil {
		return err
	}
	return d
}

// do calls f with a live program, and once more with a fresh one if the program
// ended under it.
func (p *Process) do(ctx context.Context, f func(context.Context, *run) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.cmd.Timeout)
	defer cancel()
	for again := false; ; again = true {
		r, err := p.live(ctx)
		if err != nil {
			return err
		}
		err = f(ctx, r)
		gone := p.judge(ctx, r, err)
		if !gone || again {
			return plain(err)
		}
	}
}

// plain makes of an error on the wire one that a log can hold: its text is the
// plugin's.
func plain(err error) error {
	if s, ok := status.FromError(err); ok && err != nil {
		return fmt.Errorf("the plugin: %s: %s", s.Code(), cut(s.Message()))
	}
	return err
}

// judge takes note of how a call went, and reports whether the program has ended
// under it.
func (p *Process) judge(ctx context.Context, r *run, err error) (gone bool) {
	if status.Code(err) == codes.Unavailable {
		// The connection is seen to end before the process is.
		select {
		case <-r.gone.Done():
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked()
	switch {
	case r.gone.Err() != nil:
		// Canceled, without anybody having gone away: the call came between the
		// process's end and that of its connection.
		code := status.Code(err)
		return code == codes.Unavailable || code == codes.Canceled && ctx.Err() == nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && status.Code(err) == codes.DeadlineExceeded:
		if p.slow++; p.slow == tooSlow && p.run == r && r.conn == nil {
			p.log.Error("a plugin does not answer and is restarted", zap.Duration("within", p.cmd.Timeout))
			p.setLocked(nil, nil)
			r.kill()
		}
	default: // an answer, if not a good one
		p.slow = 0
	}
	return false
}

// leaveLocked ends a call that live has begun.
func (p *Process) leaveLocked() {
	p.calls--
	switch {
	case p.calls > 0:
	case p.refuses:
		close(p.idle)
	case p.leaving:
		p.refuseLocked()
	}
}

// live returns the program's life, waiting for its start if need be. The caller
// must hand what came of it to judge, or leave.
func (p *Process) live(ctx context.Context) (*run, error) {
	for {
		p.mu.Lock()
		p.warmLocked()
		r, down, changed := p.run, p.down, p.changed
		switch {
		case p.refuses || !p.started:
			down = ErrDown
		case r != nil && r.gone.Err() == nil:
			p.calls++
			p.mu.Unlock()
			return r, nil
		}
		p.mu.Unlock()
		if down != nil {
			return nil, down
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the plugin to start: %w", ctx.Err())
		}
	}
}

func (p *Process) setLocked(r *run, down error) {
	p.run, p.down = r, down
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Process) set(r *run, down error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setLocked(r, down)
}

// Interface guards
var _ providers.Authenticator = (*Process)(nil)
