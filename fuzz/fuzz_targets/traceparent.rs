//! Every `traceparent` that parses is valid and is written as the same fields in version 00.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry::{SpanId, TraceId};
use tower_otel_propagate::w3c::traceparent;

fuzz_target!(|value: &[u8]| {
    let Some(parent) = traceparent::parse(value) else {
        return;
    };
    assert_ne!(parent.trace_id, TraceId::INVALID);
    assert_ne!(parent.span_id, SpanId::INVALID);
    let written = traceparent::write(parent.trace_id, parent.span_id, parent.flags);
    assert!(written.starts_with(b"00-"));
    let again = traceparent::parse(&written).expect("a written header parses");
    assert_eq!(again, parent);
});
