//! Recording in known series does not allocate, with any options.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use metrics::with_local_recorder;
use suite_tests::in_process::{exchange, hello};
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_prometheus::Prometheus;

/// Returns the number of allocations of a thousand exchanges after the first.
fn allocations<S, B>(mut service: S) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let request = || {
        let request = Request::get("http://shop.internal/a").header("content-length", 5);
        request.body(()).unwrap()
    };
    let first = request();
    let info = allocation_counter::measure(|| exchange(&mut service, first));
    assert!(info.count_total > 0, "a new series allocates");
    let requests: Vec<_> = (0..1_000).map(|_| request()).collect();
    let info = allocation_counter::measure(|| {
        for request in requests {
            exchange(&mut service, request);
        }
    });
    info.count_total
}

#[test]
fn known_series_are_counted_without_an_allocation() {
    let (recorder, _prometheus) = Prometheus::builder().native_histograms().build().unwrap();
    with_local_recorder(&recorder, || {
        for names in [Names::Short, Names::Conventions] {
            let all = |layer: MetricsLayer| {
                layer
                    .names(names)
                    .label("api", |_| Some("v1".into()))
                    .response_label("cache", |_| Some("hit".into()))
                    .body_sizes()
                    .duration_to_head()
            };
            let server = all(MetricsLayer::server())
                .route(|_| Some("/a".into()))
                .server_address()
                .in_flight_by_route();
            let client = all(MetricsLayer::client());
            for layer in [server, client] {
                let service = layer.layer(service_fn(hello as fn(_) -> _));
                assert_eq!(allocations(service), 0, "{layer:?}");
            }
        }
    });
}
