//! The span of a request to a route that is not cached is recorded without an additional allocation.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use http::Request;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use suite_tests::in_process::{exchange, hello};
use tower::{Layer, service_fn};
use tower_otel_core::Route;
use tower_otel_trace::{Recorder, SpanBackend, TraceLayer};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// The number of requests between two flushes. Their spans fit in the pool of the recorder.
const REQUESTS: usize = 50;

fn recorder() -> Recorder {
    Recorder::builder(Discard)
        .delay(Duration::from_secs(3600))
        .build()
        .unwrap()
}

/// Returns the number of allocations of requests to one route, and the largest number of as many requests to routes that are
/// requested only once.
fn allocations<B: SpanBackend>(layer: TraceLayer<B>, recorder: &Recorder) -> (u64, u64) {
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let mut allocations = |routes: &mut dyn Iterator<Item = usize>| {
        let request = |route| {
            let mut request = Request::get("/users/7")
                .header("host", "shop.example")
                .header("traceparent", format!("00-{:032x}-{:016x}-01", 7, 7));
            let extensions = request.extensions_mut().unwrap();
            extensions.insert(Route::from(format!("/of/{route}/{{id}}")));
            request.body(()).unwrap()
        };
        let requests: Vec<_> = routes.map(request).collect();
        let info = allocation_counter::measure(|| {
            for request in requests {
                exchange(&mut service, request);
            }
        });
        // An error after the shutdown.
        let _ = recorder.flush(Duration::from_secs(20));
        info.count_total
    };
    for _ in 0..20 {
        allocations(&mut [0; REQUESTS].into_iter());
    }
    let one = allocations(&mut [0; REQUESTS].into_iter());
    let mut most = 0;
    for routes in (1..10_000).step_by(REQUESTS) {
        most = most.max(allocations(&mut (routes..routes + REQUESTS)));
    }
    assert!(one > 0);
    (one, most)
}

#[test]
fn a_request_to_one_of_ten_thousand_routes_allocates_no_more_than_one_to_a_single_route() {
    let recorder = recorder();
    let (one, most) = allocations(TraceLayer::server().recorder(&recorder), &recorder);
    assert!(most <= one, "{most} > {one}");
}

#[test]
fn a_tracing_span_of_a_route_that_is_requested_once_creates_no_template() {
    let recorder = recorder();
    let layer = recorder.layer().spans(LevelFilter::INFO).alone();
    let subscriber = tracing_subscriber::registry().with(layer);
    let measure = || {
        let (one, most) = allocations(TraceLayer::server(), &recorder);
        // Its name and its route are texts of their own.
        assert!(most <= one + 2 * REQUESTS as u64, "{most} > {one}");
    };
    tracing::subscriber::with_default(subscriber, || {
        measure();
        recorder.shutdown(Duration::from_secs(20)).unwrap();
        measure();
    });
}
