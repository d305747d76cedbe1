//! The context that metrics read for exemplars, if keep rules decide at the end of the span whether it is exported.

#[cfg(feature = "recorder")]
use opentelemetry::trace::SpanContext;
use opentelemetry::{Context, trace::TraceContextExt};

/// Returns whether the span of a context is held: recorded although it is not sampled.
#[cfg(feature = "recorder")]
#[inline]
pub(crate) fn is_held(context: &Context) -> bool {
    tower_otel_recorder::is_kept(context, false).is_some()
}

/// Returns `false`, because only a recorder has keep rules.
#[cfg(not(feature = "recorder"))]
pub(crate) const fn is_held(_context: &Context) -> bool {
    false
}

/// Returns whether the span of a context is sampled.
#[inline]
pub(crate) fn is_sampled(context: &Context) -> bool {
    context.span().span_context().is_sampled()
}

/// Returns a context with the ids of the ended span and the sampled flag, so that metrics record it as an exemplar. Returns
/// `None` if the span is not exported.
///
/// Use the context only for metrics: a span that starts in it would be sampled.
#[cfg(feature = "recorder")]
pub(crate) fn exported_context(context: &Context) -> Option<Context> {
    let is_kept = tower_otel_recorder::is_kept(context, true) == Some(true);
    is_kept.then(|| {
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

#[cfg(not(feature = "recorder"))]
pub(crate) const fn exported_context(_context: &Context) -> Option<Context> {
    None
}
