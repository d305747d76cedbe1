//! The headers that each propagator reads and writes.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

#[cfg(all(feature = "b3", feature = "xray"))]
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, baggage::BaggageExt};

use super::*;

type Headers = HashMap<String, String>;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn propagators(list: &str) -> Vec<Propagator> {
    let lookup = |_: &str| Some(list.to_owned());
    resolve(&mut Env::new(&lookup)).unwrap()
}

fn headers(headers: &[(&str, &str)]) -> Headers {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    headers.iter().map(owned).collect()
}

/// Extracts a context from the headers, and returns the headers that are injected from it.
fn forward(list: &str, received: &[(&str, &str)]) -> Headers {
    let propagator = composite(&propagators(list));
    let cx = propagator.extract_with_context(&Context::new(), &headers(received));
    let mut sent = Headers::new();
    propagator.inject_context(&cx, &mut sent);
    sent
}

#[test]
fn each_propagator_reads_and_writes_its_headers() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let w3c = ("traceparent", &*parent);
    let baggage = ("baggage", "tenant=7");
    for (list, expected) in [
        ("tracecontext", &[w3c][..]),
        ("baggage", &[baggage]),
        ("tracecontext,baggage", &[w3c, baggage]),
        ("none", &[]),
    ] {
        assert_eq!(forward(list, &[w3c, baggage]), headers(expected), "{list}");
    }
}

#[test]
fn without_a_span_only_baggage_is_injected() {
    let list = match (cfg!(feature = "b3"), cfg!(feature = "xray")) {
        (true, true) => "tracecontext,b3,b3multi,xray,baggage",
        _ => "tracecontext,baggage",
    };
    let cx = Context::new().with_baggage([KeyValue::new("tenant", "7")]);
    let mut sent = Headers::new();
    composite(&propagators(list)).inject_context(&cx, &mut sent);
    assert_eq!(sent, headers(&[("baggage", "tenant=7")]));
}

#[cfg(feature = "b3")]
#[test]
fn b3_uses_one_header_or_several_and_reads_both() {
    let one = format!("{TRACE}-{SPAN}-1");
    assert_eq!(forward("b3", &[("b3", &one)]), headers(&[("b3", &one)]));
    let several = [
        ("x-b3-traceid", TRACE),
        ("x-b3-spanid", SPAN),
        ("x-b3-sampled", "1"),
    ];
    assert_eq!(forward("b3multi", &several), headers(&several));
    assert_eq!(forward("b3", &several), headers(&[("b3", &one)]));
}

#[cfg(all(feature = "b3", feature = "xray"))]
#[test]
fn b3_and_xray_carry_the_sampling_decision_of_a_random_trace_id() {
    let (time, rest) = TRACE.split_at(8);
    for (flags, decision) in [("03", 1), ("02", 0), ("01", 1), ("00", 0)] {
        let parent = format!("00-{TRACE}-{SPAN}-{flags}");
        let sent = forward("tracecontext,b3,xray", &[("traceparent", &parent)]);
        let b3 = format!("{TRACE}-{SPAN}-{decision}");
        let xray = format!("Root=1-{time}-{rest};Parent={SPAN};Sampled={decision}");
        let expected = [
            ("traceparent", &*parent),
            ("b3", &b3),
            ("x-amzn-trace-id", &xray),
        ];
        assert_eq!(sent, headers(&expected));
    }
}

#[cfg(all(feature = "b3", feature = "xray"))]
#[test]
fn a_deferred_decision_is_not_the_random_flag_and_debug_is_sampled() {
    let (time, rest) = TRACE.split_at(8);
    let xray = format!("Root=1-{time}-{rest};Parent={SPAN}");
    for (name, value, flags) in [
        ("b3", format!("{TRACE}-{SPAN}"), "00"),
        ("b3", format!("{TRACE}-{SPAN}-0"), "00"),
        ("b3", format!("{TRACE}-{SPAN}-1"), "01"),
        ("b3", format!("{TRACE}-{SPAN}-d"), "05"),
        ("x-amzn-trace-id", xray.clone(), "00"),
        ("x-amzn-trace-id", format!("{xray};Sampled=1"), "01"),
    ] {
        let both = composite(&propagators("b3,xray"));
        let cx = both.extract(&headers(&[(name, &value)]));
        let found = cx.span().span_context().clone();
        assert_eq!(format!("{:02x}", found.trace_flags()), flags, "{value}");
        assert_eq!(found.span_id().to_string(), SPAN);
    }
}

#[cfg(feature = "xray")]
#[test]
fn an_xray_header_without_a_span_does_not_replace_traceparent() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let root_only = "Root=1-58406520-a006649127e371903a2de979";
    let received = [("traceparent", &*parent), ("x-amzn-trace-id", root_only)];
    let sent = forward("tracecontext,xray", &received);
    assert_eq!(sent.get("traceparent"), Some(&parent));
}
