//! The held trace of the span in a context, and `keep_trace`.

use std::{cell::Cell, sync::Arc};

use opentelemetry::{
    Context, KeyValue, SpanId, Value,
    trace::{SpanContext, TraceContextExt},
};

use super::held_trace::HeldTrace;
use crate::{
    keys::{HELD_TRACE_QUERY, KEEP},
    shared::{RecordBox, SpanTrace},
};

thread_local! {
    /// The trace of the span that was queried last.
    static QUERY_RESULT: Cell<SpanTrace> = const { Cell::new(None) };
}

/// Marks the trace of the current OpenTelemetry context, so that it is kept although it is not sampled.
///
/// It also sets the attribute `sampling.keep` of the current span. It has no other effect if:
///
/// - the trace is sampled
/// - the recorder has no [keep rules](crate::RecorderBuilder::keep)
/// - the span could not be [held](crate::SpanCounts::not_held)
/// - the local root has ended
///
/// The [rate limit](crate::Keep::per_second) of the rules also applies to marked traces.
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

/// The held trace of a span, as a value in the context of the span.
struct ContextTrace {
    span: SpanId,
    trace: Arc<HeldTrace<RecordBox>>,
}

/// Adds the held trace of a span to the context of the span.
pub(crate) fn with_trace(
    base: &Context,
    span: SpanId,
    trace: &Arc<HeldTrace<RecordBox>>,
) -> Context {
    let trace = Arc::clone(trace);
    base.with_value(ContextTrace { span, trace })
}

/// Returns the held trace of the span in a context. This span is the parent of a span that starts.
///
/// For a span that the recorder puts in the context, the trace is a value in the context. A span of a tracer is put there by
/// its caller, and the API does not return it. So an attribute is set on it, which is [handled](handle_attribute) as a query.
/// This takes the lock of the parent in the context, which `SpanRef::set_attributes` holds while it reads its argument. So only
/// spans of a tracer are queried.
pub(super) fn trace_of(context: &Context) -> SpanTrace {
    let span = context.span();
    let ids = span.span_context();
    if ids.is_sampled() {
        return None;
    }
    let value = context.get::<ContextTrace>();
    if let Some(value) = value.filter(|value| value.span == ids.span_id()) {
        return Some(Arc::clone(&value.trace));
    }
    span.set_attribute(KeyValue::new(HELD_TRACE_QUERY, true));
    QUERY_RESULT.try_with(Cell::take).ok().flatten()
}

/// Returns the context of a span that has ended, as that of a sampled one, if its trace is kept and its local root was
/// queued. Metrics that are recorded in it have exemplars. Spans that are started in it are sampled, so it is for metrics only.
pub fn kept_context(context: &Context) -> Option<Context> {
    let is_exported = trace_of(context).is_some_and(|trace| trace.is_exported());
    is_exported.then(|| {
        let span = context.span();
        let ids = span.span_context();
        context.with_remote_span_context(SpanContext::new(
            ids.trace_id(),
            ids.span_id(),
            ids.trace_flags().with_sampled(true),
            false,
            ids.trace_state().clone(),
        ))
    })
}

/// Handles an attribute of a span of this recorder. Returns `false` if the attribute is to be recorded.
pub(crate) fn handle_attribute(attribute: &KeyValue, trace: &SpanTrace) -> bool {
    match attribute.key.as_str() {
        HELD_TRACE_QUERY => {
            // The thread may be destroying its thread-locals.
            _ = QUERY_RESULT.try_with(|result| result.set(trace.clone()));
            true
        }
        KEEP => {
            if let Some(held) = trace
                && attribute.value == Value::Bool(true)
            {
                held.mark();
            }
            false
        }
        _ => false,
    }
}
