//! Injects an OpenTelemetry [`Context`] into the headers of a request.

use http::{HeaderMap, HeaderValue};
use opentelemetry::{Context, trace::TraceContextExt};

use crate::{
    overflow_tracestate,
    w3c::{TRACEPARENT, TRACESTATE, traceparent},
};

/// Writes the active span of `cx` into the `traceparent` and `tracestate` headers of a request.
/// Existing values of both headers are replaced.
///
/// A span that is not sampled is also written, so that the receiver continues the trace without
/// recording it. The flags are those of the span. opentelemetry_sdk 0.33.1 clears the random flag of spans
/// that it does not sample.
///
/// `tracestate` is written only if it has a member. Whole members are omitted until it has at most 512 characters
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-limits)). If the active span is
/// the caller's own, the caller's `tracestate` is forwarded unchanged
/// ([specification](https://www.w3.org/TR/trace-context-2/#mutating-the-traceparent-field)).
///
/// The headers are not changed if `cx` has no valid active span, or if the map has no room for
/// `traceparent`.
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, trace::*};
///
/// let span = SpanContext::new(1.into(), 2.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
/// let cx = Context::new().with_remote_span_context(span);
///
/// let mut headers = HeaderMap::new();
/// tower_otel_propagate::inject(&cx, &mut headers);
/// assert_eq!(headers["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
/// assert!(!headers.contains_key("tracestate"));
/// ```
pub fn inject(cx: &Context, headers: &mut HeaderMap) {
    let Some(OutgoingHeaders {
        traceparent,
        tracestate,
    }) = OutgoingHeaders::new(cx)
    else {
        return;
    };
    let Ok(traceparent) = HeaderValue::from_bytes(&traceparent) else {
        return;
    };
    if headers.try_insert(&TRACEPARENT, traceparent).is_err() {
        return;
    }
    let written = tracestate
        .and_then(|tracestate| HeaderValue::try_from(tracestate).ok())
        .is_some_and(|tracestate| headers.try_insert(&TRACESTATE, tracestate).is_ok());
    if !written {
        // An existing `tracestate` belongs to the span that was replaced.
        headers.remove(&TRACESTATE);
    }
}

/// The header values for the active span of a context.
pub(crate) struct OutgoingHeaders {
    pub(crate) traceparent: [u8; traceparent::TRACEPARENT_LEN],
    pub(crate) tracestate: Option<String>,
}

impl OutgoingHeaders {
    /// Returns `None` if the context has no valid active span.
    pub(crate) fn new(cx: &Context) -> Option<Self> {
        let span = cx.span();
        let span = span.span_context();
        if !span.is_valid() {
            return None;
        }
        let state = overflow_tracestate::merge(span, cx.get());
        Some(Self {
            traceparent: traceparent::write(span.trace_id(), span.span_id(), span.trace_flags()),
            tracestate: Some(state).filter(|state| !state.is_empty()),
        })
    }
}
