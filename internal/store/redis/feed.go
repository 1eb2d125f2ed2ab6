// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// listenFor is how long a subscription may say nothing before it is asked
	// whether it is still there, and then has to answer.
	listenFor = time.Second
	// relisten is how long to wait before subscribing again.
	relisten = 100 * time.Millisecond
)

// Watch implements [store.Feed] by plain publish and subscribe: Redis keeps
// nothing for who does not listen, so changed("") follows each subscription. A
// connection that has died quietly is noticed within two seconds.
func (s *Store) Watch(ctx context.Context, changed func(key string)) error {
	if ctx.Err() != nil {
		return unknown(context.Cause(ctx))
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return unknown(errClosed)
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.stop, func() { cancel(errClosed) })()
	for ctx.Err() == nil {
		s.listen(ctx, changed)
		select {
		case <-time.After(relisten):
		case <-ctx.Done():
		}
	}
	return unknown(context.Cause(ctx))
}

// listen subscribes and returns when the subscription has ended.
func (s *Store) listen(ctx context.Context, changed func(key string)) {
	sub := s.client.Subscribe(ctx) // connects with the channel
	defer sub.Close()
	// Reading does not end with ctx.
	defer context.AfterFunc(ctx, func() { sub.Close() })()
	if err := sub.Subscribe(ctx, s.channel); err != nil {
		return
	}
	for asked := false; ; {
		msg, err := sub.ReceiveTimeout(ctx, listenFor)
		switch {
		case err == nil:
			asked = false
		case errors.Is(err, os.ErrDeadlineExceeded) && !asked && ctx.Err() == nil:
			asked = true
			if sub.Ping(ctx) != nil {
				return
			}
			continue
		default:
			return
		}
		switch msg := msg.(type) {
		case *goredis.Subscription:
			changed("")
		case *goredis.Message:
			if key, own := strings.CutPrefix(msg.Payload, s.id); !own {
				changed(key[min(len(s.id), len(key)):])
			}
		}
	}
}
