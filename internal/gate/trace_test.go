// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/portalgate/portalgate/internal/session"
)

// TestT04_Spans: where a request is traced, what the gate made of it is a span,
// which ends where the upstream's part begins, with the store's calls below it.
func TestT04_Spans(t *testing.T) {
	w := newWorld(t, public("/open/*"))
	b := w.signIn("ada@example.com")
	cookie := "portalgate-main=" + b.held()["portalgate-main"]
	nobodys := "portalgate-main=" + session.Token(strings.Repeat("a", session.TagSize), make([]byte, session.SecretSize))
	seen := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(seen))
	for _, tc := range []struct {
		path, cookie, outcome string
		store                 []string
	}{
		{"/files", cookie, "signed_in", nil},
		{"/open/x", "", "public", nil},
		{"/files", "", "not_signed_in", nil},
		{"/files", nobodys, "not_signed_in", []string{"portalgate.store get"}},
		{"/sign-in", "", "own", nil},
	} {
		seen.Reset()
		ctx, root := provider.Tracer("test").Start(t.Context(), "request")
		r := httptest.NewRequest("GET", w.front+tc.path, nil).WithContext(ctx)
		r.Trailer = http.Header{"Remote-User": {"c-eve"}}
		if tc.cookie != "" {
			r.Header.Set("Cookie", tc.cookie)
		}
		called := false
		err := w.h.ServeHTTP(httptest.NewRecorder(), r, Front{}, func(_ http.ResponseWriter, r *http.Request) error {
			called = true
			if got := trace.SpanContextFromContext(r.Context()).SpanID(); got != root.SpanContext().SpanID() {
				t.Errorf("%s: what is behind the gate belongs to span %s, want the request's", tc.path, got)
			}
			if !slices.ContainsFunc(seen.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() == "portalgate" }) {
				t.Errorf("%s: the gate's span lasts as long as the upstream's answer", tc.path)
			}
			if r.Trailer != nil {
				t.Errorf("%s: trailers get through where the request is traced", tc.path)
			}
			return nil
		})
		if err != nil || called != (tc.outcome == "signed_in" || tc.outcome == "public") {
			t.Errorf("%s: %v, called %t", tc.path, err, called)
		}
		var names []string
		for _, s := range seen.Ended() {
			names = append(names, s.Name())
		}
		if want := append(slices.Clone(tc.store), "portalgate"); !slices.Equal(names, want) {
			t.Fatalf("%s: spans %q, want %q", tc.outcome, names, want)
		}
		gate := seen.Ended()[len(names)-1]
		if gate.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Error("the gate's span is not the request's")
		}
		if got := gate.Attributes(); !slices.Equal(got, []attribute.KeyValue{attribute.String("portalgate.outcome", tc.outcome)}) {
			t.Errorf("attributes %v, want portalgate.outcome %s", got, tc.outcome)
		}
		for _, s := range seen.Ended()[:len(names)-1] {
			if s.Parent().SpanID() != gate.SpanContext().SpanID() {
				t.Errorf("%s is not below the gate's span", s.Name())
			}
			if all := fmt.Sprint(s.Attributes(), s.Events(), s.Status()); strings.Contains(all, "aaaa") {
				t.Errorf("a span tells of a record: %s", all)
			}
		}
	}
}
