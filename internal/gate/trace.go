// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// decision is what becomes of a visit, for the counters, and for a trace if
// somebody keeps one.
type decision struct {
	outcome outcome
	settled bool
	span    trace.Span      // nil if nobody traces
	outer   context.Context // the request's, without the span
}

// begin begins the span of the gate's decision where the request is traced.
// What the store is asked for meanwhile is below it.
func (v *visit) begin() {
	outer := v.r.Context()
	parent := trace.SpanFromContext(outer)
	if !parent.IsRecording() {
		return
	}
	ctx, span := parent.TracerProvider().Tracer("portalgate").Start(outer, "portalgate")
	v.span, v.outer = span, outer
	v.r = v.r.WithContext(ctx)
}

// settle says that it is decided what becomes of the visit; only the first
// time counts. What comes after is not the gate's: the request is as it was.
func (v *visit) settle(o outcome) {
	if v.settled {
		return
	}
	v.outcome, v.settled = o, true
	v.rt.meter.requests[o].Inc()
	if v.span != nil {
		v.span.SetAttributes(attribute.String("portalgate.outcome", o.String()))
		v.span.End()
		v.r = v.r.WithContext(v.outer)
	}
}
