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
use tower_otel_trace::{Recorder, TraceLayer};

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// The number of requests between two flushes. Their spans fit in the pool of the recorder.
const REQUESTS: usize = 50;

#[test]
fn a_request_to_one_of_ten_thousand_routes_allocates_no_more_than_one_to_a_single_route() {
    let recorder = Recorder::builder(Discard)
        .delay(Duration::from_secs(3600))
        .build()
        .unwrap();
    let layer = TraceLayer::server().recorder(&recorder);
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let mut allocations = |routes: &mut dyn Iterator<Item = usize>| {
        let request = |route| {
            let mut request = Request::get("/users/7").header("host", "shop.example");
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
        recorder.flush(Duration::from_secs(20)).unwrap();
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
    assert!(most <= one, "{most} > {one}");
}
