//! The response header with the ids of the server span.
//!
//! `traceparent` is the name of the metric that distributions of OpenTelemetry send and browser agents read
//! (<https://github.com/open-telemetry/opentelemetry-specification/issues/3811>). The draft of Trace Context level 3 uses the
//! name `trace` with the same value, and has removed the header `traceresponse`.

use http::{HeaderName, HeaderValue};
use opentelemetry::{Context, trace::TraceContextExt};
use tower_otel_propagate::w3c::traceparent;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Returns the header with the ids of the span in the context. The span must be of this process.
pub(crate) fn header(context: &Context) -> Option<Box<(HeaderName, HeaderValue)>> {
    let span = context.span();
    let ids = span.span_context();
    if !ids.is_valid() || ids.is_remote() {
        return None;
    }
    let mut text = b"traceparent;desc=\"".to_vec();
    text.extend(traceparent::write(
        ids.trace_id(),
        ids.span_id(),
        ids.trace_flags(),
    ));
    text.push(b'"');
    let value = HeaderValue::from_bytes(&text).ok()?;
    Some(Box::new((SERVER_TIMING, value)))
}
