//! Whatever is taken for a `traceparent` is one, and comes out as version 00 of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry::trace::TraceState;
use tower_otel_propagate::w3c::traceparent;

fuzz_target!(|value: &[u8]| {
    let Some(parent) = traceparent::parse(value) else {
        return;
    };
    let span = parent.into_span_context(TraceState::NONE);
    assert!(span.is_valid() && span.is_remote());
    let written = traceparent::write(span.trace_id(), span.span_id(), span.trace_flags());
    assert!(written.starts_with(b"00-"));
    let again = traceparent::parse(&written).expect("what was written can be read");
    assert_eq!(again.into_span_context(TraceState::NONE), span);
});
