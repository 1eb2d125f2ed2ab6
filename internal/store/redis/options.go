// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options say where the store is. It needs Redis 6.2 or newer.
type Options struct {
	// URL is redis://[user:password@]host:port[/db], rediss:// for TLS, or
	// unix:///path/to/socket[?db=n]. With a Sentinel its host is not used.
	//
	// The user needs its keys and channel (~portalgate:<gate>:* and
	// &portalgate:<gate>:*) and +eval +evalsha +get +set +del +time +info +ping
	// +hello +select +publish +subscribe +wait +zadd +zrem +zscore +zcard
	// +zrangebyscore +hget +hgetall +hset +hdel +hincrby; in a cluster +cluster and
	// +asking too, without which nothing is reached in a slot that moves.
	URL string
	// Prefix keeps stores of one server apart: the gate's name. It stands in
	// every key and channel.
	Prefix string
	// Replicas is how many replicas must have a write before it counts: all
	// that may be promoted. Zero asks none.
	Replicas int

	// Sentinel is the name under which sentinels know the primary, and
	// Sentinels are their addresses.
	Sentinel  string
	Sentinels []string
	// Cluster says that the server is a node of a cluster. Nodes are further
	// addresses to find it by, and say so too.
	Cluster bool
	Nodes   []string

	// CA, Cert and Key are files for TLS: whom to believe instead of the
	// system's authorities, and whom to be. They are read for each connection:
	// one that was renewed is in use from then on.
	CA, Cert, Key string

	// QueueSize is how many items the queue holds; zero is 100 000.
	QueueSize int

	// timeout is for tests on machines that are busy; zero is opTimeout.
	timeout time.Duration
}

var errURL = errors.New("the URL must be redis://[user:password@]host:port[/db], rediss://… or unix:///path")

// prefixes have no braces, for those say where a key is kept.
var prefixes = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (o Options) client() (goredis.UniversalClient, error) {
	switch {
	case !prefixes.MatchString(o.Prefix):
		return nil, fmt.Errorf("a store's prefix may have letters, digits, '.', '_' and '-', not %q", o.Prefix)
	case o.Replicas < 0:
		return nil, errors.New("replicas must not be negative")
	case (o.Sentinel == "") != (len(o.Sentinels) == 0):
		return nil, errors.New("sentinel needs the name of the primary and the address of a sentinel")
	case o.Sentinel != "" && (o.Cluster || len(o.Nodes) > 0):
		return nil, errors.New("a store is behind sentinels or a cluster, not both")
	}
	// No error of these is passed on: they quote the URL, password and all.
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errURL
	}
	at, err := goredis.ParseURL(o.URL)
	if err != nil {
		return nil, errURL
	}
	for name := range u.Query() {
		if name != "db" || u.Scheme != "unix" {
			return nil, errors.New("the URL has an option that is not for it to set; a ? in a password is written %3F")
		}
	}
	cluster := o.Cluster || len(o.Nodes) > 0
	if (cluster || o.Sentinel != "") && at.Network == "unix" {
		return nil, errors.New("a cluster and sentinels are not on a unix socket")
	}
	if cluster && at.DB != 0 {
		return nil, errors.New("a cluster has database 0 only")
	}

	uo := &goredis.UniversalOptions{
		Addrs:         append([]string{at.Addr}, o.Nodes...),
		IsClusterMode: cluster,
		MasterName:    o.Sentinel,
		Username:      at.Username,
		Password:      at.Password,
		DB:            at.DB,

		Protocol:              2, // nothing of 3 is used
		ContextTimeoutEnabled: true,
		DialTimeout:           o.timeout,
		ReadTimeout:           o.timeout,
		WriteTimeout:          o.timeout,
		PoolTimeout:           o.timeout,
		// A write that is sent again after its answer was lost would find the
		// record changed by somebody: itself.
		MaxRetries:       -1,
		DialerRetries:    1,
		PoolSize:         maxConns,
		PipelinePoolSize: -1, // pipelines take what there is
		// What the server may not know or a proxy may not like.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.Sentinel != "" {
		uo.Addrs = o.Sentinels
	}
	if u.Scheme == "rediss" {
		d := &dialer{o: o}
		if d.last, err = o.tls(); err != nil {
			return nil, err
		}
		uo.Dialer = d.dial
	} else if o.CA != "" || o.Cert != "" || o.Key != "" {
		return nil, errors.New("ca and cert are for rediss:// URLs")
	}
	if !cluster && o.Sentinel == "" {
		simple := uo.Simple()
		simple.Network = at.Network
		return goredis.NewClient(simple), nil
	}
	return goredis.NewUniversalClient(uo), nil
}
