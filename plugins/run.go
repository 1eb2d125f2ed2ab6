// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/portalgate/portalgate/plugins/proto/authenticator/v1"
	"github.com/portalgate/portalgate/providers"
)

const (
	startWithin = 10 * time.Second
	stopWithin  = 3 * time.Second
	maxMessage  = 1 << 20
)

// run is one life of a plugin's process.
type run struct {
	rpc         authv1.AuthenticatorClient
	description providers.Description
	info        Info
	client      *goplugin.Client
	child       atomic.Pointer[child]
	// conn leads to a program that somebody else has started. There is neither
	// a client nor a child then.
	conn *grpc.ClientConn
	// gone ends when the process has.
	gone context.Context
}

// limits bound what a plugin can send.
func limits() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithMaxHeaderListSize(16 << 10),
	}
}

// begin starts the program, hands it its settings and asks what it is. It takes
// at most startWithin.
func begin(ctx context.Context, c Command, at *place, said io.Writer) (*run, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	r := &run{}
	config := &goplugin.ClientConfig{
		HandshakeConfig:  Handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{protocolVersion: {kind: &called{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
			// The gate's environment holds its secrets: cmd has what go-plugin
			// says to the plugin, and nothing else.
			env := cmd.Env
			cmd = exec.Command(at.program, c.Args...)
			cmd.Dir, cmd.Env = at.dir, append(append([]string(nil), c.Env...), env...)
			apart(cmd, at.as)
			if err := at.give(sockets); err != nil {
				return nil, err
			}
			child := &child{cmd: cmd, as: at.as, sockets: sockets, ended: make(chan struct{})}
			r.child.Store(child)
			return child, nil
		},
		SkipHostEnv:      true,
		AutoMTLS:         !c.NoTLS,
		StartTimeout:     startWithin,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: at.dir},
		Logger:           hclog.NewNullLogger(),
		Stderr:           said,
		SyncStdout:       said,
		SyncStderr:       said,
		GRPCDialOptions:  append(limits(), grpc.WithStreamInterceptor(noBroker), grpc.WithContextDialer(r.dial)),
	}
	r.client = goplugin.NewClient(config)
	// Whatever hangs below, hangs on the process.
	unstick := context.AfterFunc(ctx, r.kill)
	err := r.meet()
	if err == nil {
		err = r.introduce(ctx, c)
	}
	if !unstick() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

// meet waits for the program to listen, and connects to it.
func (r *run) meet() error {
	conn, err := r.client.Client()
	if err != nil {
		return fmt.Errorf("starting the plugin: %s", shortened(err))
	}
	raw, err := conn.Dispense(kind)
	if err != nil {
		return fmt.Errorf("starting the plugin: %s", shortened(err))
	}
	met := raw.(*met)
	r.rpc, r.gone = met.rpc, met.gone
	return nil
}

// introduce is what is said at the beginning of a process's life.
func (r *run) introduce(ctx context.Context, c Command) error {
	if _, err := r.rpc.Configure(ctx, &authv1.ConfigureRequest{ConfigJson: c.Config}); err != nil {
		return fmt.Errorf("the plugin refuses its config: %s", shortened(err))
	}
	d, err := r.rpc.Describe(ctx, &authv1.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("asking the plugin what it is: %s", shortened(err))
	}
	r.info = Info{Name: cut(d.GetName()), Version: cut(d.GetVersion())}
	if r.description = describeFromWire(d); len(c.Redirects) == 0 && r.description.Away {
		return errors.New("the plugin sends people away at once, and `redirects` names no origin")
	}
	if err := checkDescription(r.description); err != nil {
		return fmt.Errorf("what the plugin says of itself: %v", err)
	}
	return nil
}

// end stops the process, kindly first. It takes at most stopWithin, and a little
// longer where the process was killed.
func (r *run) end() {
	if r.conn != nil {
		r.conn.Close()
		return
	}
	done := make(chan struct{})
	go func() { r.client.Kill(); close(done) }()
	select {
	case <-done:
	case <-time.After(stopWithin):
	}
	r.kill() // and whatever it has left behind
	select {
	case <-done:
	case <-time.After(stopWithin):
	}
}

// kill stops the process at once, if there is one and it is ours.
func (r *run) kill() {
	if c := r.child.Load(); c != nil {
		c.Kill(context.Background())
	}
}

// called is the gate's side of go-plugin.
type called struct {
	goplugin.NetRPCUnsupportedPlugin
}

// met is a connection to a plugin.
type met struct {
	rpc  authv1.AuthenticatorClient
	gone context.Context
}

func (*called) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the gate serves nobody")
}

func (*called) GRPCClient(ctx context.Context, _ *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return &met{rpc: authv1.NewAuthenticatorClient(c), gone: ctx}, nil
}

// noBroker refuses the stream on which a plugin may ask for connections back:
// we use none, and each message on it would cost the gate a goroutine for 5 s.
func noBroker(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method == "/plugin.GRPCBroker/StartStream" {
		return nil, status.Error(codes.Unimplemented, "no broker")
	}
	return next(ctx, d, cc, method, opts...)
}

// child is a plugin's process. go-plugin's own runner gives it the gate's
// standard input, notices its end only when every descendant has closed its
// output, kills no descendant, and would connect to any address it is told.
type child struct {
	cmd            *exec.Cmd
	as             *User
	sockets        string
	socket         string // in sockets, once it has said so
	stdout, stderr *os.File
	pid            atomic.Int64 // 0 before it was started
	ended          chan struct{}
	err            error
}

// Start starts the process.
func (c *child) Start(context.Context) error {
	stdout, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	stderr, complaints, err := os.Pipe()
	if err != nil {
		stdout.Close()
		return err
	}
	defer complaints.Close()
	c.cmd.Stdout, c.cmd.Stderr = out, complaints
	if err := c.cmd.Start(); err != nil {
		stdout.Close()
		stderr.Close()
		return c.as.explain(err)
	}
	c.stdout, c.stderr = stdout, stderr
	c.pid.Store(int64(c.cmd.Process.Pid))
	go func() {
		c.err = c.cmd.Wait()
		killGroup(c.cmd.Process.Pid) // its children, who may hold its output
		// What is left in the pipes is read; who still holds them is not
		// waited for.
		end := time.Now().Add(100 * time.Millisecond)
		stdout.SetReadDeadline(end)
		stderr.SetReadDeadline(end)
		close(c.ended)
	}()
	return nil
}

// Wait returns when the process has ended and its output was read.
func (c *child) Wait(context.Context) error {
	<-c.ended
	c.stdout.Close()
	c.stderr.Close()
	return c.err
}

// Kill ends the process and all that it has started.
func (c *child) Kill(context.Context) error {
	select {
	case <-c.ended: // and its group with it
	default:
		if pid := int(c.pid.Load()); pid != 0 {
			killGroup(pid)
		}
	}
	return nil
}

// PluginToHost allows sockets in the plugin's own folder and nothing else: a
// plugin could make the gate talk to its neighbours.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != filepath.Clean(c.sockets) {
		return "", "", errors.New("the plugin does not listen in the folder of PLUGIN_UNIX_SOCKET_DIR")
	}
	c.socket = address
	return network, address, nil
}

// HostToPlugin is not used without a broker.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

func (c *child) Diagnose(context.Context) string { return "" }
func (c *child) Stdout() io.ReadCloser           { return c.stdout }
func (c *child) Stderr() io.ReadCloser           { return c.stderr }
func (c *child) Name() string                    { return c.cmd.Path }

// ID is the process id; empty before there is one.
func (c *child) ID() string {
	if pid := c.pid.Load(); pid != 0 {
		return strconv.FormatInt(pid, 10)
	}
	return ""
}

// Interface guards
var (
	_ goplugin.GRPCPlugin = (*called)(nil)
	_ runner.Runner       = (*child)(nil)
)
