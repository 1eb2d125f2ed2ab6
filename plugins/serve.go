// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/portalgate/portalgate/plugins/proto/authenticator/v1"
	"github.com/portalgate/portalgate/providers"
)

// Serve runs an authenticator as a plugin, and does not return. build is called
// once, when the operator's settings have come: the block `config` of the
// Caddyfile, read into a C. A setting that C does not know is refused.
//
// Started by hand with the argument --debug, in a debugger say, it prints what
// `reattach` in the Caddyfile takes, and serves until it is interrupted.
func Serve[C any](info Info, build func(context.Context, C) (providers.Authenticator, error)) {
	s := &server{info: info, build: func(ctx context.Context, raw []byte) (providers.Authenticator, error) {
		var config C
		if err := decode(raw, &config); err != nil {
			return nil, err
		}
		return build(ctx, config)
	}}
	config := &goplugin.ServeConfig{
		HandshakeConfig:  Handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{protocolVersion: {kind: &served{server: s}}},
		GRPCServer:       goplugin.DefaultGRPCServer,
		Logger:           hclog.NewNullLogger(),
	}
	if debugging() {
		if err := debug(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	signal.Ignore(syscall.SIGTERM) // the gate says when to stop; systemd tells the whole group
	go exitWithParent(os.Getppid())
	goplugin.Serve(config)
	os.Exit(0)
}

// exitWithParent keeps a plugin from outliving a gate that was killed.
func exitWithParent(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

// served is the plugin's side of go-plugin.
type served struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

func (p *served) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	authv1.RegisterAuthenticatorServer(s, p.server)
	return nil
}

func (*served) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin calls nobody")
}

// server answers the gate's calls.
type server struct {
	authv1.UnimplementedAuthenticatorServer
	info  Info
	build func(context.Context, []byte) (providers.Authenticator, error)
	auth  atomic.Pointer[providers.Authenticator]
}

func (s *server) Configure(ctx context.Context, req *authv1.ConfigureRequest) (*authv1.ConfigureResponse, error) {
	a, err := s.build(ctx, req.GetConfigJson())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.auth.Store(&a)
	return new(authv1.ConfigureResponse), nil
}

// configured returns what Configure has built.
func (s *server) configured() (providers.Authenticator, error) {
	if a := s.auth.Load(); a != nil {
		return *a, nil
	}
	return nil, status.Error(codes.FailedPrecondition, "Configure comes first")
}

func (s *server) Describe(context.Context, *authv1.DescribeRequest) (*authv1.DescribeResponse, error) {
	a, err := s.configured()
	if err != nil {
		return nil, err
	}
	d := a.Describe()
	return &authv1.DescribeResponse{
		Name: s.info.Name, Version: s.info.Version,
		Label: d.Label, Away: d.Away, LifeSeconds: int64(d.Life / time.Second),
		AfterAddress: askToWire(d.AfterAddress),
	}, nil
}

func (s *server) Start(ctx context.Context, req *authv1.StartRequest) (*authv1.StartResponse, error) {
	a, err := s.configured()
	if err != nil {
		return nil, err
	}
	step, err := a.Start(ctx, requestFromWire(req.GetRequest()))
	if denial, ok := errors.AsType[*providers.Denial](err); ok {
		return &authv1.StartResponse{Answer: &authv1.StartResponse_Denial{Denial: denialToWire(denial)}}, nil
	}
	if err != nil {
		return nil, err
	}
	wire, err := stepToWire(step)
	if err != nil {
		return nil, err
	}
	return &authv1.StartResponse{Answer: &authv1.StartResponse_Step{Step: wire}}, nil
}

func (s *server) Continue(ctx context.Context, req *authv1.ContinueRequest) (*authv1.ContinueResponse, error) {
	a, err := s.configured()
	if err != nil {
		return nil, err
	}
	step, claim, err := a.Continue(ctx, requestFromWire(req.GetRequest()))
	if denial, ok := errors.AsType[*providers.Denial](err); ok {
		return &authv1.ContinueResponse{Answer: &authv1.ContinueResponse_Denial{Denial: denialToWire(denial)}}, nil
	}
	switch {
	case err != nil:
		return nil, err
	case claim != nil:
		return &authv1.ContinueResponse{Answer: &authv1.ContinueResponse_Claim{Claim: claimToWire(claim)}}, nil
	}
	wire, err := stepToWire(step)
	if err != nil {
		return nil, err
	}
	return &authv1.ContinueResponse{Answer: &authv1.ContinueResponse_Step{Step: wire}}, nil
}

// decode reads an operator's settings strictly: a misspelt one would be
// silently without effect.
func decode(raw []byte, into any) error {
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("config: %v", err)
	}
	return nil
}

// Interface guards
var (
	_ goplugin.GRPCPlugin        = (*served)(nil)
	_ authv1.AuthenticatorServer = (*server)(nil)
)
