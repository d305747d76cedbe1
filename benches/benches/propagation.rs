//! Extraction and injection compared with the propagator of opentelemetry_sdk.
//!
//! Both use the same header map. The SDK has no function that only parses, so both groups for reading
//! measure its whole extraction.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Request};
use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_otel_core::RequestInfo;
use tower_otel_propagate::{Propagation, extract, inject, w3c::traceparent};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The headers of a typical request.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in [
        ("host", "api.example.com"),
        ("user-agent", "bench/1.0"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, br"),
        ("content-type", "application/json"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

fn incoming() -> HeaderMap {
    let mut headers = headers();
    headers.insert("traceparent", HeaderValue::from_static(TRACEPARENT));
    headers
}

fn current() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
        SpanId::from_hex("00f067aa0ba902b7").unwrap(),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    ))
}

fn parse(c: &mut Criterion) {
    let (headers, sdk) = (incoming(), TraceContextPropagator::new());
    let mut request = Request::new(());
    headers.clone_into(request.headers_mut());
    let mut group = c.benchmark_group("parse");
    group.bench_function("bytes", |b| {
        b.iter(|| traceparent::parse(black_box(TRACEPARENT.as_bytes())));
    });
    group.bench_function("tower_otel_propagate", |b| {
        let w3c = Propagation::w3c();
        b.iter(|| w3c.extract_span_context(&RequestInfo::new(black_box(&request))));
    });
    group.bench_function("sdk", |b| {
        let none = Context::new();
        b.iter(|| sdk.extract_with_context(&none, &HeaderExtractor(black_box(&headers))));
    });
    group.finish();
}

fn extraction(c: &mut Criterion) {
    let (headers, sdk, none) = (incoming(), TraceContextPropagator::new(), Context::new());
    let mut group = c.benchmark_group("extract");
    group.bench_function("tower_otel_propagate", |b| {
        b.iter(|| extract(black_box(&headers), &none))
    });
    group.bench_function("sdk", |b| {
        b.iter(|| sdk.extract_with_context(&none, &HeaderExtractor(black_box(&headers))));
    });
    group.finish();
}

fn injection(c: &mut Criterion) {
    let (context, sdk) = (current(), TraceContextPropagator::new());
    let mut group = c.benchmark_group("inject");
    group.bench_function("tower_otel_propagate", |b| {
        b.iter_batched_ref(
            headers,
            |headers| inject(black_box(&context), headers),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("sdk", |b| {
        b.iter_batched_ref(
            headers,
            |headers| sdk.inject_context(black_box(&context), &mut HeaderInjector(headers)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, parse, extraction, injection);
criterion_main!(benches);
