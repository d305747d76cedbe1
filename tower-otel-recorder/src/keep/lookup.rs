//! The held trace of the span in a context, and `keep_trace`.

use std::{cell::Cell, sync::Arc};

use opentelemetry::{Context, KeyValue, SpanId, Value, trace::TraceContextExt};

use super::held_trace::HeldTrace;
use crate::{
    current_context,
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
    if current_context::is_usable() {
        let current = Context::current();
        current.span().set_attribute(KeyValue::new(KEEP, true));
    }
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
    if span.span_context().is_sampled() {
        return None;
    }
    if let Some(trace) = trace_by_value(context) {
        return Some(Arc::clone(trace));
    }
    span.set_attribute(KeyValue::new(HELD_TRACE_QUERY, true));
    QUERY_RESULT.try_with(Cell::take).ok().flatten()
}

/// Returns the held trace of the span in a context, if the recorder has put the span there.
fn trace_by_value(context: &Context) -> Option<&Arc<HeldTrace<RecordBox>>> {
    let value = context.get::<ContextTrace>()?;
    let is_own = value.span == context.span().span_context().span_id();
    is_own.then_some(&value.trace)
}

/// Returns whether the trace of the span in a context is exported because a rule keeps it: its local root has ended and was
/// queued. Returns `None` if the trace is not held. A span of a tracer is found only if it `is_queried`, which takes its lock.
#[inline]
pub fn is_kept(context: &Context, is_queried: bool) -> Option<bool> {
    if context.span().span_context().is_sampled() {
        return None;
    }
    match is_queried {
        true => trace_of(context).map(|trace| trace.is_exported()),
        false => trace_by_value(context).map(|trace| trace.is_exported()),
    }
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
