//! The allocations of extraction and injection.

#![allow(missing_docs)]

use allocation_tests::{CountingAllocator, allocations};
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
static ALLOCATOR: CountingAllocator = CountingAllocator;

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

/// Headers with spare capacity.
fn headers_with_capacity() -> HeaderMap {
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
fn parsing_headers_does_not_allocate() {
    let value = black_box(PARENT.as_bytes());
    assert_eq!(allocations(|| traceparent::parse(value)), 0);
    assert_eq!(allocations(|| traceparent::parse(b"00-x")), 0);
    assert_eq!(allocations(|| tracestate::parse([STATE])), 0);
    assert_eq!(allocations(|| baggage::parse([STATE]).count()), 0);
    let headers = received();
    assert_eq!(allocations(|| extract_span_context(&headers)), 0);
}

#[test]
fn formatting_a_traceparent_does_not_allocate() {
    let (trace, span) = (TraceId::from(1), SpanId::from(2));
    let write = || traceparent::write(trace, span, TraceFlags::SAMPLED);
    assert_eq!(allocations(write), 0);
}

#[test]
fn an_extracted_context_is_one_allocation() {
    let (headers, parent) = (received(), Context::new());
    assert_eq!(allocations(|| extract(&headers, &parent)), 1);
    let empty = HeaderMap::new();
    assert_eq!(allocations(|| extract(&empty, &parent)), 0);
}

#[test]
fn an_injected_header_is_one_allocation_with_spare_capacity() {
    let (cx, mut headers) = (span(), headers_with_capacity());
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 1);
    assert!(headers.contains_key("traceparent"));
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 1, "overwritten");
}

#[test]
fn injecting_an_empty_context_does_not_allocate() {
    let (cx, mut headers) = (Context::new(), HeaderMap::new());
    assert_eq!(allocations(|| inject(&cx, &mut headers)), 0);
    assert!(headers.is_empty());
}

#[test]
fn the_layer_does_not_allocate_beyond_injection() {
    let hosts = Hosts::new(["shop.example", "*.internal"]);
    let layer = PropagateLayer::new().filter(Filter::only_hosts(hosts));
    let request = |target: &str| {
        let mut request = Request::get(target).body(()).expect("a request");
        *request.headers_mut() = headers_with_capacity();
        request
    };
    // The first use of the current context allocates the context stack of the thread.
    drop(Context::current());

    let mut internal = request("https://api.internal/");
    assert_eq!(allocations(|| layer.send(&mut internal)), 0, "no span");
    let _current = span().attach();
    assert_eq!(allocations(|| layer.send(&mut internal)), 1);
    let mut external = request("https://elsewhere.example/");
    assert_eq!(allocations(|| layer.send(&mut external)), 0);
}
