//! What metrics see of a span whose trace is kept or discarded at its end, for their exemplars.

use opentelemetry::Context;
#[cfg(feature = "recorder")]
use opentelemetry::trace::TraceContextExt;

/// Returns whether the span of a context is recorded although it is not sampled. It may be exported when it ends.
#[cfg(feature = "recorder")]
pub(crate) fn is_held(context: &Context) -> bool {
    let span = context.span();
    !span.span_context().is_sampled() && span.is_recording()
}

/// Only a recorder has keep rules.
#[cfg(not(feature = "recorder"))]
pub(crate) const fn is_held(_context: &Context) -> bool {
    false
}

/// Returns the context in which metrics have the ended span as exemplar. Returns `None` if the span is not exported.
#[cfg(feature = "recorder")]
pub(crate) fn exported_context(context: &Context) -> Option<Context> {
    tower_otel_recorder::kept_context(context)
}

#[cfg(not(feature = "recorder"))]
pub(crate) const fn exported_context(_context: &Context) -> Option<Context> {
    None
}
