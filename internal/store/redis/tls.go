// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
)

// A dialer makes connections with TLS, each by the files as they are then: a
// certificate that is renewed every few weeks must not need a restart. While the
// files cannot be read, those that could be last serve on, until the server does
// not take them any more.
type dialer struct {
	o Options

	mu   sync.Mutex
	last *tls.Config // guarded by mu
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.timeout)
	defer cancel()
	c := d.config().Clone()
	// Each server is checked by the address it was reached at.
	var err error
	if c.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: c}).DialContext(ctx, network, addr)
}

func (d *dialer) config() *tls.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, err := d.o.tls(); err == nil {
		d.last = c
	}
	return d.last
}

// tls is how connections are made by the files as they are now.
func (o Options) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the store's ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the store's ca %s has no certificate in it", o.CA)
		}
	}
	if o.Cert != "" || o.Key != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the store's certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
