// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/portalgate/portalgate/internal/limit"
	"github.com/portalgate/portalgate/internal/store"
)

// fixed is a store that always says the same.
type fixed struct {
	err  error
	ctxs *[]context.Context
}

func (f fixed) say(ctx context.Context) error {
	if f.ctxs != nil {
		*f.ctxs = append(*f.ctxs, ctx)
	}
	return f.err
}

func (f fixed) Get(ctx context.Context, _ string) (store.Value, error) {
	return store.Value{}, f.say(ctx)
}

func (f fixed) Update(ctx context.Context, _ string, _ func(time.Time, store.Value) (store.Value, error)) error {
	return f.say(ctx)
}

func (f fixed) Allow(ctx context.Context, _ []limit.Ask) (limit.Decision, error) {
	return limit.Decision{}, f.say(ctx)
}
func (f fixed) Forget(ctx context.Context, _ ...string) error { return f.say(ctx) }
func (f fixed) Put(ctx context.Context, _ store.Item) error   { return f.say(ctx) }
func (f fixed) Lease(ctx context.Context, _ store.Lane, _ int, _ time.Duration) ([]store.Item, error) {
	return nil, f.say(ctx)
}
func (f fixed) Done(ctx context.Context, _ string) error               { return f.say(ctx) }
func (f fixed) Retry(ctx context.Context, _ string, _ time.Time) error { return f.say(ctx) }
func (f fixed) Close() error                                           { return nil }

// everyOp makes every call that there is, with a key that nobody may see, and
// returns the calls' names.
func everyOp(t *testing.T, ctx context.Context, b store.Backend, want error) []string {
	t.Helper()
	const key = "access/secretkey"
	_, get := b.Get(ctx, key)
	_, allow := b.Allow(ctx, []limit.Ask{{Key: key}})
	_, lease := b.Lease(ctx, store.Fresh, 1, time.Minute)
	for i, err := range []error{
		get, b.Update(ctx, key, put(nil, time.Time{})), allow, b.Put(ctx, store.Item{ID: key}), lease,
		b.Done(ctx, key), b.Retry(ctx, key, time.Time{}), b.Forget(ctx, key),
	} {
		if err != want {
			t.Errorf("call %d returned %v, want %v as it came", i, err, want)
		}
	}
	return []string{"get", "allow", "lease", "update", "put", "done", "retry", "forget"}
}

func TestTimed(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	down := fmt.Errorf("%w: access/secretkey", store.ErrUnknown)
	for _, tc := range []struct {
		name   string
		ctx    context.Context
		err    error
		failed bool
	}{
		{"well", t.Context(), nil, false},
		{"not found", t.Context(), store.ErrNotFound, false},
		{"full", t.Context(), store.ErrFull, false},
		{"the change's own error", t.Context(), errors.New("no"), false},
		{"down", t.Context(), down, true},
		{"too slow", late, down, true},
		{"nobody waits", gone, down, false},
	} {
		var told []string
		b := store.Timed(fixed{err: tc.err}, func(op string, took time.Duration, err error) {
			told = append(told, op)
			if took < 0 || took > time.Minute {
				t.Errorf("%s: took %v", op, took)
			}
			if (err != nil) != tc.failed {
				t.Errorf("%s, %s: failed with %v, want failed %t", tc.name, op, err, tc.failed)
			}
		})
		if want := everyOp(t, tc.ctx, b, tc.err); !slices.Equal(told, want) {
			t.Errorf("%s: told of %v, want %v", tc.name, told, want)
		}
	}
}

// TestT04_StoreSpans: keys are keyed hashes and ids of mails, and an error may
// name one; a trace goes to other people's machines and has none of them.
func TestT04_StoreSpans(t *testing.T) {
	seen := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(seen))
	ctx, parent := provider.Tracer("test").Start(t.Context(), "request")
	err := fmt.Errorf("%w: access/secretkey", store.ErrUnknown)
	var ctxs []context.Context
	ops := everyOp(t, ctx, store.Timed(fixed{err, &ctxs}, func(string, time.Duration, error) {}), err)
	spans := seen.Ended()
	if len(spans) != len(ops) {
		t.Fatalf("%d spans of %d calls", len(spans), len(ops))
	}
	for i, s := range spans {
		if s.Name() != "portalgate.store "+ops[i] || s.Parent().SpanID() != parent.SpanContext().SpanID() {
			t.Errorf("span %q under %s", s.Name(), s.Parent().SpanID())
		}
		if trace.SpanContextFromContext(ctxs[i]).SpanID() != s.SpanContext().SpanID() {
			t.Errorf("%s: the store does not know of its span", ops[i])
		}
		if s.Status().Code != codes.Error {
			t.Errorf("%s: the span does not say that it failed", ops[i])
		}
		if all := fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status()); strings.Contains(all, "secretkey") {
			t.Errorf("the span has the key: %s", all)
		}
	}
}

// TestTimedCostsNothing: a store call where nobody traces takes no memory more.
func TestTimedCostsNothing(t *testing.T) {
	b := store.Timed(fixed{}, func(string, time.Duration, error) {})
	if n := testing.AllocsPerRun(1000, func() { b.Get(context.Background(), "key") }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkTimed(b *testing.B) {
	timed := store.Timed(fixed{}, func(string, time.Duration, error) {})
	b.ReportAllocs()
	for b.Loop() {
		timed.Get(b.Context(), "key")
	}
}
