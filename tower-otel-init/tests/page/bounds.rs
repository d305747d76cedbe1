//! Large traces and stalled browsers are bounded.

use std::io::Write;

use opentelemetry::{
    Context, KeyValue,
    trace::{Span, Tracer, TracerProvider},
};

use crate::client::{TIMEOUT, connect, start, wait_for_event};

#[test]
fn a_thousand_large_traces_and_a_browser_that_stalls_stay_within_the_bounds() {
    let (telemetry, address) = start();
    let mut stalled = connect(address);
    write!(stalled, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    let text = "x".repeat(4000);
    for trace in 0..1000 {
        let mut span = tracer.start_with_context("GET /a", &Context::new());
        for key in 0..15_i64 {
            span.set_attribute(KeyValue::new(format!("key.{key}"), text.clone()));
        }
        span.end();
        // Flushes, so that the queue does not drop spans.
        if trace % 100 == 0 {
            telemetry.flush(TIMEOUT).unwrap();
        }
    }
    telemetry.flush(TIMEOUT).unwrap();
    let overview = wait_for_event(address, "overview", |overview| {
        overview["ring"]["seen"] == 1000
    });
    let (traces, bytes) = (&overview["ring"]["traces"], &overview["ring"]["bytes"]);
    assert!(
        traces.as_u64().unwrap() <= 500 && bytes.as_u64().unwrap() <= 32 << 20,
        "{overview}"
    );
    assert!(bytes.as_u64().unwrap() > 20 << 20, "{overview}");
}
