//! The held trace of the span in a context, and the mark of a handler.

use std::cell::Cell;

use opentelemetry::{Context, KeyValue, trace::TraceContextExt};

use crate::{
    keys::{KEEP, QUESTION},
    shared::SpanTrace,
};

thread_local! {
    /// The answer of the span that was asked last.
    static ANSWER: Cell<SpanTrace> = const { Cell::new(None) };
}

/// Marks the trace of the current OpenTelemetry context, so that it is kept although it was not sampled.
///
/// Sets the attribute `sampling.keep` of the current span, too. It has no other effect if the trace is sampled, if the
/// recorder has no [keep rules](crate::RecorderBuilder::keep), or when the local root has ended. The rate limit of the
/// rules holds for marked traces, too.
///
/// # Examples
///
/// ```
/// fn pay(amount: u64) {
///     if amount > 1_000_000 {
///         tower_otel_recorder::keep_trace();
///     }
/// }
/// ```
pub fn keep_trace() {
    let current = Context::current();
    current.span().set_attribute(KeyValue::new(KEEP, true));
}

/// Returns the held trace of the span in a context.
///
/// The API does not hand out the span in a context, and the span of a tracer is not in a context before its caller puts
/// it there. So the span is asked with an attribute, which it [answers](answer) and does not record.
pub(super) fn trace_of(context: &Context) -> SpanTrace {
    context.span().set_attribute(KeyValue::new(QUESTION, true));
    ANSWER.try_with(Cell::take).ok().flatten()
}

/// Handles an attribute that concerns the trace of the span. Returns `false` if the attribute is to be recorded.
pub(crate) fn answer(attribute: &KeyValue, trace: &SpanTrace) -> bool {
    let Some(held) = trace else { return false };
    match attribute.key.as_str() {
        KEEP => {
            held.mark();
            false
        }
        QUESTION => {
            // The thread may be destroying its thread-locals.
            _ = ANSWER.try_with(|answer| answer.set(trace.clone()));
            true
        }
        _ => false,
    }
}
