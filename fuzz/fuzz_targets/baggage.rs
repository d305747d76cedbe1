//! Every `baggage` that parses, of one or several lines, parses the same after it is written.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use opentelemetry::{Context, baggage::BaggageExt};
use tower_otel_propagate::extract_baggage;

// The codec is private to the crate.
#[allow(dead_code)]
#[path = "../../tower-otel-propagate/src/w3c/baggage.rs"]
mod baggage;

fuzz_target!(|input: &[u8]| {
    let lines = || input.split(|byte| *byte == b'\n');
    let members: Vec<_> = baggage::parse(lines()).collect();
    assert!(members.len() <= baggage::MAX_MEMBERS);

    let mut list = baggage::HeaderBuilder::default();
    let written = members.iter().filter(|member| list.push(member)).count();
    let header = list.into_header().unwrap_or_default();
    assert!(header.len() <= baggage::MAX_BYTES);
    let again: Vec<_> = baggage::parse([header.as_bytes()]).collect();
    assert_eq!(again.len(), written);
    if written == members.len() {
        assert_eq!(again, members);
    }

    let mut received = HeaderMap::new();
    for line in lines() {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return;
        };
        received.append("baggage", line);
    }
    let context = extract_baggage(&received, &Context::new());
    assert!(context.baggage().len() <= members.len());
});
