//! A parent in another process.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};

pub(crate) fn remote(flags: TraceFlags) -> Context {
    let (trace, span) = (TraceId::from(7), SpanId::from(8));
    let span = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}
