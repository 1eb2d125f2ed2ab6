// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/redis"
)

// Redis is a store that several gates share.
type Redis struct {
	// redis://[user:password@]host:port[/db], rediss:// for TLS, or
	// unix:///path. Meant to hold its password in a placeholder, or to be one
	// whole: {env.REDIS_URL}. Required.
	URL string `json:"url,omitempty"`

	// How many replicas must have a write before it counts: all that may be
	// promoted. Default: 0, none.
	Replicas int `json:"replicas,omitempty"`

	// The file of the authorities to trust in place of the system's.
	CA string `json:"ca,omitempty"`

	// The files of a client certificate and its key.
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`

	// The name under which sentinels know the primary, and their addresses.
	Sentinel  string   `json:"sentinel,omitempty"`
	Sentinels []string `json:"sentinels,omitempty"`

	// Whether the server is a node of a cluster, and further nodes of it.
	Cluster bool     `json:"cluster,omitempty"`
	Nodes   []string `json:"nodes,omitempty"`
}

// unmarshal reads what follows `store redis`.
func (r *Redis) unmarshal(d *caddyfile.Dispenser, args []string) error {
	start := *d
	if len(args) != 1 || args[0] == "" {
		return d.Err("store redis takes one URL: store redis redis://127.0.0.1:6379")
	}
	r.URL = args[0]
	err := block(d, "store redis", map[string]func() error{
		"replicas": func() error {
			var text string
			if err := one(d, &text, "1"); err != nil {
				return err
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return d.Errf("%q is no number of replicas; write how many may be promoted: replicas 2", text)
			}
			r.Replicas = n
			return nil
		},
		"ca": func() error { return one(d, &r.CA, "/etc/portalgate/redis-ca.pem") },
		"cert": func() error {
			files := d.RemainingArgs()
			if len(files) != 2 {
				return d.Err("cert takes two files: cert /etc/portalgate/redis.pem /etc/portalgate/redis.key")
			}
			r.Cert, r.Key = files[0], files[1]
			return nil
		},
		"sentinel": func() error {
			names := d.RemainingArgs()
			if len(names) < 2 {
				return d.Err("sentinel takes the primary's name and the sentinels' addresses: sentinel mymaster 10.0.0.1:26379 10.0.0.2:26379")
			}
			r.Sentinel, r.Sentinels = names[0], names[1:]
			return at(d, checkNodes(r.Sentinels))
		},
		"cluster": func() error {
			r.Cluster, r.Nodes = true, d.RemainingArgs()
			return at(d, checkNodes(r.Nodes))
		},
	})
	if err != nil {
		return err
	}
	return at(&start, r.check())
}

func checkNodes(addresses []string) error {
	for _, a := range addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("%q is no address; write host:port, such as 10.0.0.1:6379", a)
		}
	}
	return nil
}

// check reports what is wrong as far as it can be told without the values of
// placeholders.
func (r *Redis) check() error {
	if strings.Contains(r.URL, "{") {
		return nil // known when it is resolved
	}
	return r.try(r.URL)
}

// literalPassword reports whether the URL has a password that is no placeholder.
func (r *Redis) literalPassword() bool {
	_, rest, _ := strings.Cut(r.URL, "://")
	authority, _, _ := strings.Cut(rest, "/")
	user, _, is := strings.Cut(authority, "@")
	_, password, has := strings.Cut(user, ":")
	return is && has && password != "" && !strings.HasPrefix(password, "{")
}

// try makes a store that talks to nobody.
func (r *Redis) try(at string) error {
	o := r.options("try", at)
	o.CA, o.Cert, o.Key = "", "", "" // files are another matter
	s, err := redis.Open(o)
	if err != nil {
		return fmt.Errorf("store redis: %v", err)
	}
	return s.Close()
}

func (r *Redis) options(gate, at string) redis.Options {
	return redis.Options{
		URL: at, Prefix: gate, Replicas: r.Replicas, CA: r.CA, Cert: r.Cert, Key: r.Key,
		Sentinel: r.Sentinel, Sentinels: r.Sentinels, Cluster: r.Cluster, Nodes: r.Nodes,
	}
}

// openRedis makes a nil *redis.Store a nil interface. It talks to no server yet.
func openRedis(o redis.Options) (store.Backend, error) {
	s, err := redis.Open(o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// resolve returns what the store is opened with, and the name under which a
// runtime is kept that does: another for every other setting.
func (r *Redis) resolve(gate string) (o redis.Options, name string, err error) {
	at, err := caddy.NewReplacer().ReplaceOrErr(r.URL, true, true)
	if err != nil {
		return o, "", fmt.Errorf("store redis: %v", err)
	}
	if err := r.try(at); err != nil {
		return o, "", err
	}
	o = r.options(gate, at)
	for _, file := range []*string{&o.CA, &o.Cert, &o.Key} {
		if *file == "" {
			continue
		}
		if *file, err = filepath.Abs(*file); err != nil {
			return o, "", fmt.Errorf("store redis: %v", err)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		return o, "", fmt.Errorf("store redis: %v", err)
	}
	sum := sha256.Sum256(text) // a name is printed; the URL may have a password in it
	return o, "redis " + hex.EncodeToString(sum[:]), nil
}
