//! The held trace of the span in a context, and `keep_trace`.

use std::{cell::Cell, sync::Arc};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{SpanContext, TraceContextExt},
};

use super::{
    held_trace::{HeldSpan, HeldTrace},
    listed_span,
};
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

/// A held trace, as a value in the context of a span that could not be [listed](listed_span), because there are too many. The
/// contexts of the spans below inherit the value. The context of a span that is not held has `None` instead.
///
/// A recorder does not make the context of a span that a tracer started. So such a context can have the value of another trace:
/// of another recorder, or of an outer span. The value applies to spans with the same trace id, except those that the trace
/// [excludes](HeldTrace::exclude). Two kinds of spans with this trace id are assigned to a trace without a check:
///
/// - A span of another SDK, in a context below a held span, is taken for a span of the held trace. Its children are held, and
///   the parent of an exported child can be a span that is not exported.
/// - A span of a tracer, in another context than the one it was started with, is taken for a span of the trace in that context.
struct ContextTrace(SpanTrace);

/// Adds a held trace to a context.
#[inline(never)]
pub(crate) fn with_trace(base: &Context, trace: &Arc<HeldTrace<RecordBox>>) -> Context {
    base.with_value(ContextTrace(Some(Arc::clone(trace))))
}

/// Returns a context with a span that is not held. A value that would apply to the span is replaced.
#[inline(always)]
pub(crate) fn with_unheld_span(base: &Context, span: SpanContext) -> Context {
    match context_trace(base, &span) {
        Some(_) => without_trace(base, span),
        None => base.with_remote_span_context(span),
    }
}

#[cold]
#[inline(never)]
fn without_trace(base: &Context, span: SpanContext) -> Context {
    let base = base.with_value(ContextTrace(None));
    base.with_remote_span_context(span)
}

/// Returns the value of a context, if it has the trace id of a span.
#[inline]
fn context_trace<'a>(
    context: &'a Context,
    span: &SpanContext,
) -> Option<&'a Arc<HeldTrace<RecordBox>>> {
    let ContextTrace(trace) = context.get()?;
    let has_id = |trace: &&Arc<HeldTrace<RecordBox>>| trace.has_id(span.trace_id());
    trace.as_ref().filter(has_id)
}

/// How the trace of a span in a context was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundBy {
    Span,
    /// The trace is a value of the context.
    Value,
}

/// Returns the result of `read` for the held trace of the span in a context. Returns `None` if the span is not
/// [listed](listed_span) and the context has no value that applies to it. `read` must not run code of the application.
#[inline]
pub(super) fn read_trace<R>(
    context: &Context,
    read: impl Fn(&Arc<HeldTrace<RecordBox>>, FoundBy) -> R,
) -> Option<R> {
    let span = context.span();
    let ids = span.span_context();
    if ids.is_remote() || ids.is_sampled() {
        return None;
    }
    let listed = listed_span::read_trace(ids, |trace| read(trace, FoundBy::Span));
    if listed.is_some() {
        return listed;
    }
    let trace = context_trace(context, ids)?;
    let applies = !trace.excludes(ids.span_id());
    applies.then(|| read(trace, FoundBy::Value))
}

/// Returns the held trace of a span in a context, if [`read_trace`] does not find it.
///
/// Such a span could not be listed, or is not held. A span of a tracer is put in the context by its caller, and the API does not
/// return it. So an attribute is set on it, which is [handled](handle_attribute) as a query. This takes the lock of the span,
/// which `SpanRef::set_attributes` holds while it reads its argument. It can run code of the application, if the span is of
/// another crate.
pub(super) fn queried_trace(context: &Context) -> SpanTrace {
    let span = context.span();
    if span.span_context().is_sampled() {
        return None;
    }
    span.set_attribute(KeyValue::new(HELD_TRACE_QUERY, true));
    QUERY_RESULT.try_with(Cell::take).ok().flatten()
}

/// Notes that the value of a context does not apply to a new span below, unless it is the trace by which the span is `held`.
/// Called for spans that the caller of a tracer puts in a context.
#[inline]
pub(crate) fn exclude(base: &Context, span: &SpanContext, held: Option<&HeldSpan<RecordBox>>) {
    if let Some(trace) = context_trace(base, span)
        && !held.is_some_and(|held| Arc::ptr_eq(held.trace(), trace))
    {
        trace.exclude(span.span_id());
    }
}

/// Returns whether the trace of the span in a context is exported because a rule keeps it: its local root has ended and was
/// queued. Returns `None` if the trace is not held. A tracer's span without a place in the table is found only if it
/// `is_queried`, which takes its lock.
#[inline]
pub fn is_kept(context: &Context, is_queried: bool) -> Option<bool> {
    let found = read_trace(context, |trace, _| trace.is_exported());
    if found.is_some() {
        return found;
    }
    let queried = is_queried.then(|| queried_trace(context));
    queried.flatten().map(|trace| trace.is_exported())
}

/// Handles an attribute of a span of this recorder. Returns `false` if the attribute is to be recorded.
pub(crate) fn handle_attribute(
    attribute: &KeyValue,
    trace: Option<&Arc<HeldTrace<RecordBox>>>,
) -> bool {
    match attribute.key.as_str() {
        HELD_TRACE_QUERY => {
            // The thread may be destroying its thread-locals.
            _ = QUERY_RESULT.try_with(|result| result.set(trace.cloned()));
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
