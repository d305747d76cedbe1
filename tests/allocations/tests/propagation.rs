//! The allocations of propagation: none to parse, one for a context, one for a header value.

#![allow(missing_docs)]

use allocation_tests::{CountingAllocator, allocations};
use http::{HeaderMap, HeaderValue, Request};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use std::hint::black_box;
use tower_otel_core::{Filter, Hosts, Observe, RequestInfo};
use tower_otel_propagate::{
    PropagateLayer, Propagation, extract, extract_baggage, inject, w3c::traceparent,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
/// Lists with an invalid last member: they are parsed to the end and nothing of them is stored.
const STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7,a@b@c=1,=";
const BAGGAGE: &str = "congo/=t61rcWkgMzE,rojo(=00f067aa0ba902b7;a=1,a b=1";

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

/// Headers with spare capacity.
fn spare_capacity() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert("host", HeaderValue::from_static("shop.example"));
    headers
}

#[test]
fn the_allocator_counts_allocations() {
    assert_eq!(allocations(|| Box::new(1)), 1);
    assert_eq!(allocations(|| 1 + 1), 0);
}

#[test]
fn headers_are_parsed_without_an_allocation() {
    let value = black_box(PARENT.as_bytes());
    assert_eq!(allocations(|| traceparent::parse(value)), 0);
    assert_eq!(allocations(|| traceparent::parse(b"00-x")), 0);
    let mut request = Request::new(());
    *request.headers_mut() = received();
    let extract_span_context = |request: &Request<()>| {
        let caller = Propagation::w3c().extract_span_context(&RequestInfo::new(request));
        assert!(caller.is_some());
    };
    assert_eq!(allocations(|| extract_span_context(&request)), 0);
    let headers = request.headers_mut();
    headers.insert("tracestate", HeaderValue::from_static(STATE));
    assert_eq!(allocations(|| extract_span_context(&request)), 0);
    let headers = request.headers_mut();
    headers.insert("baggage", HeaderValue::from_static(BAGGAGE));
    let parent = Context::new();
    assert_eq!(allocations(|| extract_baggage(headers, &parent)), 0);
}

#[test]
fn a_traceparent_is_written_without_an_allocation() {
    let (trace, span) = (TraceId::from(1), SpanId::from(2));
    let write = || traceparent::write(trace, span, TraceFlags::SAMPLED);
    assert_eq!(allocations(write), 0);
}

#[test]
fn extract_allocates_one_context() {
    let (headers, parent) = (received(), Context::new());
    assert_eq!(allocations(|| extract(&headers, &parent)), 1);
    let empty = HeaderMap::new();
    assert_eq!(allocations(|| extract(&empty, &parent)), 0);
}

#[test]
fn inject_allocates_one_header_value() {
    let (cx, mut headers) = (span(), spare_capacity());
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 1);
    assert!(headers.contains_key("traceparent"));
    assert_eq!(
        allocations(|| inject(&cx, &mut headers)),
        1,
        "written again"
    );
}

#[test]
fn inject_without_a_span_allocates_nothing() {
    let (cx, mut headers) = (Context::new(), HeaderMap::new());
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 0);
    assert!(headers.is_empty());
}

#[test]
fn the_layer_allocates_no_more_than_inject() {
    let hosts = Hosts::new(["shop.example", "*.internal"]);
    let layer = PropagateLayer::new().filter(Filter::only_hosts(hosts));
    let request = |target: &str| {
        let mut request = Request::get(target).body(()).expect("a request");
        *request.headers_mut() = spare_capacity();
        request
    };
    // The first access of a thread to its current context allocates.
    drop(Context::current());

    let mut matching = request("https://api.internal/");
    assert_eq!(allocations(|| layer.send(&mut matching)), 0, "no span");
    let _current = span().attach();
    assert_eq!(allocations(|| layer.send(&mut matching)), 1);
    let mut other = request("https://elsewhere.example/");
    assert_eq!(allocations(|| layer.send(&mut other)), 0);
}
