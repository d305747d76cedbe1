//! Every `tracestate` that parses, of one or several lines, is written unchanged, by the codec and by
//! way of a context.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use opentelemetry::Context;
use tower_otel_propagate::{extract, inject};

// The codec is private to the crate.
#[allow(dead_code)]
#[path = "../../tower-otel-propagate/src/w3c/tracestate.rs"]
mod tracestate;

fuzz_target!(|input: &[u8]| {
    let lines = || input.split(|byte| *byte == b'\n');
    let list = tracestate::parse(lines());
    if let Some(list) = &list {
        assert!(list.members().len() <= tracestate::MAX_MEMBERS);
        let header = list.to_header();
        let again = tracestate::parse([header.as_bytes()]).expect("a written list parses");
        assert_eq!(again.members(), list.members());
        let mut short = list.clone();
        short.shorten(tracestate::MAX_CHARS);
        assert!(short.to_header().len() <= tracestate::MAX_CHARS);
    }

    let mut received = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
    received.insert("traceparent", HeaderValue::from_static(parent));
    for line in lines() {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return;
        };
        received.append("tracestate", line);
    }
    let context = extract(&received, &Context::new()).expect("the parent is valid");
    let mut sent = HeaderMap::new();
    inject(&context, &mut sent);
    assert_eq!(sent["traceparent"], parent);
    let header = list.map(|list| list.to_header());
    assert_eq!(
        sent.get("tracestate").map(HeaderValue::as_bytes),
        header
            .as_ref()
            .map(|list| list.as_bytes())
            .filter(|list| !list.is_empty()),
        "the caller's state is forwarded unchanged"
    );
});
