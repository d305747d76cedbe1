//! What propagation allocates: nothing to read, one context, one header value.

#![allow(missing_docs)]

use allocation_tests::{Counting, allocations};
use http::{HeaderMap, HeaderValue, Request};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use std::hint::black_box;
use tower_otel_core::{Filter, Hosts, Observe};
use tower_otel_propagate::{
    PropagateLayer, extract, extract_span_context, inject,
    w3c::{baggage, traceparent, tracestate},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
const STATE: &[u8] = b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7,a@b@c=1";

fn received() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("traceparent"),
        HeaderValue::from_static(PARENT),
    )])
}

fn span() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    ))
}

/// Headers with room for some more.
fn roomy() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert("host", HeaderValue::from_static("shop.example"));
    headers
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| Box::new(1)), 1);
    assert_eq!(allocations(|| 1 + 1), 0);
}

#[test]
fn headers_are_read_without_an_allocation() {
    let value = black_box(PARENT.as_bytes());
    assert_eq!(allocations(|| traceparent::parse(value)), 0);
    assert_eq!(allocations(|| traceparent::parse(b"00-x")), 0);
    assert_eq!(allocations(|| tracestate::parse([STATE])), 0);
    assert_eq!(allocations(|| baggage::parse([STATE]).count()), 0);
    let headers = received();
    assert_eq!(allocations(|| extract_span_context(&headers)), 0);
}

#[test]
fn a_traceparent_is_written_without_an_allocation() {
    let (trace, span) = (TraceId::from(1), SpanId::from(2));
    let write = || traceparent::write(trace, span, TraceFlags::SAMPLED);
    assert_eq!(allocations(write), 0);
}

#[test]
fn a_context_is_one_allocation() {
    let (headers, parent) = (received(), Context::new());
    assert_eq!(allocations(|| extract(&headers, &parent)), 1);
    let nothing = HeaderMap::new();
    assert_eq!(allocations(|| extract(&nothing, &parent)), 0);
}

#[test]
fn a_header_is_one_allocation_where_there_is_room() {
    let (cx, mut headers) = (span(), roomy());
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 1);
    assert!(headers.contains_key("traceparent"));
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 1, "written anew");
}

#[test]
fn nothing_to_carry_allocates_nothing() {
    let (cx, mut headers) = (Context::new(), HeaderMap::new());
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 0);
    assert!(headers.is_empty());
}

#[test]
fn the_layer_adds_nothing_of_its_own() {
    let hosts = Hosts::new(["shop.example", "*.internal"]);
    let layer = PropagateLayer::new().filter(Filter::only_hosts(hosts));
    let request = |target: &str| {
        let mut request = Request::get(target).body(()).expect("a request");
        *request.headers_mut() = roomy();
        request
    };
    // A thread makes room for its contexts once, when it is first asked for the current one.
    drop(Context::current());

    let mut ours = request("https://api.internal/");
    assert_eq!(allocations(|| layer.send(&mut ours)), 0, "no span");
    let _current = span().attach();
    assert_eq!(allocations(|| layer.send(&mut ours)), 1);
    let mut theirs = request("https://elsewhere.example/");
    assert_eq!(allocations(|| layer.send(&mut theirs)), 0);
}
