// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/portalgate/portalgate/internal/store"
)

// Check looks at every primary. An error that wraps [store.ErrUnknown] says that
// it could not; any other is a reason not to start, for operators to read: what
// is proven to lose limits and revocations, or to let no call through.
func (s *Store) Check(ctx context.Context) (store.Health, error) {
	var h store.Health
	if err := s.begin(ctx); err != nil {
		return h, err
	}
	defer s.end()
	// Every right that the gate needs, by making use of it: a record nobody asks
	// for is written and removed.
	n := s.name("v", "check/"+s.id)
	for _, record := range []string{strings.Repeat("\x00", recordHeader), ""} {
		old, err := s.read(ctx, n)
		if err == nil {
			forget := strconv.FormatInt(old.now.Add(time.Minute).UnixMilli(), 10)
			_, err = s.do(ctx, &call{script: casScript, keys: []string{n.full},
				args: []any{old.record, old.epoch, record, forget, s.channel, s.id + "check"}})
		}
		if err != nil {
			return h, refused(err)
		}
	}
	if cluster, ok := s.client.(*goredis.ClusterClient); ok {
		var mu sync.Mutex
		var refusal error
		if err := cluster.ForEachMaster(ctx, func(ctx context.Context, n *goredis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			refusal = cmp.Or(refusal, s.checkNode(ctx, n, &h))
			return nil
		}); err != nil {
			return h, unknown(err)
		}
		return h, refusal
	}
	return h, s.checkNode(ctx, s.client.(*goredis.Client), &h)
}

// checkNode adds to h what is to be said of one primary.
func (s *Store) checkNode(ctx context.Context, n *goredis.Client, h *store.Health) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	at := n.Options().Addr
	if at == "FailoverClient" {
		at = "the primary" // behind sentinels it has no address of its own
	}
	warn := func(format string, args ...any) {
		h.Warnings = append(h.Warnings, "redis at "+at+" "+fmt.Sprintf(format, args...))
	}

	asked := time.Now()
	now, err := n.Time(ctx).Result()
	if err != nil {
		return refused(err)
	}
	skew := now.Sub(asked.Add(time.Since(asked) / 2))
	if h.Skew == 0 || skew.Abs() < h.Common.Abs() {
		h.Common = skew
	}
	if skew.Abs() > h.Skew.Abs() {
		h.Skew = skew
	}
	text, err := n.Info(ctx).Result()
	if err != nil {
		return refused(err)
	}
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	if p := info["maxmemory_policy"]; p != "" && p != "noeviction" {
		return fmt.Errorf("redis at %s has the maxmemory-policy %q, which drops limits and sign-ins when memory is short: "+
			"set it to noeviction", at, p)
	}
	if _, ok := s.client.(*goredis.ClusterClient); !ok && info["cluster_enabled"] == "1" {
		return fmt.Errorf("redis at %s is a node of a cluster: configure the store as a cluster", at)
	}
	if info["aof_enabled"] == "0" {
		warn("keeps no append-only file: what it acknowledged is lost when it restarts (set appendonly yes)")
	}
	if have, _ := strconv.Atoi(info["connected_slaves"]); have < s.replicas {
		warn("has %d of the %d replicas that every write waits for: nobody can sign in until they follow", have, s.replicas)
	}
	return nil
}

// refused tells a server that does not want us, which no waiting helps, from one
// that cannot be asked.
func refused(err error) error {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return unknownOnce(err)
	}
	for _, said := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "user executing the script can't"} {
		if strings.Contains(reply.Error(), said) {
			return fmt.Errorf("redis does not accept this user or password, or lets it do too little: %v", reply)
		}
	}
	if _, moved := goredis.IsMovedError(err); moved {
		return errors.New("redis is a node of a cluster: configure the store as a cluster")
	}
	return unknownOnce(err)
}

func unknownOnce(err error) error {
	if errors.Is(err, store.ErrUnknown) {
		return err
	}
	return unknown(err)
}
