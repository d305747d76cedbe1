//! Every `traceparent` that parses is valid and is written as the same span in version 00.
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
    let again = traceparent::parse(&written).expect("a written header parses");
    assert_eq!(again.into_span_context(TraceState::NONE), span);
});
